"""A study in memory for Optuna's plots: trials of ours alone, the newest of each slot.

Strangers' trials, lost attempts and values that are no numbers would distort the plots. Which
trials are drawn of a large study is decided here too.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.storages import InMemoryStorage
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from storage.reading import Attempt
from study.report.snapshot import Snapshot


def completed(snapshot: Snapshot) -> list[Attempt]:
    """Return the attempts with a finite value, by slot, with the params that fit the space."""
    found, known = snapshot.with_state(TrialState.COMPLETE), snapshot.distributions
    return [
        replace(a, params={n: v for n, v in a.params.items() if _fits(known.get(n), v)})
        for a in found
        if a.value is not None and math.isfinite(a.value)
    ]


def spread(attempts: Sequence[Attempt], most: int, direction: str) -> list[Attempt]:
    """Return `most` attempts or a few more: evenly many of all, and each that was the best so far.

    Args:
        attempts: With values, in order.
        most: How many are to be drawn.
        direction: Whether a higher or a lower value is better.
    """
    if len(attempts) <= most:
        return list(attempts)
    step = len(attempts) / most
    chosen = {int(index * step) for index in range(most)}
    sign, best = (-1.0 if direction == "maximize" else 1.0), math.inf
    for index, attempt in enumerate(attempts):
        value = math.inf if attempt.value is None else sign * attempt.value
        if value < best:
            best = value
            chosen.add(index)
    return [attempts[index] for index in sorted(chosen)]


def plot_study(snapshot: Snapshot, attempts: Sequence[Attempt]) -> Study:
    """Return a study of these attempts, which are `completed`; number `n` is `attempts[n]`."""
    direction = StudyDirection[snapshot.spec.direction.upper()]
    storage = _QuietStorage()
    study_id = storage.create_new_study([direction], "report")
    for attempt in attempts:
        storage.create_new_trial(study_id, _frozen(attempt, snapshot.distributions))
    return Study(storage.get_study_name_from_id(study_id), storage)


class _QuietStorage(InMemoryStorage):
    """Says nothing, and keeps trials as they come: copying 5,000 of them deeply takes seconds."""

    def create_new_study(
        self, directions: Sequence[StudyDirection], study_name: str | None = None
    ) -> int:
        logger = logging.getLogger("optuna.storages._in_memory")
        was_disabled, logger.disabled = logger.disabled, True
        try:
            return super().create_new_study(directions, study_name)
        finally:
            logger.disabled = was_disabled

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        if template_trial is None:
            return super().create_new_trial(study_id)
        number = len(self._studies[study_id].trials)
        template_trial.number = template_trial._trial_id = number
        self._trial_id_to_study_id_and_number[number] = (study_id, number)
        self._studies[study_id].trials.append(template_trial)
        return number


def _frozen(attempt: Attempt, known: dict[str, BaseDistribution]) -> FrozenTrial:
    return create_trial(
        state=TrialState.COMPLETE,
        value=attempt.value,
        params=attempt.params,
        distributions={name: known[name] for name in attempt.params},
    )


def _fits(distribution: BaseDistribution | None, value: Any) -> bool:
    """Whether a stored value is one of the space's; what is not would break a plot."""
    if distribution is None:
        return False
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except (TypeError, ValueError):
        return False
