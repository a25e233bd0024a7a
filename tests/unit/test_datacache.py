"""Data is parsed once however many ask for it, and a cache that is damaged is made anew."""

import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from objectives import datacache
from objectives.competition import Competition, read_competition
from objectives.datafolder import Files
from objectives.errors import DataError
from objectives.kaggle import check_data, load_dataset
from tests.unit.competition import SIDE, edit, write


@pytest.fixture
def parses(monkeypatch: pytest.MonkeyPatch) -> list[Files]:
    """Return the list to which each parse of the CSVs is added."""
    calls: list[Files] = []

    def counted(files: Files) -> Competition:
        calls.append(files)
        return read_competition(files)

    monkeypatch.setattr("objectives.kaggle.read_competition", counted)
    return calls


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
        edit(files.test.path, 1, ",".join("1" * SIDE**2))
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
