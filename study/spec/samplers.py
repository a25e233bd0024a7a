"""Optuna's samplers by the name in the spec; none unpickles data from a shared database."""

import copy
import importlib.util
import math
import warnings
from collections.abc import Callable
from typing import Any

import optuna
from optuna._transform import _SearchSpaceTransform
from optuna.distributions import BaseDistribution

from study.errors import StudyError
from study.spec.draw import SlotRandomSampler


def make_sampler(name: str, seed: int) -> optuna.samplers.BaseSampler:
    """Return the sampler of a spec; raise `StudyError` if it needs a package that is missing."""
    made: dict[str, Callable[[], optuna.samplers.BaseSampler]] = {
        "random": lambda: SlotRandomSampler(seed),
        "tpe": lambda: optuna.samplers.TPESampler(seed=seed),
        "gp": lambda: optuna.samplers.GPSampler(seed=seed),
        "cmaes": lambda: _ReplayedCmaEs(seed=seed),
        "qmc": lambda: _make_qmc(seed),
    }
    needs = {"gp": "torch", "cmaes": "cmaes", "qmc": "scipy"}.get(name)
    if needs is not None and importlib.util.find_spec(needs) is None:
        # Optuna would raise at the first trial only.
        raise StudyError(
            f"--sampler {name} needs the package {needs}, which is not installed",
            f"pip install {needs}, or another --sampler",
        )
    return made[name]()


class _ReplayedCmaEs(optuna.samplers.CmaEsSampler):
    """CMA-ES that never unpickles an optimizer from the database, which others can write to.

    Each ask rebuilds the optimizer from the trials of all generations except the newest.
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
        # A separate sampler makes the optimizer, because that draws random numbers.
        optimizer = optuna.samplers.CmaEsSampler(seed=0)._init_optimizer(space, study.direction)
        sign = 1 if study.direction == optuna.study.StudyDirection.MINIMIZE else -1
        while optimizer.generation < newest:
            told = self._get_solution_trials(completed_trials, optimizer.generation)
            solutions = [(space.transform(one.params), sign * (one.value or 0.0)) for one in told]
            if len(solutions) < optimizer.population_size:
                break
            optimizer.tell(solutions[: optimizer.population_size])
            optimizer = copy.copy(optimizer)  # makes its matrix symmetric, as pickling does
        return optimizer

    def _split_optimizer_str(self, optimizer_str: str) -> dict[str, str]:
        return {}  # the optimizer is not stored

    def _get_trials(self, study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
        return [trial for trial in super()._get_trials(study) if _is_whole(trial)]


def _is_whole(trial: optuna.trial.FrozenTrial) -> bool:
    """Whether a complete trial has one finite value, and params within their distributions."""
    try:
        trial._validate()
    except ValueError:
        return False
    return len(trial.values) == 1 and math.isfinite(trial.values[0])


def _make_qmc(seed: int) -> optuna.samplers.QMCSampler:
    """Return the sampler without Optuna's warning that it is experimental."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "QMCSampler is experimental", optuna.exceptions.ExperimentalWarning
        )
        return optuna.samplers.QMCSampler(seed=seed)
