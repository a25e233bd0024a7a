"""Which labelled rows are learned from, and which are held back.

Decides the valid split of a search and the folds of a re-evaluation, each stratified by class and a
pure function of labels and fingerprint: the same on every machine, in every release. Raw Philox
words are ordered, and no NumPy generator asked, as NumPy promises the words for good but the
generators' streams only within a version.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from objectives.errors import DataError

VALID_SHARE = 0.1
_KEY_DIGITS = 32  # of the fingerprint: Philox's key has 128 bits
_FIRST_FOLDS = 1 << 128  # counters below it are the valid split's


def valid_rows(labels: NDArray[np.int64], fingerprint: str) -> NDArray[np.int64]:
    """Return the rows of the valid split, rising: 10 % of each class, at least one row.

    Args:
        labels: Class indexes of shape (m,).
        fingerprint: Hex, 32 digits at least; the first 32 are the key.
    """
    drawn = []
    for rows in _shuffled_classes(labels, fingerprint, counter=0):
        drawn.append(rows[: max(1, round(VALID_SHARE * len(rows)))])
    return np.sort(np.concatenate(drawn)).astype(np.int64)


def fold_rows(
    labels: NDArray[np.int64], fingerprint: str, fold: int, n_folds: int, split: int
) -> NDArray[np.int64]:
    """Return the rows of one fold, rising; the folds of a split hold each row once.

    Each class is shuffled and dealt to the folds in turn, from where the class before it ended: two
    folds differ by at most one row in each class, and by at most one row in all.

    Args:
        labels: Class indexes of shape (m,).
        fingerprint: Hex, 32 digits at least; the first 32 are the key.
        fold: 0 <= fold < n_folds.
        n_folds: From 2 to the rows of the smallest class; see `check_folds`.
        split: >= 0; each is another permutation of the rows, and none is that of `valid_rows`.

    Raises:
        ValueError: `fold` or `split` is out of range.
    """
    if not (0 <= fold < n_folds and split >= 0):
        raise ValueError(f"no fold {fold} of {n_folds} in split {split}")
    classes = _shuffled_classes(labels, fingerprint, counter=_FIRST_FOLDS * (split + 1))
    return np.sort(np.concatenate(classes)[fold::n_folds]).astype(np.int64)


def check_folds(labels: NDArray[np.int64], classes: Sequence[str], n_folds: int) -> None:
    """Refuse a number of folds that would leave a fold without a row of some class.

    Args:
        labels: Indexes into `classes`, of shape (m,).
        classes: Names, for the message.
        n_folds: The number asked for.

    Raises:
        DataError: It is below 2, or above the rows of the smallest class.
    """
    counts = np.bincount(labels, minlength=len(classes))
    smallest = int(counts.argmin())
    most = int(counts[smallest])
    if n_folds < 2:
        raise DataError(f"{n_folds} folds: there must be 2 at least", "2 folds or more")
    if n_folds > most:
        rows = "row" if most == 1 else "rows"
        raise DataError(
            f"{n_folds} folds need {n_folds} labelled rows of each class; "
            f"class {classes[smallest]!r} has {most} {rows}",
            f"{most} folds at most" if most > 1 else f"more rows of class {classes[smallest]!r}",
        )


def _shuffled_classes(
    labels: NDArray[np.int64], fingerprint: str, *, counter: int
) -> list[NDArray[np.intp]]:
    """Return the rows of each class, in the order of the classes, each in an order of its own."""
    key = int(fingerprint[:_KEY_DIGITS], 16)
    words = np.random.Philox(key=key, counter=counter).random_raw(len(labels))
    by_class = (np.flatnonzero(labels == value) for value in np.unique(labels))
    return [rows[np.argsort(words[rows], kind="stable")] for rows in by_class]
