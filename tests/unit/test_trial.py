"""What a report of a trial does before and instead of writing, and how an attempt ends."""

import threading
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from objectives.base import Fitted
from objectives.errors import LeaseLost, Pruned
from study import trial
from study.speed import Speed
from study.trial import Drained, _Attempt


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
