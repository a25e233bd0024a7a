"""Compute the validation score of an epoch, and check a training for NaN or infinite values.

Losses of several batches are read together, to avoid a wait for the device after each batch.
Nothing here changes a bit of a training.
"""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objectives.data.dataset import Split
from objectives.errors import DivergedError
from objectives.network.export import PREDICT_BATCH, predict_images

_LIKELIHOOD_FLOOR = 1e-7  # clipped as in Keras: one image must not make the loss infinite
_READ_EVERY = 100  # batches


class Durations:
    """Seconds of this process by part; a part may be repeated, but not nested."""

    def __init__(self) -> None:
        self._spent: dict[str, float] = {}

    @contextlib.contextmanager
    def of(self, part: str) -> Iterator[None]:
        """Count the time inside as `part`, also if it raises."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._spent[part] = self._spent.get(part, 0.0) + time.perf_counter() - started

    def info(self) -> dict[str, float]:
        """Return the seconds of each part, named `<part>_s`."""
        return {f"{part}_s": seconds for part, seconds in self._spent.items()}


class Scorer:
    """Scores one serving model on one split with at least one row, any number of times.

    `durations` gets `first_valid` for the very first batch, which traces the graph, and `valid` for
    all others.
    """

    def __init__(self, model: Any, split: Split, durations: Durations) -> None:
        self._model, self._split, self._durations = model, split, durations
        self._n_untraced = PREDICT_BATCH

    def score(self) -> tuple[float, float]:
        """Return accuracy and log loss of the model with its current weights."""
        images, n_first = self._split.images[self._split.rows], self._n_untraced
        self._n_untraced, predicted = 0, []
        for part, some in (("first_valid", images[:n_first]), ("valid", images[n_first:])):
            with self._durations.of(part):
                predicted.append(predict_images(self._model, some))
        return score(np.concatenate(predicted), self._split)


def score(probabilities: NDArray[np.float32], split: Split) -> tuple[float, float]:
    """Return accuracy (n_correct / n, 0..1) and log loss in nats.

    Args:
        probabilities: Shape (n, n_classes), in the order of `split.rows`.
        split: Its labels are class indexes.
    """
    labels = np.asarray(split.labels[split.rows])
    n_correct = int((probabilities.argmax(axis=1) == labels).sum())
    likelihood = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    nats = -np.log(np.clip(likelihood, _LIKELIHOOD_FLOOR, 1.0))
    return n_correct / len(labels), float(nats.mean())


class LossWatch:
    """The losses of the batches of one epoch, read in groups."""

    def __init__(self, epoch: int) -> None:
        self._epoch, self._n_read = epoch, 0
        self._unread: list[Any] = []

    def add(self, logs: Mapping[str, Any]) -> None:
        """Add the logs of a batch; read the losses if a group is complete.

        Raises:
            DivergedError: A loss is NaN or infinite; names epoch and batch, both from 0.
        """
        loss = logs.get("loss")
        self._unread.append(0.0 if loss is None or isinstance(loss, Mapping) else loss)
        if len(self._unread) == _READ_EVERY:
            self.read()

    def read(self) -> None:
        """Read the unread losses; raises as `add` does."""
        import keras

        if not self._unread:
            return
        stacked = keras.ops.convert_to_numpy(keras.ops.stack(self._unread))
        found = np.asarray(stacked, np.float64).reshape(len(self._unread), -1).sum(axis=1)
        bad = np.flatnonzero(~np.isfinite(found))
        if len(bad):
            place = f"in epoch {self._epoch}, batch {self._n_read + bad[0]}"
            raise DivergedError(f"the loss became {found[bad[0]]} {place}")
        self._n_read += len(self._unread)
        self._unread.clear()


def refuse_unfinite_weights(weights: Sequence[Any], values: Sequence[Any], epoch: int) -> None:
    """Refuse a network with a NaN weight, or an infinite trained weight.

    Args:
        weights: Keras variables.
        values: Their values as NumPy arrays, in the same order.
        epoch: Number of the last epoch, from 0.

    Raises:
        DivergedError: Names the first such weight, and the epoch.
    """
    for weight, value in zip(weights, values, strict=True):
        if value.dtype.kind in "iub" or np.isfinite(value).all():
            continue
        # A network may contain infinity on purpose, as an untrained mask.
        if weight.trainable or np.isnan(np.asarray(value, np.float64)).any():
            raise DivergedError(
                f"the weights became NaN or infinite in epoch {epoch} ({weight.path})"
            )
