"""The data room's door: a folder of Kaggle CSVs in, a `Dataset` out.

Decides when the files are parsed (once a machine), and who waits for whom. What sound files are
stands in `competition.py`, where the arrays lie in `datacache.py`, what is held back in
`splits.py`.
Needs NumPy alone: a worker that finds the cache is ready in a fraction of a second.
"""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
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
from objectives.files.limits import LARGE_FILE
from objectives.files.openfile import open_file

QUIET_S, LONGEST_WAIT_S, POLL_S = 2.0, 600.0, 0.05


@dataclass(frozen=True, eq=False)
class Split:
    """Rows of a dataset; `len` is their number.

    Attributes:
        images: uint8 of shape (m, side, side), memory-mapped: all images of the dataset.
        labels: int64 of shape (m,), class indexes, of all images too.
        rows: int64 of shape (n,), rising: the rows of both that belong to the split.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A checked competition, memory-mapped and split.

    Attributes:
        images: uint8 of shape (m, side, side), 0..255, in train's order.
        labels: int64 of shape (m,), indexes into `classes`.
        classes: The labels as they are written; integers in rising order, anything else sorted as
            text.
        test_images: uint8 of shape (k, side, side), in the order of the submission.
        test_ids: The submission's k ids, in its order.
        id_column: Name of the submission's first column.
        label_column: Name of the submission's second column.
        fingerprint: sha256 (hex) of all of the above; the same for plain and gzip files.
        train: What is learned from.
        valid: What trials are scored on: 10 % of each class; see `splits.valid_rows`.
        warnings: What is odd in the files, was dropped or assumed, one line each.
        copies: int64 of shape (m,): of each row the first that has the same image; None: no two
            are the same.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    test_images: NDArray[np.uint8]
    test_ids: tuple[str, ...]
    id_column: str
    label_column: str
    fingerprint: str
    train: Split
    valid: Split
    warnings: tuple[str, ...] = ()
    copies: NDArray[np.int64] | None = None

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
        rows = np.arange(len(self.labels), dtype=np.int64)
        train = Split(self.images, self.labels, rows)
        return replace(self, train=train, valid=replace(train, rows=rows[:0]))

    def for_fold(self, fold: int, n_folds: int, split: int) -> "Dataset":
        """Return the dataset with one fold of the labelled rows in `valid`, the others in `train`.

        Args:
            fold: 0 <= fold < n_folds; the folds of a split hold each labelled row once.
            n_folds: From 2 to the rows of the smallest class.
            split: >= 0; each deals the rows anew. See `splits.fold_rows`.

        Raises:
            DataError: See `splits.check_folds`.
        """
        check_folds(self.labels, self.classes, n_folds, self.copies)
        held_back = fold_rows(self.labels, self.fingerprint, fold, n_folds, split, self.copies)
        valid = Split(self.images, self.labels, held_back)
        train = replace(valid, rows=_others(held_back, len(self.labels)))
        return replace(self, train=train, valid=valid)


@dataclass(frozen=True)
class DataReport:
    """What `study check` prints.

    Attributes:
        files: Names of the files read: train, test and, where there is one, the sample.
        n_train: Rows of train.
        n_test: Rows of test.
        side: Height and width of an image in pixels.
        class_counts: Rows of train by class, in the order of the classes.
        columns: The submission's two columns.
        fingerprint: The dataset's.
        facts: What was understood of the files, one line each.
        warnings: What is odd, was dropped or assumed, one line each.
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

    Safe in many processes at once: the first parses, the others wait and map what it wrote.

    Raises:
        DataError: The first fault of the files, with nothing written; or no cache can be written.
    """
    return _dataset(_load(find_files(data_dir)))


def check_data(data_dir: Path) -> DataReport:
    """Check the files of `data_dir` as `load_dataset` does, and say what they hold.

    Raises:
        DataError: As `load_dataset`.
    """
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
    """Return the labels that the test file itself has; None where it has none.

    They are read from the file each time, and kept nowhere that a training could see them.

    Raises:
        DataError: As `load_dataset`.
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


def _dataset(found: Competition) -> Dataset:
    valid = valid_rows(found.labels, found.fingerprint, found.copies)
    return Dataset(
        images=found.images,
        labels=found.labels,
        classes=found.classes,
        test_images=found.test_images,
        test_ids=found.test_ids,
        id_column=found.id_column,
        label_column=found.label_column,
        fingerprint=found.fingerprint,
        train=Split(found.images, found.labels, _others(valid, len(found.labels))),
        valid=Split(found.images, found.labels, valid),
        warnings=found.warnings,
        copies=found.copies,
    )


def _others(rows: NDArray[np.int64], n_rows: int) -> NDArray[np.int64]:
    """Return those of 0..n_rows - 1 that are not in `rows`, rising."""
    others = np.ones(n_rows, np.bool_)
    others[rows] = False
    return np.flatnonzero(others).astype(np.int64)


@contextlib.contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Hold a lock on the data file itself, so that a fault in it leaves no lock file behind.

    It saves the work of parsing twice and no more: without locks (Windows, some network file
    systems) every process parses, and the cache takes the first. Anybody who can read the file can
    lock it: another user is not waited for, and nobody for ever.
    """
    try:
        file = open_file(path)
    except OSError as error:
        raise unreadable(path, error) from None
    with file:
        if sys.platform != "win32":
            with contextlib.suppress(OSError):
                _wait_for_lock(file.fileno(), path)
        yield


def _wait_for_lock(handle: int, path: Path) -> None:
    import fcntl

    from objectives.files.filelock import holders, shown_holders, try_lock

    started_s, is_said = time.monotonic(), False
    while not try_lock(handle, fcntl.LOCK_EX):
        waited_s = time.monotonic() - started_s
        found = holders(handle)
        if waited_s > LONGEST_WAIT_S or (found and os.getuid() not in {one.uid for one in found}):
            return
        if waited_s > QUIET_S and not is_said:
            is_said = True
            by = shown_holders(handle)
            print(f"waiting for {path}, which another process reads: {by}", file=sys.stderr)
        time.sleep(POLL_S)
