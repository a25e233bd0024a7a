"""The range of the pixels is found, said, and the same for train and test."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from objectives.data.dataset import check_data, load_dataset
from objectives.errors import DataError
from tests.unit.forms import (
    IMAGES,
    LABELS,
    N_TEST,
    PIXELS,
    TEST_IMAGES,
    TRAIN_HEADER,
    csv_text,
    put,
)

Change = Callable[[np.ndarray], list[list[str]]]


def in_range(top: float, form: str = "%d") -> Change:
    """Return what brings pixels into 0..top."""

    def change(images: np.ndarray) -> list[list[str]]:
        scaled = images * (top / 255)
        return [[form % (round(x) if form == "%d" else x) for x in row] for row in scaled]

    return change


def write(folder: Path, train: Change, test: Change) -> Path:
    """Write the competition of `forms.py` with changed pixels."""
    rows = [[label, *row] for label, row in zip(LABELS, train(IMAGES), strict=True)]
    put(folder, csv_text(TRAIN_HEADER, rows), csv_text(PIXELS, test(TEST_IMAGES)))  # type: ignore[arg-type]
    return folder


@pytest.mark.parametrize(
    ("top", "form", "error"),
    [
        (1, "%.6g", 0),
        (1, "%.9e", 0),
        (1, "%d", 128),
        (3, "%d", 43),
        (15, "%d", 9),
        (16, "%d", 8),
        (16, "%.3f", 1),
        (31, "%d", 5),
        (63, "%d", 3),
        (100, "%d", 2),
        (127, "%d", 1),
        (255, "%d", 0),
        (255, "%.2f", 0),
    ],
)
def test_range_is_scaled_to_all_of_0_to_255(
    tmp_path: Path, cache: Path, top: float, form: str, error: int
) -> None:
    """Each pixel is that of the original, but for what the range cannot hold."""
    dataset = load_dataset(write(tmp_path, in_range(top, form), in_range(top, form)))
    for found, original in ((dataset.images, IMAGES), (dataset.test_images, TEST_IMAGES)):
        assert found.dtype == np.uint8
        off = np.abs(found.reshape(len(found), -1).astype(int) - original)
        assert off.max() <= error
    said = [line for line in dataset.warnings if "equal" not in line]
    expected = f"pixels of train.csv and test.csv are taken as 0 to {top}, scaled to 0 to 255"
    assert said[:1] == ([expected] if top < 255 else [])


def test_range_of_a_few_dark_test_images_is_that_of_train(tmp_path: Path, cache: Path) -> None:
    """Which range it is does not depend on how bright the test images are."""
    dark = lambda images: [[str(x // 3) for x in row] for row in images]  # noqa: E731
    dataset = load_dataset(write(tmp_path, in_range(255), dark))
    assert dataset.test_images.reshape(N_TEST, -1).tolist() == (TEST_IMAGES // 3).tolist()


def test_dark_images_are_taken_as_they_are_and_said(tmp_path: Path, cache: Path) -> None:
    """Nothing is brightened where no range ends at the brightest pixel."""
    dark = lambda images: [[str(x // 3) for x in row] for row in images]  # noqa: E731
    dataset = load_dataset(write(tmp_path, dark, dark))
    assert dataset.images.max() == IMAGES.max() // 3
    assert dataset.warnings == (
        "the brightest pixel is 85: the images are taken for dark ones of the range 0 to 255",
    )


@pytest.mark.parametrize(("train", "test"), [(1, 255), (255, 1), (16, 255), (255, 63)])
def test_files_of_two_ranges_are_refused(
    tmp_path: Path, cache: Path, train: float, test: float
) -> None:
    """Scaled apart they would look alike; scaled together one of them would be black."""
    with pytest.raises(DataError, match=r"^test\.csv: its pixels go up to .*two scales$"):
        load_dataset(write(tmp_path, in_range(train), in_range(test)))


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        (lambda x: f"{x / 127.5 - 1:.4f}", "'-1.0000' is negative"),
        (lambda x: str(x * 257), "is more than 255"),
        (lambda x: f"{x / 255:.3f}".replace(".", ","), "is not a number"),
    ],
    ids=["-1 to 1", "16 bits", "decimal commas"],
)
def test_other_ranges_are_refused_at_their_first_cell(
    tmp_path: Path, cache: Path, form: Callable[[int], str], reason: str
) -> None:
    """File, row and column are named."""
    change = lambda images: [[form(int(x)) for x in row] for row in images]  # noqa: E731
    with pytest.raises(DataError, match=f"^train.csv row 1, column pixel[01]: .*{reason}"):
        load_dataset(write(tmp_path, change, change))


def test_range_stands_in_the_facts(tmp_path: Path, cache: Path) -> None:
    """`study check` says it also where it is the usual one."""
    report = check_data(write(tmp_path, in_range(255), in_range(255)))
    assert "pixels: columns pixel0 to pixel15, 0 to 255" in report.facts


def changed(rows: int, top: float) -> Change:
    """Return pixels of 0 to 255 of which so many rows were divided, to end at `top`."""

    def change(images: np.ndarray) -> list[list[str]]:
        scaled = images.astype(float)
        scaled[:rows] *= top / 255
        return [[f"{x:.4f}" if n < rows else f"{x:g}" for x in row] for n, row in enumerate(scaled)]

    return change


def test_rows_of_another_range_in_one_file_are_refused(tmp_path: Path, cache: Path) -> None:
    """They would be black images."""
    with pytest.raises(DataError, match=r"^train\.csv row 1: its pixels are 0 to 1, as in 5 rows"):
        load_dataset(write(tmp_path, changed(5, 1), in_range(255)))


def test_few_test_images_of_another_range_are_refused(tmp_path: Path, cache: Path) -> None:
    """However few they are."""
    few = lambda images: in_range(1, "%.4f")(images[:2])  # noqa: E731
    with pytest.raises(DataError, match="the files have two scales"):
        load_dataset(write(tmp_path, in_range(255), few))


@pytest.mark.parametrize(
    ("outlier", "is_taken"), [("1.0000001", True), ("1.0005", True), ("2", False)]
)
def test_what_a_computation_leaves_above_1_is_1(
    tmp_path: Path, cache: Path, outlier: str, is_taken: bool
) -> None:
    """What is more than that is named with its place."""

    def change(images: np.ndarray) -> list[list[str]]:
        rows = in_range(1, "%.6g")(images)
        rows[3][5] = outlier
        return rows

    if is_taken:
        dataset = load_dataset(write(tmp_path, change, in_range(1, "%.6g")))
        assert dataset.images.max() == 255
        assert dataset.images.reshape(len(IMAGES), -1)[4:].tolist() == IMAGES[4:].tolist()
        return
    with pytest.raises(DataError, match=r"^train\.csv row 4, column pixel5: 2 is above 1"):
        load_dataset(write(tmp_path, change, in_range(1, "%.6g")))
