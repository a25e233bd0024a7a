"""What Optuna's samplers and pruners say when they are made."""

import contextlib
import math
import os
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, QMCSampler
from optuna.trial import TrialState

from study.spec.pruners import make_pruner
from study.spec.samplers import make_sampler


def test_qmc_says_nothing_when_it_is_made() -> None:
    """Every worker would print that it is experimental; other warnings are still seen."""
    with warnings.catch_warnings(record=True, action="always") as seen:
        assert isinstance(make_sampler("qmc", 1), QMCSampler)
        assert seen == []
        warnings.warn("something else is experimental", ExperimentalWarning, stacklevel=1)
        assert len(seen) == 1


def epochs_of(values: list[float], pruner: str, n_epochs: int) -> list[int]:
    """Report each value after every epoch, one trial after another; return how many each ran."""
    study = optuna.create_study(direction="maximize", pruner=make_pruner(pruner, n_epochs))
    found = []
    for value in values:
        trial, n_done, is_pruned = study.ask(), 0, False
        while n_done < n_epochs and not is_pruned:
            trial.report(value, n_done)
            n_done += 1
            is_pruned = trial.should_prune()
        study.tell(trial, None if is_pruned else value, TrialState.PRUNED if is_pruned else None)
        found.append(n_done)
    return found


def test_asha_ends_bad_trials_after_the_first_epoch_and_better_ones_at_the_next_rung() -> None:
    """Rungs are 1, 3 and 9 epochs; of those that came to one, the best third goes on."""
    rising = [0.1 * i for i in range(9)]
    assert epochs_of(rising, "asha", 9) == [9] * 9
    assert epochs_of([*rising, 0.0, 0.0, 0.0, 0.55, 0.9], "asha", 9)[9:] == [1, 1, 1, 3, 9]


@pytest.mark.parametrize("pruner", ["median", "asha", "hyperband"])
def test_pruner_ends_no_trial_that_is_the_best_so_far(pruner: str) -> None:
    """Else a search could not get better."""
    rising = [0.1 + 0.01 * i for i in range(30)]
    assert epochs_of(rising, pruner, 9) == [9] * 30


def test_no_pruner_ends_nothing() -> None:
    """The tests above can fail."""
    assert epochs_of([0.9] * 6 + [0.0], "none", 3) == [3] * 7


def searched(sampler: Callable[[int], BaseSampler], direction: str) -> optuna.Study:
    """Return a study of 60 trials, some of which fail or are pruned; each has a new sampler."""
    study = optuna.create_study(direction=direction)
    for i in range(60):
        study.sampler = sampler(i)
        trial = study.ask()
        x = trial.suggest_float("x", 1e-4, 1, log=True)
        n = trial.suggest_int("n", 1, 64)
        y = trial.suggest_float("y", 0, 0.5, step=0.1)
        trial.suggest_categorical("kind", ["a", "b"])
        state = {5: TrialState.PRUNED, 6: TrialState.FAIL}.get(i % 11)
        value = (x - 0.01) ** 2 + (n - 20) ** 2 / 100 + y
        study.tell(trial, None if state else value, state)
    return study


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_cmaes_suggests_what_optunas_own_does_and_stores_no_optimizer(direction: str) -> None:
    """Who makes its optimizer anew from the trials has the same one, to the last bit."""
    theirs = searched(lambda seed: optuna.samplers.CmaEsSampler(seed=seed), direction)
    ours = searched(lambda seed: make_sampler("cmaes", seed), direction)
    assert [t.params for t in ours.trials] == [t.params for t in theirs.trials]
    assert {key for t in theirs.trials for key in t.system_attrs} > {"cma:generation"}
    assert {key for t in ours.trials for key in t.system_attrs} == {"cma:generation"}
    assert max(t.system_attrs.get("cma:generation", 0) for t in ours.trials) > 3


class Planted:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("generation", [0, 1, 7, "x", None, True, 10**30])
def test_cmaes_runs_nothing_that_the_database_holds(tmp_path: Path, generation: object) -> None:
    """Optuna's own sampler unpickles an attribute that whoever writes there may set."""

    def attacked(sampler: BaseSampler, made: Path) -> None:
        study = searched(lambda seed: make_sampler("cmaes", seed), "minimize")
        for trial in study.trials:
            for key, value in (
                ("cma:optimizer:0", pickle.dumps(Planted(made)).hex()),
                ("cma:generation", generation),
            ):
                study._storage._get_trial(trial._trial_id).system_attrs[key] = value  # type: ignore[attr-defined]
        study.sampler = sampler
        study.ask().suggest_float("x", 1e-4, 1, log=True)

    attacked(make_sampler("cmaes", 1), tmp_path / "ours")
    assert not (tmp_path / "ours").exists()
    with contextlib.suppress(AttributeError):
        attacked(optuna.samplers.CmaEsSampler(seed=1), tmp_path / "theirs")
    assert (tmp_path / "theirs").exists()


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_cmaes_learns_nothing_from_values_that_are_not_finite(value: float) -> None:
    """Nor from params outside of their distributions: the next is suggested all the same."""
    study = searched(lambda seed: make_sampler("cmaes", seed), "minimize")
    for trial in study.trials[::3]:
        held = study._storage._get_trial(trial._trial_id)  # type: ignore[attr-defined]
        held.values = [value]
    for trial in study.trials[1::3]:
        study._storage._get_trial(trial._trial_id).params["x"] = -1.0  # type: ignore[attr-defined]
    study.sampler = make_sampler("cmaes", 1)
    assert 1e-4 <= study.ask().suggest_float("x", 1e-4, 1, log=True) <= 1
