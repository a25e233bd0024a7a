"""What Optuna's samplers and pruners say when they are made."""

import warnings

import optuna
import pytest
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import QMCSampler
from optuna.trial import TrialState

from study.suggesting import make_pruner, make_sampler


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
