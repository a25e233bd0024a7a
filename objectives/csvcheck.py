"""One CSV file in: opened, taken apart into cells, and every cell looked at.

Decides what a readable file, a sound header and a sound row are; each fault is one `DataError` that
names file, row (1 is the first below the header) and column. What the files of a competition must
be to one another is `competition.py`'s work. Plain Python, as it is as quick here as a parser in C
(42,000 rows of 784 pixels in two seconds) and knows the row and column of a fault for free.
"""

import csv
import gzip
import io
import re
import zlib
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import IO, TypeVar

from objectives.errors import DataError

# What people put under the name of a CSV, by the first bytes.
_OTHER_KINDS: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\x03\x04", "a zip archive or an Excel workbook", "unpack it, or export it as CSV"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook", "export it as CSV"),
    (b"\x1f\x8b", "gzip inside", "name a gzip file .csv.gz, and pack it once"),
    (b"PAR1", "a Parquet file", "export it as CSV"),
    (b"BZh", "a bzip2 file", "unpack it"),
    (b"\xfd7zXZ", "an xz file", "unpack it"),
    (b"\x28\xb5\x2f\xfd", "a zstd file", "unpack it"),
    (b"\xff\xfe", "UTF-16 text", "save it as UTF-8"),
    (b"\xfe\xff", "UTF-16 text", "save it as UTF-8"),
    (b"version https://git-lfs", "a Git LFS pointer, not the data", "git lfs pull"),
    (b"{", "JSON", "export it as CSV"),
    (b"<", "a web page or XML, not CSV", "download it again, signed in to Kaggle"),
)
_BOM = b"\xef\xbb\xbf"
_NUMBER = re.compile(rb"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_MAX_SHOWN = 40
_MAX_LABEL = 2**53  # beyond it a float no longer tells neighbours apart
_NOT_A_NUMBER = "is not a number"
T = TypeVar("T")


def find_csv(data_dir: Path, stem: str) -> Path | None:
    """Return `stem`.csv or `stem`.csv.gz in `data_dir`; None where there is neither.

    Raises:
        DataError: Both are there, or what is there is not a file.
    """
    paths = [data_dir / f"{stem}.csv", data_dir / f"{stem}.csv.gz"]
    there = [path for path in paths if path.exists() or path.is_symlink()]
    if len(there) > 1:
        raise DataError(
            f"{data_dir}: {there[0].name} and {there[1].name} are both there, and which one counts "
            "is unclear",
            hint=f"remove one of them from {data_dir}",
        )
    for path in there:
        if not path.exists():
            raise DataError(f"{path.name}: a link to a file that is not there ({path})")
        if not path.is_file():
            kind = "a folder" if path.is_dir() else "no regular file"
            raise DataError(f"{path.name}: {kind}, where a CSV file should be ({path})")
    return there[0] if there else None


def unreadable(path: Path, error: OSError) -> DataError:
    """Return the error for a file that the system does not let us read."""
    return DataError(f"{path.name}: cannot be read: {error.strerror or error} ({path})")


def shown(cell: bytes | str) -> str:
    """Return a cell as it stands in a message: quoted, on one line, cut when long."""
    if isinstance(cell, bytes):
        try:
            cell = cell.decode()
        except UnicodeDecodeError:
            return repr(cell[:_MAX_SHOWN])
    return repr(cell if len(cell) <= _MAX_SHOWN else cell[: _MAX_SHOWN - 3] + "...")


def cell_error(path: Path, row: int, column: str, text: str, hint: str | None = None) -> DataError:
    """Return the error for one cell; `row` counts from 1 below the header."""
    return DataError(f"{path.name} row {row}, column {column}: {text}", hint)


def read_header(path: Path) -> tuple[str, ...]:
    """Return the column names, stripped of blanks, quotes and a byte order mark.

    Raises:
        DataError: The file cannot be read, is of another kind, or its first line is no sound
            header: empty, not UTF-8, another delimiter, numbers, a name missing or twice.
    """
    lines = _read_lines(path)
    line = next(lines, b"")
    lines.close()
    for magic, kind, hint in _OTHER_KINDS:
        if line.lstrip().startswith(magic):
            raise DataError(f"{path.name}: {kind}, where CSV text should be", hint=hint)
    line = line.removeprefix(_BOM).rstrip(b"\r\n")
    if not line.strip():
        raise DataError(f"{path.name}: the first line is blank; it should name the columns")
    if b"\r" in line:
        raise DataError(f"{path.name}: lines end in a lone CR", hint="save it with LF line ends")
    other = next((mark for mark in (";", "\t", "|") if mark.encode() in line), None)
    if other and b"," not in line:
        raise DataError(
            f"{path.name}: columns are separated by {other!r}, not by ','", hint="export with ','"
        )
    names = [_header_name(path, n, cell) for n, cell in enumerate(_split(path, 0, line), 1)]
    _check_names(path, names)
    return tuple(names)


def read_rows(path: Path, header: tuple[str, ...]) -> Iterator[tuple[int, list[bytes]]]:
    """Yield (row, cells) below the header; every row has as many cells as the header.

    Raises:
        DataError: A row is ragged or blank, quotes are broken, there is no row at all, or the file
            (gzip) breaks off.
    """
    lines = _read_lines(path)
    next(lines, None)
    row = blank = 0
    for row, line in enumerate(lines, 1):
        if line.isspace():
            blank = blank or row
            continue
        if blank:
            raise DataError(f"{path.name} row {blank}: a blank line between the rows")
        cells = _split(path, row, line.rstrip(b"\r\n"), header)
        if len(cells) != len(header):
            raise _ragged(path, row, cells, header)
        yield row, cells
    if row == 0 or blank == 1:
        raise DataError(f"{path.name}: a header and no row below it")


def pixel_value(cell: bytes) -> int:
    """Return a pixel, 0..255; ValueError says what is wrong with it otherwise."""
    value = _whole_number(cell, "the cell is empty")
    if value > 255:
        raise ValueError(f"{shown(cell)} is more than 255")
    return value


def label_value(cell: bytes) -> int | str:
    """Return a label, an integer >= 0 or text; ValueError says what is wrong with it otherwise.

    What can be read as a number, NaN and infinity included, is one, and never text.
    """
    text = cell.strip()
    if text and not _NUMBER.fullmatch(text) and _no_number(text) == _NOT_A_NUMBER:
        word = text.decode().strip()
        if not word or not word.isprintable():
            raise ValueError(f"{shown(cell)} is not printable")
        return word
    value = _whole_number(cell, "the label is missing")
    if value > _MAX_LABEL:
        raise ValueError(f"{shown(cell)} is too large for a label")
    return value


def id_value(cell: bytes) -> str:
    """Return an id as it stands there; ValueError where it is empty or not text."""
    if not cell.strip():
        raise ValueError("the id is missing")
    if b"\0" in cell:
        raise ValueError(f"{shown(cell)} holds a NUL byte")
    try:
        return cell.decode().strip()
    except UnicodeDecodeError:
        raise ValueError(f"{shown(cell)} is not UTF-8") from None


class CellTable(dict[bytes, T]):
    """From a cell as written to its value; each spelling is checked once."""

    def __init__(self, parse: Callable[[bytes], T]) -> None:
        super().__init__()
        self._parse = parse

    def __missing__(self, cell: bytes) -> T:
        value = self[cell] = self._parse(cell)
        return value


def _whole_number(cell: bytes, when_empty: str) -> int:
    text = cell.strip()
    if not text:
        raise ValueError(when_empty)
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{shown(cell)} {_no_number(text)}")
    value = float(text)
    if value < 0:
        raise ValueError(f"{shown(cell)} is negative")
    if value != value // 1 and value <= _MAX_LABEL:
        raise ValueError(f"{shown(cell)} is not a whole number")
    return int(min(value, 2.0 * _MAX_LABEL))


def _no_number(text: bytes) -> str:
    if b"\0" in text:
        return "holds a NUL byte"
    try:
        word = text.decode().lower().lstrip("+-")
    except UnicodeDecodeError:
        return "is not UTF-8"
    if word in {"nan", "inf", "infinity"}:
        return "is not a finite number"
    return _NOT_A_NUMBER


def _read_lines(path: Path) -> Generator[bytes, None, None]:
    """Yield the lines of a plain or gzip file; a generator, so that the file is closed."""
    n_lines = 0
    try:
        with path.open("rb") as file:
            if not file.peek(1):
                raise DataError(f"{path.name}: empty, 0 bytes ({path})")
            for line in _unpacked(path, file):
                yield line
                n_lines += 1
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        after = f", somewhere after row {n_lines - 1}" if n_lines > 1 else ""
        what = "cut short" if isinstance(error, EOFError) else f"broken ({error})"
        raise DataError(
            f"{path.name}: the gzip data is {what}{after}", hint="download the file again"
        ) from None
    except OSError as error:
        raise unreadable(path, error) from None
    if n_lines == 0:
        raise DataError(f"{path.name}: empty, nothing inside the gzip file ({path})")


def _unpacked(path: Path, file: IO[bytes]) -> IO[bytes]:
    if path.suffix != ".gz":
        return file
    # A large buffer: a third less time than GzipFile's own loop over lines.
    return io.BufferedReader(gzip.GzipFile(fileobj=file), 1 << 20)


def _split(path: Path, row: int, line: bytes, header: tuple[str, ...] = ()) -> list[bytes]:
    if b'"' not in line:
        return line.split(b",")
    try:  # latin-1 keeps every byte; what is not UTF-8 is found where the cell is read
        cells = next(csv.reader([line.decode("latin-1")], strict=True))
    except csv.Error:
        odd = [n for n, cell in enumerate(line.split(b",")) if cell.count(b'"') % 2]
        n = odd[0] if odd else line[: line.index(b'"')].count(b",")
        where = f"column {header[n] if n < len(header) else n + 1}"
        where = f"row {row}, {where}" if row else where
        text = shown(line.split(b",")[n])
        raise DataError(f"{path.name} {where}: {text} has a broken quote") from None
    return [cell.encode("latin-1") for cell in cells]


def _header_name(path: Path, number: int, cell: bytes) -> str:
    try:
        name = cell.decode().strip()
    except UnicodeDecodeError:
        raise DataError(
            f"{path.name} column {number}: the name {shown(cell)} is not UTF-8",
            hint="save it as UTF-8",
        ) from None
    if not name.isprintable():
        raise DataError(f"{path.name} column {number}: the name {shown(cell)} is not printable")
    return name


def _check_names(path: Path, names: list[str]) -> None:
    if all(_NUMBER.fullmatch(name.encode()) for name in names):
        raise DataError(f"{path.name}: the first line holds numbers, where column names should be")
    first_at: dict[str, int] = {}
    for number, name in enumerate(names, 1):
        if not name:
            raise DataError(
                f"{path.name} column {number}: no name in the header",
                hint="with pandas: to_csv(..., index=False)",
            )
        if name in first_at:
            raise DataError(
                f"{path.name} column {shown(name)[1:-1]}: twice in the header, as column "
                f"{first_at[name]} and column {number}"
            )
        first_at[name] = number


def _ragged(path: Path, row: int, cells: list[bytes], header: tuple[str, ...]) -> DataError:
    counts = f"the row has {len(cells)} cells, the header {len(header)}"
    if len(cells) < len(header):
        return cell_error(path, row, header[len(cells)], f"nothing there; {counts}")
    extra = shown(cells[len(header)])
    return cell_error(path, row, str(len(header) + 1), f"{extra} is too many; {counts}")
