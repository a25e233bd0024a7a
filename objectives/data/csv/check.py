"""Open a CSV file, split its lines into cells, and check each cell.

Every error is one `DataError` that names the file, the row (1 is the first row of data) and the
column. `form.py` detects delimiter, header and comments. The parser is plain Python, as fast here
as one in C (42,000 rows of 784 pixels in 2 s), and it knows the row and column of an error.
"""

import codecs
import csv
import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from objectives.errors import DataError
from objectives.files import limits
from objectives.files.openfile import open_file, open_member, open_zip

BOM = b"\xef\xbb\xbf"
NUMBER = re.compile(rb"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_MAX_SHOWN = 40
_LONGEST_NAME = 100  # of a file in a message: a member of an archive may have 65,535 bytes
_MAX_LABEL = 2**53  # beyond it floats do not distinguish integers
_MOST_SPELLINGS = 1 << 20  # remembered for a column: continuous floats are unlimited
_LONGEST_SPELLING = 32  # bytes of a remembered spelling
_NOT_A_NUMBER = "is not a number"
_AGAIN = "download the file again"
_MOST_PIXEL = 255.0
_ROUNDING = 1e-4  # rounding errors below 0 and above 255
_FLAGS = {b"true": 1.0, b"false": 0.0}
_LIST_MARKS = bytes.maketrans(b",;[]()", b"      ")
_CELL_HINTS = (
    ("negative", "pixels are 0 to 255 or 0 to 1: bring the values from before standardization"),
    ("more than 255", "bring the pixels into 0 to 255; divide 16-bit pixels by 257"),
    (",.*not a number", "export with decimal points, not commas"),
    ("UTF-8", "save it as UTF-8"),
    ("printable", "use visible letters, digits and signs in the class name"),
    ("at most", "shorten it; a delimiter or a line end may be missing after it"),
    ("too large|whole number", "write whole numbers up to 2**53, or text"),
    ("", "fill or fix the cell, or leave the row out"),
)
T = TypeVar("T")

csv.field_size_limit(limits.LONGEST_LINE)  # a quoted cell may hold all pixels of an image


@dataclass(frozen=True)
class CsvFile:
    """The place of a CSV file: a path, plain or `.gz`, or a member of a zip archive."""

    path: Path
    member: str | None = None

    @property
    def name(self) -> str:
        """The name in messages."""
        name = self.path.name
        if self.member is not None:
            name = f"{self.member.rpartition('/')[2]} in {name}"
        name = name if len(name) <= _LONGEST_NAME else f"...{name[-_LONGEST_NAME:]}"
        return "".join(letter if letter.isprintable() else "?" for letter in name)


Named = Path | CsvFile
"""A file with a `name` for messages."""


def unreadable(path: Path, error: OSError) -> DataError:
    """Return the error for a file that this user cannot read."""
    text = f"{path.name}: cannot be read: {error.strerror or error} ({path})"
    return DataError(text, "make it readable for this user, or name another folder")


def shown(cell: bytes | str) -> str:
    """Return a cell for a message: quoted, on one line, cut if long."""
    if isinstance(cell, bytes):
        try:
            cell = cell.decode()
        except UnicodeDecodeError:
            return repr(cell[:_MAX_SHOWN])
    return repr(cell if len(cell) <= _MAX_SHOWN else cell[: _MAX_SHOWN - 3] + "...")


def cell_error(file: Named, row: int, column: str, text: str, hint: str | None = None) -> DataError:
    """Return the error for one cell; `row` counts from 1."""
    return DataError(f"{file.name} row {row}, column {column}: {text}", hint)


def column_error(file: Named, column: str, text: str, hint: str | None = None) -> DataError:
    """Return the error for a whole column."""
    return DataError(f"{file.name} column {column}: {text}", hint)


def cell_hint(reason: str) -> str:
    """Return the hint for an invalid pixel or label, by the reason."""
    return next(hint for words, hint in _CELL_HINTS if re.search(words, reason))


def pixel_value(cell: bytes) -> int:
    """Return a whole pixel, 0..255; raise a ValueError with the reason."""
    return _whole(cell, pixel_number(cell))


def pixel_number(cell: bytes) -> float:
    """Return a pixel, 0..255, which may be a fraction; raise a ValueError with the reason."""
    word = cell.strip().lower()
    if word in _FLAGS:
        return _FLAGS[word]
    value = _number(cell, "the cell is empty")
    if value < -_ROUNDING:
        raise ValueError(f"{shown(cell)} is negative")
    if value > _MOST_PIXEL + _ROUNDING:
        raise ValueError(f"{shown(cell)} is more than 255")
    return min(max(value, 0.0), _MOST_PIXEL)


def label_value(cell: bytes) -> int | str:
    """Return a label, an integer or text; raise a ValueError with the reason.

    A cell that can be read as a number, also NaN and infinity, is a number and never text.
    """
    text = cell.strip()
    if text and _number_fault(text) == _NOT_A_NUMBER:
        word = text.decode().strip()
        if not word or not word.isprintable():
            raise ValueError(f"{shown(cell)} is not printable")
        _refuse_long(text, limits.LONGEST_TEXT)
        return word
    value = _number(cell, "the label is missing")
    if abs(value) > _MAX_LABEL:
        raise ValueError(f"{shown(cell)} is too large for a label")
    return _whole(cell, value)


def id_value(cell: bytes) -> str:
    """Return an id as written in the cell; raise a ValueError with the reason."""
    if not cell.strip():
        raise ValueError("the id is missing")
    if b"\0" in cell:
        raise ValueError(f"{shown(cell)} holds a NUL byte")
    _refuse_long(cell.strip(), limits.LONGEST_ID)
    try:
        return cell.decode().strip()
    except UnicodeDecodeError:
        raise ValueError(f"{shown(cell)} is not UTF-8") from None


def _refuse_long(text: bytes, most: int) -> None:
    if len(text) > most:
        raise ValueError(f"{shown(text)} has {len(text):,} bytes, of {most:,} at most")


def _number(cell: bytes, when_empty: str) -> float:
    text = cell.strip()
    if not text:
        raise ValueError(when_empty)
    if fault := _number_fault(text):
        raise ValueError(f"{shown(cell)} {fault}")
    _refuse_long(text, limits.LONGEST_NUMBER)
    return float(text)


def _number_fault(text: bytes) -> str:
    """Return why a text is not a number; empty if it is a number."""
    if NUMBER.fullmatch(text):
        return ""
    if b"\0" in text:
        return "holds a NUL byte"
    try:
        word = text.decode().lower().lstrip("+-")
    except UnicodeDecodeError:
        return "is not UTF-8"
    return "is not a finite number" if word in {"nan", "inf", "infinity"} else _NOT_A_NUMBER


def _whole(cell: bytes, value: float) -> int:
    if value != value // 1:
        raise ValueError(f"{shown(cell)} is not a whole number")
    return int(value)


def unpack_cell(cell: bytes) -> list[bytes]:
    """Return the numbers of a cell such as `70 80 82` or `[70, 80, 82]`."""
    return cell.translate(_LIST_MARKS).split(None, limits.MOST_CELLS)


class CellTable(dict[bytes, T]):
    """Maps cells as written to their values; each spelling is checked once."""

    def __init__(self, parse: Callable[[bytes], T]) -> None:
        super().__init__()
        self._parse = parse

    def __missing__(self, cell: bytes) -> T:
        value = self._parse(cell)
        if len(self) < _MOST_SPELLINGS and len(cell) <= _LONGEST_SPELLING:
            self[cell] = value
        return value


def read_lines(file: CsvFile) -> Generator[bytes, None, None]:
    """Yield the lines of a file as UTF-8, without a byte order mark.

    Close the generator if the reader stops early: the file is open until then.
    """
    n_lines = 0
    packing = "gzip" if file.member is None else "zip"
    try:
        with open_file(file.path) as raw:
            if not raw.peek(1):
                raise DataError(f"{file.name}: empty, 0 bytes ({file.path})", _AGAIN)
            with _unpacked(file, raw) as unpacked:
                for line in _as_utf8(unpacked):
                    if len(line) > limits.LONGEST_LINE:
                        raise _too_long(file, n_lines, line)
                    yield line.removeprefix(BOM) if n_lines == 0 else line
                    n_lines += 1
    except (EOFError, gzip.BadGzipFile, zlib.error, zipfile.BadZipFile) as error:
        after = f", somewhere after row {n_lines - 1}" if n_lines > 1 else ""
        what = "cut short" if isinstance(error, EOFError) else f"broken ({error})"
        raise DataError(f"{file.name}: the {packing} data is {what}{after}", _AGAIN) from None
    except UnicodeError as error:
        raise DataError(f"{file.name}: broken UTF-16: {error}", "save it as UTF-8") from None
    except OSError as error:
        raise unreadable(file.path, error) from None
    if n_lines == 0:
        inside = "gzip file" if file.member is None else "zip archive"
        raise DataError(f"{file.name}: empty, nothing inside the {inside} ({file.path})", _AGAIN)


@contextmanager
def _unpacked(file: CsvFile, raw: io.BufferedReader) -> Generator[Any, None, None]:
    if file.member is not None:
        with (
            open_zip(file.path) as archive,
            open_member(archive, file.member, file.name) as member,
        ):
            yield io.BufferedReader(member, 1 << 20)
    elif file.path.suffix.lower() == ".gz":
        # A large buffer takes a third less time than GzipFile's own loop over lines.
        yield io.BufferedReader(gzip.GzipFile(fileobj=raw), 1 << 20)
    else:
        yield raw


def _as_utf8(content: Any) -> Generator[bytes, None, None]:
    if not content.peek(2).startswith(_UTF16):
        yield from iter(partial(content.readline, limits.LONGEST_LINE + 1), b"")
        return
    with io.TextIOWrapper(content, encoding="utf-16", newline="\n") as text:
        for line in iter(partial(text.readline, limits.LONGEST_LINE + 1), ""):
            yield line.encode()


def _too_long(file: CsvFile, row: int, line: bytes) -> DataError:
    if b"\r" in line:
        return DataError(f"{file.name}: lines end in a lone CR", "save it with LF line ends")
    what = f"longer than {limits.LONGEST_LINE // limits.MIB} MiB, the most that is read"
    return DataError(f"{_line(file, row)} is {what}", "is it one line for each image?")


def _line(file: Named, row: int) -> str:
    return f"{file.name}: {f'row {row}' if row else 'the first line'}"


def split_line(
    file: Named, row: int, line: bytes, delimiter: bytes | None, names: tuple[str, ...] = ()
) -> list[bytes]:
    """Return the cells of a line.

    Args:
        row: For messages; 0 is the header.
        delimiter: One byte; None: any blanks.
        names: Names of the columns, for messages.
    """
    if b'"' not in line or delimiter is None:
        cells = line.split(delimiter, limits.MOST_CELLS)
    else:
        mark = delimiter.decode("latin-1")
        try:  # latin-1 keeps every byte; cells are checked for UTF-8 later
            text = line.decode("latin-1")
            texts = next(csv.reader([text], strict=True, delimiter=mark, skipinitialspace=True))
        except csv.Error:
            raise _broken_quote(file, row, line, delimiter, names) from None
        cells = [cell.encode("latin-1") for cell in texts]
    if len(cells) > limits.MOST_CELLS:
        what = f"more than {limits.MOST_CELLS:,} cells, the most that are read"
        raise DataError(f"{_line(file, row)} has {what}", "images may have 1024x1024 pixels")
    return cells


def _broken_quote(
    file: Named, row: int, line: bytes, delimiter: bytes, names: tuple[str, ...]
) -> DataError:
    cells = line.split(delimiter)
    odd = [n for n, cell in enumerate(cells) if cell.count(b'"') % 2]
    n = odd[0] if odd else line[: line.index(b'"')].count(delimiter)
    where = f"column {names[n] if n < len(names) else n + 1}"
    where = f"row {row}, {where}" if row else where
    return DataError(
        f"{file.name} {where}: {shown(cells[n])} has a broken quote",
        "close the quote; a cell must end on the line where it begins",
    )
