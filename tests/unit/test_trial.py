"""What a report of a trial does before and instead of writing, and how an attempt ends."""

import contextlib
import errno
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from objectives.base import Fitted
from objectives.errors import CheckpointError, LeaseLost, Pruned
from storage.errors import ClaimLostError, StorageBrokenError, StorageUnavailableError
from study.errors import StudyError
from study.view.cost import Speed
from study.worker import trial
from study.worker.trial import Drained, _Attempt


def attempt() -> Any:
    """Return an attempt at a slot of a study that takes no writes."""
    place = SimpleNamespace(stop=threading.Event(), slots=None, speed=Speed(None))
    claim = SimpleNamespace(slot=SimpleNamespace(trial=7))
    lease = SimpleNamespace(lost=threading.Event())
    return _Attempt(place, claim, lease, None)  # type: ignore[arg-type]


class Study:
    """A study in memory: how its trials ended, and what was said of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(trial, "tidy", lambda *_: None)
        monkeypatch.setattr(trial, "break_circuit", lambda *_: False)
        monkeypatch.setattr(trial, "last_lines", lambda *_: "")
        self.ends: list[tuple[TrialState, float | None]] = []
        self.said: list[str] = []

    def attempt(self, error: BaseException, reported: dict[int, float]) -> Any:
        """Return an attempt whose `fit` reports, and raises."""
        made = attempt()
        made._place.__dict__.update(
            opened=None,
            stop_seen="none",
            work=SimpleNamespace(attempt_log=lambda _: None),
            say=self.said.append,
            slots=SimpleNamespace(finish=lambda _, state, value, *rest: self.end(state, value)),
            suggester=SimpleNamespace(params_of=lambda _: ({}, lambda: False)),
        )
        made._claim.slot.__dict__.update(slot=3, alone=False)
        made._log = SimpleNamespace(write=lambda line: None)

        def fit(params: Any) -> Fitted:
            made._reported.update(reported)
            raise error

        made._fit = fit
        return made

    def end(self, state: TrialState, value: float | None) -> None:
        self.ends.append((state, value))


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> Study:
    """One whose trials end as `fit` does."""
    return Study(monkeypatch)


def test_report_without_a_value_writes_nothing_and_goes_on() -> None:
    """A training without valid rows has nothing to say but that an epoch is over."""
    attempt()._report(0, None)


def test_report_without_a_value_hears_the_stop() -> None:
    """The slot is released after the epoch, as with a value."""
    stopped = attempt()
    stopped._place.stop.set()
    with pytest.raises(Drained):
        stopped._report(0, None)


def test_report_without_a_value_hears_that_the_lease_is_lost() -> None:
    """Another worker trains this slot by now."""
    lost = attempt()
    lost._lease.lost.set()
    with pytest.raises(LeaseLost, match="trial 7 is no longer this worker's"):
        lost._report(0, None)


@pytest.mark.parametrize("error", [Pruned(), optuna.TrialPruned(), optuna.exceptions.TrialPruned()])
def test_fit_that_prunes_itself_is_pruned_with_what_it_has_last_reported(
    study: Study, error: Exception
) -> None:
    """By Optuna's exception as by ours."""
    study.attempt(error, {0: 0.5, 1: 0.25}).run()
    assert study.ends == [(TrialState.PRUNED, 0.25)]
    assert study.said == ["trial 7 pruned at step 1"]


def test_fit_that_prunes_itself_before_a_report_has_no_value(study: Study) -> None:
    """It says so, and is no error."""
    study.attempt(optuna.TrialPruned("hopeless"), {}).run()
    assert study.ends == [(TrialState.PRUNED, None)]
    assert study.said == ["trial 7 pruned before its first report"]


def test_error_of_a_trial_that_is_to_stop_is_no_end_of_its_slot(study: Study) -> None:
    """Ctrl-C reaches the processes of an objective too: what that breaks is no fact of the params.

    Without the stop, the same error fails the slot.
    """
    stopped = study.attempt(RuntimeError("a process of the pool died"), {})
    stopped._place.stop.set()
    with pytest.raises(Drained):
        stopped.run()
    assert study.ends == []
    study.attempt(RuntimeError("a process of the pool died"), {}).run()
    assert study.ends == [(TrialState.FAIL, None)]


class Storage:
    """Slots whose reports fail; notes what was told of the claim."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.told: list[str] = []

    def report(self, *_: object) -> None:
        self.told.append("report")
        raise self.error

    def finish(self, *_: object) -> None:
        self.told.append("finish")


def wrap(report: Callable[[int, float], None]) -> Fitted:
    """A user's `fit` that makes an exception of its own out of any other."""
    try:
        report(0, 0.5)
    except Exception as error:
        raise RuntimeError("my callback failed") from error
    return Fitted(value=0.5, model=None)


def swallow(report: Callable[[int, float], None]) -> Fitted:
    """One that goes on, and returns what it has."""
    for step in range(3):
        with contextlib.suppress(Exception):
            report(step, 0.5)
    return Fitted(value=0.5, model=None)


OURS: dict[str, tuple[Exception, type[Exception]]] = {
    "database broken": (StorageBrokenError("no such table"), StorageBrokenError),
    "database away": (StorageUnavailableError("the database was away"), StorageUnavailableError),
    "lost": (ClaimLostError("trial 7 is no longer this worker's"), ClaimLostError),
    "our file": (OSError(errno.ENOSPC, "No space left on device"), StudyError),
    "a driver's own": (AttributeError("'NoneType' object has no attribute 'read'"), StudyError),
}


@pytest.mark.parametrize("fit", [wrap, swallow])
@pytest.mark.parametrize("name", OURS)
def test_error_of_the_storage_is_no_trials_whatever_fit_makes_of_it(
    study: Study, name: str, fit: Callable[[Any], Fitted]
) -> None:
    """Wrapped or swallowed, it decides: nothing is written, and the database is asked once."""
    raised, wanted = OURS[name]
    storage = Storage(raised)
    made = study.attempt(RuntimeError(), {})
    made._place.slots, made._fit = storage, lambda params: fit(made._report)
    with pytest.raises(wanted):
        made.run()
    assert storage.told == ["report"]


@pytest.mark.parametrize("fit", [wrap, swallow])
def test_decision_to_prune_holds_whatever_fit_makes_of_it(
    study: Study, fit: Callable[[Any], Fitted]
) -> None:
    """As the request to stop does: what `fit` returns after it is of no whole training."""
    made = study.attempt(RuntimeError(), {})
    made._place.slots.report = lambda *_: None
    made._should_prune, made._fit = lambda: True, lambda params: fit(made._report)
    made._place.suggester.params_of = lambda _: ({}, lambda: True)
    made.run()
    assert study.ends == [(TrialState.PRUNED, 0.5)]


@pytest.mark.parametrize("fit", [wrap, swallow])
def test_checkpoint_that_cannot_be_written_is_no_trials_either(
    study: Study, fit: Callable[[Any], Fitted]
) -> None:
    """A user's objective may train with ours and let nothing through."""

    def save(step: int, value: float) -> None:
        raise CheckpointError("cannot write the checkpoint")

    made = study.attempt(RuntimeError(), {})
    made._fit = lambda params: fit(save)
    with pytest.raises(CheckpointError, match="cannot write the checkpoint"):
        made.run()
    assert study.ends == []
    assert CheckpointError.last is None


@pytest.mark.parametrize("value", ["no number", None, {}])
def test_users_own_error_is_the_trials(study: Study, value: object) -> None:
    """His missing file, his database, and a value that is no number."""

    def fit(params: object) -> Fitted:
        if value is None:
            raise FileNotFoundError("my own file")
        made._report(0, value)
        raise AssertionError

    made = study.attempt(RuntimeError(), {})
    made._fit = fit
    made.run()
    assert study.ends == [(TrialState.FAIL, None)]
