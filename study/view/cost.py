"""The cost of trials (images, floating point operations, seconds), training speed, and time left.

A user's own objective may count none, some or all of the costs.
"""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from optuna.trial import TrialState

from storage import attrs
from storage.reading import Attempt
from storage.slots.slots import promotions
from study.spec.open import OpenStudy
from study.spec.spec import StudySpec

_KEYS = ("images", "flop", "train_s", "images_per_s")


@dataclass(frozen=True)
class Cost:
    """The cost of one trial, or a mean over several; None for an unknown number.

    Attributes:
        images: Trained images, repeated epochs included.
        flop: Floating point operations.
        train_s: Time of the training steps only.
        images_per_s: Rate without the first step, which builds the graph.
    """

    images: float | None
    flop: float | None
    train_s: float | None
    images_per_s: float | None

    def __str__(self) -> str:
        """Return the known numbers, such as `100,800 images, 3.21 TFLOP, 41.0 s in steps`."""
        parts = [
            (self.images, "{:,.0f} images", 1.0),
            (self.flop, "{:.3g} TFLOP", 1e12),
            (self.train_s, "{:.1f} s in steps", 1.0),
        ]
        return ", ".join(text.format(n / unit) for n, text, unit in parts if n is not None)


def cost_of(info: Mapping[str, Any] | None) -> Cost | None:
    """Return the cost in a trial's `info`, or None."""
    found = [attrs.number((info or {}).get(key)) for key in _KEYS]
    return Cost(*found) if any(one is not None for one in found[:-1]) else None


def mean_cost(costs: Iterable[Cost | None]) -> Cost | None:
    """Return the mean of each known number, or None without any cost."""
    present = [cost for cost in costs if cost is not None]
    if not present:
        return None
    return Cost(*(_mean([getattr(cost, key) for cost in present]) for key in _KEYS))


def _mean(numbers: Iterable[float | None]) -> float | None:
    known = [n for n in numbers if n is not None]
    return sum(known) / len(known) if known else None


def eta_s(trial_s: float | None, n_units: float, n_workers: int) -> float | None:
    """Return the expected time left; None without a known duration, or without workers.

    Args:
        trial_s: Duration of a trial with the epochs of the study, in s.
        n_units: The work left, in such trials.
    """
    if n_units == 0:
        return 0.0
    if trial_s is None or n_workers == 0:
        return None
    return round(trial_s * n_units / n_workers, 1)


def mean_duration_s(attempts: Iterable[Attempt], spec: StudySpec) -> float | None:
    """Return the mean wall time of complete and pruned trials, in s.

    With rungs, that of a trial on the last rung: time is taken to grow with the epochs.
    """
    found = [
        ((a.finished_at - a.started_at).total_seconds(), units(a, spec))
        for a in attempts
        if a.state in (TrialState.COMPLETE, TrialState.PRUNED) and a.started_at and a.finished_at
    ]
    known = [(s, n) for s, n in found if s >= 0]  # below 0 a clock was set back
    return sum(s for s, _ in known) / sum(n for _, n in known) if known else None


def units(attempt: Attempt, spec: StudySpec) -> float:
    """Return the work of a trial, as a share of a trial with the epochs of the study."""
    return spec.epochs_on(attempt.rung) / spec.epochs


def units_left(newest: Collection[Attempt], spec: StudySpec) -> float:
    """Return the work left in a study; a running trial counts as half done.

    Higher rungs count with the slots that they will have if every slot below gets a value.
    """
    left = sum(
        units(a, spec) * (0.5 if a.state == TrialState.RUNNING else 1.0)
        for a in newest
        if not a.is_final
    )
    return left + sum(n * spec.epochs_on(rung) / spec.epochs for rung, n in to_come(newest, spec))


def to_come(newest: Collection[Attempt], spec: StudySpec) -> list[tuple[int, int]]:
    """Return each higher rung with the number of slots that are not planned yet."""
    if spec.promotion is None or is_done(newest, spec):
        return []
    have = Counter(attempt.rung for attempt in newest)
    sizes = spec.promotion.sizes(have[0])
    return [(rung, max(0, size - have[rung])) for rung, size in enumerate(sizes) if rung]


def is_done(newest: Collection[Attempt], spec: StudySpec) -> bool:
    """Whether there are slots, all are final, and none is promoted any more."""
    if not newest or not all(attempt.is_final for attempt in newest):
        return False
    return spec.promotion is None or not promotions(list(newest), spec.promotion)


def expected_trial_s(opened: OpenStudy) -> float | None:
    """Return how long a trial was expected to take when the study was created, in s."""
    found: float | None = opened.attr(attrs.TRIAL_S)
    return found if found is not None and found > 0 else None


def attempt_cost(attempt: Attempt) -> Cost | None:
    """Return the cost of an attempt, or None."""
    return cost_of(attempt.user_attrs.get(attrs.INFO))


class Speed:
    """Measures the training speed of one worker.

    Args:
        n_images: Images in an epoch; None if unknown.
        clock: Monotonic time in s.

    Attributes:
        images_per_s: Speed of the newest epoch; None before the first epoch has ended.
    """

    def __init__(self, n_images: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.images_per_s: float | None = None
        self._n_images, self._clock = n_images, clock
        self._since, self._replayed_to = clock(), -1

    def begin(self, replayed_to: int | None = None) -> None:
        """Start to measure a training.

        Args:
            replayed_to: The newest epoch of the checkpoint that the training resumes from. Epochs
                up to it are reported again, but not trained.
        """
        self._since = self._clock()
        self._replayed_to = -1 if replayed_to is None else replayed_to

    def epoch_ended(self, epoch: int) -> None:
        """Measure an epoch that has ended; epochs are counted from 0."""
        now = self._clock()
        is_trained = epoch > self._replayed_to
        if self._n_images is not None and is_trained and now > self._since:
            self.images_per_s = round(self._n_images / (now - self._since), 1)
        self._since = now


def images_of(dataset: Any, *, refits: bool) -> int | None:
    """Return the number of images in an epoch; None if the data set does not tell it.

    Args:
        refits: Whether the study is a finalize, whose trainings have different rows each.
    """
    train = getattr(dataset, "train", None)
    if refits or train is None or not hasattr(train, "__len__"):
        return None
    return len(train)
