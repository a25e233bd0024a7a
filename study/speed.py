"""How many images a second a worker trains on, from one report to the next.

What validation and checkpoints take is in it: it says how fast the study goes, not the kernel.
"""

import time
from collections.abc import Callable
from typing import Any


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
