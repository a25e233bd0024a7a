"""How a CSV file is written: its delimiter, its header or the lack of one, comments.

Decides where the rows begin, what the columns are called, and what of the file's form is worth a
word. Read from the first lines alone; what the columns mean is decided in `columns.py`.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from objectives.data.csv.check import (
    BOM,
    NUMBER,
    CsvFile,
    Named,
    as_file,
    cell_error,
    column_error,
    mend_cell,
    read_lines,
    shown,
    split_line,
    unpack_cell,
)
from objectives.errors import DataError
from objectives.files.limits import (
    LONGEST_NUMBER,
    LONGEST_TEXT,
    MOST_BLANK_LINES,
    MOST_CELLS,
    ROW_BYTES,
    refuse_memory,
)

# What people put under the name of a CSV, by the first bytes.
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
_MOST_COMMENTS = 1000  # lines; more of them are no header
_SEPARATOR_BYTES = 5  # of `sep=;`: the one thing that is looked for in them, but for the last one
_ROWS_A_LOOK = 1 << 20  # after so many rows the memory is looked at
_DELIMITERS = (b",", b";", b"\t", b"|")
_SEPARATOR = re.compile(rb"(?i)sep=.")  # Excel's own first line
_WHOLE = re.compile(r"([0-9]+)\.0+")
_FEWEST_NUMBER_NAMES = 4  # columns called 0, 1, 2, ...: fewer may be a row of numbers
_REPEATED = re.compile(r"(.+)\.([0-9]{1,9})")
INDEX_NAME = "Unnamed: 0"
"""What pandas calls a first column without a name: an index that was written along."""


@dataclass(frozen=True)
class Form:
    """How one file is written.

    Attributes:
        names: Of the columns, from the left; `1`, `2`, ... where the file has no header.
        delimiter: One byte; None stands for any blanks.
        n_before: Lines before the first row that is read as it stands.
        n_cells: Cells of each line; those beyond `names` are blank.
        has_header: Whether the names stand in the file.
        first_row: The cells of a first row that stands in the place of the header, repaired.
        sample: The cells of the first row, for whoever looks at one; perhaps fewer than names.
        has_nameless_first: Whether the first column has a name of pandas' making alone.
        notes: What was made of the file's form, for the user; one line each.
    """

    names: tuple[str, ...]
    delimiter: bytes | None
    n_before: int
    n_cells: int
    has_header: bool = True
    first_row: tuple[bytes, ...] | None = None
    sample: tuple[bytes, ...] = ()
    has_nameless_first: bool = False
    notes: tuple[str, ...] = ()


def read_form(named: Named) -> Form:
    """Look at the first lines of a file.

    Raises:
        DataError: The file cannot be read, is of another kind, or its first line is no sound
            header: blank, not UTF-8, a name missing or twice.
    """
    file = as_file(named)
    comments, head, row = _first_lines(file)
    notes, n_before = list[str](), len(comments) + 1
    if any(not _SEPARATOR.fullmatch(line) for line in comments):
        behind_sign = comments[-1].lstrip(b"#% ")
        if not head.strip() or _is_header_of(behind_sign, head):
            head, row, n_before = behind_sign, head, len(comments)
            notes.append(f"{file.name}: the header stands behind a comment sign")
        if n_more := len(comments) - (n_before == len(comments)):
            lines = "comment line is" if n_more == 1 else "comment lines are"
            notes.append(f"{file.name}: {n_more} {lines} skipped")
    delimiter = _delimiter_of(head, row)
    if delimiter not in (b",", None):
        notes.append(f"{file.name}: columns are separated by {delimiter.decode()!r}")
    cells = split_line(file, 0, head, delimiter)
    below = [] if row is None else split_line(file, 1, row, delimiter)
    cells = _without_blank_end(cells, below)
    form = Form(
        names=tuple(_name(file, number, cell) for number, cell in enumerate(cells, 1)),
        delimiter=delimiter,
        n_before=n_before,
        n_cells=max(len(below), len(cells)) if _is_blank(below[len(cells) :]) else len(cells),
        sample=tuple(below),
        notes=tuple(notes),
    )
    return _with_names(file, form, cells)


def read_header(file: Named) -> tuple[str, ...]:
    """Return the names of the columns of a file that must have them, and commas between them.

    Raises:
        DataError: As `read_form`; or the first line holds numbers, or there is another delimiter.
    """
    form = read_form(file)
    if not form.has_header:
        raise no_names(file)
    if form.delimiter != b",":
        mark = "blanks" if form.delimiter is None else repr(form.delimiter.decode())
        raise DataError(
            f"{file.name}: columns are separated by {mark}, not by ','", hint="export with ','"
        )
    return form.names


def no_names(file: Named) -> DataError:
    """Return the error for a file that must have a header and has none."""
    return DataError(
        f"{file.name}: the first line holds numbers, where column names should be",
        hint="write a first line with the names of the columns",
    )


def read_rows(named: Named, form: Form) -> Iterator[tuple[int, list[bytes]]]:
    """Yield (row, cells); every row has as many cells as there are names.

    Raises:
        DataError: A row is ragged or blank, quotes are broken, there is no row at all, or the
            archive breaks off.
    """
    file, names, delimiter = as_file(named), form.names, form.delimiter
    n_names, row, blank = len(names), 0, 0
    n_first = 0 if form.first_row is None else 1
    blanks = b" \t\r\n" + (delimiter or b"")  # as a spreadsheet ends a table
    if form.first_row is not None:
        yield 1, list(form.first_row)
    for row, line in enumerate(islice(read_lines(file), form.n_before, None), n_first + 1):
        if not line.strip(blanks):
            blank = blank or row
            if row - blank > MOST_BLANK_LINES:
                text = f"{file.name} row {blank}: more than {MOST_BLANK_LINES:,} blank lines"
                raise DataError(text, "take the lines out")
            continue
        if not row % _ROWS_A_LOOK:
            refuse_memory(f"{file.name} row {row:,}", row * ROW_BYTES)
        if blank:
            text = f"{file.name} row {blank}: a blank line between the rows"
            raise DataError(text, "take the line out")
        cells = split_line(file, row, line.rstrip(b"\r\n"), delimiter, names)
        if len(cells) != n_names:
            if len(cells) != form.n_cells or not _is_blank(cells[n_names:]):
                raise _ragged(file, row, cells, names)
            del cells[n_names:]
        yield row, cells
    if (row == 0 and not n_first) or blank == 1:
        what = "a header and no row below it" if form.has_header else "no row"
        raise DataError(f"{file.name}: {what}", "download or export the file again")


def _first_lines(file: CsvFile) -> tuple[list[bytes], bytes, bytes | None]:
    """Return comment lines, the first line that is none, and the next one if there is one."""
    lines = read_lines(file)
    comments: list[bytes] = []
    try:
        head = next(lines, b"")
        while _is_comment(head) and len(comments) < _MOST_COMMENTS:
            if comments:
                comments[-1] = comments[-1][: _SEPARATOR_BYTES + 1]
            comments.append(head.strip())
            head = next(lines, b"")
        row = next((line for line in islice(lines, MOST_BLANK_LINES) if line.strip()), None)
    finally:
        lines.close()
    first = head.lstrip().lower()
    for magic, kind, hint in _OTHER_KINDS:
        if first.startswith(magic.lower()):
            raise DataError(f"{file.name}: {kind}, where CSV text should be", hint=hint)
    head = head.rstrip(b"\r\n")
    if not head.strip() and not comments:
        text = f"{file.name}: the first line is blank; it should name the columns"
        raise DataError(text, "take the line out")
    if b"\r" in head:
        raise DataError(f"{file.name}: lines end in a lone CR", hint="save it with LF line ends")
    if head.count(b"\0") > len(head) // 3:
        raise DataError(
            f"{file.name}: UTF-16 text without a byte order mark", hint="save it as UTF-8"
        )
    return comments, head, None if row is None else row.rstrip(b"\r\n")


def _is_comment(line: bytes) -> bool:
    """Whether a line before the header is none of the table; Excel's `sep=;` is one of them."""
    text = line.strip()
    return text.startswith(_COMMENT_SIGNS) or _SEPARATOR.fullmatch(text) is not None


def _is_header_of(names: bytes, row: bytes) -> bool:
    """Whether a line behind a comment sign names the columns of the row below it."""
    delimiter = _delimiter_of(names, row)
    found, cells = names.split(delimiter, MOST_CELLS), row.split(delimiter, MOST_CELLS)
    is_row = all(map(_is_number, found)) and not _are_number_names([n.decode() for n in found])
    return len(found) == len(cells) > 1 and any(map(_is_number, cells)) and not is_row


def _delimiter_of(head: bytes, row: bytes | None) -> bytes | None:
    """Return what separates the cells: it stands in both lines, and makes the most cells."""
    below = head if row is None else row
    counts = {mark: head.count(mark) for mark in _DELIMITERS}
    likely = [mark for mark in _DELIMITERS if 0 < counts[mark] <= below.count(mark)]
    likely = likely or [mark for mark in _DELIMITERS if counts[mark]]
    if likely:  # of equal ones a comma comes last: it may stand in decimal numbers
        return max(likely, key=lambda mark: (counts[mark], mark != b","))
    n_words = len(head.split(None, MOST_CELLS))
    if n_words > 1 and (row is None or len(row.split(None, MOST_CELLS)) == n_words):
        return None
    return b","


def _without_blank_end(cells: list[bytes], below: list[bytes]) -> list[bytes]:
    """Return the header without nameless last columns below which nothing stands."""
    n_names = len(cells)
    while n_names > 1 and not cells[n_names - 1].strip() and _is_blank(below[n_names - 1 :]):
        n_names -= 1
    return cells[:n_names]


def _is_blank(cells: Sequence[bytes]) -> bool:
    return not any(cell.strip() for cell in cells)


def _is_number(cell: bytes) -> bool:
    return NUMBER.fullmatch(cell.strip()) is not None


def _name(file: CsvFile, number: int, cell: bytes) -> str:
    try:
        name = cell.removeprefix(BOM).decode().strip()
    except UnicodeDecodeError:
        raise DataError(
            f"{file.name} column {number}: the name {shown(cell)} is not UTF-8",
            hint="save it as UTF-8",
        ) from None
    if not name.isprintable():
        text = f"{file.name} column {number}: the name {shown(cell)} is not printable"
        raise DataError(text, "name the column by letters, digits and signs that can be seen")
    if len(cell) > LONGEST_TEXT and not _is_list(name):  # as all pixels of an image may be
        text = f"the name {shown(name)} has {len(cell):,} bytes, of {LONGEST_TEXT} at most"
        raise column_error(file, str(number), text, mend_cell("at most"))
    return name


def _with_names(file: CsvFile, form: Form, cells: Sequence[bytes]) -> Form:
    """Return the form with names in the place of numbers, which are a row and no header."""
    form = replace(form, names=_without_fractions(form.names))
    numbers = [n for n, name in enumerate(form.names) if _is_number(name.encode())]
    values = _unrepeated(form.names)
    is_all = len(numbers) == len(form.names)
    if values is not None:
        return _of_lost_row(file, form, values)
    if is_all and not _are_number_names(form.names):
        return _headless(form, tuple(cells))
    repeated = len({form.names[n] for n in numbers}) < len(numbers)
    if repeated or any(_is_list(name) for name in form.names):
        return _headless(form, tuple(cells))  # text among the labels, or all pixels in one cell
    first = form.names[0] or (INDEX_NAME if INDEX_NAME not in form.names else f"{INDEX_NAME}.1")
    names = (first, *form.names[1:])
    _check_names(file, names)
    return replace(form, names=names, has_nameless_first=not form.names[0])


def _without_fractions(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return names such as `0.0` and `1.0` as `0` and `1`, where all numbers are of that kind."""
    matches = [_WHOLE.fullmatch(name) for name in names]
    whole = tuple(match[1] if match else name for match, name in zip(matches, names, strict=True))
    numbers = [name for name in whole if _is_number(name.encode())]
    is_named = len(set(numbers)) == len(numbers) == sum(match is not None for match in matches)
    return whole if numbers and is_named else names


def _headless(form: Form, first_row: tuple[bytes, ...]) -> Form:
    names = tuple(map(str, range(1, len(form.names) + 1)))
    return replace(form, names=names, has_header=False, first_row=first_row, sample=first_row)


def _of_lost_row(file: CsvFile, form: Form, values: tuple[str | None, ...]) -> Form:
    """Return the form of a file whose header was a first row before pandas read and wrote it."""
    some = ", ".join(form.names[:4])
    what = f"{file.name}: its header ({some}, ...) is a first row that was taken for names"
    if None not in values:
        first_row = tuple(str(value).encode() for value in values)
        note = f"{what}; it is read as row 1, so that no row is lost"
        return replace(_headless(form, first_row), notes=(*form.notes, note))
    names, n_pixels = [], 0
    for name, value in zip(form.names, values, strict=True):
        names.append(name if value is None else f"pixel{n_pixels}")
        n_pixels += value is not None
    _check_names(file, tuple(names))
    note = f"{what}: this row is lost, and the columns are taken for pixels in their order"
    return replace(form, names=tuple(names), notes=(*form.notes, note))


def _unrepeated(names: Sequence[str]) -> tuple[str | None, ...] | None:
    """Return the numbers that pandas made names of; None where it has repeated none.

    Pandas makes `0`, `0.1` and `0.2` of three columns called `0`. What is no number is None.
    """
    n_times: dict[str, int] = {}
    values, n_repeated = [], 0
    for name in names:
        match = _REPEATED.fullmatch(name)
        base = match[1] if match and n_times.get(match[1]) == int(match[2]) else name
        n_repeated += base is not name
        n_times[base] = n_times.get(base, 0) + 1
        values.append(base if _is_number(base.encode()) else None)
    n_numbers = len(names) - values.count(None)
    # `0.1` may be a pixel as well as a second `0`, but not where the others are whole.
    is_whole = all(value is None or value.isdecimal() for value in values)
    is_unclear = not is_whole and all(map(_is_number, map(str.encode, names)))
    is_by_pandas = n_repeated > 0 and len(set(names)) == len(names) and not is_unclear
    return tuple(values) if is_by_pandas and 2 * n_numbers > len(names) else None


def _are_number_names(names: Sequence[str]) -> bool:
    """Whether numbers are the names of columns: all of 0..n - 1, or of 1..n."""
    if len(names) < _FEWEST_NUMBER_NAMES:
        return False
    if not all(name.isdecimal() and len(name) <= LONGEST_NUMBER for name in names):
        return False
    found = {int(name) for name in names}
    return len(found) == len(names) and (min(found), max(found)) in (
        (0, len(names) - 1),
        (1, len(names)),
    )


def _is_list(name: str) -> bool:
    words = unpack_cell(name.encode())
    return len(words) >= _FEWEST_NUMBER_NAMES and all(map(_is_number, words))


def _check_names(file: CsvFile, names: Sequence[str]) -> None:
    first_at: dict[str, int] = {}
    for number, name in enumerate(names, 1):
        if not name:
            raise DataError(
                f"{file.name} column {number}: no name in the header",
                hint="with pandas: to_csv(..., index=False)",
            )
        if name in first_at:
            raise DataError(
                f"{file.name} column {shown(name)[1:-1]}: twice in the header, as column "
                f"{first_at[name]} and column {number}",
                hint="give one of them another name, or leave it out",
            )
        first_at[name] = number


def _ragged(file: CsvFile, row: int, cells: list[bytes], names: tuple[str, ...]) -> DataError:
    counts = f"the row has {len(cells)} cells, the header {len(names)}"
    if len(cells) < len(names):
        what = f"nothing there; {counts}"
        return cell_error(file, row, names[len(cells)], what, "fill or leave out the row")
    extra = shown(cells[len(names)])
    hint = "leave out the row, or name its last columns in the header"
    if row == 1 and len(cells) == len(names) + 1 and cells[0].strip() in (b"0", b"1"):
        hint = "are the first cells row names? with R: write.csv(..., row.names = FALSE)"
    return cell_error(file, row, str(len(names) + 1), f"{extra} is too many; {counts}", hint)
