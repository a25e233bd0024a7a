"""Classes may be numbers or text; what looks like a mistake among them is refused by row."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from objectives.data.csv.check import label_value
from objectives.data.csv.table import odd_classes, read_classes
from objectives.data.dataset import check_data, load_dataset
from objectives.errors import DataError
from tests.unit.changes import SAMPLE, TEST, TRAIN, text

TRAIN_CSV = Path("train.csv")
# Of the files of `changes.py`, whose labels are integers: it is stored with every study.
FINGERPRINT = "65f8f888b6fbdf910c5176ea4cea8bc4bfc7837832344f4f151386cbb15f28b0"


def classes_of(labels: Sequence[int | str], n_rows: int = 5) -> tuple[str, ...]:
    """Return the classes of labels that stand there `n_rows` times each, in turn."""
    classes, indexes = read_classes(TRAIN_CSV, "label", [*labels] * n_rows)
    assert indexes.dtype == np.int64
    assert [classes[n] for n in indexes] == [str(label) for label in labels] * n_rows
    return classes


def write(folder: Path, labels: Sequence[str]) -> Path:
    """Write the competition of `changes.py` with these labels."""
    folder.mkdir()
    rows = [f"{name},{row.partition(',')[2]}" for name, row in zip(labels, TRAIN[1:], strict=True)]
    for name, lines in (
        ("train", [TRAIN[0], *rows]),
        ("test", TEST),
        ("sample_submission", SAMPLE),
    ):
        (folder / f"{name}.csv").write_text(text(lines))
    return folder


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([10, 9, 2], ("2", "9", "10")),
        ([40, 4], ("4", "40")),
        (["b", "a", "B"], ("B", "a", "b")),
        (["zwölf", "Größe", "zehn"], ("Größe", "zehn", "zwölf")),
        (["a", "b", "c", 10, 9], ("10", "9", "a", "b", "c")),
        (["a", 7], ("7", "a")),
    ],
    ids=["numbers", "two", "text", "not ASCII", "mixed", "half and half"],
)
def test_numbers_rise_and_text_is_sorted(
    labels: Sequence[int | str], expected: tuple[str, ...]
) -> None:
    """Where one class is text all are, and their order is that of text."""
    assert classes_of(labels) == expected


@pytest.mark.parametrize(
    ("labels", "row"),
    [
        ([*range(10), "?"] * 5, 11),
        ([0, 1, "n/a"] * 20, 3),
        (["a", "b", "c", *[7] * 20] * 5, 1),
    ],
    ids=["most classes", "missing values", "most rows"],
)
def test_text_that_is_the_exception_is_refused(labels: list[int | str], row: int) -> None:
    """Its first row is named, and the hint says what to do if it is meant."""
    with pytest.raises(DataError) as caught:
        read_classes(TRAIN_CSV, "label", labels)
    word = labels[row - 1]
    assert str(caught.value) == f"train.csv row {row}, column label: {word!r} is not a number"
    assert "labels are numbers" in str(caught.value.hint)


@pytest.mark.parametrize("label", ["cat", 7])
def test_one_class_is_refused(label: int | str) -> None:
    """Text is quoted in the message, a number is not."""
    with pytest.raises(DataError, match=f"every row holds {label!r}; at least 2 classes"):
        classes_of([label])


def test_class_with_few_rows_is_named_at_its_first() -> None:
    """A spelling mistake looks like that."""
    with pytest.raises(DataError) as caught:
        read_classes(TRAIN_CSV, "label", ["cat", "dog", "cta", *["cat", "dog"] * 5])
    message = "train.csv row 3, column label: class 'cta' has rows: 1; at least 5 are needed"
    assert str(caught.value) == message


def test_odd_classes_are_warned_of() -> None:
    """Letters and digits may be what was meant; `study check` says what was made of it."""
    assert odd_classes(TRAIN_CSV, "label", [1, 2, 1]) == []
    assert odd_classes(TRAIN_CSV, "label", ["a", "b"]) == []
    assert odd_classes(TRAIN_CSV, "label", ["a", "b", 1, "a"]) == [
        "train.csv column label: 1 of 3 classes are numbers; all are taken as text"
    ]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (b" 07 ", 7),
        (b"3.0", 3),
        (b"-1", -1),
        (b" T-shirt/top ", "T-shirt/top"),
        ("Größe".encode(), "Größe"),
        (b"1st", "1st"),
        (b"-", "-"),
        ("٣".encode(), "٣"),
    ],
)
def test_label_is_a_number_or_its_text(cell: bytes, expected: int | str) -> None:
    """Blanks around it do not count."""
    assert label_value(cell) == expected


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        (b"  ", "the label is missing"),
        (b"nan", "'nan' is not a finite number"),
        (b"0.5", "'0.5' is not a whole number"),
        (b"\xff", r"b'\\xff' is not UTF-8"),
        (b"a\0b", r"'a\\x00b' holds a NUL byte"),
        ("cat\u200b".encode(), r"'cat\\u200b' is not printable"),
        ("\u00a0".encode(), r"'\\xa0' is not printable"),
    ],
)
def test_what_is_no_label_is_refused(cell: bytes, reason: str) -> None:
    """Whatever the other labels are: a number that is no class, or what nobody can read."""
    with pytest.raises(ValueError, match=f"^{reason}$"):
        label_value(cell)


def test_fingerprint_of_numbers_is_that_of_every_release(tmp_path: Path, cache: Path) -> None:
    """A stored study finds its data again; other classes are other data."""
    numbers = [line.partition(",")[0] for line in TRAIN[1:]]
    assert load_dataset(write(tmp_path / "numbers", numbers)).fingerprint == FINGERPRINT
    words = [{"3": "three", "7": "seven"}[name] for name in numbers]
    assert load_dataset(write(tmp_path / "words", words)).fingerprint != FINGERPRINT


def test_text_goes_from_the_file_to_the_report(tmp_path: Path, cache: Path) -> None:
    """Quoted, with a comma, not ASCII; read again from the cache it is the same."""
    labels = ['"coat, long"', "Größe"] * 5
    folder = write(tmp_path / "words", labels)
    for _ in range(2):
        dataset = load_dataset(folder)
        assert dataset.classes == ("Größe", "coat, long")
        assert dataset.labels.tolist() == [1, 0] * 5
    assert check_data(folder).class_counts == {"Größe": 5, "coat, long": 5}


def test_same_image_with_other_text_is_warned_of(tmp_path: Path, cache: Path) -> None:
    """As with numbers."""
    folder = write(tmp_path / "words", ["cat", "dog"] * 5)
    lines = (folder / "train.csv").read_text().splitlines()
    lines[2] = "dog," + lines[1].partition(",")[2]
    (folder / "train.csv").write_text(text(lines))
    warnings = [
        line for line in check_data(folder).warnings if "image of" in line or "equal" in line
    ]
    assert warnings == [
        "train.csv: 1 of 10 images are equal to an earlier one; copies are never on two sides of a "
        "split, and the expected score counts them once",
        "train.csv row 2: the image of row 1 with another label (dog, not cat), as in 1 rows in "
        "all",
    ]
