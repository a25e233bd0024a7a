"""Which id each test image has in the submission, and in which order the rows stand there.

Decides how ids of the test file and of the sample submission belong together: by value, in any
order. Where only one of them has ids, rows are taken in their order, and what was assumed is said.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from objectives.data.csv.check import NUMBER, CsvFile, cell_error, shown
from objectives.data.csv.columns import is_index_name
from objectives.data.csv.form import no_names, read_form
from objectives.data.csv.table import Columns, ImageTable, read_ids
from objectives.errors import DataError

_LONGEST_NUMBER = 30  # digits; longer ids are compared as text
_DEFAULT_HEADER = ("ImageId", "Label")


@dataclass(frozen=True)
class Sample:
    """The sample submission: its ids in its order, and its two columns.

    Attributes:
        id_column: The name of the id column.
        header: Both names as they are written: that of the id may be missing.
    """

    file: CsvFile
    ids: list[str]
    id_column: str
    header: tuple[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class SubmissionIds:
    """The rows of the submission.

    Attributes:
        ids: In the order of the submission.
        order: int64: of each row of the submission the row of the test file; None: the same.
        header: Names of the id and of the label column.
        text: Where the ids come from, for the user.
        notes: What was assumed, one line each.
    """

    ids: tuple[str, ...]
    order: NDArray[np.int64] | None
    header: tuple[str, str]
    text: str
    notes: tuple[str, ...] = ()


def read_sample(file: CsvFile) -> Sample:
    """Read the sample submission.

    Raises:
        DataError: It has not two columns, an index that pandas wrote aside, or an id twice.
    """
    form = read_form(file)
    if not form.has_header:
        raise no_names(file)
    places, notes = list(range(len(form.names))), list(form.notes)
    extra = _place_of_extra(form.names)
    if extra is not None:
        places.remove(extra)
        why = "it looks like the index of a table" if extra == 0 else "it is no label"
        notes.append(f"{file.name} column {form.names[extra]}: dropped; {why}")
    if len(places) != 2:
        names = ", ".join(form.names[:4]) + (", ..." if len(form.names) > 4 else "")
        raise DataError(
            f"{file.name}: {len(form.names)} columns ({names}); an id and a label are expected",
            hint="keep these two columns, or take the file away: ids then count from 1",
        )
    id_column, label_column = (form.names[place] for place in places)
    ids = read_ids(file, form, places[0])
    written = "" if form.has_nameless_first and places[0] == 0 else id_column
    return Sample(file, ids, id_column, (written, label_column), tuple(notes))


def _place_of_extra(names: Sequence[str]) -> int | None:
    """Return the place of a third column that is neither id nor label; None without one."""
    if len(names) != 3:
        return None
    if is_index_name(names[0]):
        return 0
    return 2 if names[2] == "Usage" else None


def submission_ids(
    file: CsvFile, columns: Columns, test: ImageTable, sample: Sample | None, label: str
) -> SubmissionIds:
    """Return the rows of the submission.

    Args:
        file, columns, test: The test file.
        sample: None where there is none.
        label: Name of train's label column.

    Raises:
        DataError: Test and sample have different numbers of rows, or different ids.
    """
    n_test = len(test.pixels)
    if sample is None:
        if columns.identifier is not None:
            text = f"column {columns.identifier} of {file.name}"
            return SubmissionIds(tuple(test.ids), None, (columns.identifier, label), text)
        ids = tuple(str(n) for n in range(1, n_test + 1))
        return SubmissionIds(ids, None, _DEFAULT_HEADER, f"counted from 1 to {n_test}")
    header = sample.header
    where = f"column {sample.id_column} of {sample.file.name}"
    if len(sample.ids) != n_test:
        raise DataError(
            f"{sample.file.name}: {len(sample.ids)} rows, where {file.name} has {n_test}",
            hint="are both files of one competition? each test image needs one row of the sample",
        )
    if columns.identifier is None:
        notes = () if _are_rising(sample.ids) else (_assumed(sample, file),)
        return SubmissionIds(tuple(sample.ids), None, header, f"{where}, in its order", notes)
    order = _matched(file, columns.identifier, test.ids, sample)
    text = f"{where}, matched with column {columns.identifier} of {file.name}"
    if order == list(range(n_test)):
        return SubmissionIds(tuple(sample.ids), None, header, text)
    return SubmissionIds(tuple(sample.ids), np.array(order, np.int64), header, text)


def _matched(file: CsvFile, column: str, ids: Sequence[str], sample: Sample) -> list[int]:
    """Return of each id of the sample the row of the test file that has it."""
    rows = {name: row for row, name in enumerate(ids)}
    wanted = sample.ids
    if not set(wanted) <= set(rows):  # `1`, `01` and `1.0` are one id where all are numbers
        by_value = {value: row for row, name in enumerate(ids) if (value := _value(name))}
        values = [_value(name) for name in wanted]
        if len(by_value) == len(ids) and set(values) <= set(by_value):
            return [by_value[str(value)] for value in values]
    for row, name in enumerate(wanted, 1):
        if name not in rows:
            text = f"{shown(name)} is no id of {file.name}, column {column}"
            hint = "are both files of one competition? the ids are matched by value"
            raise cell_error(sample.file, row, sample.id_column, text, hint)
    return [rows[name] for name in wanted]


def _value(name: str) -> str | None:
    """Return a number in one spelling; None of what is no number."""
    if len(name) > _LONGEST_NUMBER or not NUMBER.fullmatch(name.encode()):
        return None
    return str(int(name)) if name.isdecimal() else repr(float(name)).removesuffix(".0")


def _are_rising(ids: Sequence[str]) -> bool:
    """Whether ids rise, numbers in them by their value."""
    keys = [_by_value(name) for name in ids]
    try:
        return all(before < after for before, after in pairwise(keys))
    except TypeError:  # a number where another has text
        return False


def _by_value(name: str) -> list[int | str]:
    parts = re.split(rf"([0-9]{{1,{_LONGEST_NUMBER}}})", name)
    return [int(part) if n % 2 else part for n, part in enumerate(parts)]


def _assumed(sample: Sample, file: CsvFile) -> str:
    return (
        f"{sample.file.name} column {sample.id_column}: the ids are in no rising order and "
        f"{file.name} has none; its first row is taken for {shown(sample.ids[0])}, and so on in "
        "the order of the rows"
    )
