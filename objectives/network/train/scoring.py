"""Accuracy and log loss of what a model says of the rows that are held back.

Decides what is counted, and that the first batch is timed apart from the others: it traces the
graph, which is no validation. When a training is scored, `training.py` decides.
"""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objectives.data.dataset import Split
from objectives.network.export import PREDICT_BATCH, predict_images

_LIKELIHOOD_FLOOR = 1e-7  # as Keras clips: one hopeless image must not make the loss infinite


class Durations:
    """Seconds of this process by part; a part may be entered again and again, but not nested."""

    def __init__(self) -> None:
        self._spent: dict[str, float] = {}

    @contextlib.contextmanager
    def of(self, part: str) -> Iterator[None]:
        """Count what happens inside as `part`, whether it ends well or not."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._spent[part] = self._spent.get(part, 0.0) + time.perf_counter() - started

    def info(self) -> dict[str, float]:
        """Return the parts met so far, in seconds, each named with its unit."""
        return {f"{part}_s": seconds for part, seconds in self._spent.items()}


class Scorer:
    """Scores one model on one split, as often as it is asked to.

    Args:
        model: From `serving_model`; its weights may change between two calls.
        split: At least one row; its labels are class indexes.
        durations: Gets `first_valid`, the first batch of all, and `valid`, all others.
    """

    def __init__(self, model: Any, split: Split, durations: Durations) -> None:
        self._model, self._split, self._durations = model, split, durations
        self._n_untraced = PREDICT_BATCH

    def score(self) -> tuple[float, float]:
        """Return accuracy and log loss of the model with the weights that it has now."""
        images, n_first = self._split.images[self._split.rows], self._n_untraced
        self._n_untraced, said = 0, []
        for part, some in (("first_valid", images[:n_first]), ("valid", images[n_first:])):
            with self._durations.of(part):
                said.append(predict_images(self._model, some))
        return score(np.concatenate(said), self._split)


def score(probabilities: NDArray[np.float32], split: Split) -> tuple[float, float]:
    """Return accuracy (n_correct / n, 0..1) and log loss in nats of predictions for a split.

    Args:
        probabilities: Shape (n, n_classes), in the order of `split.rows`.
        split: Its labels are class indexes.
    """
    labels = np.asarray(split.labels[split.rows])
    n_correct = int((probabilities.argmax(axis=1) == labels).sum())
    likelihood = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    nats = -np.log(np.clip(likelihood, _LIKELIHOOD_FLOOR, 1.0))
    return n_correct / len(labels), float(nats.mean())
