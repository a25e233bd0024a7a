"""When a worker process replaces itself, and what its supervisor makes of the kernel's kills."""

import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn, cast

import pytest

from storage import ends
from study.machine.identity import how_it_ended
from study.run import launchers
from study.run.launchers import Local
from study.spec.open import OpenStudy
from study.spec.workdir import WorkDir
from study.worker import ending
from study.worker.ending import Recycling, memory_bytes
from study.worker.told import WorkerOptions


def test_process_is_old_after_so_many_trials() -> None:
    """Counted from its own start."""
    recycling = Recycling(after=3)
    assert [recycling.is_due() for _ in range(3)] == [False, False, True]


def test_process_is_old_once_it_has_grown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Since its first trial, which loads what every trial needs."""
    sizes = iter([900, 950, 1000, 1001])
    monkeypatch.setattr(ending, "memory_bytes", lambda: next(sizes))
    recycling = Recycling(after=100, growth_bytes=100)
    assert [recycling.is_due() for _ in range(4)] == [False, False, False, True]


def test_memory_is_that_of_this_process() -> None:
    """More than a bare Python, and it rises with what is held."""
    before = memory_bytes()
    held = b"x" * (64 << 20)
    assert before > 5 << 20
    assert memory_bytes() - before > len(held) // 2


@pytest.mark.parametrize("asked", [True, False])
def test_process_that_was_asked_to_leave_is_not_replaced(
    asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it was is looked at once signals are held back; the new process lets them through."""
    done: list[object] = []

    def hold_back(how: int, which: object) -> None:
        done.append((how, which))

    def leave() -> NoReturn:
        raise SystemExit

    def execute(path: str, arguments: list[str]) -> NoReturn:
        done.append(arguments[0])
        raise SystemExit

    def was_asked() -> bool:
        assert done == [(signal.SIG_BLOCK, ending.HEARD)]
        return asked

    monkeypatch.setattr(signal, "pthread_sigmask", hold_back)
    monkeypatch.setattr(os, "execv", execute)
    with pytest.raises(SystemExit):
        ending.replace_process(was_asked, leave)
    assert done[1:] == ([] if asked else [sys.executable])


def test_kill_by_the_kernel_is_told_from_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the counts of the machine and of the group; a file that is missing counts nothing."""
    vmstat, events = tmp_path / "vmstat", tmp_path / "events"
    monkeypatch.setattr(launchers, "VMSTAT", vmstat)
    monkeypatch.setattr(launchers, "CGROUP_EVENTS", events)
    vmstat.write_text("pgfault 12\noom_kill 3\n")
    study = SimpleNamespace(
        name="s",
        code=None,
        data_dir=None,
        storage=SimpleNamespace(url="sqlite://"),
        work_dir=lambda given: WorkDir(tmp_path, "t"),
    )
    launcher = Local(cast(OpenStudy, study), WorkerOptions(), "none")

    def was_for_memory(code: int) -> bool:
        reason = launcher.reason_of(code)
        assert reason in (ends.CRASHED, ends.OUT_OF_MEMORY)
        return reason == ends.OUT_OF_MEMORY

    assert not was_for_memory(-9)
    vmstat.write_text("pgfault 13\noom_kill 4\n")
    assert not was_for_memory(-15)
    assert was_for_memory(-9)
    assert not was_for_memory(-9)
    events.write_text("low 0\noom 1\noom_kill 1\noom_group_kill 0\n")
    assert was_for_memory(-9)


def test_exit_codes_are_named() -> None:
    """Signals by their names."""
    assert how_it_ended(-9) == "signal SIGKILL"
    assert how_it_ended(7) == "exit code 7"
