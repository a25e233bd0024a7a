"""Which workers a supervisor gives up; its processes are stood in for."""

import signal
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from storage import ends
from study.run import supervisor as launch
from study.run.launchers import WorkerLog
from study.run.supervisor import MOST_BARREN, MOST_DEATHS, Look, Supervisor
from study.spec.open import OpenStudy
from study.spec.workdir import WorkDir
from study.worker.told import WorkerOptions


class Study:
    """Stands in for a study, its slots and its registry; counts the trials that workers ended."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.ended: Counter[str] = Counter()
        self.spec = SimpleNamespace(max_attempts=3)

    def work_dir(self, given: Path | None) -> WorkDir:
        return WorkDir(self._folder, "t")

    def patient_slots(self, wait_s: float) -> "Study":
        return self

    registry = patient_slots

    def running_of(self, worker: str) -> list[int]:
        return []

    def requeue_crashed(self, worker: str, why: object, most: int) -> list[int]:
        return []

    def leave(self, worker: str, *, was_there: bool) -> None:
        """Is told of each death."""

    def count_ended_by(self, names: list[str]) -> int:
        return sum(self.ended[name] for name in names)


class Dying:
    """Launches workers whose processes die at once; those of an odd index end a trial before."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self.started: list[tuple[int, str]] = []
        self.heard: list[tuple[str, int]] = []

    def start(self, log: WorkerLog) -> Any:
        name = f"{log._index}:{len(self.started)}"
        self.started.append((log._index, name))
        self._study.ended[name] = log._index % 2

        def send(number: int) -> None:
            self.heard.append((name, number))

        return SimpleNamespace(name=name, poll=lambda: self.poll(name), signal=send)

    def poll(self, name: str) -> int | None:
        return -11

    def reason_of(self, code: int) -> str:
        return ends.CRASHED


class Waiting(Dying):
    """Launches workers that wait until they are signalled."""

    def poll(self, name: str) -> int | None:
        return 0 if name in dict(self.heard) else None


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause between a death and the next start."""
    monkeypatch.setattr(launch, "LONGEST_PAUSE_S", 0.0)
    monkeypatch.setattr(launch.time, "sleep", lambda seconds: None)


def supervise(n_workers: int, folder: Path) -> tuple[Dying, list[str]]:
    """Run until the first worker is given up; return what was launched, and what was said."""
    said: list[str] = []
    study = Study(folder)
    launcher = Dying(study)
    supervisor = Supervisor(
        cast(OpenStudy, study), n_workers, WorkerOptions(), launcher, said.append
    )
    first = supervisor._workers[0]
    supervisor.run(lambda now: Look(is_done=first.is_done), lambda: None)
    return launcher, [*said, supervisor.last_words]


@pytest.mark.usefixtures("quickly")
def test_worker_that_only_dies_is_given_up_while_others_finish(tmp_path: Path) -> None:
    """On a broken device it would cost slot after slot an attempt, for as long as others work."""
    launcher, said = supervise(2, tmp_path)
    n_starts = Counter(index for index, _ in launcher.started)
    assert n_starts[0] == MOST_BARREN
    assert n_starts[1] >= MOST_BARREN
    assert f"worker 0 died {MOST_BARREN} times without finishing a trial" in said[-1]


@pytest.mark.usefixtures("quickly")
def test_worker_is_given_up_sooner_where_nobody_finishes(tmp_path: Path) -> None:
    """The last of them ends the run with the end of its log."""
    launcher, said = supervise(1, tmp_path)
    assert len(launcher.started) == MOST_DEATHS
    assert f"worker 0 died {MOST_DEATHS} times without finishing a trial" in said[-1]


@pytest.mark.usefixtures("quickly")
def test_workers_that_wait_for_more_are_told_once_that_all_is_done(tmp_path: Path) -> None:
    """They would ask the database by themselves, and the later the longer they have waited."""
    launcher = Waiting(Study(tmp_path))
    study = cast(OpenStudy, launcher._study)
    supervisor = Supervisor(study, 2, WorkerOptions(), launcher, lambda line: None)
    supervisor.run(lambda now: Look(is_done=len(launcher.started) == 2), lambda: None)
    assert launcher.heard == [(name, signal.SIGTERM) for _, name in launcher.started]
