"""Load a folder of Kaggle CSV files as a `Dataset`; each machine parses the files only once.

One process parses while others wait for it. Only NumPy is needed: a worker that finds the cache is
ready in a fraction of a second.
"""

import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from objectives.data.cache import cache_key, fetch, store
from objectives.data.csv.check import unreadable
from objectives.data.csv.competition import Answers, Competition, read_answers, read_competition
from objectives.data.csv.folder import Files, find_files
from objectives.data.csv.form import read_form
from objectives.data.splits import check_folds, fold_rows, valid_rows
from objectives.errors import DataError
from objectives.files.filelock import holders, shown_holders, try_lock
from objectives.files.limits import LARGE_FILE
from objectives.files.openfile import open_file

QUIET_S, LONGEST_WAIT_S, POLL_S = 2.0, 600.0, 0.05


@dataclass(frozen=True, eq=False)
class Split:
    """Rows of a dataset; `len` is their number.

    Attributes:
        images: uint8 of shape (m, side, side), memory-mapped: all images of the dataset.
        labels: int64 of shape (m,), class indexes of all images.
        rows: int64 of shape (n,), rising: the rows that belong to the split.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, eq=False, kw_only=True)
class Dataset(Competition):
    """A checked competition, memory-mapped and split.

    Attributes:
        train: Rows for training.
        valid: Rows on which trials are scored: 10 % of each class; see `splits.valid_rows`.
    """

    train: Split
    valid: Split

    @property
    def side(self) -> int:
        """Height and width of an image in pixels."""
        return int(self.images.shape[1])

    @property
    def n_classes(self) -> int:
        """The number of classes, 2 to 100."""
        return len(self.classes)

    def for_retraining(self) -> "Dataset":
        """Return the dataset with every row in `train` and none in `valid`."""
        return _split(self, np.array([], np.int64))

    def for_fold(self, fold: int, n_folds: int, split: int) -> "Dataset":
        """Return the dataset with one fold of the labelled rows in `valid`, the others in `train`.

        Args:
            fold: 0 <= fold < n_folds; the folds of a split hold each labelled row once.
            n_folds: From 2 to the number of rows of the smallest class.
            split: >= 0; each split shuffles the rows again. See `splits.fold_rows`.
        """
        check_folds(self.labels, self.classes, n_folds, self.copies)
        rows = fold_rows(self.labels, self.fingerprint, fold, n_folds, split, self.copies)
        return _split(self, rows)


def _split(found: Competition, held_back: NDArray[np.int64]) -> Dataset:
    """Return the dataset with these rows in `valid`, and the others in `train`."""
    is_train = np.ones(len(found.labels), np.bool_)
    is_train[held_back] = False
    rows = np.flatnonzero(is_train).astype(np.int64)
    train, valid = (Split(found.images, found.labels, some) for some in (rows, held_back))
    return Dataset(**(vars(found) | {"train": train, "valid": valid}))


@dataclass(frozen=True)
class DataReport:
    """The output of `study check`.

    Attributes:
        files: Names of train, test and, if present, the sample.
        n_train, n_test: Number of rows of train and test.
        side: Height and width of an image in pixels.
        class_counts: Number of rows of train by class, in the order of the classes.
        columns: The submission's two columns.
        fingerprint, facts, warnings: As in `Competition`.
    """

    files: tuple[str, ...]
    n_train: int
    n_test: int
    side: int
    class_counts: dict[str, int]
    columns: tuple[str, str]
    fingerprint: str
    facts: list[str]
    warnings: list[str]


def load_dataset(data_dir: Path) -> Dataset:
    """Check the files of `data_dir`, parse them unless this machine has done so, and map them.

    Safe in many processes at once: the first parses, the others wait and map its result.

    Raises:
        DataError: The first error of the files, with nothing written; or the cache is unwritable.
    """
    found = _load(find_files(data_dir))
    return _split(found, valid_rows(found.labels, found.fingerprint, found.copies))


def check_data(data_dir: Path) -> DataReport:
    """Check the files of `data_dir` as `load_dataset` does, and describe their contents."""
    files = find_files(data_dir)
    found = _load(files)
    counts = np.bincount(found.labels, minlength=len(found.classes)).tolist()
    return DataReport(
        files=tuple(file.name for file in files.present()),
        n_train=len(found.labels),
        n_test=len(found.test_ids),
        side=int(found.images.shape[1]),
        class_counts=dict(zip(found.classes, counts, strict=True)),
        columns=(found.id_column, found.label_column),
        fingerprint=found.fingerprint,
        facts=list(found.facts),
        warnings=list(found.warnings),
    )


def load_answers(data_dir: Path) -> Answers | None:
    """Return the labels in the test file; None if it has none.

    They are read from the file each time, and never stored where a training could read them.
    """
    return read_answers(find_files(data_dir))


def _load(files: Files) -> Competition:
    for file in files.present():
        if file.path.stat().st_size > LARGE_FILE:
            read_form(file)
    key = cache_key(files.present())
    if found := fetch(key):
        return found
    with _one_at_a_time(files.train.path):
        if found := fetch(key):
            return found
        parsed = read_competition(files)
        if cache_key(files.present()) != key:
            raise DataError(f"{files.train.path.parent}: the files changed while they were read")
        store(key, parsed)
    return fetch(key) or parsed


@contextlib.contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Hold a lock on the data file itself, so that no lock file remains.

    The lock only saves work: without locks (on some network file systems) every process parses, and
    the cache keeps the first result. Anybody who can read the file can lock it, so a lock of
    another user is ignored, and the wait for any lock is limited.
    """
    try:
        file = open_file(path)
    except OSError as error:
        raise unreadable(path, error) from None
    with file:
        handle, started_s, is_said = file.fileno(), time.monotonic(), False
        while not try_lock(handle, fcntl.LOCK_EX):
            waited_s, found = time.monotonic() - started_s, holders(handle)
            if waited_s > LONGEST_WAIT_S or (found and os.getuid() not in {o.uid for o in found}):
                break
            if waited_s > QUIET_S and not is_said:
                is_said = True
                by = shown_holders(handle)
                print(f"waiting for {path}, which another process reads: {by}", file=sys.stderr)
            time.sleep(POLL_S)
        yield
