"""Files as people publish them: read to the same images, or refused with what mends them."""

from pathlib import Path

import pytest

from objectives.data.dataset import check_data, load_answers, load_dataset
from objectives.errors import DataError
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
        "train.csv column Usage: dropped; the rows say Training: 40",
    )


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("1 2 3", "3 numbers in the cell, but row 1 has 16"),
        ("[1 2 ... 3 4]", "5 numbers in the cell, but row 1 has 16; NumPy has shortened it"),
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


def written(tmp_path: Path, train: str, test: str, **more: str) -> Path:
    """Write a train and a test file, and perhaps others by their stem."""
    put(tmp_path, train, test)
    for stem, content in more.items():
        (tmp_path / f"{stem}.csv").write_text(content)
    return tmp_path


TRAIN, TEST = csv_text(TRAIN_HEADER, TRAIN_ROWS), csv_text(PIXELS, TEST_ROWS)
WITH_ID = csv_text(None, [[n + 100, *row] for n, row in enumerate(TEST_ROWS)])
SAMPLE_TURNED = csv_text(["id", "label"], [[107 - n, 0] for n in range(N_TEST)])
LABEL_LAST = csv_text(None, [[*row, n % 4] for n, row in enumerate(TEST_ROWS)])


@pytest.mark.parametrize(
    ("train", "test", "more"),
    [
        (TRAIN, WITH_ID, {"sample_submission": SAMPLE_TURNED}),
        (csv_text(None, TRAIN_ROWS), WITH_ID, {}),
        (TRAIN, LABEL_LAST, {}),
        (csv_text(None, TRAIN_ROWS), LABEL_LAST, {}),
    ],
    ids=["id first", "id first, both headless", "label last", "label last, both headless"],
)
def test_column_without_a_name_that_may_be_anything_is_refused(
    tmp_path: Path, cache: Path, train: str, test: str, more: dict[str, str]
) -> None:
    """An id is never taken for a label, nor a pixel for either."""
    with pytest.raises(DataError, match=r"^test\.csv: 17 columns without names, but 16 pixels"):
        load_dataset(written(tmp_path, train, test, **more))


def test_labels_of_a_headless_test_file_are_answers_where_train_is_alike(
    tmp_path: Path, cache: Path
) -> None:
    """The column in the place of train's label holds train's labels and nothing else."""
    test = csv_text(None, [[n, *row] for n, row in zip(ANSWERS, TEST_ROWS, strict=True)])
    found = load_answers(written(tmp_path, csv_text(None, TRAIN_ROWS), test))
    assert found is not None
    assert list(found.labels.values()) == ANSWERS


@pytest.mark.parametrize(
    "labels",
    [[*([n % 4 for n in range(36)]), *[9] * 4], [n % 120 for n in range(600)]],
    ids=["a rare class", "120 classes"],
)
def test_corner_pixel_is_never_the_label(tmp_path: Path, cache: Path, labels: list[int]) -> None:
    """Where the first column nearly looks like labels, and the last one does, none is taken."""
    rows = [[label, *TRAIN_ROWS[n % 40][1:-1], n % 2] for n, label in enumerate(labels)]
    with pytest.raises(DataError, match="whether it is the first or the last is not clear"):
        load_dataset(written(tmp_path, csv_text(None, rows), csv_text(None, TEST_ROWS)))


@pytest.mark.parametrize(
    ("values", "sample", "expected"),
    [
        (range(8), "ImageId", [str(n) for n in range(1, 9)]),
        ([f"{n}.png" for n in "hgfedcba"], None, [f"{n}.png" for n in "hgfedcba"]),
        ([8, 7, 6, 5, 4, 3, 2, 1], "Index", [str(n) for n in range(1, 9)]),
        ([8, 7, 6, 5, 4, 3, 2, 1], "ImageId", None),
    ],
    ids=["counted", "file names", "named in the sample", "the sample's ids, otherwise named"],
)
def test_index_is_told_from_an_id_by_its_values(
    tmp_path: Path,
    cache: Path,
    values: list[object],
    sample: str | None,
    expected: list[str] | None,
) -> None:
    """What cannot be told is refused."""
    test = csv_text(["index", *PIXELS], [[v, *r] for v, r in zip(values, TEST_ROWS, strict=True)])
    more = {}
    if sample is not None:
        more["sample_submission"] = csv_text([sample, "Label"], [[n, 0] for n in range(1, 9)])
    written(tmp_path, TRAIN, test, **more)
    if expected is None:
        with pytest.raises(DataError, match="holds the ids of the sample submission in another"):
            load_dataset(tmp_path)
        return
    dataset = load_dataset(tmp_path)
    assert list(dataset.test_ids) == expected
    is_turned = sample == "Index"
    rows = TEST_IMAGES[::-1] if is_turned else TEST_IMAGES
    assert dataset.test_images.reshape(N_TEST, -1).tolist() == rows.tolist()


def test_what_train_alone_has_is_dropped_and_said(tmp_path: Path, cache: Path) -> None:
    """A fold, a writer: neither a pixel nor the label, and of no use for test."""
    rows = [[f"w{n}", *row] for n, row in enumerate(TRAIN_ROWS)]
    written(tmp_path, csv_text(["writer", *TRAIN_HEADER], rows), TEST)
    assert load_dataset(tmp_path).warnings == (
        "train.csv column writer: dropped; it is neither a pixel nor the label, label",
    )


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["?"] * 8, "? is not a label of train.csv"),
        ([""] * 8, "`study score` cannot use it"),
        ([2] * 8, "every row has one label, so it holds no answers"),
    ],
)
def test_labels_of_test_that_are_no_answers_are_said(
    tmp_path: Path, cache: Path, labels: list[object], said: str
) -> None:
    """A column that was left for the labels to come."""
    test = csv_text(TRAIN_HEADER, [[v, *r] for v, r in zip(labels, TEST_ROWS, strict=True)])
    assert said in "\n".join(load_dataset(written(tmp_path, TRAIN, test)).warnings)


def test_numbers_among_text_stay_as_they_are_written(tmp_path: Path, cache: Path) -> None:
    """`0e1` and `0e2` are two codes, not the number 0."""
    codes = ["0e1", "0e2", "aa", "NA"]
    rows = [[codes[int(str(row[0]))], *row[1:]] for row in TRAIN_ROWS]
    dataset = load_dataset(written(tmp_path, csv_text(TRAIN_HEADER, rows), TEST))
    assert dataset.classes == ("0e1", "0e2", "NA", "aa")
    assert dataset.warnings == (
        "train.csv column label: NA is taken for a class; is it a missing value?",
    )


def test_file_that_may_be_the_sample_is_named(tmp_path: Path, cache: Path) -> None:
    """Its ids would be others than those that are counted."""
    written(tmp_path, TRAIN, TEST, submission="id,label\n0,1\n")
    assert load_dataset(tmp_path).warnings == (
        "submission.csv is not read; if it is the sample, call it sample_submission.csv",
    )


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("emotion,pixels\n1,2,3 4 5 6\n", TEST),
        (csv_text([*PIXELS, "what", "source"], [row[1:] for row in TRAIN_ROWS]), TEST),
        (csv_text(["label", *PIXELS[:-1], f"pixel{'9' * 5000}"], TRAIN_ROWS), TEST),
    ],
    ids=["row names", "short rows", "a long number"],
)
def test_malformed_first_lines_are_one_line(
    tmp_path: Path, cache: Path, train: str, test: str
) -> None:
    """The first row is looked at before it is known to be whole."""
    with pytest.raises(DataError) as refused:
        load_dataset(written(tmp_path, train, test))
    assert len(str(refused.value).splitlines()) == 1
