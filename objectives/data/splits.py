"""Choose the held-out rows: the valid split of a search, and the folds of a finalize.

Each choice is stratified by class and a pure function of labels, copies and fingerprint: the same
on every machine and in every release. Equal images are never on both sides of a split. Rows are
sorted by raw Philox words, which NumPy keeps stable; it may change the streams of its generators.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from objectives.errors import DataError

VALID_SHARE = 0.1
_DIGEST_BYTES = 16
_KEY_DIGITS = 32  # of the fingerprint: Philox's key has 128 bits
_FIRST_FOLDS = 1 << 128  # lower counters belong to the valid split


def image_digests(images: NDArray[np.uint8]) -> list[bytes]:
    """Return a digest of each image; equal images have equal digests."""
    return [
        hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=_DIGEST_BYTES).digest()
        for image in images
    ]


def first_copies(digests: list[bytes]) -> NDArray[np.int64]:
    """Return for each digest the index of the first equal one, which may be its own."""
    first: dict[bytes, int] = {}
    return np.array([first.setdefault(one, row) for row, one in enumerate(digests)], np.int64)


def n_different(copies: NDArray[np.int64]) -> int:
    """Return the number of different images."""
    return len(np.unique(copies))


def valid_rows(
    labels: NDArray[np.int64], fingerprint: str, copies: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Return the rows of the valid split, rising: 10 % of each class, at least one row.

    Equal images stay together: either all of them are in the split or none. A class whose images
    are all equal has no row in the split.

    Args:
        labels: Class indexes of shape (m,).
        fingerprint: Hex, at least 32 digits; the first 32 are the key.
        copies: For each row the first row with the same image, from `first_copies`; None: all
            images differ.
    """
    copies = np.arange(len(labels)) if copies is None else copies
    n_copies = np.bincount(copies, minlength=len(labels))
    chosen = np.zeros(len(labels), np.bool_)
    for first in _shuffled_classes(labels, fingerprint, copies, counter=0):
        chosen[_share_of(first, n_copies[first])] = True
    return np.flatnonzero(chosen[copies]).astype(np.int64)


def _share_of(first: NDArray[np.intp], n_copies: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the held-out images of a class; each stands for all its copies."""
    wanted = max(1, round(VALID_SHARE * int(n_copies.sum())))
    taken, n_rows = [], 0
    for row, n in zip(first, n_copies, strict=True):
        if n_rows + n <= wanted:
            taken.append(row)
            n_rows += n
    if not taken and len(first) > 1:  # each image has more copies than wanted
        taken = [first[n_copies.argmin()]]
    return np.array(taken, np.intp)


def fold_rows(
    labels: NDArray[np.int64],
    fingerprint: str,
    fold: int,
    n_folds: int,
    split: int,
    copies: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Return the rows of one fold, rising; the folds of a split hold each row once.

    Each class is shuffled and dealt to the folds in turn, from where the previous class ended. So
    two folds differ by at most one image in each class, and by at most one image in all. Equal
    images stay together.

    Args:
        labels, fingerprint, copies: See `valid_rows`.
        fold: 0 <= fold < n_folds.
        n_folds: From 2 to the number of rows of the smallest class; see `check_folds`.
        split: >= 0; each is another permutation of the rows, and differs from `valid_rows`.
    """
    if not (0 <= fold < n_folds and split >= 0):
        raise ValueError(f"no fold {fold} of {n_folds} in split {split}")
    copies = np.arange(len(labels)) if copies is None else copies
    counter = _FIRST_FOLDS * (split + 1)
    classes = _shuffled_classes(labels, fingerprint, copies, counter=counter)
    held_back = np.zeros(len(labels), np.bool_)
    held_back[np.concatenate(classes)[fold::n_folds]] = True
    return np.flatnonzero(held_back[copies]).astype(np.int64)


def check_folds(
    labels: NDArray[np.int64],
    classes: Sequence[str],
    n_folds: int,
    copies: NDArray[np.int64] | None = None,
) -> None:
    """Refuse fewer than 2 folds, more than rows of the smallest class, or than different images.

    Args:
        labels, copies: See `valid_rows`.
        classes: Names of the classes, for the message.
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
    n_images = len(labels) if copies is None else n_different(copies)
    if n_folds > n_images:
        raise DataError(
            f"{n_folds} folds need as many different images; there are {n_images}",
            f"{n_images} folds at most",
        )


def _shuffled_classes(
    labels: NDArray[np.int64], fingerprint: str, copies: NDArray[np.int64], *, counter: int
) -> list[NDArray[np.intp]]:
    """Return the shuffled rows of each class, in the order of the classes.

    Only the first of equal images is included.
    """
    key = int(fingerprint[:_KEY_DIGITS], 16)
    words = np.random.Philox(key=key, counter=counter).random_raw(len(labels))
    is_first = copies == np.arange(len(labels))
    by_class = (np.flatnonzero((labels == value) & is_first) for value in np.unique(labels))
    return [rows[np.argsort(words[rows], kind="stable")] for rows in by_class]
