"""Text of others - logs, names, messages - without what a terminal would obey or colour.

A page has no use for the escape sequences that `harmless` shows by their codes.
"""

import re

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
