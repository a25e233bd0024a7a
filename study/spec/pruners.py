"""Which pruner a study has."""

import copy
from collections.abc import Callable

import optuna

_REDUCTION = 3  # of a rung's trials one in so many goes on


def make_pruner(name: str, epochs: int) -> optuna.pruners.BasePruner:
    """Return the pruner of a spec.

    The rungs of `asha` are 1, 3, 9 ... epochs, which are as many images in every trial; those of
    `hyperband` the same, in brackets of which each begins at a later one. `median` looks after
    each epoch, once five trials are complete.
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
    """Counts the epochs that are done: the first one is step 0, which is no rung of Optuna's."""

    def __init__(self, pruner: optuna.pruners.BasePruner) -> None:
        self._pruner = pruner

    def prune(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
        counted = copy.copy(trial)
        counted.intermediate_values = {
            step + 1: value for step, value in trial.intermediate_values.items()
        }
        return self._pruner.prune(study, counted)
