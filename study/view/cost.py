"""The cost of a trial: images, floating point operations and seconds, as its training counted them.

Decides which of them a cost is, and how it reads. An objective of the user's may leave none,
some or all of them.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from optuna.trial import TrialState

from storage import attrs
from storage.reading import Attempt
from study.spec.open import OpenStudy

_KEYS = ("images", "flop", "train_s", "images_per_s")


@dataclass(frozen=True)
class Cost:
    """Of one trial, or the mean over several; None where it is not known.

    Attributes:
        images: Trained, repeated epochs included.
        flop: Floating point operations of it.
        train_s: Training steps alone.
        images_per_s: Without the first step, which builds the graph.
    """

    images: float | None
    flop: float | None
    train_s: float | None
    images_per_s: float | None

    def __str__(self) -> str:
        """Return what is known, such as `100,800 images, 3.21 TFLOP, 41.0 s in steps`."""
        parts = [
            (self.images, "{:,.0f} images", 1.0),
            (self.flop, "{:.3g} TFLOP", 1e12),
            (self.train_s, "{:.1f} s in steps", 1.0),
        ]
        return ", ".join(text.format(n / unit) for n, text, unit in parts if n is not None)


def cost_of(info: Mapping[str, Any] | None) -> Cost | None:
    """Return the cost that a trial's `info` tells of; None where it tells of none."""
    found = [attrs.number((info or {}).get(key)) for key in _KEYS]
    return Cost(*found) if any(one is not None for one in found[:-1]) else None


def mean_cost(costs: Iterable[Cost | None]) -> Cost | None:
    """Return the mean of each number over those who know it; None where nobody knows any."""
    there = [cost for cost in costs if cost is not None]
    if not there:
        return None
    means = []
    for key in _KEYS:
        known = [n for cost in there if (n := getattr(cost, key)) is not None]
        means.append(sum(known) / len(known) if known else None)
    return Cost(*means)


def eta_s(trial_s: float | None, n_waiting: int, n_running: int, n_workers: int) -> float | None:
    """Return trial seconds to go over the workers there are; a running trial counts as half done.

    None where nothing is known, or nobody works.
    """
    if n_waiting + n_running == 0:
        return 0.0
    if trial_s is None or n_workers == 0:
        return None
    return round(trial_s * (n_waiting + 0.5 * n_running) / n_workers, 1)


def mean_duration_s(attempts: Iterable[Attempt]) -> float | None:
    """Return the mean wall time of those that ended with a value or pruned, in s."""
    durations = [
        (a.finished_at - a.started_at).total_seconds()
        for a in attempts
        if a.state in (TrialState.COMPLETE, TrialState.PRUNED) and a.started_at and a.finished_at
    ]
    known = [s for s in durations if s >= 0]  # in the others a clock was set back
    return sum(known) / len(known) if known else None


def expected_trial_s(opened: OpenStudy) -> float | None:
    """Return what a trial was expected to take when the study was made, in s."""
    found: float | None = opened.attr(attrs.TRIAL_S)
    return found if found is not None and found > 0 else None


def images_per_s(cost: Cost | None, n_running: int) -> float | None:
    """Return the rate of the trials in progress together, from the mean of those that ended."""
    if cost is None or cost.images_per_s is None or not n_running:
        return None
    return n_running * cost.images_per_s


def attempt_cost(attempt: Attempt) -> Cost | None:
    """Return what an attempt has cost, where it tells."""
    return cost_of(attempt.user_attrs.get(attrs.INFO))


class Speed:
    """Measures one worker's trials, one after another.

    Args:
        n_images: That an epoch learns from; None where it is not known.
        clock: Monotonic time in s.

    Attributes:
        images_per_s: Of the newest epoch; None until one has ended.
    """

    def __init__(self, n_images: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.images_per_s: float | None = None
        self._n_images, self._clock = n_images, clock
        self._since, self._replayed_to = clock(), -1

    def begin(self, replayed_to: int | None = None) -> None:
        """A training begins.

        Args:
            replayed_to: The newest epoch that an earlier attempt has trained and that this one
                takes over: reported again, and not trained.
        """
        self._since = self._clock()
        self._replayed_to = -1 if replayed_to is None else replayed_to

    def epoch_ended(self, epoch: int) -> None:
        """An epoch of it, counted from 0, has ended."""
        now = self._clock()
        is_trained = epoch > self._replayed_to
        if self._n_images is not None and is_trained and now > self._since:
            self.images_per_s = round(self._n_images / (now - self._since), 1)
        self._since = now


def images_of(dataset: Any, *, refits: bool) -> int | None:
    """Return how many images an epoch learns from; None where an objective does not say.

    Args:
        refits: Whether the trainings are those of a finalize, each on rows of its own.
    """
    train = getattr(dataset, "train", None)
    if refits or train is None or not hasattr(train, "__len__"):
        return None
    return len(train)
