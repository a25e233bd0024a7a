"""Call the user's Keras callbacks of one training, as Keras's `fit` would.

The values `val_...` come from the network's own `test_step`, as in `fit`; `scoring.py` computes the
value of a trial. A callback that monitors a missing value is refused.
"""

import contextlib
import difflib
import logging
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from objectives.data.dataset import Dataset
from objectives.errors import ModelError
from objectives.network.train.step import Test, test_step

_log = logging.getLogger(__name__)

_UNAVAILABLE = r"Early stopping conditioned|Learning rate reduction is|Can save best model only"


def as_callbacks(returned: Any) -> list[Any]:
    """Return the callbacks that the user's function returned: one, several, or None.

    Raises:
        ModelError: It returned another type.
    """
    import keras

    if returned is None:
        return []
    if isinstance(returned, keras.callbacks.Callback):
        return [returned]
    if isinstance(returned, Iterable) and not isinstance(returned, str | bytes | Mapping):
        return [one for part in returned for one in as_callbacks(part)]
    if isinstance(returned, type) and issubclass(returned, keras.callbacks.Callback):
        name = returned.__name__
        raise ModelError(f"callbacks returned the class {name}, not an instance", hint=f"{name}()")
    raise ModelError(
        f"callbacks returned {returned!r:.60}, which is not a Keras callback",
        hint="return a list such as [keras.callbacks.EarlyStopping('val_loss', patience=3)]",
    )


class Listeners:
    """The callbacks of one training; without any, nothing is computed for them.

    Attributes:
        list: Keras's list of the callbacks, with the `History` that `fit` would add.
    """

    def __init__(
        self,
        made: list[Any],
        network: Any,
        dataset: Dataset,
        size: int,
        n_epochs: int,
        n_steps: int,
    ) -> None:
        """Store the callbacks `made`; `size` is the rows of a batch, `n_steps` the batches."""
        import keras

        self._network, self._dataset, self._size = network, dataset, size
        self._last: Mapping[str, Any] | None = None
        self._test: Test | None = None
        self._can_test = True
        self._own = made
        self.list = keras.callbacks.CallbackList(
            made, add_history=bool(made), model=network, epochs=n_epochs, steps=n_steps, verbose=0
        )

    def __bool__(self) -> bool:
        return bool(self._own)

    def train_begin(self) -> None:
        """Call `on_train_begin`."""
        self._network.stop_training = False
        self.list.on_train_begin()

    def train_end(self) -> None:
        """Call `on_train_end` with the logs of the last epoch of this process.

        With `use_ema` the network then has the averages, as after `fit`.
        """
        if self:
            network = self._network
            network.optimizer.finalize_variable_values(network.trainable_weights)
            self.list.on_train_end(self._last)

    def batch_end(self, number: int, logs: Mapping[str, Any]) -> bool:
        """Call `on_train_batch_end`; return whether a callback stops the training."""
        if not self:
            return False
        self.list.on_train_batch_end(number, logs)
        return bool(self._network.stop_training)

    def epoch_end(
        self, epoch: int, logs: Mapping[str, Any], score: Callable[[], tuple[float | None, float]]
    ) -> tuple[float | None, float]:
        """Call `score`, then `on_epoch_end`; return validation accuracy and log loss.

        Args:
            epoch: Number of the epoch, from 0.
            logs: Logs of the last batch.
            score: Returns validation accuracy and log loss.

        Raises:
            ModelError: A callback monitors a value that is not in the logs.
        """
        # `fit` reads the metrics before the validation resets them.
        shown = dict(self._network._get_metrics_result_or_logs(logs)) if self else {}
        accuracy, loss = score()
        if not self:
            return accuracy, loss
        if accuracy is not None:
            shown |= self._validated() or {"val_accuracy": accuracy, "val_loss": loss}
            if self._last is None:
                self._refuse_unseen(set(_plain(shown)))
        self._last = shown
        with contextlib.ExitStack() as stack:
            if accuracy is None:  # without validation rows there is no `val_...`
                stack.enter_context(warnings.catch_warnings())
                warnings.filterwarnings("ignore", _UNAVAILABLE)
            self.list.on_epoch_end(epoch, shown)
        return accuracy, loss

    def _validated(self) -> dict[str, Any]:
        """Test the network as `fit` does; return nothing if its `test_step` does not work."""
        if not self._can_test:
            return {}
        self._network.stop_evaluating = False
        self.list.on_test_begin()
        self._network.reset_metrics()
        found: Mapping[str, Any] = {}
        try:
            found = _plain(self._network._get_metrics_result_or_logs(self._test_batches()))
        except _UntestableError as error:
            self._can_test = False
            _log.warning(
                "callbacks get val_accuracy and val_loss only: the model's test_step does not "
                "work: %s", error,
            )  # fmt: skip
        finally:
            self.list.on_test_end(found)
        return {f"val_{name}": value for name, value in found.items()}

    def _test_batches(self) -> Mapping[str, Any]:
        dataset, valid = self._dataset, self._dataset.valid
        logs: Mapping[str, Any] = {}
        for number, start in enumerate(range(0, len(valid.rows), self._size)):
            rows = valid.rows[start : start + self._size]
            self.list.on_test_batch_begin(number)
            try:
                if self._test is None:
                    self._test = test_step(self._network, dataset.side, dataset.n_classes)
                logs = self._test(valid.images[rows], valid.labels[rows])
            except ModelError:
                raise
            except Exception as error:  # raised by the user's code
                line = (str(error).strip().splitlines() or ["no message"])[0]
                raise _UntestableError(f"{type(error).__name__}: {line}") from error
            self.list.on_test_batch_end(number, logs)
            if self._network.stop_evaluating:
                break
        return logs

    def _refuse_unseen(self, names: set[str]) -> None:
        import keras

        known = (
            keras.callbacks.EarlyStopping,
            keras.callbacks.ReduceLROnPlateau,
            keras.callbacks.ModelCheckpoint,
        )
        for number, callback in enumerate(self._own):
            watched = getattr(callback, "monitor", None)
            if not isinstance(watched, str) or watched in names:
                continue
            # An earlier callback may add to the logs.
            if not getattr(callback, "save_best_only", True) or any(
                map(_may_add, self._own[:number])
            ):
                continue
            name = type(callback).__name__
            if not isinstance(callback, known):
                _log.warning("callback %s monitors %r, which is not in the logs", name, watched)
                continue
            close = difflib.get_close_matches(watched, names, n=1)
            there = ", ".join(sorted(names))
            raise ModelError(
                f"callback {name} monitors {watched!r}, but the logs have {there}",
                hint=f"monitor={close[0]!r}" if close else "give compile a metric of that name",
            )


class _UntestableError(Exception):
    """The network's `test_step` raised an exception."""


def _may_add(callback: Any) -> bool:
    """Return whether a callback could add to the logs that later callbacks read."""
    import keras

    is_lambda = isinstance(callback, keras.callbacks.LambdaCallback)
    return is_lambda or type(callback).__module__.partition(".")[0] != "keras"


def _plain(logs: Any) -> dict[str, Any]:
    """Return logs as callbacks see them: flat, with floats."""
    from keras.src.utils.python_utils import pythonify_logs

    found: dict[str, Any] = pythonify_logs(logs)
    return found
