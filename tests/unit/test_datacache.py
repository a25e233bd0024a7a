"""Data is parsed once however many ask for it, and a cache that is damaged is made anew."""

import json
import os
import shutil
import threading
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from objectives.data import cache as datacache
from objectives.data import dataset
from objectives.data.csv.competition import Competition, read_competition
from objectives.data.csv.folder import Files
from objectives.data.dataset import check_data, load_dataset
from objectives.errors import DataError
from objectives.files.filelock import Locker
from tests.unit.competition import SIDE, edit, write


@pytest.fixture
def parses(monkeypatch: pytest.MonkeyPatch) -> list[Files]:
    """Return the list to which each parse of the CSVs is added."""
    calls: list[Files] = []

    def counted(files: Files) -> Competition:
        calls.append(files)
        return read_competition(files)

    monkeypatch.setattr("objectives.data.dataset.read_competition", counted)
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

    monkeypatch.setattr("objectives.data.dataset.read_competition", changing)
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


def rewrite(cache: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the facts of the one folder in the cache, checksum and all."""
    (path,) = cache.glob("*/facts.json")
    facts = json.loads(path.read_text().partition("\n")[2])
    changed = change(facts)
    body = changed if isinstance(changed, str) else json.dumps(facts)
    path.write_text(f"{zlib.crc32(body.encode())}\n{body}")


def with_array(cache: Path, name: str, array: NDArray[Any]) -> None:
    (path,) = cache.glob(f"*/{name}.npy")
    np.save(path, array, allow_pickle=True)
    crc = zlib.crc32(path.read_bytes())
    rewrite(cache, lambda facts: facts["crc32"].update({name: crc}))


def instead(cache: Path, name: str, make: Callable[[Path], object]) -> None:
    (path,) = cache.glob(f"*/{name}")
    path.unlink()
    make(path)


N_LABELS = 40
HOSTILE: dict[str, Callable[[Path], object]] = {
    "no dict": lambda cache: rewrite(cache, lambda facts: "[1]"),
    "deep": lambda cache: rewrite(cache, lambda facts: "[" * 5000),
    "types": lambda cache: rewrite(cache, lambda facts: facts.update(classes=[{}, {}])),
    "number": lambda cache: rewrite(cache, lambda facts: facts.update(id_column=3)),
    "more": lambda cache: rewrite(cache, lambda facts: facts.update(other=3)),
    "less": lambda cache: rewrite(cache, lambda facts: str(facts.pop("classes"))),
    "ids": lambda cache: rewrite(cache, lambda facts: facts.update(test_ids=["1"])),
    "shape": lambda cache: with_array(cache, "images", np.zeros(5, np.uint8)),
    "dtype": lambda cache: with_array(cache, "labels", np.zeros(N_LABELS)),
    "range": lambda cache: with_array(cache, "labels", np.full(N_LABELS, -1)),
    "objects": lambda cache: with_array(cache, "labels", np.array([{}], object)),
    "pipe": lambda cache: instead(cache, "facts.json", os.mkfifo),
    "endless": lambda cache: instead(cache, "images.npy", lambda p: p.symlink_to("/dev/zero")),
    "folder": lambda cache: instead(cache, "images.npy", Path.mkdir),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_others_put_into_the_cache_is_no_danger(
    folder: Path, cache: Path, parses: list[Files], case: str
) -> None:
    """With sound checksums too: it is as good as nothing, and made anew."""
    first = check_data(folder)
    HOSTILE[case](cache)
    assert check_data(folder) == first
    assert len(parses) == 2
    assert check_data(folder) == first
    assert len(parses) == 2


@pytest.mark.parametrize("put", [Path.touch, os.mkfifo, lambda path: path.symlink_to("nothing")])
def test_anything_in_the_place_of_a_folder_is_replaced(
    folder: Path, cache: Path, put: Callable[[Path], object]
) -> None:
    """Also a link that leads nowhere."""
    first = check_data(folder)
    (place,) = cache.iterdir()
    shutil.rmtree(place)
    put(place)
    assert check_data(folder) == first
    assert [path.name for path in cache.iterdir()] == [place.name]
    assert place.is_dir()


def test_lock_of_another_user_on_the_data_is_not_waited_for(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody who may read a file may lock it, for ever."""
    fcntl = pytest.importorskip("fcntl")
    with (folder / "train.csv").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        other = Locker("pid 1 of user 2", os.getuid() + 1)
        monkeypatch.setattr(dataset, "holders", lambda handle: [other])
        assert check_data(folder).n_train


def test_lock_on_the_data_is_waited_for_with_a_line_and_not_for_ever(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The holder is this process here, which says its own number."""
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr(dataset, "QUIET_S", 0.0)
    monkeypatch.setattr(dataset, "LONGEST_WAIT_S", 0.1)
    with (folder / "train.csv").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert check_data(folder).n_train
    err = capsys.readouterr().err
    assert err.startswith(f"waiting for {folder / 'train.csv'}, which another process reads: ")
    assert f"pid {os.getpid()} of user {os.getuid()}" in err
