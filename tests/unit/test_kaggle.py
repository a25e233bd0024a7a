"""A folder of CSVs becomes a split, memory-mapped dataset that holds what the files hold."""

import builtins
from pathlib import Path

import numpy as np
import pytest

from objectives.data.dataset import check_data, load_dataset
from objectives.data.splits import valid_rows
from tests.unit.competition import N_TEST, N_TRAIN, SIDE, edit, write

EXPECTED_ROWS = [4, 10, 27, 39, 42, 53]  # of the labels and the fingerprint in the test


def test_content_is_what_the_files_hold(folder: Path) -> None:
    """Pixels, labels, classes, ids and column names come from the files, in their order."""
    dataset = load_dataset(folder)
    rows = [line.split(",") for line in (folder / "train.csv").read_text().splitlines()[1:]]
    assert dataset.images.reshape(N_TRAIN, -1).tolist() == [list(map(int, r[1:])) for r in rows]
    assert [dataset.classes[label] for label in dataset.labels] == [row[0] for row in rows]
    assert dataset.classes == ("0", "5", "10")
    assert dataset.test_images.shape == (N_TEST, SIDE, SIDE)
    assert (dataset.side, dataset.n_classes) == (SIDE, 3)
    assert dataset.test_ids == tuple("1234567")
    assert (dataset.id_column, dataset.label_column) == ("ImageId", "answer")
    assert dataset.warnings == ()


def test_arrays_are_mapped_and_cannot_be_written(folder: Path) -> None:
    """Images are read-only maps of uint8; the splits share them; labels are int64."""
    dataset = load_dataset(folder)
    for images in (dataset.images, dataset.test_images, dataset.train.images):
        assert isinstance(images, np.memmap)
        assert images.dtype == np.uint8
        assert not images.flags.writeable
    assert dataset.valid.images is dataset.train.images is dataset.images
    assert dataset.labels.dtype == dataset.train.rows.dtype == np.int64


def test_split_is_stratified_and_whole(folder: Path) -> None:
    """Each class gives a tenth to valid, every row is in one split, and rows rise."""
    dataset = load_dataset(folder)
    train, valid = dataset.train, dataset.valid
    assert sorted([*train.rows, *valid.rows]) == list(range(N_TRAIN))
    assert np.bincount(dataset.labels[valid.rows]).tolist() == [2, 2, 2]
    assert (len(train), len(valid)) == (54, 6)
    assert np.all(np.diff(train.rows) > 0)
    assert np.all(np.diff(valid.rows) > 0)


def test_split_is_the_same_on_every_machine() -> None:
    """These rows were drawn once and for all; another fingerprint draws others."""
    labels = np.array([0, 1] * 30)
    assert valid_rows(labels, "0123456789abcdef" * 4).tolist() == EXPECTED_ROWS
    assert valid_rows(labels, "f" * 64).tolist() != EXPECTED_ROWS


def test_small_class_is_in_valid() -> None:
    """A class too small for a tenth gives one row."""
    labels = np.array([0] * 50 + [1] * 5)
    assert np.bincount(labels[valid_rows(labels, "a" * 64)]).tolist() == [5, 1]


def test_retraining_uses_every_row(folder: Path) -> None:
    """For the last training, train is everything, valid nothing, and the data the same."""
    dataset = load_dataset(folder)
    last = dataset.for_retraining()
    assert last.train.rows.tolist() == list(range(N_TRAIN))
    assert len(last.valid) == 0
    assert last.images is dataset.images
    assert last.fingerprint == dataset.fingerprint


def test_pixels_may_count_from_one(tmp_path: Path, cache: Path) -> None:
    """Fashion-MNIST counts its pixels from 1; the images are the same."""
    from_zero = load_dataset(write(tmp_path / "zero"))
    from_one = load_dataset(write(tmp_path / "one", first_pixel=1))
    assert from_one.fingerprint == from_zero.fingerprint


def test_test_may_have_ids(tmp_path: Path, cache: Path) -> None:
    """Kannada-MNIST's test has an `id`; it is no pixel, and goes into the submission."""
    folder = write(tmp_path / "kannada", test_id="id")
    with_sample = load_dataset(folder)
    (folder / "sample_submission.csv").unlink()
    without = load_dataset(folder)
    assert with_sample.test_ids == without.test_ids == tuple(f"t{n}" for n in range(N_TEST))
    assert (with_sample.id_column, with_sample.label_column) == ("id", "answer")
    assert (without.id_column, without.label_column) == ("id", "label")


def test_without_sample_ids_count_from_one(folder: Path) -> None:
    """Where there is no sample_submission, the form of Kaggle's Digit Recognizer is used."""
    (folder / "sample_submission.csv").unlink()
    dataset = load_dataset(folder)
    assert dataset.test_ids == tuple("1234567")
    assert (dataset.id_column, dataset.label_column) == ("ImageId", "Label")


def test_label_is_the_column_that_test_lacks(folder: Path) -> None:
    """A label by any other name, and in any place, is found."""
    plain = load_dataset(folder).fingerprint
    lines = [line.split(",") for line in (folder / "train.csv").read_text().splitlines()]
    lines[0][0] = "digit"
    (folder / "train.csv").write_text(
        "".join(",".join([*r[1:5], r[0], *r[5:]]) + "\n" for r in lines)
    )
    assert load_dataset(folder).fingerprint == plain


def test_report_counts(folder: Path) -> None:
    """`study check` is told files, rows, side and classes."""
    report = check_data(folder)
    assert report.files == ("train.csv", "test.csv", "sample_submission.csv")
    assert (report.n_train, report.n_test, report.side) == (N_TRAIN, N_TEST, SIDE)
    assert report.class_counts == {"0": 20, "5": 20, "10": 20}
    assert report.columns == ("ImageId", "answer")
    assert report.fingerprint == load_dataset(folder).fingerprint
    assert report.warnings == []


def test_odd_rows_are_warned_of(folder: Path) -> None:
    """Constant images, repeated images with another label, and train in test are no errors."""
    image = ",".join(str(n) for n in range(SIDE**2))
    edit(folder / "train.csv", 3, f"0,{image}")
    edit(folder / "train.csv", 5, f"5,{image}")
    edit(folder / "train.csv", 9, "5" + ",7" * SIDE**2)
    edit(folder / "test.csv", 2, image)
    assert check_data(folder).warnings == [
        "train.csv row 9: every pixel has one value, as in 1 rows in all",
        "train.csv: 1 of 60 images are equal to an earlier one; copies are never on two sides of a "
        "split, and the expected score counts them once",
        "train.csv row 5: the image of row 3 with another label (5, not 0), as in 1 rows in all",
        "test.csv row 2: the image of train.csv row 3, as in 1 rows in all",
    ]
    assert list(load_dataset(folder).warnings) == check_data(folder).warnings


def test_data_needs_neither_pandas_nor_keras(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that reads data pays for NumPy alone."""
    real = builtins.__import__

    def watched(name: str, *args: object, **options: object) -> object:
        assert name.split(".")[0] not in {"pandas", "keras", "tensorflow", "sklearn"}
        return real(name, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", watched)
    load_dataset(folder)
    load_dataset(folder)
