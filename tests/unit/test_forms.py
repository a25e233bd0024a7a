"""Files as people publish them: read to the same images, or refused with what mends them."""

from pathlib import Path

import pytest

from objectives.errors import DataError
from objectives.kaggle import check_data, load_answers, load_dataset
from tests.unit.forms import (
    ANSWERS,
    FORMS,
    IMAGES,
    LABELS,
    N_TEST,
    PIXELS,
    TEST_IMAGES,
    TEST_ROWS,
    TRAIN_HEADER,
    TRAIN_ROWS,
    csv_text,
    plain,
    put,
)


@pytest.mark.parametrize("name", FORMS)
def test_form_is_read_to_the_same_images(tmp_path: Path, cache: Path, name: str) -> None:
    """Pixels, labels and ids are those of Kaggle's form, and what was assumed is said."""
    write, said = FORMS[name]
    folder = tmp_path / "data"
    folder.mkdir()
    write(folder)
    dataset = load_dataset(folder)
    assert dataset.images.reshape(len(IMAGES), -1).tolist() == IMAGES.tolist()
    assert dataset.test_images.reshape(N_TEST, -1).tolist() == TEST_IMAGES.tolist()
    assert dataset.labels.tolist() == LABELS
    assert dataset.test_ids == tuple(str(n) for n in range(1, N_TEST + 1))
    lines = "\n".join(dataset.warnings)
    assert all(one in lines for one in said), lines
    if not said:
        assert dataset.warnings == ()


def test_lost_first_row_of_train_is_said(tmp_path: Path, cache: Path) -> None:
    """Its label was overwritten by hand, so the row is gone; the images of the others are right."""
    header = ["label", "0", "255", "0.1", *[f"0.{n}" for n in range(2, 15)]]
    put(tmp_path, csv_text(header, TRAIN_ROWS[1:]), csv_text(PIXELS, TEST_ROWS))
    dataset = load_dataset(tmp_path)
    assert dataset.images.reshape(len(IMAGES) - 1, -1).tolist() == IMAGES[1:].tolist()
    assert "this row is lost" in dataset.warnings[0]


def test_labels_of_the_test_file_are_answers_and_nothing_else(tmp_path: Path, cache: Path) -> None:
    """They are read on demand; the dataset is the one that the file without them gives."""
    write, _ = FORMS["labelled test"]
    labelled, bare = tmp_path / "labelled", tmp_path / "bare"
    for folder, writer in ((labelled, write), (bare, plain)):
        folder.mkdir()
        writer(folder)
    found = load_answers(labelled)
    assert found is not None
    assert found.header == ("ImageId", "Label")
    assert found.labels == {str(n): label for n, label in enumerate(ANSWERS, 1)}
    assert load_answers(bare) is None
    assert load_dataset(labelled).fingerprint == load_dataset(bare).fingerprint


def test_index_is_the_id_where_the_sample_says_so(tmp_path: Path, cache: Path) -> None:
    """The sample's first column has its name, and its values in another order."""
    ids = [5, 3, 8, 1, 2, 9, 4, 7]
    test = [[number, *row] for number, row in zip(ids, TEST_ROWS, strict=True)]
    put(tmp_path, csv_text(TRAIN_HEADER, TRAIN_ROWS), csv_text(["index", *PIXELS], test))
    sample = csv_text(["index", "label"], [[number, 0] for number in sorted(ids)])
    (tmp_path / "sample_submission.csv").write_text(sample)
    dataset = load_dataset(tmp_path)
    assert dataset.test_ids == tuple(map(str, sorted(ids)))
    order = [ids.index(number) for number in sorted(ids)]
    assert dataset.test_images.reshape(N_TEST, -1).tolist() == TEST_IMAGES[order].tolist()


@pytest.mark.parametrize(
    ("spelled", "expected"),
    [
        (["01", "02", "03", "04"], ("01", "02", "03", "04")),
        (["-1", "1"], ("-1", "1")),
        (["2.0", "3.0", "10.0"], ("2.0", "3.0", "10.0")),
        (["1e2", "7"], ("7", "1e2")),
        (["-2", "0", "+3"], ("-2", "0", "+3")),
    ],
)
def test_labels_are_kept_as_they_are_written(
    tmp_path: Path, cache: Path, spelled: list[str], expected: tuple[str, ...]
) -> None:
    """In the order of their values, in the spelling that the submission must have."""
    rows = [[spelled[n % len(spelled)], *row[1:]] for n, row in enumerate(TRAIN_ROWS)]
    put(tmp_path, csv_text(TRAIN_HEADER, rows), csv_text(PIXELS, TEST_ROWS))
    dataset = load_dataset(tmp_path)
    assert dataset.classes == expected
    assert dataset.warnings == ()


def test_class_in_two_spellings_is_one_and_said(tmp_path: Path, cache: Path) -> None:
    """The more frequent spelling goes into the submission."""
    rows = [
        ["3.0" if row[0] == 3 and n < 8 else row[0], *row[1:]] for n, row in enumerate(TRAIN_ROWS)
    ]
    put(tmp_path, csv_text(TRAIN_HEADER, rows), csv_text(PIXELS, TEST_ROWS))
    dataset = load_dataset(tmp_path)
    assert dataset.classes == ("0", "1", "2", "3")
    assert dataset.warnings == (
        "train.csv column label: class 3 is written in 2 ways; all are one class, written as 3",
    )


def test_check_says_what_it_understood(tmp_path: Path, cache: Path) -> None:
    """Files, pixels, label column, ids, copies and what was dropped, a line each."""
    FORMS["Unnamed: 0"][0](tmp_path)
    (tmp_path / "extra.csv").write_text("a,b\n1,2\n")
    assert check_data(tmp_path).facts == [
        "files: train.csv, test.csv",
        "not read: extra.csv",
        "pixels: columns pixel0 to pixel15, 0 to 255",
        "labels: column label of train.csv",
        f"ids: counted from 1 to {N_TEST}",
        "copies: none",
        "dropped: column Unnamed: 0 of train.csv, Unnamed: 0 of test.csv",
    ]


def test_usage_of_one_kind_is_dropped(tmp_path: Path, cache: Path) -> None:
    """FER2013's column says the same of each row once train and test are two files."""
    rows = [[*row, "Training"] for row in TRAIN_ROWS]
    put(tmp_path, csv_text([*TRAIN_HEADER, "Usage"], rows), csv_text(PIXELS, TEST_ROWS))
    assert load_dataset(tmp_path).warnings == (
        "train.csv column Usage: dropped; every row says 'Training'",
    )


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("1 2 3", "3 numbers in the cell, where row 1 has 16"),
        ("[1 2 ... 3 4]", "5 numbers in the cell, where row 1 has 16; NumPy has shortened it"),
    ],
)
def test_cell_with_another_number_of_pixels_is_refused(
    tmp_path: Path, cache: Path, cell: str, text: str
) -> None:
    """Row and column are named."""
    whole = " ".join(map(str, range(16)))
    train = [[n % 2, whole] for n in range(12)]
    train[6][1] = cell
    put(tmp_path, csv_text(["emotion", "pixels"], train), csv_text(["pixels"], [[whole]]))
    with pytest.raises(DataError) as refused:
        load_dataset(tmp_path)
    assert str(refused.value) == f"train.csv row 7, column pixels: {text}"
