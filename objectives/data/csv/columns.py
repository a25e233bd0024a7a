"""Decide the role of each column of a file: pixels, label, id, or dropped.

Names decide, in all common forms; in a file without names, the values decide. Each guess is a note,
and an unclear case is refused. Every function raises `DataError` for the first error.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from objectives.data.csv.check import NUMBER, CsvFile, column_error, label_value, shown, unpack_cell
from objectives.data.csv.form import Form, read_form
from objectives.data.csv.pixelnames import (
    COLOUR_HINT,
    NAMES_HINT,
    SQUARE_HINT,
    find_pixels,
    is_square,
    kind_of,
    largest_group,
    numbers_of,
)
from objectives.data.csv.table import MAX_CLASSES, Columns
from objectives.errors import DataError

ID_NAMES = frozenset({"id", "imageid", "image_id"})
LABEL_NAMES = frozenset(
    {"label", "labels", "target", "targets", "class", "classes", "class_label", "category",
     "character", "letter", "digit", "emotion", "species", "y"}
)  # fmt: skip
_LIKE_AN_ID = re.compile(r"(?i).*(id|image|img|file|name|index|key|row|number|no\b).*")
_INDEX = re.compile(r"(?i)unnamed: ?[0-9]+(\.[0-9]+)*|index|level_0|x|\.\.\.1|row[._]?names?")
_USAGE = "usage"
_FEWEST_PACKED = 4  # numbers in one cell that make it an image instead of a label
_FEWEST_OF_CLASS = 5
_BRIGHTEST = 255
_MOST_OF_ONE = 0.9  # share of rows with one value: a pixel at the border is nearly always black
_FLAGS = {b"0": 0, b"0.0": 0, b"false": 0, b"1": 1, b"1.0": 1, b"true": 1}


@dataclass(frozen=True)
class Resolved:
    """The roles of a competition's columns.

    Attributes:
        train, test: Columns of the two files; test never has a label.
        label_name: The submission's name of the label if there is no sample.
        answers: Name of a label column in test, if any.
        notes: Dropped columns and assumptions, one line each.
    """

    train: Columns
    test: Columns
    label_name: str
    answers: str | None
    notes: tuple[str, ...]


@dataclass
class _Part:
    """One file, its columns sorted into pixels, others, and dropped ones.

    Attributes:
        pixels: Names, row by row of the image.
        packed: The column that holds all pixels, if any; `pixels` are then generated names.
        others: Columns that are neither pixels nor dropped, in the file's order.
        has_names: Whether names give the roles of columns; otherwise positions do.
        label: The label's column, if it was found by position.
    """

    form: Form
    others: list[str]
    notes: list[str]
    pixels: tuple[str, ...] = ()
    packed: str | None = None
    dropped: list[str] = field(default_factory=list)
    has_names: bool = True
    label: str | None = None

    @property
    def file(self) -> CsvFile:
        return self.form.file

    def note(self, text: str) -> None:
        self.notes.append(f"{self.file.name}{text}")

    def drop(self, name: str, why: str) -> None:
        self.others.remove(name)
        self.dropped.append(name)
        self.note(f" column {name}: dropped; {why}")

    def cell(self, name: str) -> bytes:
        """Return a cell of the first row; empty if the row is too short."""
        place = self.form.names.index(name)
        return self.form.sample[place].strip() if place < len(self.form.sample) else b""

    def values(self, name: str) -> list[str]:
        return self.form.column(name, lambda cell: cell.decode("utf-8", "replace").strip())

    def take_by_place(self, label: str | None, names: Sequence[str]) -> None:
        """Treat all columns except the label as pixels."""
        self.label, self.has_names = label, False
        self.pixels = tuple(name for name in names if name != label)
        self.others = [] if label is None else [label]

    def columns(self, label: str | None, identifier: str | None) -> Columns:
        dropped = tuple(self.dropped)
        return Columns(self.form, self.pixels, label, identifier, dropped, self.packed)


def resolve_columns(
    train: CsvFile, test: CsvFile, id_column: str | None, sample_ids: Sequence[str] = ()
) -> Resolved:
    """Return the roles of the columns of train and test.

    Args:
        id_column: The first column of the sample submission; None without a sample.
        sample_ids: Values of that column.

    Raises:
        DataError: The pixels are incomplete or make no square, no column or several could be the
            label, or a column of test has no role.
    """
    train_part = _part(train, id_column, ())
    test_part = _part(test, id_column, sample_ids, is_test=True)
    _name_train(train_part)
    _name_test(test_part, train_part)
    _refuse_one_hot(train_part, test_part)
    label = train_part.label or _label_of(train_part, test_part)
    _check_same_pixels(train_part, test_part)
    answers = _answers_of(test_part, label, id_column)
    identifier = _identifier_of(test_part, answers, id_column)
    rest = [name for name in train_part.others if name != label]
    own_ids = [name for name in rest if name == identifier or name.lower() in ID_NAMES][:1]
    for name in rest:
        if name not in own_ids:
            train_part.drop(name, f"it is neither a pixel nor the label, {label}")
    notes = [*train_part.notes, *test_part.notes]
    if answers is not None:
        test_part.dropped.append(answers)
        notes.append(
            f"{test.name} column {answers}: labels; no training sees them, `study score` can "
            "compare with them"
        )
    own_id = next(iter(own_ids), None)
    return Resolved(
        train_part.columns(label, own_id),
        test_part.columns(None, identifier),
        label if train_part.has_names else "Label",
        answers,
        tuple(notes),
    )


def is_index_name(name: str) -> bool:
    """Whether pandas or R use this name for the index of a table."""
    return _INDEX.fullmatch(name) is not None


def _part(
    file: CsvFile, id_column: str | None, sample_ids: Sequence[str], *, is_test: bool = False
) -> _Part:
    """Return a file without the columns that are useless by their names."""
    form = read_form(file)
    part = _Part(form, list(form.names), list(form.notes))
    for name in form.names:
        if is_index_name(name) and name.lower() != (id_column or "").lower():
            _drop_index(part, name, sample_ids)
        elif name.lower() == _USAGE:
            counts = Counter(part.values(name))
            said = ", ".join(f"{value}: {n}" for value, n in counts.items())
            if len(counts) > 1 and not is_test:
                text = f"the rows are of several kinds ({said})"
                hint = "write labelled rows into train.csv and the others into test.csv"
                raise column_error(file, name, text, hint)
            part.drop(name, f"the rows say {said}")
    return part


def _drop_index(part: _Part, name: str, sample_ids: Sequence[str]) -> None:
    """Drop an index of pandas; keep a column of that name with other values."""
    values = part.values(name)
    if not any(values):
        part.drop(name, "it is empty")
        return
    if not all(value.isdecimal() for value in values):
        return
    if sample_ids and values != list(sample_ids) and set(values) == set(sample_ids):
        text = (
            "it looks like the index of a table, and holds the ids of the sample submission in "
            "another order"
        )
        hint = "give it the id name of the sample if it is the id; else leave it out"
        raise column_error(part.file, name, text, hint)
    why = "it looks like the index of a table; pandas' to_csv(..., index=False) leaves it out"
    part.drop(name, why)


def _name_train(part: _Part) -> None:
    """Find the pixels of train, by position if it has no names."""
    if _take_packed(part):
        if not part.form.has_header and len(part.others) == 1:
            part.label, part.has_names = part.others[0], False
            part.note(": no header; the other column is the label")
        return
    names = _in_number_order(part)
    if not _are_numbers(names) or is_square(len(names)) or not is_square(len(names) - 1):
        _take_named(part)
        return
    ends = (names[0], names[-1])
    kinds = [_kind_of_label(part, name) for name in ends]
    if sorted(kinds) != [0, 2]:
        raise DataError(
            f"{part.file.name}: no column is called the label, and whether it is the first or the "
            "last is not clear from the values",
            NAMES_HINT,
        )
    part.take_by_place(ends[kinds.index(2)], names)
    where = "first" if part.label == names[0] else "last"
    why = "numbers for names" if part.form.has_header else "no header"
    part.note(f": {why}; the {where} column is taken for the label")


def _name_test(part: _Part, train: _Part) -> None:
    """Find the pixels of test, by position if it has no names."""
    if _take_packed(part):
        return
    names, n_pixels = _in_number_order(part), len(train.pixels)
    if not _are_numbers(names) or (part.form.has_header and is_square(len(names))):
        _take_named(part)
    elif len(names) == n_pixels:
        part.take_by_place(None, names)
        part.note(": no header; all columns are taken for pixels")
    else:
        label = None
        if train.label is not None and len(names) == n_pixels + 1:
            place = train.form.names.index(train.label)
            label = names[0] if place < len(train.form.names) // 2 else names[-1]
            labels = set(part.values(label))
        if label is None or len(labels) < 2 or not labels <= set(train.values(str(train.label))):
            raise DataError(
                f"{part.file.name}: {len(names)} columns without names, but {n_pixels} pixels "
                "are expected; the role of the others is unclear",
                "write a first line with the names, such as id,pixel0,pixel1,...",
            )
        part.take_by_place(label, names)


def _in_number_order(part: _Part) -> list[str]:
    """Return the remaining columns; sort them by number if their names are numbers."""
    if part.form.has_header and _are_numbers(part.others):
        return sorted(part.others, key=float)
    return list(part.others)


def _are_numbers(names: Sequence[str]) -> bool:
    return all(NUMBER.fullmatch(name.encode()) for name in names)


def _take_named(part: _Part) -> None:
    part.pixels = find_pixels(part.file, part.others)
    pixels = set(part.pixels)
    if [name for name in part.others if name in pixels] != list(part.pixels):
        part.note(": the pixel columns are placed by their numbers")
    part.others = [name for name in part.others if name not in pixels]


def _take_packed(part: _Part) -> bool:
    """Find a column whose cells hold all pixels of an image; return whether there is one."""
    if part.form.has_header and largest_group(part.others) >= _FEWEST_PACKED:
        return False
    sizes: dict[str, int] = {}
    for name in part.others:
        words = unpack_cell(part.cell(name))
        sizes[name] = len(words) if all(map(NUMBER.fullmatch, words)) else 0
    packed = max(sizes, key=sizes.__getitem__, default=None)
    if packed is None or sizes[packed] < _FEWEST_PACKED:
        return False
    n_pixels = sizes[packed]
    if part.cell(packed).replace(b" ", b"").startswith(b"[[["):
        raise column_error(part.file, packed, "several values for each pixel", COLOUR_HINT)
    if not is_square(n_pixels):
        text = f"{n_pixels} numbers in a cell make no square image"
        raise column_error(part.file, packed, text, SQUARE_HINT)
    part.note(f" column {packed}: each cell holds the {n_pixels} pixels of an image")
    part.packed, part.pixels = packed, tuple(f"pixel{n}" for n in range(n_pixels))
    part.others.remove(packed)
    return True


def _kind_of_label(part: _Part, name: str) -> int:
    """Return 2 if the values are classes, 1 if they may be, 0 otherwise.

    Classes are text, or all integers from 0 or 1 up to a maximum, each with enough rows.
    """
    place = part.form.names.index(name)
    try:
        with part.form.rows() as rows:
            counts = Counter(label_value(cells[place]) for _, cells in rows)
    except ValueError:
        return 0
    n_classes = len(counts)
    if n_classes < 2:
        return 0
    numbers = {value for value in counts if isinstance(value, int)}
    is_row = numbers in (set(range(n_classes)), set(range(1, n_classes + 1)))
    is_row = is_row and _BRIGHTEST not in numbers  # a pixel may have every value, too
    has_rows = min(counts.values()) >= _FEWEST_OF_CLASS and n_classes <= MAX_CLASSES
    if has_rows and (not numbers or is_row):
        return 2
    is_varied = counts.most_common(1)[0][1] <= _MOST_OF_ONE * counts.total()
    return 1 if is_row or (is_varied and n_classes <= MAX_CLASSES) else 0


def _refuse_one_hot(train: _Part, test: _Part) -> None:
    """Refuse one-hot labels; the hint is the line of pandas that converts them."""
    found = [name for name in train.others if name not in test.others or numbers_of(name)]
    if len(found) < 2 or any(name.lower() in LABEL_NAMES for name in found):
        return
    flags = sorted(_FLAGS.get(train.cell(name).lower(), 2) for name in found)
    if flags == [0] * (len(found) - 1) + [1]:
        text = (
            f"the first of {len(found)} columns of one-hot labels, up to {found[-1]}; one column "
            "with the label of each row is expected"
        )
        hint = 'with pandas: table["label"] = table[columns].idxmax(axis=1), then drop the columns'
        raise column_error(train.file, found[0], text, hint)


def _label_of(train: _Part, test: _Part) -> str:
    """Return the label's column, by its name or because only this column is missing in test."""
    others = [name for name in train.others if name.lower() not in ID_NAMES]
    named = [name for name in others if name.lower() in LABEL_NAMES]
    if len(named) == 1:
        return named[0]
    lacking = [name for name in others if _same_name(name, test.others) is None]
    if len(lacking) == 1 and not named:
        return lacking[0]
    likely = [name for name in lacking if name in named] or lacking or named
    if len(likely) > 1:
        text = f"it or {likely[0]} could be the label; {test.file.name} has neither"
        raise column_error(train.file, likely[1], text, "call the right one 'label'")
    if likely:
        return likely[0]
    if len(others) == 1 and _kind_of_label(train, others[0]):
        return others[0]
    raise DataError(
        f"{train.file.name}: no label column; none is called 'label', and {test.file.name} lacks "
        "none of its columns",
        "is this a second test file? if not, call the label's column 'label'",
    )


def _answers_of(test: _Part, label: str, id_column: str | None) -> str | None:
    """Return the label column of test; None if it has none."""
    if test.label is not None:
        return test.label
    same = _same_name(label, test.others)
    if same is not None and same != id_column:
        return same
    named = [name for name in test.others if name.lower() in LABEL_NAMES and name != id_column]
    return named[0] if len(named) == 1 else None


def _identifier_of(test: _Part, answers: str | None, id_column: str | None) -> str | None:
    """Return the id column of test, or None; drop columns that are neither pixels nor id."""
    left = [name for name in test.others if name != answers]
    if not left:
        return None
    said = [name for name in left if name.lower() == (id_column or "").lower()]
    named = said or [name for name in left if name.lower() in ID_NAMES]
    if not named and len(left) > 1:
        text = f"it or {left[0]} could be the id, and neither is called so"
        raise column_error(test.file, left[1], text, "call the right one 'id'")
    found = (named or left)[0]
    for name in left:
        if name != found:
            test.drop(name, f"it is neither a pixel nor the id, {found}")
    if not named and _LIKE_AN_ID.fullmatch(found) is None:
        test.note(f" column {found}: taken for the id of the images")
    return found


def _same_name(name: str, names: Sequence[str]) -> str | None:
    """Return the name among `names` that equals `name`, if necessary ignoring case; or None."""
    if name in names:
        return name
    return next((other for other in names if other.lower() == name.lower()), None)


def _check_same_pixels(train: _Part, test: _Part) -> None:
    n_train, n_test = len(train.pixels), len(test.pixels)
    if n_train != n_test:
        side, test_side = math.isqrt(n_train), math.isqrt(n_test)
        raise DataError(
            f"{test.file.name}: {n_test} pixel columns ({test_side}x{test_side}), but "
            f"{train.file.name} has {n_train} ({side}x{side})",
            "bring images of one size into both files",
        )
    if n_train == 1:
        text = f"{train.file.name}: one pixel column, {train.pixels[0]}, is not an image"
        raise DataError(text, SQUARE_HINT)
    first, test_first = train.pixels[0], test.pixels[0]
    if not (train.has_names and test.has_names) or train.packed or test.packed:
        return
    if kind_of(first) == kind_of(test_first) and numbers_of(first) != numbers_of(test_first):
        text = f"{train.file.name} starts with {shown(first)}"
        raise column_error(test.file, test_first, text, "number the pixels alike in both files")
