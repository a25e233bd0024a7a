"""`study from-images`: sound files from folders of images of any size and colour, in one order."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from objectives.errors import DataError
from objectives.imagefolder import read_image_folder
from objectives.kaggle import check_data
from study.fetching import from_images_command
from study.png import encode_png


def encode(image: Any, kind: str = "png") -> bytes:
    """Return the bytes of an image file; `image` is uint8 of shape (h, w, channels)."""
    import tensorflow as tf

    made: bytes = getattr(tf.io, f"encode_{kind}")(np.asarray(image, np.uint8)).numpy()
    return made


def flat(value: int | list[int], height: int = 8, width: int = 8) -> Any:
    """Return an image of one colour."""
    channels = [value] if isinstance(value, int) else value
    return np.full((height, width, len(channels)), channels, np.uint8)


def folder_of(root: Path, files: dict[str, bytes]) -> Path:
    """Write files below `root`."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the parsed files out of the user's cache."""
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))


def test_class_folders_become_sound_files(tmp_path: Path, cache: None) -> None:
    """Names are labels and ids, numbers in them count by value; strangers' files are left out."""
    files = {f"train/{name}/{n}.png": encode_png(np.full((8, 8), n, np.uint8)) for n in range(12)
             for name in ("cat", "dog, wild")}  # fmt: skip
    files |= {f"test/{n}.png": encode_png(np.full((8, 8), 100 + n, np.uint8)) for n in (10, 9)}
    files |= {"train/cat/.DS_Store": b"x", "train/cat/notes.txt": b"x", "train/empty/x.txt": b""}
    root = folder_of(tmp_path / "pets", files)
    data = tmp_path / "csv"
    assert from_images_command(root, data=data, side=8) == 0
    report = check_data(data)
    assert (report.n_train, report.n_test, report.side) == (24, 2, 8)
    assert report.class_counts == {"cat": 12, "dog, wild": 12}
    sample = (data / "sample_submission.csv").read_text().splitlines()
    assert sample == ["ImageId,Label", "9.png,cat", "10.png,cat"]
    rows = (data / "train.csv").read_text().splitlines()[1:]
    assert [row.split(",")[-1] for row in rows[:12]] == [str(n) for n in range(12)]
    before = (data / "train.csv").stat().st_ino
    from_images_command(root, data=data, side=8)
    assert (data / "train.csv").stat().st_ino == before
    assert not (tmp_path / "csv-answers.csv").exists()


def test_without_test_images_a_fifth_is_held_back(tmp_path: Path, cache: None) -> None:
    """Of each class, the same each time; its labels are the answers."""
    files = {f"{name}/{n}.png": encode_png(np.full((4, 4), n, np.uint8)) for n in range(20)
             for name in ("a", "b")}  # fmt: skip
    root = folder_of(tmp_path / "images", files)
    from_images_command(root, data=tmp_path / "csv", side=4)
    report = check_data(tmp_path / "csv")
    assert (report.n_train, report.n_test) == (32, 8)
    answers = (tmp_path / "csv-answers.csv").read_text().splitlines()[1:]
    assert [answer.split(",")[1] for answer in answers] == ["a"] * 4 + ["b"] * 4
    assert all(answer.split("/")[0] == answer[-1] for answer in answers)
    first, second = (read_image_folder(root, 4) for _ in range(2))
    assert first.test_ids == second.test_ids
    assert np.array_equal(first.images, second.images)
    assert "8 labelled images are the test images" in first.notes[0]


def test_any_colour_and_size_becomes_a_grey_square(tmp_path: Path) -> None:
    """By brightness; what is transparent lies on white; what is not square is stretched."""
    files = {
        "train/a/1.png": encode(flat([255, 0, 0])),
        "train/a/2.png": encode(flat([0, 0, 0, 0])),
        "train/a/3.png": encode(flat([0, 128])),
        "train/a/4.jpg": encode(flat([90, 90, 90], 31, 17), "jpeg"),
        "train/b/1.PNG": encode(flat(7, 56, 56)),
        "test/1.png": encode(flat(9)),
    }
    found = read_image_folder(folder_of(tmp_path / "x", files), 28)
    assert found.images.shape == (5, 28, 28)
    assert found.labels == ["a"] * 4 + ["b"]
    values = [int(image[14, 14]) for image in found.images]
    assert values[:3] == [76, 255, 127]
    assert abs(values[3] - 90) <= 1
    assert values[4] == 7
    assert found.notes == (
        f"{tmp_path}/x/train/a/4.jpg: not square, so stretched, as 1 of 6 images",
    )
    assert found.answers is None


def test_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    """With how many more there are; nothing is written."""
    good = encode_png(np.zeros((4, 4), np.uint8))
    files = {"a/1.png": good, "a/2.png": b"text", "a/3.png": good[:40], "b/1.png": good}
    root = folder_of(tmp_path / "x", files)
    with pytest.raises(DataError, match=r"a/2\.png: no PNG.*; 1 more cannot be read \(.*a/3\.png"):
        from_images_command(root, data=tmp_path / "csv", side=4)
    assert not (tmp_path / "csv").exists()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"1.png": b"x"}, "no folders with images"),
        ({"a/readme.txt": b"x"}, "no folders with images"),
        ({"test/1.png": b"x"}, "no folders with images"),
        ({"train/a/1.png": b"x", "test/x.txt": b""}, "test: no images in it"),
    ],
)
def test_folder_without_classes_is_refused(
    tmp_path: Path, files: dict[str, bytes], message: str
) -> None:
    """By its name, with what is expected."""
    with pytest.raises(DataError, match=message):
        read_image_folder(folder_of(tmp_path / "x", files), 4)
    with pytest.raises(DataError, match=r"nowhere: cannot be read: No such file"):
        read_image_folder(tmp_path / "nowhere", 4)
