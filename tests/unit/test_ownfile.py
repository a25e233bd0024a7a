"""Files of a work dir are opened through no link, and nobody waits at a pipe."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from objectives.files.ownfile import APPEND, open_file, open_folder


def appended(path: Path, depth: int = 2) -> None:
    """Append a line to a file."""
    handle = open_file(path, depth, APPEND)
    os.write(handle, b"one\n")
    os.close(handle)


def test_a_file_and_its_folders_are_made_and_opened_again(tmp_path: Path) -> None:
    """Also by a path from the current folder, and one of fewer names than the depth."""
    path = tmp_path / "x" / "a" / "b" / "log"
    for _ in range(2):
        appended(path)
    assert path.read_text() == "one\none\n"
    os.close(open_folder(Path("/"), 3))
    os.close(open_folder(Path("/usr"), 3))


def test_a_file_by_a_relative_path_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As --work-dir may name one."""
    monkeypatch.chdir(tmp_path)
    appended(Path("a/b/log"))
    assert (tmp_path / "a" / "b" / "log").read_text() == "one\n"


def link(path: Path, other: Path) -> None:
    """A link to a file."""
    path.symlink_to(other)


def dangling(path: Path, other: Path) -> None:
    """A link to a file that is to be made by who follows it."""
    path.symlink_to(other.with_name("new"))


def hard_link(path: Path, other: Path) -> None:
    """Another name of a file."""
    path.hardlink_to(other)


def pipe(path: Path, _: Path) -> None:
    """A pipe that nobody reads."""
    os.mkfifo(path)


def folder(path: Path, _: Path) -> None:
    """A folder."""
    path.mkdir()


@pytest.mark.parametrize("put", [link, dangling, hard_link, pipe, folder])
@pytest.mark.parametrize("how", [APPEND, os.O_RDONLY])
def test_what_is_no_file_of_its_own_is_refused(
    tmp_path: Path, put: Callable[[Path, Path], None], how: int
) -> None:
    """At once, and the other file is as it was; no handle stays open."""
    other = tmp_path / "other"
    other.write_text("mine")
    put(tmp_path / "log", other)
    n_before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match=r"\w"):
        open_file(tmp_path / "log", 1, how)
    assert len(os.listdir("/proc/self/fd")) == n_before
    assert other.read_text() == "mine"
    assert not (tmp_path / "new").exists()


def test_a_pipe_that_somebody_reads_is_refused_too(tmp_path: Path) -> None:
    """Opening it does not fail."""
    os.mkfifo(tmp_path / "log")
    reader = os.open(tmp_path / "log", os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(OSError, match="not a file of its own"):
        open_file(tmp_path / "log", 1, APPEND)
    os.close(reader)


@pytest.mark.parametrize("level", [1, 2, 3])
def test_a_folder_that_is_a_link_is_refused(tmp_path: Path, level: int) -> None:
    """Down from where the depth begins; above, the user may have links."""
    real, path = tmp_path / "real", tmp_path / "a" / "b" / "c" / "log"
    linked = path.parents[level - 1]
    linked.parent.mkdir(parents=True, exist_ok=True)
    real.mkdir()
    linked.symlink_to(real)
    for depth in range(level, 4):
        with pytest.raises(NotADirectoryError, match="or a link"):
            appended(path, depth)
    assert list(real.iterdir()) == []
    if level > 1:
        appended(path, level - 1)
        assert len(list(real.rglob("log"))) == 1
