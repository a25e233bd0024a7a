"""Print a command's lines to stderr, at the verbosity that the user chose."""

import os
import sys

from rich.console import Console

from study.machine.forks import withhold
from study.text import harmless_lines


class View:
    """The console of a command, with its verbosity."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self.console = Console(stderr=True, highlight=False)
        self.quiet, self.verbose = quiet, verbose

    def say(self, line: str) -> None:
        """Print one line to stderr, unless quiet."""
        if not self.quiet:
            print_line(self.console, line)

    def hold_stderr(self) -> None:
        """Keep printing to the current stderr when a trial's log redirects file descriptor 2."""
        handle = os.dup(2)
        withhold(handle)
        self.console.file = os.fdopen(handle, "w", 1, sys.stderr.encoding, "backslashreplace")


def print_line(console: Console, line: str) -> None:
    """Print text without markup, line wrapping or control characters."""
    console.print(harmless_lines(line), markup=False, highlight=False, soft_wrap=True)
