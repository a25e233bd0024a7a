"""Gets the params of a claimed trial from Optuna's sampler, and asks Optuna's pruner."""

from collections.abc import Callable
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from objectives.space.space import SearchSpace
from storage.database.transaction import patiently
from storage.slots.slots import Claim
from study.spec.draw import training_seed
from study.spec.open import OpenStudy
from study.spec.pruners import make_pruner
from study.spec.samplers import make_sampler

Params = dict[str, Any]
SEEDED_BY_SLOT = ("tpe", "gp", "cmaes")
"""Samplers with random startup trials: with one seed, all workers would draw the same ones."""


class Suggester:
    """Gives each claim its params and its `should_prune`."""

    def __init__(self, opened: OpenStudy, space: SearchSpace) -> None:
        self._opened, self._space = opened, space
        self._study: optuna.Study | None = None

    @property
    def is_needed(self) -> bool:
        """Whether params come from Optuna; else they are drawn with the claim."""
        return self._opened.spec.sampler != "random"

    def params_of(self, claim: Claim, wait_s: float = 3600.0) -> tuple[Params, Callable[[], bool]]:
        """Return the params of a claim, written to its row, and its `should_prune`.

        Optuna does not wait for an unreachable database, so the call is repeated. Optuna repeats
        the params that it has already suggested for a trial.
        """
        params, should_prune = patiently(lambda: self._ask(claim), wait_s=wait_s)
        return params, lambda: patiently(should_prune, wait_s=wait_s)

    def _ask(self, claim: Claim) -> tuple[Params, Callable[[], bool]]:
        drawn = dict(claim.draw.params)
        if drawn and self._opened.spec.pruner == "none":
            return drawn, lambda: False
        study, spec = self._optuna_study(), self._opened.spec
        if spec.sampler in SEEDED_BY_SLOT:
            study.sampler = make_sampler(spec.sampler, training_seed(spec.seed, claim.slot.slot))
        params = self._space.draw(_suggest_from(optuna.trial.Trial(study, claim.trial_id)))

        def should_prune() -> bool:
            # `Trial.should_prune` knows only reports made through the same object.
            found = self._opened.storage.get_trial(claim.trial_id)
            return bool(study.pruner.prune(study, found))

        return params, should_prune

    def _optuna_study(self) -> optuna.Study:
        if self._study is None:
            spec = self._opened.spec
            self._study = optuna.load_study(
                study_name=self._opened.name,
                storage=self._opened.storage,
                sampler=make_sampler(spec.sampler, spec.seed),
                pruner=make_pruner(spec.pruner, spec.epochs),
            )
        return self._study


def _suggest_from(trial: optuna.trial.Trial) -> Callable[[str, BaseDistribution], Any]:
    def suggest(name: str, kind: BaseDistribution) -> Any:
        match kind:
            case FloatDistribution():
                return trial.suggest_float(name, kind.low, kind.high, step=kind.step, log=kind.log)
            case IntDistribution():
                return trial.suggest_int(name, kind.low, kind.high, step=kind.step, log=kind.log)
            case CategoricalDistribution():
                return trial.suggest_categorical(name, kind.choices)
        raise TypeError(f"no way to suggest {kind!r}")

    return suggest
