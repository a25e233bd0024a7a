"""Links and pipes that somebody has put into a work dir: none is followed, and nobody waits."""

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from optuna.study import StudyDirection

from objectives.errors import CheckpointError
from objectives.network.train.checkpoint import latest_epoch, write_checkpoint
from storage import attrs
from storage.rdb import open_storage
from storage.slots.slots import Slots
from study.errors import StudyError
from study.run.launchers import MOST_READ, WorkerLog
from study.run.prewarm import Prewarmed
from study.spec.open import OpenStudy, open_study
from study.spec.spec import StudySpec
from study.spec.trials import find_trial
from study.spec.workdir import WorkDir
from study.view.logs import last_lines, show_logs
from study.worker import checkpoints
from study.worker.checkpoints import look_for_marker, resumable, tidy
from study.worker.log import AttemptLog
from study.worker.told import PROGRAM, WITH_A_JOB


@pytest.fixture
def opened(sqlite_url: str) -> Iterator[OpenStudy]:
    """A study of one slot."""
    storage = open_storage(sqlite_url)
    spec = StudySpec("synthetic", None, {}, "s", None, [], "maximize", 0, 1, "float32", 1)
    study_id = storage.create_new_study([StudyDirection.MAXIMIZE], "s")
    Slots(storage, study_id).plan(1, define={attrs.SPEC: spec.to_json()})
    yield open_study(storage, "s")
    storage.close()


@pytest.fixture
def work(tmp_path: Path) -> WorkDir:
    """A work dir that is empty."""
    return WorkDir(tmp_path / "s.work", "0123456789abcdef")


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A file of the user's."""
    path = tmp_path / "elsewhere" / "bashrc"
    path.parent.mkdir()
    path.write_text("mine\n")
    return path


PUT: list[Callable[[Path, Path], None]] = [
    lambda path, other: path.symlink_to(other),
    lambda path, other: path.hardlink_to(other),
    lambda path, other: os.mkfifo(path),
    lambda path, other: path.symlink_to("/dev/zero"),
]
put_there = pytest.mark.parametrize("put", PUT, ids=["link", "hard link", "pipe", "device"])


@put_there
def test_an_attempt_goes_without_a_log_that_is_none(
    work: WorkDir, other: Path, put: Callable[[Path, Path], None]
) -> None:
    """One line says so; what is printed goes nowhere else."""
    path, said = work.attempt_log(0), list[str]()
    path.parent.mkdir(parents=True)
    put(path, other)
    with AttemptLog(path, said.append) as log:
        log.write("by us")
    assert len(said) == 1
    assert said[0].startswith(f"no log {path}: ")
    assert other.read_text() == "mine\n"


@put_there
def test_no_other_file_is_shown_or_stored_as_a_log(
    opened: OpenStudy, work: WorkDir, other: Path, put: Callable[[Path, Path], None]
) -> None:
    """The end of a log goes into the database, which others read."""
    path = work.attempt_log(0)
    path.parent.mkdir(parents=True)
    put(path, other)
    assert last_lines(path) == ""
    with pytest.raises(StudyError, match="no log of trial 0"):
        show_logs(opened, find_trial(opened, "0"), work, io.StringIO(), follow=False)


@put_there
def test_a_worker_goes_without_a_log_that_is_none(
    work: WorkDir, other: Path, put: Callable[[Path, Path], None]
) -> None:
    """Its supervisor says so, and reads nothing there."""
    said: list[str] = []
    path = work.worker_log(0)
    path.parent.mkdir(parents=True)
    put(path, other)
    log = WorkerLog(0, path, said.append)
    with log.open() as file:
        assert file.name == os.devnull
    log._shown_to = 0
    assert (list(log.new_lines()), log.tail()) == ([], "")
    assert len(said) == 1
    assert said[0].startswith(f"worker 0 runs without the log {path}: ")
    assert other.read_text() == "mine\n"


def test_a_ready_worker_goes_without_a_log_that_is_none(work: WorkDir, other: Path) -> None:
    """It opens the log by itself."""
    path = work.worker_log(0)
    path.parent.mkdir(parents=True)
    path.symlink_to(other)
    process = Prewarmed(None, WITH_A_JOB).become([*PROGRAM, "--version"], {}, path)
    assert process is not None
    assert process.wait() == 0
    assert other.read_text() == "mine\n"


def test_a_log_of_any_size_is_read_in_parts(work: WorkDir) -> None:
    """A file without blocks may have any size."""
    log = WorkerLog(0, work.worker_log(0), print)
    with log.open() as file:
        file.truncate(1 << 40)
        file.write(b"last\n")
    assert log.tail().endswith("last")
    log._shown_to = (1 << 40) - MOST_READ - 100
    assert [len(line) for line in log.new_lines()] == [MOST_READ - 1]
    assert [line[-4:] for line in log.new_lines()] == ["last"]


@pytest.mark.parametrize("name", ["own", "slots", "slot_dir", "attempt_dir"])
def test_no_folder_that_is_a_link_is_followed(
    opened: OpenStudy, work: WorkDir, other: Path, name: str
) -> None:
    """No checkpoint is written, found, or removed behind it."""
    folders = {"own": work.own, "slots": work.slots, "slot_dir": work.slot_dir(0)}
    path = {**folders, "attempt_dir": work.attempt_dir(0, 0)}[name]
    behind = other.parent / work.attempt_dir(0, 0).relative_to(path)
    behind.mkdir(parents=True, exist_ok=True)
    for kept in ("epoch-0001.ckpt", "epoch-0002.ckpt.part"):
        (behind / kept).write_text("mine")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(other.parent)
    before = sorted(other.parent.rglob("*"))
    assert latest_epoch(work.slot_dir(0)) is None
    assert resumable(opened, work) == {}
    with pytest.raises(CheckpointError, match="Not a directory, or a link"):
        write_checkpoint(work.attempt_dir(0, 0) / "epoch-0003.ckpt", {}, [])
    for folder in checkpoints._slot_folders(work).values():
        checkpoints._drop_unfinished(folder)
    tidy(opened, work)
    assert sorted(other.parent.rglob("*")) == before


def test_a_study_whose_folder_is_a_link_does_not_begin(
    opened: OpenStudy, work: WorkDir, other: Path
) -> None:
    """The one line names it; a work dir that is a link is the user's own matter."""
    work.root.mkdir()
    work.own.symlink_to(other.parent)
    with pytest.raises(StudyError, match=f"^--work-dir {work.own}: Not a directory, or a link$"):
        look_for_marker(opened, work, print)
    linked = WorkDir(other.parent / "link", work.token)
    linked.root.symlink_to(work.root)
    work.own.unlink()
    look_for_marker(opened, linked, print)
    assert linked.marker.is_file()


def huge(path: Path, _: Path) -> None:
    """A file without blocks, of more bytes than there is memory."""
    with path.open("wb") as file:
        file.truncate(1 << 40)


@pytest.mark.parametrize("put", [*PUT, huge])
def test_a_marker_of_any_kind_is_only_another_one(
    opened: OpenStudy,
    work: WorkDir,
    other: Path,
    put: Callable[[Path, Path], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is neither waited for nor read as a whole."""
    monkeypatch.setattr(checkpoints, "MARKER_S", 0.0)
    look_for_marker(opened, work, print)
    work.marker.unlink()
    put(work.marker, other)
    said: list[str] = []
    look_for_marker(opened, work, said.append)
    assert len(said) == 1
    assert "is not the work dir in which the study began" in said[0]
