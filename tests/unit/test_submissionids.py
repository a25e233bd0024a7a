"""Ids of test and sample are matched by value; what is assumed without them is said."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from objectives.data.dataset import load_dataset
from objectives.errors import DataError
from tests.unit.forms import (
    N_TEST,
    PIXELS,
    TEST_IMAGES,
    TEST_ROWS,
    TRAIN_HEADER,
    TRAIN_ROWS,
    csv_text,
    put,
)

RISING = [str(n) for n in range(1, N_TEST + 1)]


def write(folder: Path, test_ids: Sequence[str] | None, sample: Sequence[Sequence[str]]) -> None:
    """Write the competition of `forms.py` with ids in test, and a sample."""
    header, rows = PIXELS, TEST_ROWS
    if test_ids is not None:
        header = ["id", *PIXELS]
        rows = [[name, *row] for name, row in zip(test_ids, TEST_ROWS, strict=True)]
    put(folder, csv_text(TRAIN_HEADER, TRAIN_ROWS), csv_text(header, rows))
    (folder / "sample_submission.csv").write_text("".join(",".join(row) + "\n" for row in sample))


def sample_of(ids: Sequence[str], *names: str) -> list[list[str]]:
    """Return a sample submission of these ids."""
    return [list(names) or ["id", "label"], *([name, "0"] for name in ids)]


@pytest.mark.parametrize(
    ("test_ids", "sample_ids"),
    [
        (["24", "3", "8", "1", "2", "9", "4", "7"], ["1", "2", "3", "4", "7", "8", "9", "24"]),
        (["b.png", "a.png", *"cdefgh"], [*"hgfedc", "a.png", "b.png"]),
        (["008", "007", "006", "005", "004", "003", "002", "001"], RISING),
        (["1.0", "3.0", "2.0", "4.0", "5.0", "6.0", "7.0", "8.0"], RISING),
    ],
    ids=["shuffled", "text", "zero-padded", "floats"],
)
def test_rows_are_matched_by_value(
    tmp_path: Path, cache: Path, test_ids: list[str], sample_ids: list[str]
) -> None:
    """The submission has the sample's ids in the sample's order, each with its own image."""
    write(tmp_path, test_ids, sample_of(sample_ids))
    dataset = load_dataset(tmp_path)
    assert dataset.test_ids == tuple(sample_ids)
    as_number = lambda name: float(name) if name[0].isdecimal() else name  # noqa: E731
    rows = [list(map(as_number, test_ids)).index(as_number(name)) for name in sample_ids]
    assert dataset.test_images.reshape(N_TEST, -1).tolist() == TEST_IMAGES[rows].tolist()
    assert dataset.warnings == ()


@pytest.mark.parametrize(
    ("ids", "is_assumed"),
    [
        (RISING, False),
        ([str(n) for n in range(0, 80, 10)], False),
        ([f"img_{n}.png" for n in range(4, 12)], False),
        (["3", "1", "2", "4", "5", "6", "7", "8"], True),
        ([f"img_{n}.png" for n in (2, 1, 3, 4, 5, 6, 7, 8)], True),
        (["x", *RISING[1:]], True),
    ],
)
def test_ids_of_the_sample_alone_are_taken_in_its_order(
    tmp_path: Path, cache: Path, ids: list[str], is_assumed: bool
) -> None:
    """Where they do not rise, what was assumed is said."""
    write(tmp_path, None, sample_of(ids, "ImageId", "Label"))
    dataset = load_dataset(tmp_path)
    assert dataset.test_ids == tuple(ids)
    assert dataset.test_images.reshape(N_TEST, -1).tolist() == TEST_IMAGES.tolist()
    said = [line for line in dataset.warnings if "not in rising order" in line]
    assert len(said) == is_assumed
    assert all(f"its first row is taken for '{ids[0]}'" in line for line in said)


def test_id_that_test_lacks_is_named(tmp_path: Path, cache: Path) -> None:
    """With its row in the sample."""
    write(tmp_path, RISING, sample_of(["9", *RISING[1:]]))
    with pytest.raises(DataError) as refused:
        load_dataset(tmp_path)
    message = "sample_submission.csv row 1, column id: '9' is not an id of test.csv, column id"
    assert str(refused.value) == message


def test_index_that_pandas_wrote_into_the_sample_is_dropped(tmp_path: Path, cache: Path) -> None:
    """The other two columns are id and label."""
    rows = [[str(n), *row] for n, row in enumerate(sample_of(RISING))]
    rows[0][0] = ""
    write(tmp_path, RISING, rows)
    dataset = load_dataset(tmp_path)
    assert (dataset.id_column, dataset.label_column) == ("id", "label")
    assert "sample_submission.csv column Unnamed: 0: dropped" in dataset.warnings[0]


def test_usage_in_the_sample_is_dropped(tmp_path: Path, cache: Path) -> None:
    """As Kaggle's solution files have it."""
    rows = [[*row, "Public"] for row in sample_of(RISING)]
    rows[0][2] = "Usage"
    write(tmp_path, RISING, rows)
    dataset = load_dataset(tmp_path)
    assert (dataset.id_column, dataset.label_column) == ("id", "label")
    assert dataset.warnings == ("sample_submission.csv column Usage: dropped; it is not a label",)
