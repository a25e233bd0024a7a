"""The classes of a competition: which they are, in which order, and the index of each row's.

Decides whether labels are numbers or text, when a label among the others looks like a mistake, and
how many rows a class needs. What a single label may look like is `csvcheck.py`'s decision.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from objectives.csvcheck import Named, cell_error, shown
from objectives.errors import DataError

MIN_CLASSES = 2
_MISSING = frozenset({"na", "n/a", "null", "none", "-", "?", "missing"})
MIN_ROWS_PER_CLASS = 5  # so that each of five folds can hold one


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
