"""`study fetch demo` and `mnist`: the same sound files each time, and no file of a user is lost."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from objectives.data import write
from objectives.data.dataset import check_data
from objectives.data.digits import bundled_digits, deal, mnist
from objectives.data.write import put_files, write_pictures
from objectives.errors import DataError, FileError
from study.cli.data import fetch_command


def fake_keras(monkeypatch: pytest.MonkeyPatch, load_data: Any) -> None:
    """Let `keras.datasets.mnist` load what the test has; nothing else of Keras is there."""
    keras, datasets, found = map(ModuleType, ("keras", "keras.datasets", "keras.datasets.mnist"))
    found.load_data = load_data  # type: ignore[attr-defined]
    datasets.mnist = found  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keras", keras)
    monkeypatch.setitem(sys.modules, "keras.datasets", datasets)


def drawn(n: int) -> tuple[Any, Any]:
    """Return n images, all different, and labels 0 to 9 in turn."""
    images = np.random.Generator(np.random.Philox(n)).integers(0, 256, (n, 28, 28), dtype=np.uint8)
    return images, np.arange(n, dtype=np.uint8) % 10


def lines(path: Path) -> list[str]:
    """Return a file's lines."""
    return path.read_text().splitlines()


def test_mnist_is_split_as_kaggle_does(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """60 % labelled, ids from 1, the answers beside the folder and not in it; sound, and stable."""
    fake_keras(monkeypatch, lambda: (drawn(120), drawn(80)))
    folder = tmp_path / "digits"
    assert fetch_command("mnist", data=folder) == 0
    names = ["sample_submission.csv", "test.csv", "train.csv"]
    assert sorted(path.name for path in folder.iterdir()) == names
    report = check_data(folder)
    assert (report.n_train, report.n_test, report.side) == (120, 80, 28)
    assert report.columns == ("ImageId", "Label")
    answers = lines(tmp_path / "digits-answers.csv")
    assert answers[0] == "ImageId,Label"
    assert [line.split(",")[0] for line in answers[1:]] == [str(n) for n in range(1, 81)]
    pictures = mnist()
    assert answers[80] == f"80,{pictures.answers[79]}"  # type: ignore[index]
    row = [str(pixel) for pixel in pictures.test_images[79].ravel()]
    assert lines(folder / "test.csv")[80].split(",") == row


def test_real_sizes_are_those_of_kaggle() -> None:
    """42,000 and 28,000 of 70,000, each image once, in an order that is always the same."""
    images = np.arange(70_000, dtype=np.uint32).reshape(-1, 1, 1)
    found = deal(images, np.zeros(70_000, np.uint8))  # type: ignore[arg-type]
    assert (len(found.images), len(found.test_images)) == (42_000, 28_000)
    dealt = np.concatenate([found.images, found.test_images]).ravel()
    assert np.array_equal(np.sort(dealt), images.ravel())
    assert dealt[:3].tolist() == [25473, 11264, 8571]


def test_offline_machine_gets_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With what Keras said, where the file may be put, and what needs no network."""

    def refuses() -> Any:
        raise Exception("URL fetch failure on ...: None -- Name or service not known\nmore")

    fake_keras(monkeypatch, refuses)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    with pytest.raises(DataError, match=r"^mnist: Keras cannot get it: URL .* not known$") as found:
        fetch_command("mnist", data=tmp_path / "digits")
    assert str(tmp_path / "keras" / "datasets") in str(found.value.hint)
    assert "study fetch demo" in str(found.value.hint)
    assert list(tmp_path.iterdir()) == []


def test_missing_scikit_learn_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is needed for the demo's digits alone."""
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(DataError, match="scikit-learn, which is not installed"):
        bundled_digits()


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    """The same content stays untouched; other content is refused, and only then replaced."""
    pytest.importorskip("sklearn")
    folder = tmp_path / "demo"
    fetch_command("demo", data=folder)
    paths = [*sorted(folder.iterdir()), tmp_path / "demo-answers.csv"]
    before = {path: path.stat().st_ino for path in paths}
    fetch_command("demo", data=folder)
    assert {path: path.stat().st_ino for path in paths} == before
    (folder / "test.csv").write_text("mine")
    (folder / "train.csv").unlink()
    with pytest.raises(DataError, match=r"test\.csv exists already, with other content"):
        fetch_command("demo", data=folder)
    assert (folder / "test.csv").read_text() == "mine"
    assert not (folder / "train.csv").exists()  # all or none
    fetch_command("demo", data=folder, overwrite=True)
    assert {*folder.iterdir(), tmp_path / "demo-answers.csv"} == set(paths)
    assert check_data(folder).n_test == 360


def test_packed_twin_is_in_the_way(tmp_path: Path) -> None:
    """train.csv beside train.csv.gz would be refused by every command that reads the folder."""
    (tmp_path / "train.csv.gz").write_bytes(b"x")
    with pytest.raises(DataError, match=r"train\.csv\.gz exists already"):
        put_files({tmp_path / "train.csv": lambda path: path.touch()}, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["train.csv.gz"]


def test_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk in the second file: neither it nor the first is there, and one line says so."""

    def full(path: Path) -> None:
        path.write_text("half")
        raise OSError(28, "No space left on device")

    def whole(path: Path) -> None:
        path.write_text("whole")

    writers = {tmp_path / "train.csv": whole, tmp_path / "test.csv": full}
    with pytest.raises(DataError, match=r"cannot write .*test\.csv: No space left on device"):
        put_files(writers, overwrite=True)
    assert list(tmp_path.iterdir()) == []


def test_file_in_the_folders_place_is_named(tmp_path: Path) -> None:
    """One line that names the option."""
    pytest.importorskip("sklearn")
    (tmp_path / "demo").write_text("a file")
    with pytest.raises(FileError, match="--data"):
        fetch_command("demo", data=tmp_path / "demo")


def test_labels_with_commas_are_quoted(tmp_path: Path) -> None:
    """What a label holds does not become a column."""
    images, _ = drawn(2)
    pictures = write.Pictures(images, ['a,"b"', "c"], images, ["1", "2"])
    write_pictures(pictures, tmp_path, None, overwrite=False)
    assert lines(tmp_path / "train.csv")[1].startswith('"a,""b""",')
    assert lines(tmp_path / "sample_submission.csv") == [
        "ImageId,Label",
        '1,"a,""b"""',
        '2,"a,""b"""',
    ]
