"""Whether a training is still finite: its loss on the way, its weights, what the network says.

Decides what is looked at and how often. The losses of some batches are read together, so that a
device need not be waited for after each batch. Nothing here changes a bit of a training.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from objectives.base import _is_finite
from objectives.errors import DivergedError

_READ_EVERY = 100  # batches


class LossWatch:
    """The losses of the batches of one epoch, until they are read."""

    def __init__(self, epoch: int) -> None:
        self._epoch, self._n_read = epoch, 0
        self._unread: list[Any] = []

    def add(self, logs: Mapping[str, Any]) -> None:
        """Note what the step of a batch returned; read the losses if it is time.

        Raises:
            DivergedError: One of them is NaN or infinite; names epoch and batch, both from 0.
        """
        loss = logs.get("loss")
        self._unread.append(0.0 if loss is None or isinstance(loss, Mapping) else loss)
        if len(self._unread) == _READ_EVERY:
            self.read()

    def read(self) -> None:
        """Read the losses that are not read yet; raises as `add` does."""
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
    """Refuse a network with a weight that is NaN, or infinite where it is trained.

    Args:
        weights: Keras variables.
        values: Their values as NumPy arrays, in the same order.
        epoch: The last one, from 0.

    Raises:
        DivergedError: Names the first such weight, and the epoch.
    """
    for weight, value in zip(weights, values, strict=True):
        if value.dtype.kind in "iub" or _is_finite(value):
            continue
        # A network may keep infinity on purpose, as a mask, but it does not train it.
        if weight.trainable or np.isnan(np.asarray(value, np.float64)).any():
            raise DivergedError(
                f"the weights became NaN or infinite in epoch {epoch} ({weight.path})"
            )
