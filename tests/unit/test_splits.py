"""Folds: each row once, each class in each, the same on every machine, and new in each split."""

from pathlib import Path

import numpy as np
import pytest

from objectives.data.dataset import load_dataset
from objectives.data.splits import check_folds, fold_rows, valid_rows
from objectives.errors import DataError
from tests.unit.competition import N_TRAIN

FINGERPRINT = "0123456789abcdef" * 4
LABELS = np.array([0] * 23 + [1] * 11 + [2] * 7 + [3] * 32)
EXPECTED_ROWS = {  # of fold 1 of 4 of `LABELS`, by split
    0: [4, 5, 6, 13, 14, 21, 25, 27, 31, 36, 44, 49, 60, 65, 66, 68, 71, 72],
    1: [2, 7, 8, 10, 14, 15, 28, 30, 31, 39, 42, 45, 47, 48, 57, 60, 63, 67],
}


@pytest.mark.parametrize("n_folds", [2, 3, 5, 7])
@pytest.mark.parametrize("split", [0, 1, 5])
def test_folds_hold_each_row_once_and_each_class_alike(n_folds: int, split: int) -> None:
    """Folds differ by a row at most, in all and in each class; rows rise."""
    folds = [fold_rows(LABELS, FINGERPRINT, fold, n_folds, split) for fold in range(n_folds)]
    assert sorted(np.concatenate(folds)) == list(range(len(LABELS)))
    assert all(np.all(np.diff(rows) > 0) and rows.dtype == np.int64 for rows in folds)
    sizes = [len(rows) for rows in folds]
    assert max(sizes) - min(sizes) <= 1
    by_class = np.array([np.bincount(LABELS[rows], minlength=4) for rows in folds])
    assert (by_class.max(axis=0) - by_class.min(axis=0)).max() <= 1
    assert by_class.min() >= 1


def test_folds_are_the_same_on_every_machine() -> None:
    """These rows were drawn once and for all; another fingerprint draws others."""
    found = {split: fold_rows(LABELS, FINGERPRINT, 1, 4, split).tolist() for split in (0, 1)}
    assert found == EXPECTED_ROWS
    assert fold_rows(LABELS, "f" * 64, 1, 4, 0).tolist() != EXPECTED_ROWS[0]


def test_each_split_deals_anew() -> None:
    """Rows that share a fold in one split are apart in another, as chance has it."""
    labels = np.zeros(1000, np.int64)
    splits = [set(fold_rows(labels, FINGERPRINT, 0, 10, split)) for split in range(20)]
    splits.append(set(valid_rows(labels, FINGERPRINT)))
    shared = [len(one & other) for n, one in enumerate(splits) for other in splits[:n]]
    assert max(shared) < 30
    assert 8 < np.mean(shared) < 12


@pytest.mark.parametrize(
    ("n_folds", "message", "hint"),
    [
        (0, "0 folds: there must be 2 at least", "2 folds or more"),
        (1, "1 folds: there must be 2 at least", "2 folds or more"),
        (8, "8 folds need 8 labelled rows of each class; class 'c' has 7 rows", "7 folds at most"),
    ],
)
def test_number_of_folds_that_no_class_allows_is_refused(
    n_folds: int, message: str, hint: str
) -> None:
    """The smallest class is named, and how many folds there may be."""
    with pytest.raises(DataError) as refused:
        check_folds(LABELS, "abcd", n_folds)
    assert (str(refused.value), refused.value.hint) == (message, hint)
    check_folds(LABELS, "abcd", 7)


def test_class_of_one_row_has_no_folds() -> None:
    """More rows are the only way out."""
    with pytest.raises(DataError, match=r"class 'b' has 1 row$") as refused:
        check_folds(np.array([0, 0, 1]), ("a", "b"), 2)
    assert refused.value.hint == "more rows of class 'b'"


@pytest.mark.parametrize(("fold", "split"), [(-1, 0), (3, 0), (0, -1)])
def test_fold_that_is_not_there_is_a_mistake_in_the_program(fold: int, split: int) -> None:
    """A slip in a loop must not train on other rows."""
    with pytest.raises(ValueError, match=rf"no fold {fold} of 3 in split {split}"):
        fold_rows(LABELS, FINGERPRINT, fold, 3, split)


def test_fold_of_a_dataset_is_held_out_of_its_training(folder: Path) -> None:
    """Valid is the fold, train all other rows, those of the search's valid split too."""
    dataset = load_dataset(folder)
    folds = [dataset.for_fold(fold, 3, 1) for fold in range(3)]
    for one in folds:
        assert sorted([*one.train.rows, *one.valid.rows]) == list(range(N_TRAIN))
        assert np.bincount(one.labels[one.valid.rows]).max() == 7
        assert one.images is one.train.images is one.valid.images is dataset.images
        assert one.fingerprint == dataset.fingerprint
    assert sorted(np.concatenate([one.valid.rows for one in folds])) == list(range(N_TRAIN))
    with pytest.raises(DataError, match="class '0' has 20 rows"):
        dataset.for_fold(0, 21, 0)
