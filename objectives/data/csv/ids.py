"""Assign an id to each test image, and set the row order of the submission.

Ids of the test file and of the sample submission are matched by value, in any order. If only one of
them has ids, rows are matched by position, with a note.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from objectives.data.csv.check import NUMBER, CsvFile, cell_error, id_value, shown
from objectives.data.csv.columns import is_index_name
from objectives.data.csv.form import read_form, with_header
from objectives.data.csv.table import ImageTable, refuse_repeated
from objectives.errors import DataError

_LONGEST_NUMBER = 30  # digits; longer ids are compared as text
_DEFAULT_HEADER = ("ImageId", "Label")


@dataclass(frozen=True)
class Sample:
    """The sample submission: its ids in its order, and its two columns.

    Attributes:
        id_column: The name of the id column.
        header: Both names as written; the name of the id may be empty.
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
        ids: Ids in the order of the submission.
        order: int64: the test file's row for each row of the submission; None: the same order.
        header: Names of the id and label columns.
        text: The source of the ids, for the user.
        notes: Assumptions, one line each.
    """

    ids: tuple[str, ...]
    order: NDArray[np.int64] | None
    header: tuple[str, str]
    text: str
    notes: tuple[str, ...] = ()


def read_sample(file: CsvFile) -> Sample:
    """Read the sample submission."""
    form = with_header(read_form(file))
    columns, notes = list(form.names), list(form.notes)
    if len(columns) == 3 and is_index_name(columns[0]):
        why = "it looks like the index of a table"
        notes.append(f"{file.name} column {columns.pop(0)}: dropped; {why}")
    elif len(columns) == 3 and columns[2] == "Usage":
        notes.append(f"{file.name} column {columns.pop()}: dropped; it is not a label")
    if len(columns) != 2:
        names = ", ".join(form.names[:4]) + (", ..." if len(form.names) > 4 else "")
        raise DataError(
            f"{file.name}: {len(form.names)} columns ({names}); an id and a label are expected",
            "keep these two columns, or take the file away: ids then count from 1",
        )
    id_column, label_column = columns
    ids = form.column(id_column, id_value)
    refuse_repeated(file, id_column, ids)
    is_nameless = form.has_nameless_first and id_column == form.names[0]
    written = "" if is_nameless else id_column
    return Sample(file, ids, id_column, (written, label_column), tuple(notes))


def submission_ids(test: ImageTable, sample: Sample | None, label: str) -> SubmissionIds:
    """Return the rows of the submission.

    Args:
        test: The rows of the test file.
        sample: The sample submission, if any.
        label: Name of train's label column.
    """
    n_test, column, name = len(test.pixels), test.columns.identifier, test.file.name
    if sample is None and column is not None:
        return SubmissionIds(tuple(test.ids), None, (column, label), f"column {column} of {name}")
    if sample is None:
        ids = tuple(str(n) for n in range(1, n_test + 1))
        return SubmissionIds(ids, None, _DEFAULT_HEADER, f"counted from 1 to {n_test}")
    where = f"column {sample.id_column} of {sample.file.name}"
    if len(sample.ids) != n_test:
        raise DataError(
            f"{sample.file.name}: {len(sample.ids)} rows, but {name} has {n_test}",
            "are both files of one competition? each test image needs one row of the sample",
        )
    ids = tuple(sample.ids)
    if column is None:
        note = (
            f"{sample.file.name} column {sample.id_column}: the ids are not in rising order and "
            f"{name} has none; its first row is taken for {shown(ids[0])}, and so on in the order "
            "of the rows"
        )
        notes = () if _are_rising(ids) else (note,)
        return SubmissionIds(ids, None, sample.header, f"{where}, in its order", notes)
    matched = _matched(test, column, sample)
    order = None if matched == list(range(n_test)) else np.array(matched, np.int64)
    text = f"{where}, matched with column {column} of {name}"
    return SubmissionIds(ids, order, sample.header, text)


def _matched(test: ImageTable, column: str, sample: Sample) -> list[int]:
    """Return for each id of the sample the row of the test file with that id."""
    rows = {name: row for row, name in enumerate(test.ids)}
    if not set(sample.ids) <= set(rows):  # `1`, `01` and `1.0` are equal if all are numbers
        by_value = {value: row for name, row in rows.items() if (value := _value(name))}
        values = [str(_value(name)) for name in sample.ids]
        if len(by_value) == len(test.ids) and set(values) <= set(by_value):
            return [by_value[value] for value in values]
    for row, name in enumerate(sample.ids, 1):
        if name not in rows:
            text = f"{shown(name)} is not an id of {test.file.name}, column {column}"
            hint = "are both files of one competition? the ids are matched by value"
            raise cell_error(sample.file, row, sample.id_column, text, hint)
    return [rows[name] for name in sample.ids]


def _value(name: str) -> str | None:
    """Return a number in one spelling; None if the id is not a number."""
    if len(name) > _LONGEST_NUMBER or not NUMBER.fullmatch(name.encode()):
        return None
    return str(int(name)) if name.isdecimal() else repr(float(name)).removesuffix(".0")


def _are_rising(ids: Sequence[str]) -> bool:
    """Whether ids rise, numbers in them by their value."""
    split = [re.split(rf"([0-9]{{1,{_LONGEST_NUMBER}}})", name) for name in ids]
    keys = [[int(part) if n % 2 else part for n, part in enumerate(parts)] for parts in split]
    try:
        return all(before < after for before, after in pairwise(keys))
    except TypeError:  # a number where another has text
        return False
