"""Where a claimed trial's params come from when they were not written with the claim.

With the random sampler, no pruner and no given params the claim has them and Optuna is not asked.
Otherwise an Optuna trial is made of the claimed row, so that any of Optuna's samplers and pruners
works on it. The space is walked by the same code either way.
"""

import copy
import importlib.util
import math
import warnings
from collections.abc import Callable
from typing import Any

import optuna
from optuna._transform import _SearchSpaceTransform
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from objectives.space import SearchSpace
from storage.slots import Claim
from storage.transaction import patiently
from study.errors import StudyError
from study.opening import OpenStudy
from study.sampler import SlotRandomSampler, training_seed

Params = dict[str, Any]

SEEDED_BY_SLOT = ("tpe", "gp", "cmaes")
"""With one seed for all, every worker would draw the same startup trials."""

_REDUCTION = 3  # of a rung's trials one in so many goes on


def make_sampler(name: str, seed: int) -> optuna.samplers.BaseSampler:
    """Return the sampler of a spec; what any but `random` choose depends on timing."""
    made: dict[str, Callable[[], optuna.samplers.BaseSampler]] = {
        "random": lambda: SlotRandomSampler(seed),
        "tpe": lambda: optuna.samplers.TPESampler(seed=seed),
        "gp": lambda: optuna.samplers.GPSampler(seed=seed),
        "cmaes": lambda: _ReplayedCmaEs(seed=seed),
        "qmc": lambda: _make_qmc(seed),
    }
    needs = {"gp": "torch", "cmaes": "cmaes", "qmc": "scipy"}.get(name)
    if needs is not None and importlib.util.find_spec(needs) is None:
        # Optuna would notice at the first trial only.
        raise StudyError(
            f"--sampler {name} needs the package {needs}, which is not installed",
            f"pip install {needs}, or another --sampler",
        )
    return made[name]()


class _ReplayedCmaEs(optuna.samplers.CmaEsSampler):
    """Optuna's sampler without its pickled optimizer: whoever writes to the database may write one.

    Each ask makes the optimizer anew from the trials of all generations but the newest.
    """

    def sample_relative(
        self,
        study: optuna.Study,
        trial: optuna.trial.FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        self._asked = study, search_space
        return super().sample_relative(study, trial, search_space)

    def _restore_optimizer(self, completed_trials: list[optuna.trial.FrozenTrial]) -> Any:
        study, search_space = self._asked
        found = [trial.system_attrs.get(self._attr_key_generation) for trial in completed_trials]
        newest = max((each for each in found if type(each) is int), default=0)
        if newest < 1:
            return None
        space = _SearchSpaceTransform(search_space, transform_step=True, transform_0_1=True)
        # Of another sampler: this one's random numbers stay as they are.
        optimizer = optuna.samplers.CmaEsSampler(seed=0)._init_optimizer(space, study.direction)
        sign = 1 if study.direction == optuna.study.StudyDirection.MINIMIZE else -1
        while optimizer.generation < newest:
            told = self._get_solution_trials(completed_trials, optimizer.generation)
            solutions = [(space.transform(one.params), sign * (one.value or 0.0)) for one in told]
            if len(solutions) < optimizer.population_size:
                break
            optimizer.tell(solutions[: optimizer.population_size])
            optimizer = copy.copy(optimizer)  # its matrix is made symmetric, as Optuna's is
        return optimizer

    def _split_optimizer_str(self, optimizer_str: str) -> dict[str, str]:
        return {}  # nothing of it is stored

    def _get_trials(self, study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
        return [trial for trial in super()._get_trials(study) if _is_whole(trial)]


def _is_whole(trial: optuna.trial.FrozenTrial) -> bool:
    """Whether a complete trial has one finite value, and params that its distributions hold."""
    try:
        trial._validate()
    except ValueError:
        return False
    return len(trial.values) == 1 and math.isfinite(trial.values[0])


def _make_qmc(seed: int) -> optuna.samplers.QMCSampler:
    """Return the sampler without its warning, once a worker, that Optuna may change it."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "QMCSampler is experimental", optuna.exceptions.ExperimentalWarning
        )
        return optuna.samplers.QMCSampler(seed=seed)


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


class Suggester:
    """Gives each claim its params, and the question whether to prune it."""

    def __init__(self, opened: OpenStudy, space: SearchSpace) -> None:
        self._opened, self._space = opened, space
        self._study: optuna.Study | None = None

    @property
    def is_needed(self) -> bool:
        """Whether params come from Optuna at all; else they are drawn with the claim."""
        return self._opened.spec.sampler != "random"

    def params_of(self, claim: Claim, wait_s: float = 3600.0) -> tuple[Params, Callable[[], bool]]:
        """Return the params of a claim, written to its row, and its `should_prune`.

        Optuna does not wait for a database that is away: it is asked again. What it has suggested
        for a trial before, it suggests again.
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
            # `Trial.should_prune` knows reports made by that very object alone.
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
    def suggest(name: str, distribution: BaseDistribution) -> Any:
        if isinstance(distribution, FloatDistribution):
            step, log = distribution.step, distribution.log
            return trial.suggest_float(
                name, distribution.low, distribution.high, step=step, log=log
            )
        if isinstance(distribution, IntDistribution):
            step_int, log = distribution.step, distribution.log
            return trial.suggest_int(
                name, distribution.low, distribution.high, step=step_int, log=log
            )
        if isinstance(distribution, CategoricalDistribution):
            return trial.suggest_categorical(name, distribution.choices)
        raise TypeError(f"no way to suggest {distribution!r}")

    return suggest
