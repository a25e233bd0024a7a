"""Folders of this user alone, and where the locks lie when another user sits in their place."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from objectives.errors import FileError
from objectives.files import userfolder
from objectives.files.userfolder import lock_folder, private_folder


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home, a state folder and a folder for temporary files of this test's own."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(userfolder, "COMMON", tmp_path / "common")


def name() -> str:
    return f"slot-study-{os.getuid()}"


def test_folder_is_of_this_user_alone(tmp_path: Path) -> None:
    """Also one that was open to others before."""
    (tmp_path / "tmp" / name()).mkdir()
    (tmp_path / "tmp" / name()).chmod(0o777)
    found = lock_folder()
    assert found == tmp_path / "tmp" / name()
    assert found.stat().st_mode & 0o7777 == 0o700


@pytest.mark.parametrize("take", [Path.touch, os.mkfifo, lambda path: path.symlink_to(os.getcwd())])
def test_all_processes_pass_over_a_place_that_is_taken(
    tmp_path: Path, take: Callable[[Path], object]
) -> None:
    """A file, a pipe or a link in its place; nothing is written through it."""
    take(tmp_path / "tmp" / name())
    before = os.listdir()
    assert lock_folder() == lock_folder() == tmp_path / "state" / "slot-study" / "locks"
    assert os.listdir() == before


def test_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who made it could hold our locks."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    monkeypatch.setattr(userfolder.os, "getuid", lambda: os.stat(folder).st_uid + 1)
    with pytest.raises(FileError, match="is not a folder of this user's own"):
        private_folder(folder)


def test_folder_that_containers_share_comes_first(tmp_path: Path) -> None:
    """As that of the seats on GPUs, where it can be had."""
    (tmp_path / "seats").mkdir()
    assert lock_folder(tmp_path / "seats") == tmp_path / "seats" / name()
    assert lock_folder(tmp_path / "nothing") == tmp_path / "tmp" / name()
