"""Which column of a file is what: pixels, label, id, or nothing of use.

Decides it from the names in all the forms that people publish, and from the values where the files
have no names. What is guessed is said; what cannot be told apart is refused.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from objectives.csvcheck import NUMBER, CsvFile, label_value, shown
from objectives.csvform import Form, read_form, read_rows
from objectives.errors import DataError
from objectives.imagetable import MAX_CLASSES, Columns, unpack_cell

ID_NAMES = frozenset({"id", "imageid", "image_id"})
LABEL_NAMES = frozenset(
    {"label", "labels", "target", "targets", "class", "classes", "class_label", "category",
     "character", "letter", "digit", "emotion", "species", "y"}
)  # fmt: skip
_INDEX = re.compile(r"(?i)unnamed: ?[0-9]+(\.[0-9]+)*|index|level_0")
_USAGE = "usage"
_DIGITS = re.compile(r"[0-9]+")
_FEWEST_PACKED = 4  # numbers in one cell that are an image and no label
_FEWEST_OF_CLASS = 5
_FLAGS = {b"0": 0, b"0.0": 0, b"false": 0, b"1": 1, b"1.0": 1, b"true": 1}


@dataclass(frozen=True)
class Resolved:
    """What the columns of a competition are.

    Attributes:
        train, test: Columns of the two files; the test's never have a label.
        answers: Name of a label column that test has as well; None: it has none.
        notes: What was dropped and what was assumed, one line each.
    """

    train: Columns
    test: Columns
    answers: str | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Part:
    """One file with its columns sorted into pixels and others."""

    file: CsvFile
    form: Form
    pixels: tuple[str, ...]
    order: tuple[int, ...] | None
    packed: str | None
    others: tuple[str, ...]
    dropped: tuple[str, ...]
    notes: tuple[str, ...]

    def columns(self, *, label: str | None, identifier: str | None, answers: str | None) -> Columns:
        dropped = self.dropped if answers is None else (*self.dropped, answers)
        return Columns(self.form, self.pixels, self.order, label, identifier, dropped, self.packed)


def resolve_columns(train: CsvFile, test: CsvFile, id_column: str | None) -> Resolved:
    """Say what the columns of train and test are.

    Args:
        id_column: The first column of the sample submission; None where there is no sample.

    Raises:
        DataError: The pixels are incomplete or no square, no column can be the label, several can,
            or a column is none of these.
    """
    known = _sorted(train, _named(train, read_form(train)), id_column)
    asked = _sorted(test, _named_test(test, read_form(test), known), id_column)
    _refuse_one_hot(known, asked)
    label = _label_of(known, asked)
    answers = _same_name(label, asked.others)
    _check_same_pixels(known, asked)
    asked_others = [name for name in asked.others if name != answers]
    if len(asked_others) > 1:
        text = f"neither a pixel nor the id, which is {asked_others[0]}"
        raise _column_error(test, asked_others[1], text)
    rest = [name for name in known.others if name != label]
    ids = [name for name in rest if name in asked_others or name.lower() in ID_NAMES][:1]
    for name in rest:
        if name not in ids:
            raise _column_error(train, name, f"neither a pixel nor the label, {label}")
    notes = [*known.notes, *asked.notes]
    if answers is not None:
        notes.append(
            f"{test.name} column {answers}: labels; no training sees them, `study score` can "
            "compare with them"
        )
    return Resolved(
        known.columns(label=label, identifier=next(iter(ids), None), answers=None),
        asked.columns(label=None, identifier=next(iter(asked_others), None), answers=answers),
        answers,
        tuple(notes),
    )


def is_index_name(name: str) -> bool:
    """Whether a column is called as pandas calls the index that it writes along."""
    return _INDEX.fullmatch(name) is not None


def _column_error(file: CsvFile, column: str, text: str, hint: str | None = None) -> DataError:
    return DataError(f"{file.name} column {column}: {text}", hint)


def _named(file: CsvFile, form: Form) -> Form:
    """Return a train file's form with names, where it has numbers or none.

    The label is the first column or the last: the one whose values look like classes.
    """
    n_pixels = len(form.names) - 1
    if not _are_numbers(form) or not _is_square(n_pixels) or _packed_place(form) is not None:
        return form
    likely = [place for place in (0, n_pixels) if _looks_like_labels(file, form, place)]
    if len(likely) != 1:
        which = "both the first and the last column" if likely else "neither the first nor the last"
        raise DataError(
            f"{file.name}: no column is called the label, and {which} "
            f"{'look like labels' if likely else 'column looks like labels'}",
            hint="write a first line with the names: label,pixel0,pixel1,...",
        )
    names = [f"pixel{n}" for n in range(n_pixels)]
    names.insert(likely[0], "label")
    where = "first" if likely[0] == 0 else "last"
    why = "no header" if not form.has_header else "numbers for names"
    note = f"{file.name}: {why}; the {where} column is taken for the label"
    return replace(form, names=tuple(names), notes=(*form.notes, note))


def _named_test(file: CsvFile, form: Form, train: _Part) -> Form:
    """Return a test file's form with names, where it has none of its own."""
    n_columns = len(form.names)
    if form.has_header and n_columns == len(train.pixels):
        return form
    if not _are_numbers(form) or _packed_place(form) is not None:
        return form
    if n_columns == len(train.pixels):
        names = tuple(f"pixel{n}" for n in range(n_columns))
        note = f"{file.name}: no header; all columns are taken for pixels"
    elif n_columns == len(train.form.names) and train.packed is None:
        names = train.form.names
        note = f"{file.name}: no header of its own; its columns are taken for those of train"
    else:
        return form
    return replace(form, names=names, notes=(*form.notes, note))


def _are_numbers(form: Form) -> bool:
    return all(NUMBER.fullmatch(name.encode()) for name in form.names)


def _is_square(n: int) -> bool:
    return n > 0 and math.isqrt(n) ** 2 == n


def _looks_like_labels(file: CsvFile, form: Form, place: int) -> bool:
    counts = Counter[int | str]()
    for _, cells in read_rows(file, form):
        try:
            counts[label_value(cells[place])] += 1
        except ValueError:
            return False
        if len(counts) > MAX_CLASSES:
            return False
    return len(counts) > 1 and min(counts.values()) >= _FEWEST_OF_CLASS


def _sorted(file: CsvFile, form: Form, id_column: str | None) -> _Part:
    """Sort the columns of a file into pixels, those to be dropped, and others."""
    notes = list(form.notes)
    dropped = [name for name in form.names if is_index_name(name) and name != id_column]
    for name in dropped:
        notes.append(
            f"{file.name} column {name}: dropped, as it looks like the index of a pandas table; "
            "to_csv(..., index=False) leaves it out"
        )
    usage = [name for name in form.names if name.lower() == _USAGE]
    for name in usage:
        notes.append(f"{file.name} column {name}: dropped; {_one_usage(file, form, name)}")
    dropped += usage
    left = [name for name in form.names if name not in dropped]
    packed = _packed_place(form)
    if packed is not None and len(left) <= _FEWEST_PACKED:
        return _packed_part(file, form, form.names[packed], left, (dropped, notes))
    pixels, is_sorted = _pixel_names(file, left)
    order = None
    if not is_sorted:
        in_file = [name for name in left if name in set(pixels)]
        place = {name: n for n, name in enumerate(in_file)}
        order = tuple(place[name] for name in pixels)
        notes.append(f"{file.name}: the pixel columns are placed by their numbers")
    others = tuple(name for name in left if name not in set(pixels))
    return _Part(file, form, pixels, order, None, others, tuple(dropped), tuple(notes))


def _one_usage(file: CsvFile, form: Form, name: str) -> str:
    """Return what a column `Usage` says of all rows.

    Raises:
        DataError: It tells train from test rows in one file.
    """
    place = form.names.index(name)
    counts = Counter(cells[place].strip() for _, cells in read_rows(file, form))
    if len(counts) == 1:
        return f"every row says {shown(next(iter(counts)))}"
    said = ", ".join(f"{value.decode(errors='replace')}: {n}" for value, n in counts.items())
    raise _column_error(
        file,
        name,
        f"the rows are of several kinds ({said})",
        "write those to learn from into train.csv and those to predict into test.csv",
    )


def _packed_place(form: Form) -> int | None:
    """Return the place of the one column whose cells hold many numbers each."""
    found = [n for n, cell in enumerate(form.sample) if len(unpack_cell(cell)) >= _FEWEST_PACKED]
    is_list = [n for n in found if all(map(NUMBER.fullmatch, unpack_cell(form.sample[n])))]
    return is_list[0] if len(is_list) == 1 else None


def _packed_part(
    file: CsvFile, form: Form, packed: str, left: Sequence[str], said: tuple[list[str], list[str]]
) -> _Part:
    n_pixels = len(unpack_cell(form.sample[form.names.index(packed)]))
    if not _is_square(n_pixels):
        raise _column_error(file, packed, f"{n_pixels} numbers in a cell make no square image")
    dropped, notes = said
    notes.append(f"{file.name} column {packed}: each cell holds the {n_pixels} pixels of an image")
    pixels = tuple(f"pixel{n}" for n in range(n_pixels))
    others = tuple(name for name in left if name != packed)
    if not form.has_header and len(others) == 1:
        names = tuple("label" if name == others[0] else name for name in form.names)
        form, others = replace(form, names=names), ("label",)
    return _Part(file, form, pixels, None, packed, others, tuple(dropped), tuple(notes))


def _pixel_names(file: CsvFile, names: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    """Return the pixels' names in the order of the image, and whether they stand in it.

    They are the largest group of names that differ in one number, or in two: row and column.

    Raises:
        DataError: There is no such group, or numbers are missing in it.
    """
    groups: dict[str, dict[tuple[int, ...], str]] = {}
    for name in names:
        numbers = _numbers_of(name)
        if len(numbers) not in (1, 2):
            continue
        group = groups.setdefault(_DIGITS.sub("#", name), {})
        if numbers in group:
            text = f"has the number of {group[numbers]}"
            raise _column_error(file, name, text)
        group[numbers] = name
    if not groups:
        first = f"the first column is {shown(names[0])}" if names else "there is no column"
        raise DataError(
            f"{file.name}: no pixel columns; pixel0, pixel1, ... are expected, and {first}",
            hint="number them: pixel0, pixel1, ..., or 1x1, 1x2, ... by row and column",
        )
    sizes = sorted(map(len, groups.values()), reverse=True)
    if len(sizes) > 1 and sizes[0] == sizes[1] and sizes[0] >= _FEWEST_PACKED:
        one, other = (next(iter(g.values())) for g in groups.values() if len(g) == sizes[0])
        raise DataError(
            f"{file.name}: the columns like {one} or those like {other} could be the pixels",
            hint="keep one kind of them",
        )
    group = max(groups.values(), key=len)
    _check_numbers(file, group)
    if not _is_square(len(group)):
        first, last = group[min(group)], group[max(group)]
        raise DataError(
            f"{file.name}: {len(group)} pixel columns, {first} to {last}, make no square image"
        )
    in_order = sorted(group)
    return tuple(group[numbers] for numbers in in_order), in_order == list(group)


def _check_numbers(file: CsvFile, group: dict[tuple[int, ...], str]) -> None:
    """Refuse pixels whose numbers have gaps, or begin with another than 0 or 1."""
    if len(min(group)) == 2:
        _check_grid(file, group)
        return
    numbers = sorted(group)
    first = group[numbers[0]]
    if numbers[0][0] > 1:
        ones = [_DIGITS.sub(number, first) for number in "01"]
        raise _column_error(file, first, f"the first pixel should be {ones[0]} or {ones[1]}")
    for (before,), (after,) in pairwise(numbers):
        if after != before + 1:
            missing = _DIGITS.sub(str(before + 1), group[(after,)])
            raise _column_error(file, group[(after,)], f"{missing} is missing before it")


def _check_grid(file: CsvFile, group: dict[tuple[int, ...], str]) -> None:
    rows, columns = ({numbers[n] for numbers in group} for n in (0, 1))
    for row in range(min(rows), max(rows) + 1):
        for column in range(min(columns), max(columns) + 1):
            if (row, column) not in group:
                raise DataError(
                    f"{file.name}: the pixel columns go from {group[min(group)]} to "
                    f"{group[max(group)]}, but that of row {row}, column {column} is missing"
                )
    if len(rows) != len(columns):
        raise DataError(
            f"{file.name}: images of {len(rows)} rows and {len(columns)} columns are no squares"
        )


def _refuse_one_hot(train: _Part, test: _Part) -> None:
    """Refuse labels that are one column a class, by name and with the line that mends it."""
    found = [name for name in train.others if name not in test.others or _DIGITS.search(name)]
    if len(found) < 2 or any(name.lower() in LABEL_NAMES for name in found):
        return
    cells = [train.form.sample[train.form.names.index(name)].strip().lower() for name in found]
    if sorted(_FLAGS.get(cell, 2) for cell in cells) != [0] * (len(cells) - 1) + [1]:
        return
    raise _column_error(
        train.file,
        found[0],
        f"the first of {len(found)} columns of one-hot labels, up to {found[-1]}; one column "
        "with the label of each row is expected",
        'with pandas: table["label"] = table[columns].idxmax(axis=1), then drop the columns',
    )


def _label_of(train: _Part, test: _Part) -> str:
    others = train.others
    if "label" in others:
        return "label"
    lacking = [
        name
        for name in others
        if _same_name(name, test.others) is None and name.lower() not in ID_NAMES
    ]
    if len(lacking) > 1:
        named = [name for name in lacking if name.lower() in LABEL_NAMES]
        if len(named) == 1:
            return named[0]
        text = f"it or {lacking[0]} could be the label; {test.file.name} has neither"
        raise _column_error(train.file, lacking[1], text, "call the right one 'label'")
    if lacking:
        return lacking[0]
    shared = [name for name in others if name.lower() not in ID_NAMES]
    likely = [name for name in shared if name.lower() in LABEL_NAMES]
    if len(likely) == 1 or (len(shared) == 1 and _is_class(train, shared[0])):
        return (likely or shared)[0]
    raise DataError(
        f"{train.file.name}: no label column; none is called 'label', and {test.file.name} lacks "
        "none of its columns",
        hint="is this a second test file? if not, call the label's column 'label'",
    )


def _is_class(part: _Part, name: str) -> bool:
    return _looks_like_labels(part.file, part.form, part.form.names.index(name))


def _same_name(name: str, names: Sequence[str]) -> str | None:
    """Return the one of `names` that is `name`, by the case of another file if need be."""
    if name in names:
        return name
    return next((other for other in names if other.lower() == name.lower()), None)


def _check_same_pixels(train: _Part, test: _Part) -> None:
    n_train, n_test = len(train.pixels), len(test.pixels)
    if n_train != n_test:
        side, test_side = math.isqrt(n_train), math.isqrt(n_test)
        raise DataError(
            f"{test.file.name}: {n_test} pixel columns ({test_side}x{test_side}), where "
            f"{train.file.name} has {n_train} ({side}x{side})"
        )
    first, test_first = train.pixels[0], test.pixels[0]
    is_one_kind = _DIGITS.sub("#", first) == _DIGITS.sub("#", test_first)
    if is_one_kind and _numbers_of(first) != _numbers_of(test_first):
        raise _column_error(test.file, test_first, f"{train.file.name} starts with {first}")


def _numbers_of(name: str) -> tuple[int, ...]:
    """Return the numbers in a name, zero-padded or not."""
    return tuple(map(int, _DIGITS.findall(name)))
