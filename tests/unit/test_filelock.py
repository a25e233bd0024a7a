"""Lock files in folders that others may write to, and who holds them."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from objectives.files.filelock import holders, open_lock, shown_holders, try_lock


@contextmanager
def opened(folder: Path) -> Iterator[int]:
    handle = open_lock(folder, "lock", 0o600)
    try:
        yield handle
    finally:
        os.close(handle)


HOSTILE: list[Callable[[Path, Path], object]] = [
    lambda path, precious: path.symlink_to(precious),
    lambda path, precious: path.symlink_to(precious.with_name("made")),
    lambda path, precious: os.link(precious, path),
    lambda path, precious: os.mkfifo(path),
    lambda path, precious: path.mkdir(),
]


@pytest.mark.parametrize("put", HOSTILE)
def test_nothing_else_than_a_file_of_its_own_is_opened(
    tmp_path: Path, put: Callable[[Path, Path], object]
) -> None:
    """Links, pipes and folders: no wait, nothing made, nothing changed through them."""
    folder, precious = tmp_path / "locks", tmp_path / "precious"
    folder.mkdir()
    precious.write_text("mine")
    put(folder / "lock", precious)
    with pytest.raises(OSError, match="lock"):
        open_lock(folder, "lock", 0o600)
    assert precious.read_text() == "mine"
    assert not (tmp_path / "made").exists()


def test_folder_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    """Files would be made where it leads."""
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="it is a link"):
        open_lock(tmp_path / "link", "lock", 0o600)
    assert not list((tmp_path / "target").iterdir())


def test_holder_is_named_with_its_study(tmp_path: Path) -> None:
    """By the kernel's list of locks, whatever the holder says of itself."""
    code = "import fcntl, os; fcntl.flock(1, fcntl.LOCK_EX); os.write(2, b'.'); os.read(0, 1)"
    command = [sys.executable, "-c", code, "--study", "digits"]
    with opened(tmp_path) as handle, (tmp_path / "lock").open("r+b") as lock:
        assert not holders(handle)
        with subprocess.Popen(command, stdin=-1, stdout=lock, stderr=-1) as process:
            assert process.stdin is not None
            assert process.stderr is not None
            assert process.stderr.read(1) == b"."
            assert not try_lock(handle, fcntl.LOCK_SH)
            who = f"study 'digits', pid {process.pid} of user {os.getuid()}"
            assert shown_holders(handle) == who
            process.stdin.close()
        lock.close()
        assert try_lock(handle, fcntl.LOCK_EX)
