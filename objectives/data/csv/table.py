"""Read the rows of one file whose columns are known: pixels, labels and ids.

Cells must be valid, ids must differ, and labels must make 2 to 100 classes of at least five rows.
`columns.py` decides the roles of columns, `pixelrange.py` the range of pixels. Every function
raises `DataError` for the first error, with its row and column.
"""

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from objectives.data.csv.check import (
    CellTable,
    CsvFile,
    Named,
    cell_error,
    column_error,
    id_value,
    label_value,
    pixel_number,
    pixel_value,
    shown,
    unpack_cell,
)
from objectives.data.csv.form import Form, parsed, read_form
from objectives.errors import DataError
from objectives.files.limits import MIB, ROW_BYTES, refuse_memory

MIN_CLASSES, MAX_CLASSES = 2, 100
MIN_ROWS_PER_CLASS = 5  # so that each of five folds can hold one
_MISSING = frozenset({"na", "n/a", "null", "none", "-", "?", "missing"})
_BYTES_A_LOOK = 32 * MIB  # of pixels between two checks of free memory


@dataclass(frozen=True)
class Columns:
    """The roles of one file's columns.

    Attributes:
        form: The file's format, with the names of all columns.
        pixels: Names of the pixels, row by row of the image.
        label, identifier: Names; None if the file has no such column, or it is not read.
        dropped: Names of the columns that are not read.
        packed: The column that holds all pixels of an image, if any.
    """

    form: Form
    pixels: tuple[str, ...]
    label: str | None = None
    identifier: str | None = None
    dropped: tuple[str, ...] = ()
    packed: str | None = None


@dataclass
class ImageTable:
    """The rows of one file; `labels` and `ids` are empty without such a column.

    Attributes:
        pixels: Shape (n, pixels of an image), row by row of the image: uint8 if all are whole
            numbers, else float32; 0..255, not scaled.
        labels: Values: integers or text.
        spellings: Number of occurrences of each spelling of a label.
        ids: Ids as written in the file.
    """

    columns: Columns
    pixels: NDArray[np.uint8] | NDArray[np.float32]
    labels: list[int | str] = field(default_factory=list)
    spellings: dict[int | str, Counter[str]] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)

    @property
    def file(self) -> CsvFile:
        """The file that the rows were read from."""
        return self.columns.form.file

    def spelled(self) -> dict[int | str, str]:
        """Return the most frequent spelling of each label."""
        return {value: max(texts, key=texts.__getitem__) for value, texts in self.spellings.items()}


class _Pixels:
    """Pixels of the rows so far: bytes while all are whole numbers, later floats."""

    def __init__(self, file: CsvFile, names: Sequence[str], *, is_reordered: bool) -> None:
        self._file, self._names, self._is_reordered = file, names, is_reordered
        self._next_look = _BYTES_A_LOOK
        self._whole, self._floats = bytearray(), array("f")
        self._is_whole = True
        self._as_byte, self._as_float = CellTable(pixel_value), CellTable(pixel_number)

    def add(self, row: int, cells: list[bytes]) -> None:
        """Add the pixels of one row; raise `DataError` if a cell is not a pixel."""
        try:
            if self._is_whole:  # one call in C for the whole row, as there may be 33 million cells
                self._whole += bytes(map(self._as_byte.__getitem__, cells))
            else:
                self._floats.extend(map(self._as_float.__getitem__, cells))
        except ValueError:
            for name, cell in zip(self._names, cells, strict=True):
                parsed(self._file, row, name, cell, self._as_float.__getitem__)
            self._is_whole = False  # all cells are pixels, so one is a fraction
            self._refuse_memory(row, 4 * len(self._whole))
            self._floats.extend(self._whole)
            self._whole.clear()
            self._floats.extend(map(self._as_float.__getitem__, cells))
        n_bytes = len(self._whole) + 4 * len(self._floats)
        if n_bytes > self._next_look:
            self._next_look = n_bytes + _BYTES_A_LOOK
            self._refuse_memory(row, n_bytes // 8)

    def _refuse_memory(self, row: int, n_bytes: int) -> None:
        """Refuse to go on without memory for these bytes and for the later steps."""
        n_pixels = len(self._whole) + len(self._floats)
        n_bytes += (4 if self._floats else 1) * n_pixels * self._is_reordered
        n_bytes += 5 * n_pixels if self._floats else 0  # for a comparison with rounded pixels
        refuse_memory(f"{self._file.name} row {row:,}", n_bytes + row * ROW_BYTES)

    def table(self, n_pixels: int) -> NDArray[np.uint8] | NDArray[np.float32]:
        """Return the pixels in the shape (n, n_pixels), without a copy."""
        if self._is_whole:
            return np.frombuffer(self._whole, np.uint8).reshape(-1, n_pixels)
        return np.frombuffer(self._floats, np.float32).reshape(-1, n_pixels)


def _one_class_more(file: CsvFile, row: int, column: str, cell: bytes) -> DataError:
    text = f"{shown(cell)} is one class more than the {MAX_CLASSES} allowed"
    return cell_error(file, row, column, text, "leave rare classes out, or join some")


def _unpacked(file: CsvFile, row: int, column: str, packed: bytes, n_pixels: int) -> list[bytes]:
    """Return the pixels in one cell."""
    cells = unpack_cell(packed)
    if len(cells) != n_pixels:
        why = "; NumPy has shortened it" if b"..." in packed else ""
        text = f"{len(cells)} numbers in the cell, but row 1 has {n_pixels}{why}"
        raise cell_error(file, row, column, text, "leave the row out, or write all its pixels")
    return cells


def read_table(columns: Columns) -> ImageTable:
    """Read every row."""
    form, file, n_pixels = columns.form, columns.form.file, len(columns.pixels)
    special = {*columns.dropped, columns.label, columns.identifier}
    # From the right, because a pop moves the cells to its right.
    places = [n for n in reversed(range(len(form.names))) if form.names[n] in special]
    in_file = tuple(name for name in form.names if name not in special)
    is_reordered = columns.packed is None and in_file != columns.pixels
    names = in_file if columns.packed is None else in_file * n_pixels
    pixels = _Pixels(file, names, is_reordered=is_reordered)
    labels, written, ids = list[int | str](), list[bytes](), list[str]()
    classes, label = set[int | str](), CellTable(label_value)
    with form.rows() as rows:
        for row, cells in rows:
            for place in places:
                name, cell = form.names[place], cells.pop(place)
                if name == columns.label:
                    labels.append(parsed(file, row, name, cell, label.__getitem__))
                    written.append(cell)
                    classes.add(labels[-1])
                    if len(classes) > MAX_CLASSES:
                        raise _one_class_more(file, row, name, cell)
                elif name == columns.identifier:
                    ids.append(parsed(file, row, name, cell, id_value))
            if columns.packed is not None:  # all other cells have been removed
                cells = _unpacked(file, row, columns.packed, cells[0], n_pixels)
            pixels.add(row, cells)
    found = pixels.table(n_pixels)
    if is_reordered:
        place_of = {name: n for n, name in enumerate(in_file)}
        found = found[:, [place_of[name] for name in columns.pixels]]
    if columns.identifier is not None:
        refuse_repeated(file, columns.identifier, ids)
    if any(isinstance(value, str) for value in classes):  # `0e1` and `00` are text among text
        texts = [cell.decode().strip() for cell in written]
        # Only a number in plain form stays a number.
        labels = [n if str(n) == text else text for n, text in zip(labels, texts, strict=True)]
    spellings: dict[int | str, Counter[str]] = {}
    for (value, cell), n in Counter(zip(labels, written, strict=True)).items():
        spellings.setdefault(value, Counter())[cell.decode().strip()] += n
    return ImageTable(columns, found, labels, spellings, ids)


def refuse_repeated(file: Named, column: str, ids: Sequence[str]) -> None:
    """Refuse equal ids of two rows."""
    known: dict[str, int] = {}
    for row, value in enumerate(ids, 1):
        if known.setdefault(value, row) != row:
            text = f"{shown(value)} stands in row {known[value]} already"
            raise cell_error(file, row, column, text, "give each row an id of its own")


def read_labels(file: Named, header: tuple[str, str]) -> dict[str, int | str]:
    """Return label by id, in the order of a file with these two columns only."""
    form = read_form(file)
    ids = form.column(header[0], id_value)
    refuse_repeated(file, header[0], ids)
    return dict(zip(ids, form.column(header[1], label_value), strict=True))


def read_classes(
    file: Named,
    column: str,
    labels: Sequence[int | str],
    spelled: Mapping[int | str, str] | None = None,
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the classes as text, and the class index of each row.

    Integers come in rising order. If some labels are text, all are treated as text, and sorted by
    code point. Text is refused if most rows, or most classes, are numbers, because that is usually
    a mistake.

    Args:
        file, column: Source of the labels, for messages.
        labels: One for each row, from `label_value`; not empty.
        spelled: Spellings of labels that differ from `str(label)`, such as `02` or `3.0`.
    """
    counts = Counter(labels)
    ordered = _in_order(file, column, labels, counts)
    if len(counts) < MIN_CLASSES:
        text = f"every row holds {_named(labels[0])}; at least {MIN_CLASSES} classes are needed"
        raise column_error(file, column, text, "is this the column of the labels?")
    rarest = min(ordered, key=counts.__getitem__)
    if counts[rarest] < MIN_ROWS_PER_CLASS:
        row, n_rows = labels.index(rarest) + 1, f"{counts[rarest]}; at least {MIN_ROWS_PER_CLASS}"
        text = f"class {_named(rarest)} has rows: {n_rows} are needed"
        hint = "bring more rows of it, or leave the class out"
        raise cell_error(file, row, column, text, hint)
    index = {label: n for n, label in enumerate(ordered)}
    names = {label: str(label) for label in ordered} | dict(spelled or {})
    indexes = np.array([index[label] for label in labels], np.int64)
    return tuple(names[label] for label in ordered), indexes


def _in_order(
    file: Named, column: str, labels: Sequence[int | str], counts: Counter[int | str]
) -> list[int | str]:
    numbers = [label for label in counts if isinstance(label, int)]
    words = [label for label in counts if isinstance(label, str)]
    if not words:
        return [*sorted(numbers)]
    n_rows = sum(counts[number] for number in numbers)
    if 2 * len(numbers) > len(counts) or 2 * n_rows > len(labels):
        row, text = labels.index(words[0]) + 1, f"{shown(words[0])} is not a number"
        hint = (
            f"{n_rows} of {len(labels)} labels are numbers; if this is a class of its own, write "
            "the others as text too, such as 'digit 3'"
        )
        raise cell_error(file, row, column, text, hint)
    return sorted(counts, key=str)


def _named(label: int | str) -> str:
    return shown(label) if isinstance(label, str) else str(label)


def odd_classes(file: Named, column: str, labels: Sequence[int | str]) -> list[str]:
    """Return warnings: only some classes are numbers, or one may be a missing value."""
    classes, where = set(labels), f"{file.name} column {column}:"
    missing = sorted(str(label) for label in classes if str(label).lower() in _MISSING)
    found = [f"{where} {name} is taken for a class; is it a missing value?" for name in missing]
    n_numbers = sum(isinstance(label, int) for label in classes)
    if n_numbers not in (0, len(classes)):
        n_of = f"{n_numbers} of {len(classes)} classes are numbers"
        found.append(f"{where} {n_of}; all are taken as text")
    return found
