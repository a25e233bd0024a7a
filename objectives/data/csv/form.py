"""Detect the format of a CSV file (delimiter, header, comments), and read its rows.

The first lines decide the format. `columns.py` decides what the columns mean. Every function raises
`DataError` for the first error, with the name of the file.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import islice

from objectives.data.csv.check import (
    BOM,
    NUMBER,
    CsvFile,
    Named,
    T,
    cell_error,
    cell_hint,
    column_error,
    read_lines,
    shown,
    split_line,
    unpack_cell,
)
from objectives.errors import DataError
from objectives.files import limits

# Other kinds of files that are named `.csv`, by their first bytes.
_OTHER_KINDS: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\x03\x04", "a zip archive or an Excel workbook", "call it .zip, or export it as CSV"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook", "export it as CSV"),
    (b"\x1f\x8b", "gzip inside", "name a gzip file .csv.gz, and pack it once"),
    (b"PAR1", "a Parquet file", "export it as CSV"),
    (b"BZh", "a bzip2 file", "unpack it"),
    (b"\xfd7zXZ", "an xz file", "unpack it"),
    (b"\x28\xb5\x2f\xfd", "a zstd file", "unpack it"),
    (b"\x93NUMPY", "a NumPy array", "export it as CSV"),
    (b"version https://git-lfs", "a Git LFS pointer, not the data", "git lfs pull"),
    (b"@relation", "a Weka ARFF file", "export it as CSV"),
    (b"{", "JSON", "export it as CSV"),
    (b"<", "a web page or XML, not CSV", "download it again, signed in to Kaggle"),
)
_COMMENT_SIGNS = (b"#", b"%")
_MOST_COMMENTS = 1000  # lines; more comments are not a header
_SEPARATOR_BYTES = 5  # of `sep=;`; only these bytes are kept of all comments except the last
_ROWS_A_LOOK = 1 << 20  # rows between two checks of free memory
_DELIMITERS = (b",", b";", b"\t", b"|")
_SEPARATOR = re.compile(rb"(?i)sep=.")  # Excel's own first line
_WHOLE = re.compile(r"([0-9]+)\.0+")
_FEWEST_NUMBER_NAMES = 4  # columns called 0, 1, 2, ...; fewer may be a row of numbers
_REPEATED = re.compile(r"(.+)\.([0-9]{1,9})")
INDEX_NAME = "Unnamed: 0"
"""The name that pandas gives a nameless first column: the index of the table."""


@dataclass(frozen=True)
class Form:
    """The format of one file.

    Attributes:
        names: Names of the columns; `1`, `2`, ... if the file has no header.
        delimiter: One byte; None stands for any blanks.
        n_before: Number of lines before the first row that is read unchanged.
        n_cells: Number of cells of each line; cells beyond `names` are blank.
        has_header: Whether the file contains the names.
        first_row: The repaired cells of a first row in the place of the header.
        sample: The cells of the first row; there may be fewer than names.
        has_nameless_first: Whether the first column is nameless and got the name that pandas uses.
        notes: Assumptions about the format, one line each.
    """

    file: CsvFile
    names: tuple[str, ...]
    delimiter: bytes | None
    n_before: int
    n_cells: int
    has_header: bool = True
    first_row: tuple[bytes, ...] | None = None
    sample: tuple[bytes, ...] = ()
    has_nameless_first: bool = False
    notes: tuple[str, ...] = ()

    @contextmanager
    def rows(self) -> Iterator[Iterator[tuple[int, list[bytes]]]]:
        """Open the file and yield (row, cells), with one cell for each name."""
        with closing(read_lines(self.file)) as lines:
            yield self._rows_of(islice(lines, self.n_before, None))

    def _rows_of(self, lines: Iterator[bytes]) -> Iterator[tuple[int, list[bytes]]]:
        name, row, blank = self.file.name, 0, 0
        n_first = 0 if self.first_row is None else 1
        blanks = b" \t\r\n" + (self.delimiter or b"")  # spreadsheets end a table with such lines
        if self.first_row is not None:
            yield 1, list(self.first_row)
        for row, line in enumerate(lines, n_first + 1):
            if not line.strip(blanks):
                blank = blank or row
                if row - blank > limits.MOST_BLANK_LINES:
                    text = f"row {blank}: more than {limits.MOST_BLANK_LINES:,} blank lines"
                    raise DataError(f"{name} {text}", "take the lines out")
                continue
            if not row % _ROWS_A_LOOK:
                limits.refuse_memory(f"{name} row {row:,}", row * limits.ROW_BYTES)
            if blank:
                text = f"{name} row {blank}: a blank line between the rows"
                raise DataError(text, "take the line out")
            cells = split_line(self.file, row, line.rstrip(b"\r\n"), self.delimiter, self.names)
            if len(cells) != len(self.names):
                if len(cells) != self.n_cells or not _is_blank(cells[len(self.names) :]):
                    raise self._ragged(row, cells)
                del cells[len(self.names) :]
            yield row, cells
        if (row == 0 and not n_first) or blank == 1:
            what = "a header and no row below it" if self.has_header else "no row"
            raise DataError(f"{name}: {what}", "download or export the file again")

    def column(self, name: str, parse: Callable[[bytes], T]) -> list[T]:
        """Return the values of a column; `DataError` names the first cell that `parse` refuses."""
        place = self.names.index(name)
        with self.rows() as rows:
            return [parsed(self.file, row, name, cells[place], parse) for row, cells in rows]

    def _ragged(self, row: int, cells: list[bytes]) -> DataError:
        n_names = len(self.names)
        counts = f"the row has {len(cells)} cells, the header {n_names}"
        if len(cells) < n_names:
            column, text = self.names[len(cells)], f"nothing there; {counts}"
            return cell_error(self.file, row, column, text, "fill or leave out the row")
        hint = "leave out the row, or name its last columns in the header"
        if row == 1 and len(cells) == n_names + 1 and cells[0].strip() in (b"0", b"1"):
            hint = "are the first cells row names? with R: write.csv(..., row.names = FALSE)"
        text = f"{shown(cells[n_names])} is too many; {counts}"
        return cell_error(self.file, row, str(n_names + 1), text, hint)


def parsed(file: Named, row: int, column: str, cell: bytes, parse: Callable[[bytes], T]) -> T:
    """Return the value of a cell; raise a `DataError` that names the cell if `parse` refuses it."""
    try:
        return parse(cell)
    except ValueError as reason:
        raise cell_error(file, row, column, str(reason), cell_hint(str(reason))) from None


def read_form(named: Named) -> Form:
    """Read the first lines of a file.

    Raises:
        DataError: The file cannot be read, is of another kind, or its first line is no valid
            header: blank, not UTF-8, or with a missing or repeated name.
    """
    file = named if isinstance(named, CsvFile) else CsvFile(named)
    comments, head, row = _first_lines(file)
    notes, n_before = list[str](), len(comments) + 1
    if any(not _SEPARATOR.fullmatch(line) for line in comments):
        behind_sign = comments[-1].lstrip(b"#% ")
        if not head.strip() or _is_header_of(behind_sign, head):
            head, row, n_before = behind_sign, head, len(comments)
            notes.append(f"{file.name}: the header stands after a comment sign")
        if n_more := len(comments) - (n_before == len(comments)):
            lines = "comment line is" if n_more == 1 else "comment lines are"
            notes.append(f"{file.name}: {n_more} {lines} skipped")
    delimiter = _delimiter_of(head, row)
    if delimiter not in (b",", None):
        notes.append(f"{file.name}: columns are separated by {delimiter.decode()!r}")
    cells = split_line(file, 0, head, delimiter)
    below = [] if row is None else split_line(file, 1, row, delimiter)
    # Drop nameless last columns without a value in the first row.
    while len(cells) > 1 and not cells[-1].strip() and _is_blank(below[len(cells) - 1 :]):
        del cells[-1]
    form = Form(
        file=file,
        names=tuple(_name(file, number, cell) for number, cell in enumerate(cells, 1)),
        delimiter=delimiter,
        n_before=n_before,
        n_cells=max(len(below), len(cells)) if _is_blank(below[len(cells) :]) else len(cells),
        sample=tuple(below),
        notes=tuple(notes),
    )
    return _with_names(form, tuple(cells))


def read_header(file: Named) -> tuple[str, ...]:
    """Return the column names of a file, which must have a header and commas."""
    form = with_header(read_form(file))
    if form.delimiter != b",":
        mark = "blanks" if form.delimiter is None else repr(form.delimiter.decode())
        text = f"{file.name}: columns are separated by {mark}, not by ','"
        raise DataError(text, "export with ','")
    return form.names


def with_header(form: Form) -> Form:
    """Return the form unchanged; raise `DataError` if it has no header."""
    if form.has_header:
        return form
    raise DataError(
        f"{form.file.name}: the first line holds numbers, where column names should be",
        "write a first line with the names of the columns",
    )


def _first_lines(file: CsvFile) -> tuple[list[bytes], bytes, bytes | None]:
    """Return the comment lines, the first other line, and the row below it, if any."""
    comments: list[bytes] = []
    with closing(read_lines(file)) as lines:
        head = next(lines, b"")
        # Excel's `sep=;` counts as a comment.
        while (line := head.strip()).startswith(_COMMENT_SIGNS) or _SEPARATOR.fullmatch(line):
            if len(comments) == _MOST_COMMENTS:
                break
            if comments:
                comments[-1] = comments[-1][: _SEPARATOR_BYTES + 1]
            comments.append(line)
            head = next(lines, b"")
        rest = islice(lines, limits.MOST_BLANK_LINES)
        row = next((line.rstrip(b"\r\n") for line in rest if line.strip()), None)
    first = head.lstrip().lower()
    for magic, kind, hint in _OTHER_KINDS:
        if first.startswith(magic.lower()):
            raise DataError(f"{file.name}: {kind}, where CSV text should be", hint)
    head = head.rstrip(b"\r\n")
    if not head.strip() and not comments:
        text = f"{file.name}: the first line is blank; it should name the columns"
        raise DataError(text, "take the line out")
    if b"\r" in head:
        raise DataError(f"{file.name}: lines end in a lone CR", "save it with LF line ends")
    if head.count(b"\0") > len(head) // 3:
        raise DataError(f"{file.name}: UTF-16 text without a byte order mark", "save it as UTF-8")
    return comments, head, row


def _is_header_of(names: bytes, row: bytes) -> bool:
    """Whether a line after a comment sign names the columns of the row below."""
    delimiter = _delimiter_of(names, row)
    found, cells = (line.split(delimiter, limits.MOST_CELLS) for line in (names, row))
    is_row = all(map(_is_number, found)) and not _are_number_names([n.decode() for n in found])
    return len(found) == len(cells) > 1 and any(map(_is_number, cells)) and not is_row


def _delimiter_of(head: bytes, row: bytes | None) -> bytes | None:
    """Return the delimiter: the character in both lines that makes the most cells."""
    below = head if row is None else row
    counts = {mark: head.count(mark) for mark in _DELIMITERS}
    likely = [mark for mark in _DELIMITERS if 0 < counts[mark] <= below.count(mark)]
    likely = likely or [mark for mark in _DELIMITERS if counts[mark]]
    if likely:  # a comma comes last among equals, as it may stand in decimal numbers
        return max(likely, key=lambda mark: (counts[mark], mark != b","))
    n_words, n_below = (len(line.split(None, limits.MOST_CELLS)) for line in (head, below))
    return None if n_words > 1 and n_words == n_below else b","


def _is_blank(cells: Sequence[bytes]) -> bool:
    return not any(cell.strip() for cell in cells)


def _is_number(cell: bytes | str) -> bool:
    text = cell.encode() if isinstance(cell, str) else cell
    return NUMBER.fullmatch(text.strip()) is not None


def _name(file: CsvFile, number: int, cell: bytes) -> str:
    """Return the name of column `number`."""
    where = f"{file.name} column {number}: the name"
    try:
        name = cell.removeprefix(BOM).decode().strip()
    except UnicodeDecodeError:
        raise DataError(f"{where} {shown(cell)} is not UTF-8", "save it as UTF-8") from None
    if not name.isprintable():
        hint = "use visible letters, digits and signs in the name"
        raise DataError(f"{where} {shown(cell)} is not printable", hint)
    most = limits.LONGEST_TEXT
    if len(cell) > most and not _is_list(name):  # a list of pixels may be longer
        text = f"{where} {shown(name)} has {len(cell):,} bytes, of {most} at most"
        raise DataError(text, cell_hint("at most"))
    return name


def _with_names(form: Form, cells: tuple[bytes, ...]) -> Form:
    """Return the form with generated names if the supposed header is a row of numbers."""
    form = replace(form, names=_without_fractions(form.names))
    numbers = [name for name in form.names if _is_number(name)]
    values = _unrepeated(form.names)
    if values is not None:
        return _of_lost_row(form, values)
    is_row = len(numbers) == len(form.names) and not _are_number_names(form.names)
    # Text among the labels of a row, or all pixels in one cell.
    if is_row or len(set(numbers)) < len(numbers) or any(map(_is_list, form.names)):
        return _headless(form, cells)
    first = form.names[0] or (INDEX_NAME if INDEX_NAME not in form.names else f"{INDEX_NAME}.1")
    names = (first, *form.names[1:])
    _check_names(form.file, names)
    return replace(form, names=names, has_nameless_first=not form.names[0])


def _without_fractions(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return names such as `0.0` and `1.0` as `0` and `1`, if all numbers have that form."""
    matches = [_WHOLE.fullmatch(name) for name in names]
    whole = tuple(match[1] if match else name for match, name in zip(matches, names, strict=True))
    numbers = [name for name in whole if _is_number(name)]
    is_named = len(set(numbers)) == len(numbers) == sum(match is not None for match in matches)
    return whole if numbers and is_named else names


def _headless(form: Form, first_row: tuple[bytes, ...]) -> Form:
    names = tuple(map(str, range(1, len(form.names) + 1)))
    return replace(form, names=names, has_header=False, first_row=first_row, sample=first_row)


def _of_lost_row(form: Form, values: tuple[str | None, ...]) -> Form:
    """Return the form of a file whose first row became the header when pandas rewrote the file."""
    some = ", ".join(form.names[:4])
    what = f"{form.file.name}: its header ({some}, ...) is a first row that was taken for names"
    if None not in values:
        first_row = tuple(str(value).encode() for value in values)
        note = f"{what}; it is read as row 1, so that no row is lost"
        return replace(_headless(form, first_row), notes=(*form.notes, note))
    names, n_pixels = [], 0
    for name, value in zip(form.names, values, strict=True):
        names.append(name if value is None else f"pixel{n_pixels}")
        n_pixels += value is not None
    _check_names(form.file, names)
    note = f"{what}: this row is lost, and the columns are taken for pixels in their order"
    return replace(form, names=tuple(names), notes=(*form.notes, note))


def _unrepeated(names: Sequence[str]) -> tuple[str | None, ...] | None:
    """Return the numbers from which pandas made names; None if it made none.

    Pandas makes `0`, `0.1` and `0.2` of three columns called `0`. None stands for other names.
    """
    n_times: dict[str, int] = {}
    values, n_repeated = list[str | None](), 0
    for name in names:
        match = _REPEATED.fullmatch(name)
        base = match[1] if match and n_times.get(match[1]) == int(match[2]) else name
        n_repeated += base is not name
        n_times[base] = n_times.get(base, 0) + 1
        values.append(base if _is_number(base) else None)
    n_numbers = len(names) - values.count(None)
    # `0.1` may be a pixel or a second `0`; it is the latter if the others are whole.
    is_whole = all(value is None or value.isdecimal() for value in values)
    is_unclear = not is_whole and all(map(_is_number, names))
    is_by_pandas = n_repeated > 0 and len(set(names)) == len(names) and not is_unclear
    return tuple(values) if is_by_pandas and 2 * n_numbers > len(names) else None


def _are_number_names(names: Sequence[str]) -> bool:
    """Whether the names are the numbers 0..n - 1 or 1..n."""
    n = len(names)
    if n < _FEWEST_NUMBER_NAMES:
        return False
    if not all(name.isdecimal() and len(name) <= limits.LONGEST_NUMBER for name in names):
        return False
    found = set(map(int, names))
    return len(found) == n and (min(found), max(found)) in ((0, n - 1), (1, n))


def _is_list(name: str) -> bool:
    words = unpack_cell(name.encode())
    return len(words) >= _FEWEST_NUMBER_NAMES and all(map(_is_number, words))


def _check_names(file: CsvFile, names: Sequence[str]) -> None:
    first_at: dict[str, int] = {}
    for number, name in enumerate(names, 1):
        if not name:
            text, hint = "no name in the header", "with pandas: to_csv(..., index=False)"
            raise column_error(file, str(number), text, hint)
        first = first_at.setdefault(name, number)
        if first != number:
            text = f"twice in the header, as column {first} and column {number}"
            hint = "give one of them another name, or leave it out"
            raise column_error(file, shown(name)[1:-1], text, hint)
