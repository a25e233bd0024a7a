"""An attempt's log: all that a process prints, and no trial is to blame for a full disk."""

import errno
import os
import sys
from pathlib import Path

import pytest

from study.worker import log as attemptlog
from study.worker.log import AttemptLog


def test_log_has_what_is_printed_by_whatever_means(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Python's streams and file descriptors; pytest's own hold on them is let go meanwhile."""
    path = tmp_path / "logs" / "trial-1.log"
    with capfd.disabled(), AttemptLog(path) as log:
        print("by Python")
        os.write(1, b"by a descriptor\n")
        print("as an error", file=sys.stderr)
        log.write("by us")
    assert path.read_text() == "by Python\nby a descriptor\nas an error\nby us\n"


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every log is opened, and cannot be written."""
    monkeypatch.setattr(attemptlog, "open_file", lambda *_: os.open("/dev/full", os.O_WRONLY))


@pytest.mark.usefixtures("full_disk")
def test_log_on_a_full_disk_is_done_without(tmp_path: Path) -> None:
    """Not a trial of the study would get through otherwise."""
    with AttemptLog(tmp_path / "trial-1.log") as log:
        log.write("by us")


def test_log_that_cannot_be_made_is_done_without(tmp_path: Path) -> None:
    """A folder is in its place."""
    path = tmp_path / "trial-1.log"
    path.mkdir()
    with AttemptLog(path) as log:
        log.write("by us")
    assert path.is_dir()


@pytest.mark.usefixtures("full_disk")
def test_print_of_a_trial_does_not_fail_by_our_full_disk(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """However much it prints, and also where it flushes; what is printed later is another's."""
    path = tmp_path / "trial-1.log"
    with capfd.disabled():
        before = sys.stdout
        with AttemptLog(path):
            print("x" * 100_000, flush=True)
            print("y", file=sys.stderr, flush=True)
            sys.stdout.write("z" * 100_000)
        assert sys.stdout is before


def test_log_without_a_free_descriptor_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process has as many files open as it may; none stays open of ours."""
    n_before = len(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patched:
        patched.setattr(os, "dup", _refuse)
        with AttemptLog(tmp_path / "trial-1.log") as log:
            log.write("by us")
    assert len(os.listdir("/proc/self/fd")) == n_before


def _refuse(_: int) -> int:
    raise OSError(errno.EMFILE, "Too many open files")
