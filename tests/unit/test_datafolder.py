"""Which files of a folder are train, test and sample, and what is said where they are not there."""

import zipfile
from pathlib import Path

import pytest

from objectives.data.csv.folder import find_files
from objectives.errors import DataError


def names_in(folder: Path, *names: str) -> tuple[str, ...]:
    """Write files with these names, each with content of its own, and return what is found."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"label,{name}\n")
    return tuple(file.name for file in find_files(folder).present())


@pytest.mark.parametrize(
    "names",
    [
        ("train.csv", "test.csv", "sample_submission.csv"),
        ("train.csv", "test.csv", "sampleSubmission.csv"),
        ("train.csv", "test.csv", "SampleSubmission.csv"),
        ("train.csv", "test.csv", "sample-submission.csv.gz"),
        ("train.csv", "test.csv", "digits_sample_submission.csv"),
        ("mnist_train.csv", "mnist_test.csv"),
        ("emnist-letters-train.csv", "emnist-letters-test.csv"),
        ("Training.csv", "Testing.csv"),
        ("train_images.csv", "test_images.csv"),
        ("train.csv.gz", "TEST.CSV"),
    ],
)
def test_files_are_found_by_the_names_that_people_give_them(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    """In any case, with a name in front, packed or not."""
    assert names_in(tmp_path, *names) == names


def test_other_files_are_named(tmp_path: Path) -> None:
    """A file of labels or of answers is none to learn from."""
    names_in(
        tmp_path, "train.csv", "test.csv", "train_labels.csv", "notes.txt", "old_submission.csv"
    )
    assert find_files(tmp_path).unread == ("old_submission.csv", "train_labels.csv")


@pytest.mark.parametrize(
    "names",
    [
        ("train.csv", "mnist_train.csv", "test.csv"),
        ("a_train.csv", "b_train.csv", "test.csv"),
        ("train.csv", "test.csv", "fashion_test.csv"),
        ("train.csv", "test.csv", "sampleSubmission.csv", "sample_submission.csv"),
        ("train_a.csv", "train_b.csv", "test.csv"),
    ],
)
def test_several_candidates_are_named_and_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    """No guess: each candidate stands in the message."""
    with pytest.raises(DataError, match="are both there, and which one counts is unclear"):
        names_in(tmp_path, *names)


def test_copies_of_one_file_are_one_candidate(tmp_path: Path) -> None:
    """An archive that was unpacked beside itself; but not where the contents differ."""
    names_in(tmp_path, "train.csv", "test.csv")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.write(tmp_path / "train.csv", "data/train.csv")
        archive.write(tmp_path / "test.csv", "data/test.csv")
        archive.writestr("__MACOSX/data/._train.csv", "x")
    assert [file.name for file in find_files(tmp_path).present()] == ["train.csv", "test.csv"]
    assert find_files(tmp_path).unread == ()
    (tmp_path / "train.csv").write_text("label,pixel0\n")
    with pytest.raises(DataError, match=r"train\.csv, data/train\.csv in all\.zip are both there"):
        find_files(tmp_path)


@pytest.mark.parametrize(
    ("names", "hint"),
    [
        (("digits/train.csv", "digits/test.csv"), "--data {dir}/digits"),
        (("train/cat/1.png", "train/dog/2.png"), "study from-images {dir}"),
        (("cat/1.png", "dog/2.png"), "study from-images {dir}"),
        (("data.csv",), "call data.csv train.csv"),
        (("train.csv",), "put the images to predict into test.csv"),
        (("train-images-idx3-ubyte", "train-labels-idx1-ubyte"), "study fetch mnist"),
        ((), "--data DIR, a folder with"),
    ],
)
def test_hint_fits_what_is_there_instead(tmp_path: Path, names: tuple[str, ...], hint: str) -> None:
    """A folder one level up, a folder of images, one file, MNIST's own format."""
    with pytest.raises(DataError) as refused:
        names_in(tmp_path, *names)
    assert str(refused.value.hint).startswith(hint.replace("{dir}", str(tmp_path)))


def test_encrypted_archive_is_one_line(tmp_path: Path) -> None:
    """The flag of an encrypted member is set in a sound archive."""
    for name in ("train", "test"):
        path = tmp_path / f"{name}.csv.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(f"{name}.csv", "label,pixel0\n1,2\n")
        raw = bytearray(path.read_bytes())
        raw[6] |= 1
        raw[raw.index(b"PK\x01\x02") + 8] |= 1
        path.write_bytes(raw)
    from objectives.data.dataset import load_dataset

    with pytest.raises(DataError, match="encrypted with a password") as refused:
        load_dataset(tmp_path)
    assert refused.value.hint == "unzip it"
