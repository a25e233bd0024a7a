"""Equal images stay on one side of every split, and count once in what a score is worth."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from objectives.data.dataset import load_dataset
from objectives.data.splits import (
    check_folds,
    first_copies,
    fold_rows,
    image_digests,
    n_different,
    valid_rows,
)
from objectives.errors import DataError
from study.finalize.choose import Measured
from study.finalize.folds import OutOfFold, _by_image, expect
from tests.unit.forms import PIXELS, TEST_ROWS, TRAIN_HEADER, TRAIN_ROWS, csv_text, put

FINGERPRINT = "0123456789abcdef" * 4


def grouped(n_images: int, n_classes: int, seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return labels and copies of rows in any order: each image 1 to 9 times."""
    random = np.random.default_rng(seed)
    image = np.repeat(np.arange(n_images), random.integers(1, 10, n_images))
    random.shuffle(image)
    first = {number: row for row, number in reversed(list(enumerate(image.tolist())))}
    copies = np.array([first[number] for number in image.tolist()], np.int64)
    return (image % n_classes).astype(np.int64), copies


@pytest.mark.parametrize("seed", range(5))
def test_copies_are_never_on_two_sides(seed: int) -> None:
    """Of the valid split, and of each fold of each split; the share is about a tenth."""
    labels, copies = grouped(300, 7, seed)
    sides = [valid_rows(labels, FINGERPRINT, copies)]
    for split in range(3):
        folds = [fold_rows(labels, FINGERPRINT, n, 4, split, copies) for n in range(4)]
        assert sorted(np.concatenate(folds)) == list(range(len(labels)))
        sides += folds
    for rows in sides:
        others = np.setdiff1d(np.arange(len(labels)), rows)
        assert not set(copies[rows]) & set(copies[others])
        assert len(set(labels[rows])) == 7
    assert 0.06 < len(sides[0]) / len(labels) <= 0.11


def test_without_copies_the_splits_are_those_of_every_release() -> None:
    """Each row its own copy gives the rows that no copies give."""
    labels = np.arange(200) % 3
    own = np.arange(200)
    assert valid_rows(labels, FINGERPRINT, own).tolist() == valid_rows(labels, FINGERPRINT).tolist()
    assert (
        fold_rows(labels, FINGERPRINT, 2, 5, 1, own).tolist()
        == fold_rows(labels, FINGERPRINT, 2, 5, 1).tolist()
    )


def test_copies_with_two_labels_stay_together() -> None:
    """The same image once as a 3 and once as a 7 gives itself away as well."""
    labels = np.array([0, 1] * 20)
    copies = np.arange(40)
    copies[1::2] = copies[::2]
    for fold in range(4):
        rows = fold_rows(labels, FINGERPRINT, fold, 4, 0, copies)
        assert np.bincount(labels[rows]).tolist() == [5, 5]


def test_class_of_one_image_is_learned_and_not_held_back() -> None:
    """All its rows would be gone from training otherwise."""
    labels = np.array([0] * 30 + [1] * 30)
    copies = np.array([0] * 30 + list(range(30, 60)))
    assert set(labels[valid_rows(labels, FINGERPRINT, copies)]) == {1}


def test_more_folds_than_images_are_refused() -> None:
    """Rows are enough for them, images are not."""
    copies = np.array([0] * 10 + [10] * 10)
    check_folds(np.array([0] * 10 + [1] * 10), "ab", 2, copies)
    with pytest.raises(DataError, match="3 folds need as many different images; there are 2"):
        check_folds(np.array([0] * 10 + [1] * 10), "ab", 3, copies)


def test_first_copies_points_to_the_first() -> None:
    """By content, whatever the image's shape."""
    images = np.array([[[1]], [[2]], [[1]], [[3]], [[2]], [[1]]], np.uint8)
    copies = first_copies(image_digests(images))
    assert copies.tolist() == [0, 1, 0, 3, 1, 0]
    assert n_different(copies) == 3


def test_dataset_with_copies_says_so_and_splits_by_image(tmp_path: Path, cache: Path) -> None:
    """Each labelled image six times, as an enlarged file has it."""
    rows = [row for row in TRAIN_ROWS for _ in range(6)]
    put(tmp_path, csv_text(TRAIN_HEADER, rows), csv_text(PIXELS, TEST_ROWS))
    for _ in range(2):  # from the files, and from the cache
        dataset = load_dataset(tmp_path)
        assert dataset.warnings[0].startswith(
            "train.csv: 200 of 240 images are equal to an earlier"
        )
        held_back = {row // 6 for row in dataset.valid.rows.tolist()}
        assert not held_back & {row // 6 for row in dataset.train.rows.tolist()}
        fold = dataset.for_fold(0, 3, 0)
        assert not {r // 6 for r in fold.valid.rows.tolist()} & {
            r // 6 for r in fold.train.rows.tolist()
        }


def test_nothing_but_copies_is_refused(tmp_path: Path, cache: Path) -> None:
    """One image a class: nothing could be held back."""
    rows = TRAIN_ROWS[:4] * 10
    put(tmp_path, csv_text(TRAIN_HEADER, rows), csv_text(PIXELS, TEST_ROWS))
    with pytest.raises(DataError, match=r"^train\.csv row 5, .*all images of each class are the"):
        load_dataset(tmp_path)


def test_mean_of_an_image_is_that_of_its_rows() -> None:
    """In the order of the first copies."""
    values = np.array([1.0, 0.0, 0.0, 1.0, 1.0])
    assert _by_image(values, np.array([0, 1, 0, 3, 1])).tolist() == [0.5, 0.5, 1.0]
    assert _by_image(values, None).tolist() == values.tolist()


def test_copies_make_no_interval_narrower() -> None:
    """The same images six times each are expected to score as they do once, as surely."""
    labels = np.arange(100) % 4
    right = (np.arange(100) % 10 > 0).astype(float)

    def expected(n_times: int) -> tuple[float, float, float]:
        copies = np.repeat(np.arange(100) * n_times, n_times)
        by_image = _by_image(np.repeat(right, n_times), copies)
        rows, nothing = np.arange(100 * n_times), np.zeros((1, 4), np.float32)
        measured = Measured((0, 1), by_image, by_image, 1)
        one = OutOfFold((0, 1), rows, nothing, measured, 0.9, by_image, 1.0, 3)
        dataset = SimpleNamespace(labels=np.repeat(labels, n_times), test_images=np.zeros(500))
        loaded: Any = SimpleNamespace(dataset=dataset)
        found = expect(loaded, [], one, 3, (0.9, None))
        return found.score, found.low, found.high

    assert expected(6) == pytest.approx(expected(1))
