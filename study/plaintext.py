"""Text of others - logs, names, messages - without what a terminal would obey.

An escape sequence in a log may hide lines, change the title or the clipboard of who reads it.
"""

import io
import re
from typing import TextIO

# CSI (colours, cursor), OSC, DCS, PM and APC (titles, clipboard) with their end or to the line's,
# and the two-character escapes.
ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]P^_X]|[\x9d\x90\x9e\x9f\x98])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
OVERWRITTEN = re.compile(r"\r+\n?")


def plain(text: str) -> str:
    """Return a text of several lines without escape sequences and control characters.

    What a carriage return would overwrite, as a progress bar does, stands on lines of its own.
    """
    return CONTROLS.sub("", OVERWRITTEN.sub("\n", ESCAPES.sub("", text)))


class PlainOut(io.TextIOBase, TextIO):
    """Writes `plain` text to another file.

    A sequence that is cut in two by two writes loses its first character: the rest is text.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, text: str) -> int:
        """Write a piece."""
        return self._out.write(plain(text))

    def flush(self) -> None:
        """Let it be seen."""
        self._out.flush()
