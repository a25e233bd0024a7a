"""Run a stored trial again and compare its value and curve with the stored ones, bit for bit.

An incomplete trial is compared up to its last report. Nothing is written to the study.
"""

import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from optuna.trial import TrialState

from objectives.base import PRUNED
from objectives.errors import DivergedError, ObjectiveError, Pruned
from objectives.framework.fitprocess import FitProcess
from objectives.load import as_fitted
from storage import attrs, ends
from storage.reading import Attempt
from study.errors import StudyError
from study.machine.environment import differences, read_environment
from study.spec.open import Loaded, OpenStudy, Say, load, stored_params
from study.spec.trials import find_trial
from study.text import counted

DIFFERENT = 4
"""Exit code if the results differ."""


@dataclass(frozen=True)
class Replayed:
    """The result of a replay: `there` is the stored trial, `here` its repetition.

    Attributes:
        state: Optuna's name of the stored trial's state.
        first_difference: One line, with the differences of the environment; None if same.
        n_compared: Number of intermediate values that both runs have.
        environment: Differences, each as `name there, here`; None if the stored one is unknown.
    """

    trial: int
    state: str
    same: bool
    first_difference: str | None
    value_there: float | None
    value_here: float | None
    n_compared: int
    environment: list[str] | None

    def to_line(self) -> str:
        """Return the result as a sentence."""
        if not self.same:
            return f"trial {self.trial} is not reproduced: {self.first_difference}"
        curve = f"{counted(self.n_compared, 'intermediate value')}, bit for bit"
        if self.value_there is not None and self.state == TrialState.COMPLETE.name:
            return f"trial {self.trial} is reproduced: value {self.value_there:.5f} and {curve}"
        return f"trial {self.trial} ({self.state}) is reproduced as far as it went: {curve}"


@dataclass
class _Outcome:
    """The result of one run of `fit`."""

    reports: dict[int, float] = field(default_factory=dict)
    value: float | None = None
    diverged: bool = False
    failure: str | None = None


def replay(opened: OpenStudy, number: int, say: Say) -> Replayed:
    """Run a trial again with its params and seed, and compare.

    Raises:
        StudyError: The trial does not exist, has not ended, or has nothing to compare.
        ObjectiveError: The objective cannot be loaded or run here.
    """
    trial = find_trial(opened, str(number))
    _refuse_incomparable(opened, trial)
    loaded = load(opened)
    params = stored_params(loaded.objective.space, trial)
    say(f"running trial {number} again: slot {trial.slot}, seed {trial.user_attrs[attrs.SEED]}")
    return _compared(trial, _run(loaded, params, trial))


def _refuse_incomparable(opened: OpenStudy, trial: Attempt) -> None:
    what = f"trial {trial.trial}"
    logs = f"study logs {trial.trial} --study {shlex.quote(opened.name)}"
    if trial.state == TrialState.WAITING:
        raise StudyError(f"{what} has not been run yet: it is WAITING")
    if trial.state == TrialState.RUNNING:
        raise StudyError(f"{what} is still RUNNING", f"{logs} --follow")
    if attrs.SEED not in trial.user_attrs:
        raise StudyError(f"{what} has no seed: it was not run by this program")
    if not trial.params:
        raise StudyError(f"{what} has no params: it ended before they were drawn")
    if trial.state == TrialState.COMPLETE or trial.reports or _is_infeasible(trial):
        return
    raise StudyError(
        f"{what} ended as {trial.state.name} before its first intermediate value: "
        "there is nothing to compare",
        logs,
    )


def _is_infeasible(trial: Attempt) -> bool:
    return ends.end_of(trial.user_attrs.get(attrs.REASON)).is_final


def _run(loaded: Loaded, params: Mapping[str, Any], trial: Attempt) -> _Outcome:
    """Run `fit` to its end, or to the last stored report of an incomplete trial."""
    outcome, here = _Outcome(), FitProcess()
    to_its_end = trial.state == TrialState.COMPLETE or _is_infeasible(trial)
    last = max(trial.reports, default=-1)

    def report(step: int, value: float | None) -> None:
        here.refuse_child()
        if value is not None:
            outcome.reports[int(step)] = float(value)
        if not to_its_end and step >= last:
            raise Pruned

    seed = int(trial.user_attrs[attrs.SEED])
    try:
        with here:
            found = loaded.on_rung(trial.rung).fit(
                params, loaded.dataset, seed=seed, report=report, resume_dir=None
            )
        fitted = as_fitted(found)
    except PRUNED:
        return outcome
    except DivergedError:
        outcome.diverged = True
    except ObjectiveError:
        raise
    except (Exception, SystemExit) as error:
        outcome.failure = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    else:
        outcome.value = fitted.value
        outcome.diverged = fitted.value is None or not math.isfinite(fitted.value)
    return outcome


def _compared(trial: Attempt, here: _Outcome) -> Replayed:
    theirs = trial.user_attrs.get(attrs.ENVIRONMENT)
    environment = None if theirs is None else differences(theirs, read_environment())
    found = _first_difference(trial, here)
    if environment is None:
        about = "its environment was not stored"
    elif environment:
        about = f"the environment differs: {', '.join(environment)}"
    else:
        about = "the environment is the same"
    return Replayed(
        trial=trial.trial,
        state=trial.state.name,
        same=found is None,
        first_difference=None if found is None else f"{found}; {about}",
        value_there=trial.value,
        value_here=here.value,
        n_compared=len(trial.reports.keys() & here.reports.keys()),
        environment=environment,
    )


def _first_difference(trial: Attempt, here: _Outcome) -> str | None:
    there = trial.reports
    for step in sorted(there.keys() | here.reports.keys()):
        if not _is_same(there.get(step), here.reports.get(step)):
            what = f"intermediate value at step {step}"
            return _difference(what, there.get(step), here.reports.get(step), here.failure)
    if trial.state == TrialState.COMPLETE and not _is_same(trial.value, here.value):
        return _difference("value", trial.value, here.value, here.failure)
    if _is_infeasible(trial) and not here.diverged:
        ended = f"failed with {here.failure}" if here.failure else f"has the value {here.value}"
        return f"it diverged there, and {ended} here"
    return None


def _is_same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return one == other or (math.isnan(one) and math.isnan(other))


def _difference(what: str, there: float | None, here: float | None, failure: str | None) -> str:
    if there is None:
        return f"{what}: none there, {here} here"
    if here is None:
        ended = f" (it failed with {failure})" if failure else ""
        return f"{what}: {there} there, none here{ended}"
    for digits in (5, 9, 17):
        one, other = f"{there:.{digits}g}", f"{here:.{digits}g}"
        if one != other:
            break
    return f"{what}: {one} there, {other} here (differ by {abs(there - here):.1e})"
