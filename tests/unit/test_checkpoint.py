"""The files of checkpoints, without a training: what is written, refused and found."""

import errno
import hashlib
import json
import os
import resource
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from objectives.errors import CheckpointError, ObjectiveError
from objectives.network.train.checkpoint import latest_epoch, read_checkpoint, write_checkpoint
from objectives.network.train.state import UnusableError

EXPECTED = {"format": 1, "versions": {"keras": "3.15.1"}, "identity": "abc"}
CONTENT = [b"weights", b"", b"\x00\xff"]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A checkpoint in a folder that did not exist before."""
    path = tmp_path / "slots" / "7" / "trial-3" / "epoch-0002.ckpt"
    write_checkpoint(path, {**EXPECTED, "progress": {"loss": 0.1}}, CONTENT)
    return path


def names(folder: Path) -> list[str]:
    """The names in a folder, sorted."""
    return sorted(path.name for path in folder.iterdir())


def test_what_is_written_is_read(written: Path) -> None:
    """Header and content come back, and nothing else lies in the folder."""
    header, content = read_checkpoint(written, EXPECTED)
    assert header == {**EXPECTED, "progress": {"loss": 0.1}}
    assert bytes(content) == b"weights\x00\xff"
    assert names(written.parent) == ["epoch-0002.ckpt"]


def test_any_flipped_bit_is_found(written: Path) -> None:
    """In the magic, the length, the header, the content and the digest alike."""
    sound = written.read_bytes()
    for place in range(len(sound)):
        written.write_bytes(
            sound[:place] + bytes([sound[place] ^ (1 << place % 8)]) + sound[place + 1 :]
        )
        with pytest.raises(UnusableError, match="torn or damaged"):
            read_checkpoint(written, EXPECTED)
    written.write_bytes(sound)
    read_checkpoint(written, EXPECTED)


def test_any_truncation_is_found(written: Path) -> None:
    """Wherever the file ends too early, or goes on too long."""
    sound = written.read_bytes()
    for torn in [*(sound[:length] for length in range(len(sound))), sound + b"\0"]:
        written.write_bytes(torn)
        with pytest.raises(UnusableError, match="torn or damaged"):
            read_checkpoint(written, EXPECTED)


@pytest.mark.parametrize(
    ("name", "other", "message"),
    [
        ("format", 2, "it is of format 1"),
        ("versions", {"keras": "3.16.0"}, r"it is of versions {'keras': '3.15.1'}"),
        ("identity", "abd", "it is of another training"),
    ],
)
def test_what_is_of_something_else_is_refused(
    written: Path, name: str, other: Any, message: str
) -> None:
    """A sound file of another format, Keras or training is none of ours."""
    with pytest.raises(UnusableError, match=message):
        read_checkpoint(written, {**EXPECTED, name: other})


def test_a_missing_file_is_no_damage(tmp_path: Path) -> None:
    """An older attempt that still lives may tidy up at any time."""
    with pytest.raises(FileNotFoundError):
        read_checkpoint(tmp_path / "epoch-0000.ckpt", EXPECTED)


class BrokenDisk:
    """Stands in for one function of `os` that meets an error of the disk."""

    def __init__(self, code: int) -> None:
        self.code = code

    def __call__(self, *_: Any, **__: Any) -> None:
        raise OSError(self.code, os.strerror(self.code))


@pytest.mark.parametrize("function", ["fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_disk_that_is_full_is_a_known_error(
    written: Path, monkeypatch: pytest.MonkeyPatch, function: str, code: int
) -> None:
    """It names file and reason; the earlier file is as it was, and no other is left."""
    sound = written.read_bytes()
    monkeypatch.setattr(os, function, BrokenDisk(code))
    for path in (written, written.with_name("epoch-0003.ckpt")):
        with pytest.raises(CheckpointError) as caught:
            write_checkpoint(path, EXPECTED, [b"new"])
        assert str(caught.value) == f"cannot write the checkpoint {path}: {os.strerror(code)}"
        assert isinstance(caught.value, ObjectiveError)
        assert caught.value.hint is not None
        assert "--work-dir" in caught.value.hint
    assert names(written.parent) == ["epoch-0002.ckpt"]
    assert written.read_bytes() == sound


def test_a_real_limit_in_the_middle_of_the_file_leaves_nothing(written: Path) -> None:
    """The system itself refuses to write on, after a part is written."""
    path = written.with_name("epoch-0003.ckpt")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    try:
        with pytest.raises(CheckpointError, match="File too large"):
            write_checkpoint(path, EXPECTED, [b"x" * (1 << 19)] * 4)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert names(written.parent) == ["epoch-0002.ckpt"]


def test_a_folder_that_cannot_be_made_is_a_known_error(tmp_path: Path) -> None:
    """A file stands where the folder should."""
    (tmp_path / "trial-1").write_text("in the way")
    with pytest.raises(CheckpointError, match=r"epoch-0000.ckpt: (File exists|Not a directory)"):
        write_checkpoint(tmp_path / "trial-1" / "epoch-0000.ckpt", EXPECTED, [])


def test_a_stop_request_while_writing_leaves_nothing(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is no error of the disk passes through as it is."""

    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_checkpoint(written.with_name("epoch-0003.ckpt"), EXPECTED, [b"new"])
    assert names(written.parent) == ["epoch-0002.ckpt"]


def test_a_file_system_that_syncs_no_folders_is_good_enough(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file itself is synced before it is moved."""
    sync = os.fsync

    def synced(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", synced)
    write_checkpoint(written, EXPECTED, [b"new"])
    assert bytes(read_checkpoint(written, EXPECTED)[1]) == b"new"


def test_file_and_folder_are_synced_around_the_move(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this order, or a loss of power could leave a name without its content."""
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def moved(one: str, other: str, **where: int) -> None:
        done.append(f"{one} -> {other}")
        replace(one, other, **where)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", moved)
    write_checkpoint(written, EXPECTED, [])
    assert done == ["file", "epoch-0002.ckpt.part -> epoch-0002.ckpt", "folder"]


def test_the_file_is_what_its_description_says(written: Path) -> None:
    """Magic, length, JSON, content, sha256: another program could read it."""
    whole = written.read_bytes()
    magic = b"slot-study checkpoint\n"
    assert whole.startswith(magic)
    start = len(magic) + 8
    end = start + int.from_bytes(whole[len(magic) : start], "little")
    assert json.loads(whole[start:end])["identity"] == "abc"
    assert whole[end:-32] == b"".join(CONTENT)
    assert whole[-32:] == hashlib.sha256(whole[:-32]).digest()


def test_latest_epoch_is_the_highest_of_any_attempt(tmp_path: Path) -> None:
    """Names count, and only those of checkpoints in folders of attempts."""
    assert latest_epoch(tmp_path / "missing") is None
    assert latest_epoch(tmp_path) is None
    for name in (
        "trial-3/epoch-0004.ckpt",
        "trial-12/epoch-0003.ckpt",
        "trial-12/epoch-0009.ckpt.set-aside",
        "trial-12/epoch-0009.ckpt.part",
        "trial-12/epoch-9.ckpt",
        "trial-x/epoch-0009.ckpt",
        "backup-trial-1/epoch-0009.ckpt",
        "epoch-0009.ckpt",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tmp_path / "trial-4").write_text("no folder")
    assert latest_epoch(tmp_path) == 4
    (tmp_path / "trial-12" / "epoch-12345.ckpt").touch()
    assert latest_epoch(tmp_path) == 12345


def test_asking_for_the_latest_epoch_loads_nothing_heavy() -> None:
    """`study run` asks, and must start in no time."""
    code = "import sys, objectives.network.train.checkpoint; "
    code += "print(sorted({'numpy', 'keras', 'tensorflow'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "[]\n"
