"""Optuna's pruners by the name in the spec."""

import copy
from collections.abc import Callable

import optuna

_REDUCTION = 3  # one in three trials goes on after each rung


def make_pruner(name: str, epochs: int) -> optuna.pruners.BasePruner:
    """Return the pruner of a spec.

    `asha` compares trials after 1, 3, 9 ... epochs; `hyperband` does so in brackets that start at
    different epochs. `median` compares after each epoch, once five trials are complete.
    """
    halving, hyperband = optuna.pruners.SuccessiveHalvingPruner, optuna.pruners.HyperbandPruner
    made: dict[str, Callable[[], optuna.pruners.BasePruner]] = {
        "none": optuna.pruners.NopPruner,
        "median": optuna.pruners.MedianPruner,
        "asha": lambda: _FromOne(halving(min_resource=1, reduction_factor=_REDUCTION)),
        "hyperband": lambda: _FromOne(
            hyperband(max_resource=max(1, epochs), reduction_factor=_REDUCTION)
        ),
    }
    return made[name]()


class _FromOne(optuna.pruners.BasePruner):
    """Passes Optuna's pruner steps that start at 1, because it makes no rung of step 0."""

    def __init__(self, pruner: optuna.pruners.BasePruner) -> None:
        self._pruner = pruner

    def prune(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
        counted = copy.copy(trial)
        counted.intermediate_values = {
            step + 1: value for step, value in trial.intermediate_values.items()
        }
        return self._pruner.prune(study, counted)
