"""Which workers a supervisor gives up; its processes are stood in for."""

import signal
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from study.run import supervisor as launch
from study.run.supervisor import MOST_BARREN, MOST_DEATHS, Look, Supervisor
from study.spec.open import OpenStudy
from study.spec.workdir import WorkDir
from study.worker.told import Settings


class Study:
    """Stands in for a study, its slots and its registry; counts the trials that workers ended."""

    def __init__(self) -> None:
        self.ended: Counter[str] = Counter()
        self.spec = SimpleNamespace(max_attempts=3)

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
    """A worker each of whose processes dies; that of an odd index ends a trial before."""

    def __init__(self, study: Study, index: int, *_: object) -> None:
        self.index, self._study, self.log = index, study, Path("log")
        self.n_deaths = self.n_barren = self.n_ended = 0
        self.start_at, self.is_done, self.is_started = 0.0, False, False
        self.names: list[str] = []
        self.heard: list[int] = []

    def send(self, number: int) -> None:
        self.heard.append(number)

    def start(self) -> None:
        self.is_started = True
        self.names.append(f"{self.index}:{len(self.names)}")
        self._study.ended[self.names[-1]] = self.index % 2

    def take_end(self) -> tuple[str, int] | None:
        self.is_started = False
        return self.names[-1], -11

    def tail(self) -> str:
        return ""


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause between a death and the next start."""
    monkeypatch.setattr(launch, "Child", Dying)
    monkeypatch.setattr(launch, "LONGEST_PAUSE_S", 0.0)
    monkeypatch.setattr(launch.time, "sleep", lambda seconds: None)


def supervise(n_workers: int, folder: Path) -> tuple[list[Any], list[str]]:
    """Run until the first worker is given up; return the workers and what was said."""
    said: list[str] = []
    settings = Settings(WorkDir(folder, "t"), 100, 8.0, 2.0)
    study = cast(OpenStudy, Study())
    supervisor = Supervisor(study, n_workers, settings, "none", said.append)
    children: list[Any] = supervisor._children
    supervisor.run(lambda now: Look(is_done=children[0].is_done), lambda: None)
    return children, [*said, supervisor.last_words]


@pytest.mark.usefixtures("quickly")
def test_worker_that_only_dies_is_given_up_while_others_finish(tmp_path: Path) -> None:
    """On a broken device it would cost slot after slot an attempt, for as long as others work."""
    (broken, sound), said = supervise(2, tmp_path)
    assert len(broken.names) == MOST_BARREN
    assert len(sound.names) >= MOST_BARREN
    assert f"worker 0 died {MOST_BARREN} times without finishing a trial" in said[-1]


@pytest.mark.usefixtures("quickly")
def test_worker_is_given_up_sooner_where_nobody_finishes(tmp_path: Path) -> None:
    """The last of them ends the run with the end of its log."""
    (alone,), said = supervise(1, tmp_path)
    assert len(alone.names) == MOST_DEATHS
    assert f"worker 0 died {MOST_DEATHS} times without finishing a trial" in said[-1]


@pytest.mark.usefixtures("quickly")
def test_workers_that_wait_for_more_are_told_once_that_all_is_done(tmp_path: Path) -> None:
    """They would ask the database by themselves, and the later the longer they have waited."""
    children, _ = supervise(2, tmp_path)
    assert [child.heard for child in children] == [[signal.SIGTERM]] * 2
