"""Escape control characters in untrusted text before it is printed; format counts and durations.

Anybody who can write to the database or a log chooses study names, hosts, errors and logs. Escape
sequences in them could clear a screen, forge a line, set a title or paste a command, and a
spreadsheet would run a formula in a CSV file.
"""

import contextlib
import csv
import io
import locale
import math
import os
import re
import sys
from datetime import UTC, datetime
from typing import Any

# CSI (colours, cursor); OSC, DCS, PM and APC (titles, clipboard), up to their end or the end of the
# line; two-character escapes.
ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]P^_X]|[\x9d\x90\x9e\x9f\x98])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
OVERWRITTEN = re.compile(r"\r+\n?")

# Controls, characters that change the direction of a line or break it, and lone surrogates.
_UNSEEN = r"\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_OBEYED = re.compile(rf"[\x00-\x1f{_UNSEEN}]")
_OBEYED_IN_LINES = re.compile(rf"[\x00-\x08\x0b-\x1f{_UNSEEN}]")
# Spreadsheets accept the wide forms of the characters, too. Some split cells at semicolons or tabs,
# even within a quoted cell.
_FORMULA = re.compile(
    r"(^|[;\t\n])(?=[\" ]*[=+\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b])"
)
LONGEST_CELL = 2**31 - 1  # characters


def harmless(text: str) -> str:
    """Return text as one line; control characters are shown by their code."""
    return _OBEYED.sub(_by_code, text)


def harmless_lines(text: str) -> str:
    """Return text of several lines; control characters but line ends and tabs are escaped."""
    return _OBEYED_IN_LINES.sub(_by_code, text)


def harmless_cell(text: str) -> str:
    """Return text with an apostrophe before each formula that a spreadsheet would run.

    This includes formulas after a semicolon. Numbers stay numbers, also `-inf`.
    """
    with contextlib.suppress(ValueError):
        float(text)
        return harmless_lines(text)
    shown = harmless_lines(_FORMULA.sub(r"\1'", text))
    return f"'{shown}" if text[:1] in ("\t", "\r", "\n") else shown


def harmless_csv(text: str) -> str:
    """Return a CSV file with `harmless_cell` applied to each cell."""
    csv.field_size_limit(LONGEST_CELL)  # an attribute may exceed Python's default of 128 KB
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for row in csv.reader(io.StringIO(text, newline="")):
        writer.writerow([harmless_cell(cell) for cell in row])
    return out.getvalue()


def _by_code(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape", "surrogatepass").decode("ascii")


def counted(n: int, what: str) -> str:
    """Return text such as `1 worker` or `2 workers`."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def duration(seconds: float | None) -> str:
    """Return text such as `1h 05m`, `3m 20s` or `12s`; `-` if unknown."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    whole = max(0, round(seconds))  # below 0 if a clock was set back
    hours, minutes = divmod(whole // 60, 60)
    if hours:
        return f"{hours}h {minutes:02d}m"
    return f"{minutes}m {whole % 60:02d}s" if minutes else f"{whole}s"


def jsonable(value: Any) -> Any:
    """Return `value` with NaN and infinities as "nan", "inf", "-inf"."""
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, dict):
        return {key: jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    return value


def iso_utc(moment: datetime | None) -> str | None:
    """Return a naive UTC time as ISO 8601 with `Z`."""
    if moment is None:
        return None
    return moment.replace(tzinfo=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def plain(text: str) -> str:
    """Return text without escape sequences and control characters.

    A carriage return becomes a line end, so each state of a progress bar has a line of its own.
    """
    return CONTROLS.sub("", OVERWRITTEN.sub("\n", ESCAPES.sub("", text)))


def prepare_streams() -> None:
    """Allow any character in file names and output, in any locale.

    In a locale other than UTF-8 the process restarts in Python's UTF-8 mode, and still prints in
    the encoding of the locale.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # Closed: the next file to be opened, such as a database, would get this number.
            os.open(os.devnull, os.O_RDWR)
    if sys.getfilesystemencoding() != "utf-8":
        os.environ["PYTHONUTF8"] = "1"  # for children
        os.environ.setdefault("PYTHONIOENCODING", locale.getencoding())
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 - open until the process ends
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # another type in notebooks and tests
            # A worker prints the output of its trials, whose logs are UTF-8.
            is_log = stream is sys.stdout and sys.argv[1:2] == ["worker"]
            encoding = "utf-8" if is_log else stream.encoding
            stream.reconfigure(encoding=encoding, errors="backslashreplace")
