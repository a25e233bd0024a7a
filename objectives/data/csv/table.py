"""The rows of one file, its columns being known: pixels, labels and ids.

Decides what a row must hold beyond sound cells: ids that stand once, and no more classes than an
image classifier is meant for. Which column is what is `columns.py`'s decision, what the range of
the pixels means `pixelrange.py`'s.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from objectives.data.csv.check import (
    CellTable,
    CsvFile,
    Named,
    cell_error,
    id_value,
    label_value,
    mend_cell,
    pixel_number,
    pixel_value,
    shown,
    unpack_cell,
)
from objectives.data.csv.form import Form, read_form, read_rows
from objectives.errors import DataError
from objectives.files.limits import MIB, ROW_BYTES, refuse_memory

MIN_CLASSES = 2
_MISSING = frozenset({"na", "n/a", "null", "none", "-", "?", "missing"})
MIN_ROWS_PER_CLASS = 5  # so that each of five folds can hold one


MAX_CLASSES = 100
_BYTES_A_LOOK = 32 * MIB  # of pixels; after so many more the memory is looked at
T = TypeVar("T")


@dataclass(frozen=True)
class Columns:
    """What the columns of one file are.

    Attributes:
        form: How the file is written, every name included.
        pixels: The pixels' names, row by row of the image.
        order: Where each of `pixels` stands among the pixel columns of the file; None: in order.
        label: The label's name; None where the file has none, or it is not to be read.
        identifier: The id's name; None where the file has none.
        dropped: Names of the columns that are read past.
        packed: The one column that holds all pixels of an image, where that is so.
    """

    form: Form
    pixels: tuple[str, ...]
    order: tuple[int, ...] | None = None
    label: str | None = None
    identifier: str | None = None
    dropped: tuple[str, ...] = ()
    packed: str | None = None


@dataclass
class ImageTable:
    """The rows of one file; `labels` and `ids` are empty where it has no such column.

    Attributes:
        pixels: Shape (n, pixels of an image), row by row of the image: uint8 where all are whole
            numbers, else float32; 0..255 as they stand in the file.
        labels: By value: integers, or text.
        spelled: How each label is written in the file, the most frequent spelling.
        n_spellings: Labels that are written in more than one way.
        ids: As they stand in the file.
    """

    pixels: NDArray[np.uint8] | NDArray[np.float32]
    labels: list[int | str] = field(default_factory=list)
    spelled: dict[int | str, str] = field(default_factory=dict)
    n_spellings: dict[int | str, int] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)


class _Pixels:
    """Pixels of the rows so far: bytes while all are whole numbers, floats from then on."""

    def __init__(self, file: CsvFile, *, is_reordered: bool) -> None:
        self._file, self._is_reordered = file, is_reordered
        self._next_look = _BYTES_A_LOOK
        self._whole, self._floats = bytearray(), array("f")
        self._is_whole = True
        self._as_byte, self._as_float = CellTable(pixel_value), CellTable(pixel_number)

    def add(self, row: int, cells: list[bytes], names: Sequence[str]) -> None:
        """Take the pixels of one row.

        Raises:
            DataError: A cell is no pixel.
        """
        try:
            if self._is_whole:  # one call in C for the whole row; 33 million cells go through here
                self._whole += bytes(map(self._as_byte.__getitem__, cells))
            else:
                self._floats.extend(map(self._as_float.__getitem__, cells))
        except ValueError:
            for name, cell in zip(names, cells, strict=True):
                _parsed(self._file, row, name, cell, self._as_float.__getitem__)
            self._is_whole = False  # there was no other reason
            self._look(row, 4 * len(self._whole))
            self._floats.extend(self._whole)
            self._whole.clear()
            self._floats.extend(map(self._as_float.__getitem__, cells))
        n_bytes = len(self._whole) + 4 * len(self._floats)
        if n_bytes > self._next_look:
            self._next_look = n_bytes + _BYTES_A_LOOK
            self._look(row, n_bytes // 8)

    def _look(self, row: int, n_bytes: int) -> None:
        """Refuse to go on where there is not the memory for these bytes, and for what follows."""
        n_pixels = len(self._whole) + len(self._floats)
        n_bytes += (4 if self._floats else 1) * n_pixels * self._is_reordered
        n_bytes += 5 * n_pixels if self._floats else 0  # they are compared with rounded ones
        refuse_memory(f"{self._file.name} row {row:,}", n_bytes + row * ROW_BYTES)

    def table(self, n_pixels: int) -> NDArray[np.uint8] | NDArray[np.float32]:
        """Return them in the shape (n, n_pixels), without a copy."""
        if self._is_whole:
            return np.frombuffer(self._whole, np.uint8).reshape(-1, n_pixels)
        return np.frombuffer(self._floats, np.float32).reshape(-1, n_pixels)


def read_table(file: CsvFile, columns: Columns) -> ImageTable:
    """Read every row.

    Raises:
        DataError: The first fault, with its row and column.
    """
    labels, ids, known_ids = list[int | str](), list[str](), dict[str, int]()
    written = list[bytes]()
    spellings, classes = Counter[tuple[int | str, bytes]](), set[int | str]()
    pixels = _Pixels(file, is_reordered=columns.order is not None)
    label = CellTable(label_value)
    places = _special_places(columns)
    names = _pixel_names(columns, places)
    for row, cells in read_rows(file, columns.form):
        for place, name in places:  # from the right: a pop moves what is right of it
            cell = cells.pop(place)
            if name == columns.label:
                value = _parsed(file, row, name, cell, label.__getitem__)
                labels.append(value)
                written.append(cell)
                spellings[value, cell] += 1
                classes.add(value)
                if len(classes) > MAX_CLASSES:
                    text = f"{shown(cell)} is one class more than the {MAX_CLASSES} there may be"
                    raise cell_error(file, row, name, text, "leave rare classes out, or join some")
            elif name == columns.identifier:
                ids.append(_new_id(file, row, name, cell, known_ids))
        if columns.packed is not None:  # the one cell that is left
            cells = _unpacked(file, row, columns.packed, cells[0], len(columns.pixels))
        pixels.add(row, cells, names)
    found = pixels.table(len(columns.pixels))
    if columns.order is not None:
        found = found[:, columns.order]
    if any(isinstance(value, str) for value in classes):  # `0e1` and `00` are text among text
        labels = list(map(_as_text, labels, written))
        spellings = Counter(zip(labels, written, strict=True))
    by_label = _by_label(spellings)
    return ImageTable(
        found,
        labels,
        spelled={value: max(texts, key=texts.__getitem__) for value, texts in by_label.items()},
        n_spellings={value: len(texts) for value, texts in by_label.items() if len(texts) > 1},
        ids=ids,
    )


def _as_text(value: int | str, cell: bytes) -> int | str:
    """Return a label where others are text: a number stays one in its plain form alone."""
    text = cell.decode().strip()
    return value if str(value) == text else text


def _by_label(spellings: Counter[tuple[int | str, bytes]]) -> dict[int | str, Counter[str]]:
    """Return how often each label is written in which way, blanks around it aside."""
    found: dict[int | str, Counter[str]] = {}
    for (value, cell), n in spellings.items():
        found.setdefault(value, Counter())[cell.decode().strip()] += n
    return found


def _special_places(columns: Columns) -> list[tuple[int, str]]:
    """Return place and name of all columns that hold no pixels, from the right."""
    names = columns.form.names
    special = {*columns.dropped, columns.label, columns.identifier} - {None}
    return [
        (place, names[place]) for place in reversed(range(len(names))) if names[place] in special
    ]


def _pixel_names(columns: Columns, places: list[tuple[int, str]]) -> tuple[str, ...]:
    """Return the pixels' names as they stand in the file."""
    if columns.packed is not None:
        return (columns.packed,) * len(columns.pixels)
    special = {place for place, _ in places}
    return tuple(name for n, name in enumerate(columns.form.names) if n not in special)


def _unpacked(file: CsvFile, row: int, name: str, cell: bytes, n_pixels: int) -> list[bytes]:
    """Return the pixels of an image that stand in one cell."""
    cells = unpack_cell(cell)
    if len(cells) != n_pixels:
        why = "; NumPy has shortened it" if b"..." in cell else ""
        text = f"{len(cells)} numbers in the cell, where row 1 has {n_pixels}{why}"
        raise cell_error(file, row, name, text, "leave the row out, or write all its pixels")
    return cells


def read_ids(file: CsvFile, form: Form, place: int) -> list[str]:
    """Return a column of a file, of which every value stands there once.

    Raises:
        DataError: The first fault, with its row and column.
    """
    known: dict[str, int] = {}
    name = form.names[place]
    return [_new_id(file, row, name, cells[place], known) for row, cells in read_rows(file, form)]


def read_labels_only(file: CsvFile, form: Form, column: str) -> list[int | str]:
    """Return the labels of a column, by value.

    Raises:
        DataError: The first cell that is no label, with its row.
    """
    place, label = form.names.index(column), CellTable(label_value)
    return [
        _parsed(file, row, column, cells[place], label.__getitem__)
        for row, cells in read_rows(file, form)
    ]


def read_labels(file: Named, header: tuple[str, str]) -> dict[str, int | str]:
    """Return the rows of a file of ids and labels, in its order; every id stands there once.

    Raises:
        DataError: The first fault, with its row and column.
    """
    known: dict[str, int] = {}
    labels: dict[str, int | str] = {}
    for row, (cell, label) in read_rows(file, read_form(file)):
        name = _new_id(file, row, header[0], cell, known)
        labels[name] = _parsed(file, row, header[1], label, label_value)
    return labels


def _new_id(file: Named, row: int, column: str, cell: bytes, known: dict[str, int]) -> str:
    value = _parsed(file, row, column, cell, id_value)
    if known.setdefault(value, row) != row:
        text = f"{shown(value)} stands in row {known[value]} already"
        raise cell_error(file, row, column, text, "let each row have an id of its own")
    return value


def _parsed(file: Named, row: int, column: str, cell: bytes, parse: Callable[[bytes], T]) -> T:
    try:
        return parse(cell)
    except ValueError as reason:
        raise cell_error(file, row, column, str(reason), mend_cell(str(reason))) from None


def read_classes(
    file: Named,
    column: str,
    labels: Sequence[int | str],
    spelled: Mapping[int | str, str] | None = None,
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the classes as text, and of each row the index of its class.

    Integers come in rising order. Where there is text among the labels, all of them are text, and
    sorted as such (by code point), but for the case that text is the exception: most rows, or most
    classes, are numbers. That is a mistake more often than not.

    Args:
        file, column: Where the labels stand; for messages.
        labels: One a row, from `label_value`; not empty.
        spelled: How a label is written where that is not `str` of it, such as `02` or `3.0`.

    Raises:
        DataError: Text among numbers, a single class, or a class with too few rows.
    """
    counts = Counter(labels)
    ordered = _in_order(file, column, labels, counts)
    if len(counts) < MIN_CLASSES:
        text = f"every row holds {_named(labels[0])}; at least {MIN_CLASSES} classes are needed"
        raise DataError(f"{file.name} column {column}: {text}", "is this the column of the labels?")
    rarest = min(ordered, key=counts.__getitem__)
    if counts[rarest] < MIN_ROWS_PER_CLASS:
        text = f"class {_named(rarest)} has rows: {counts[rarest]}; {MIN_ROWS_PER_CLASS} are "
        hint = "bring more rows of it, or leave the class out"
        raise cell_error(file, labels.index(rarest) + 1, column, text + "the fewest", hint)
    index = {label: n for n, label in enumerate(ordered)}
    names = {label: str(label) for label in ordered} | dict(spelled or {})
    return tuple(names[label] for label in ordered), np.array(
        [index[label] for label in labels], np.int64
    )


def odd_classes(file: Named, column: str, labels: Sequence[int | str]) -> list[str]:
    """Return warnings: some classes are numbers and others not, or one may be a missing value."""
    classes = set(labels)
    n_numbers = sum(isinstance(label, int) for label in classes)
    missing = sorted(str(label) for label in classes if str(label).lower() in _MISSING)
    found = [
        f"{file.name} column {column}: {name} is taken for a class; is it a missing value?"
        for name in missing
    ]
    if n_numbers in (0, len(classes)):
        return found
    return [
        *found,
        f"{file.name} column {column}: {n_numbers} of {len(classes)} classes are numbers; all are "
        "taken as text",
    ]


def _in_order(
    file: Named, column: str, labels: Sequence[int | str], counts: Counter[int | str]
) -> list[int | str]:
    numbers = [label for label in counts if isinstance(label, int)]
    words = [label for label in counts if isinstance(label, str)]
    if not words:
        return [*sorted(numbers)]
    n_rows = sum(counts[number] for number in numbers)
    if 2 * len(numbers) > len(counts) or 2 * n_rows > len(labels):
        raise cell_error(
            file,
            labels.index(words[0]) + 1,
            column,
            f"{shown(words[0])} is not a number",
            f"{n_rows} of {len(labels)} labels are numbers; if this is a class of its own, write "
            "the others as text too, such as 'digit 3'",
        )
    return sorted(counts, key=str)


def _named(label: int | str) -> str:
    return shown(label) if isinstance(label, str) else str(label)
