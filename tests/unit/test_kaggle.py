"""A folder of CSVs becomes a split, memory-mapped dataset, parsed once however many ask for it."""

import builtins
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from objectives import datacache
from objectives.competition import Competition, Files, read_competition
from objectives.errors import DataError
from objectives.kaggle import check_data, load_dataset, valid_rows

SIDE = 3
N_TRAIN, N_TEST = 60, 7
EXPECTED_ROWS = [4, 10, 27, 39, 42, 53]  # of the labels and the fingerprint in the test


def write(folder: Path, *, first_pixel: int = 0, test_id: str | None = None) -> Path:
    """Write three classes (0, 5, 10) of random 3x3 images, and a sample_submission."""
    random = np.random.default_rng(1)
    pixels = [f"pixel{n}" for n in range(first_pixel, first_pixel + SIDE**2)]
    train = [["label", *pixels]]
    for row in range(N_TRAIN):
        train.append([str(row % 3 * 5), *map(str, random.integers(0, 256, SIDE**2))])
    test = [[*([test_id] if test_id else []), *pixels]]
    for row in range(N_TEST):
        ids = [f"t{row}"] if test_id else []
        test.append([*ids, *map(str, random.integers(0, 256, SIDE**2))])
    sample = [[test_id or "ImageId", "answer"]]
    sample += [[f"t{row}" if test_id else str(row + 1), "0"] for row in range(N_TEST)]
    folder.mkdir()
    for name, rows in (("train", train), ("test", test), ("sample_submission", sample)):
        (folder / f"{name}.csv").write_text("".join(",".join(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the cache folder, which is not there yet."""
    root = tmp_path / "cache"
    monkeypatch.setenv("STUDY_CACHE", str(root))
    return root


@pytest.fixture
def folder(tmp_path: Path, cache: Path) -> Path:
    """Return a folder with a sound competition."""
    return write(tmp_path / "data")


@pytest.fixture
def parses(monkeypatch: pytest.MonkeyPatch) -> list[Files]:
    """Return the list to which each parse of the CSVs is added."""
    calls: list[Files] = []

    def counted(files: Files) -> Competition:
        calls.append(files)
        return read_competition(files)

    monkeypatch.setattr("objectives.kaggle.read_competition", counted)
    return calls


def edit(path: Path, row: int, new: str) -> None:
    """Replace one line of a file; 0 is the header."""
    lines = path.read_text().splitlines()
    lines[row] = new
    path.write_text("\n".join(lines) + "\n")


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
    names = ["train.csv", "test.csv", "sample_submission.csv"]
    assert [path.name for path in report.files] == names
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
        "train.csv row 5: the image of row 3 with another label (5, not 0), as in 1 rows in all",
        "test.csv row 2: the image of train.csv row 3, as in 1 rows in all",
    ]
    assert list(load_dataset(folder).warnings) == check_data(folder).warnings


def test_files_are_parsed_once(folder: Path, parses: list[Files]) -> None:
    """The second load, and the check, map what the first wrote."""
    first = load_dataset(folder)
    second = load_dataset(folder)
    check_data(folder)
    assert len(parses) == 1
    assert second.fingerprint == first.fingerprint
    assert np.array_equal(second.images, first.images)
    assert second.valid.rows.tolist() == first.valid.rows.tolist()


def test_changed_file_is_parsed_again(folder: Path, parses: list[Files]) -> None:
    """The cache is keyed by content: another byte, another dataset."""
    first = load_dataset(folder)
    edit(folder / "test.csv", 1, ",".join("1" * SIDE**2))
    assert load_dataset(folder).fingerprint != first.fingerprint
    assert len(parses) == 2


def test_many_at_once_parse_once(folder: Path, parses: list[Files], cache: Path) -> None:
    """Eight that start together get one dataset, from one parse, and leave nothing else behind."""
    start = threading.Barrier(8)

    def load() -> str:
        start.wait(timeout=30)
        return load_dataset(folder).fingerprint

    with ThreadPoolExecutor(8) as pool:
        found = {future.result(30) for future in [pool.submit(load) for _ in range(8)]}
    assert len(found) == len(parses) == len(list(cache.iterdir())) == 1


def test_many_at_once_need_no_lock(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where files cannot be locked all of them parse, and the cache is whole none the less."""
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(load_dataset, folder) for _ in range(8)]
        found = {future.result(30).fingerprint for future in futures}
    assert len(found) == len(list(cache.iterdir())) == 1


def flip(path: Path) -> None:
    """Change the last byte of a file."""
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)


@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "test_images.npy", "facts.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "remove"])
def test_damaged_cache_is_rebuilt(
    folder: Path, cache: Path, parses: list[Files], name: str, damage: str
) -> None:
    """Whatever happens to a cached file, the dataset is that of the CSVs."""
    first = load_dataset(folder)
    expected = first.images.tolist()
    (path,) = cache.glob(f"*/{name}")
    path = Path(shutil.copy(path, path.with_name("copy")))  # the mapped file itself stays as it is
    if damage == "flip":
        flip(path)
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-3])
    elif damage == "empty":
        path.write_bytes(b"")
    os.replace(path, path.with_name(name))
    if damage == "remove":
        path.with_name(name).unlink()
    second = load_dataset(folder)
    assert second.fingerprint == first.fingerprint
    assert second.images.tolist() == first.images.tolist() == expected
    assert len(parses) == 2
    load_dataset(folder)
    assert len(parses) == 2
    assert len(list(cache.iterdir())) == 1


def test_leftovers_of_killed_processes_are_removed(folder: Path, cache: Path) -> None:
    """An unfinished folder goes after a day, and not before: its process may be at work."""
    old, new = cache / ".new-old", cache / ".new-new"
    for path in (old, new):
        path.mkdir(parents=True)
    os.utime(old, (0, 0))
    load_dataset(folder)
    assert not old.exists()
    assert new.exists()


def test_unwritable_cache_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache folder that cannot be made is an error that says how to choose another."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "file" / "cache"))
    folder = write(tmp_path / "data")
    with pytest.raises(DataError, match=r"cannot write the cache folder .*cache") as caught:
        load_dataset(folder)
    assert "STUDY_CACHE" in str(caught.value.hint)


def test_file_that_changes_while_it_is_read_is_refused(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was parsed is never stored under the key of other bytes."""

    def changing(files: Files) -> Competition:
        found = read_competition(files)
        edit(files.test, 1, ",".join("1" * SIDE**2))
        return found

    monkeypatch.setattr("objectives.kaggle.read_competition", changing)
    with pytest.raises(DataError, match="changed while they were read"):
        load_dataset(folder)
    assert not cache.exists()


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"STUDY_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/slot-study"),
        ({}, "/c/.cache/slot-study"),
    ],
)
def test_cache_root(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str
) -> None:
    """Our own variable comes first, then the system's, then the home folder."""
    for name in ("STUDY_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/c")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert datacache.cache_root() == Path(expected)


def test_data_needs_neither_pandas_nor_keras(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that reads data pays for NumPy alone."""
    real = builtins.__import__

    def watched(name: str, *args: object, **options: object) -> object:
        assert name.split(".")[0] not in {"pandas", "keras", "tensorflow", "sklearn"}
        return real(name, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", watched)
    load_dataset(folder)
    load_dataset(folder)
