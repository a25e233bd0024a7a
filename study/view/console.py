"""The console of a command, and its verbosity."""

import os
import sys

from rich.console import Console

from study.machine.forks import withhold
from study.text import harmless_lines


class View:
    """The console of a command: says lines at the level that was asked for."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self.console = Console(stderr=True, highlight=False)
        self.quiet, self.verbose = quiet, verbose

    def say(self, line: str) -> None:
        """Print one line to stderr, unless quiet."""
        if not self.quiet:
            shown = harmless_lines(line)
            self.console.print(shown, markup=False, highlight=False, soft_wrap=True)

    def hold_stderr(self) -> None:
        """Go on printing to where stderr goes now, wherever a trial's log turns it."""
        handle = os.dup(2)
        withhold(handle)
        self.console.file = os.fdopen(handle, "w", 1, sys.stderr.encoding, "backslashreplace")
