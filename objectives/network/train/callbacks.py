"""The user's callbacks of one training, told what Keras's `fit` would tell them.

Decides what a `callbacks` function may return, which calls with which logs follow in which order,
and that no callback waits for a value that never comes. The values of `val_...` are those of the
network's own `test_step`, as in `fit`; what a trial is worth, `scoring.py` decides.
"""

import contextlib
import difflib
import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from objectives.data.dataset import Dataset
from objectives.errors import ModelError
from objectives.network.train.step import Test, test_step

_log = logging.getLogger(__name__)

_UNAVAILABLE = r"Early stopping conditioned|Learning rate reduction is|Can save best model only"


def as_callbacks(returned: Any) -> list[Any]:
    """Return the callbacks in what the user's function returned: one, several, or None.

    Raises:
        ModelError: There is something else in it.
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
        raise ModelError(f"callbacks returned the class {name}, not one of it", hint=f"{name}()")
    raise ModelError(
        f"callbacks returned {returned!r:.60}, which is no Keras callback",
        hint="return a list such as [keras.callbacks.EarlyStopping('val_loss', patience=3)]",
    )


class Listeners:
    """The callbacks of one training; without any, nothing is called and nothing computed."""

    def __init__(
        self,
        made: list[Any],
        network: Any,
        dataset: Dataset,
        size: int,
        n_epochs: int,
        n_steps: int,
    ) -> None:
        """Keep the parts.

        Args:
            made: Keras callbacks.
            network: The one that trains.
            dataset: Its `valid` may have no rows.
            size: Rows of a batch, in training and in validation.
            n_epochs: Of the training.
            n_steps: Of an epoch.
        """
        import keras

        self._network, self._dataset, self._size = network, dataset, size
        self._last: Mapping[str, Any] | None = None
        self._test: Test | None = None
        self._can_test = True
        self._own = made
        self._list = keras.callbacks.CallbackList(
            made, add_history=bool(made), model=network, epochs=n_epochs, steps=n_steps, verbose=0
        )

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._own)

    @property
    def callbacks(self) -> list[Any]:
        """All of them, and the `History` that `fit` would add."""
        found: list[Any] = self._list.callbacks
        return found

    def train_begin(self) -> None:
        """Tell them of the start."""
        if self:
            self._network.stop_training = False
            self._list.on_train_begin()

    def train_end(self) -> None:
        """Tell them of the end, with the logs of the last epoch of this process.

        With `use_ema` the network has the averages from here on, as after `fit`.
        """
        if self:
            network = self._network
            network.optimizer.finalize_variable_values(network.trainable_weights)
            self._list.on_train_end(self._last)

    def epoch_begin(self, epoch: int) -> None:
        """Tell them of an epoch."""
        if self:
            self._list.on_epoch_begin(epoch)

    def batch_begin(self, number: int) -> None:
        """Tell them of a batch."""
        if self:
            self._list.on_train_batch_begin(number)

    def batch_end(self, number: int, logs: Mapping[str, Any]) -> bool:
        """Tell them of the end of a batch; return whether one of them ends the training there."""
        if not self:
            return False
        self._list.on_train_batch_end(number, logs)
        return bool(self._network.stop_training)

    def epoch_end(
        self, epoch: int, logs: Mapping[str, Any], score: Callable[[], tuple[float | None, float]]
    ) -> tuple[float | None, float]:
        """Tell them of the end of an epoch; return what `score` returned.

        Args:
            epoch: From 0.
            logs: What the step of the last batch returned.
            score: Returns valid accuracy and log loss; called before the callbacks are told.

        Raises:
            ModelError: A callback watches a value that never comes.
        """
        # `fit` reads the metrics before the validation sets them to nothing.
        told = dict(self._network._get_metrics_result_or_logs(logs)) if self else {}
        accuracy, loss = score()
        if not self:
            return accuracy, loss
        if accuracy is not None:
            told |= self._validated() or {"val_accuracy": accuracy, "val_loss": loss}
            if self._last is None:
                self._refuse_unseen(set(_plain(told)))
        self._last = told
        with _nothing_to_watch() if accuracy is None else contextlib.nullcontext():
            self._list.on_epoch_end(epoch, told)
        return accuracy, loss

    def _validated(self) -> dict[str, Any]:
        """Test the network as `fit` does; nothing where it cannot be tested."""
        if not self._can_test:
            return {}
        try:
            return {f"val_{name}": value for name, value in self._tested().items()}
        except _UntestableError as error:
            self._can_test = False
            _log.warning(
                "callbacks get val_accuracy and val_loss alone: the model's test_step does not "
                "work: %s", error,
            )  # fmt: skip
            return {}

    def _tested(self) -> Mapping[str, Any]:
        network = self._network
        network.stop_evaluating = False
        self._list.on_test_begin()
        network.reset_metrics()
        found: Mapping[str, Any] = {}
        try:
            found = _plain(network._get_metrics_result_or_logs(self._test_batches()))
        finally:
            self._list.on_test_end(found)
        return found

    def _test_batches(self) -> Mapping[str, Any]:
        logs: Mapping[str, Any] = {}
        for number, (images, labels) in enumerate(self._batches()):
            self._list.on_test_batch_begin(number)
            try:
                logs = self._made_test()(images, labels)
            except ModelError:
                raise
            except Exception as error:  # of the user's code
                line = (str(error).strip().splitlines() or ["no message"])[0]
                raise _UntestableError(f"{type(error).__name__}: {line}") from error
            self._list.on_test_batch_end(number, logs)
            if self._network.stop_evaluating:
                break
        return logs

    def _made_test(self) -> Test:
        if self._test is None:
            dataset = self._dataset
            self._test = test_step(self._network, dataset.side, dataset.n_classes)
        return self._test

    def _batches(self) -> Iterator[tuple[Any, Any]]:
        valid = self._dataset.valid
        for start in range(0, len(valid.rows), self._size):
            rows = valid.rows[start : start + self._size]
            yield valid.images[rows], valid.labels[rows]

    def _refuse_unseen(self, names: set[str]) -> None:
        import keras

        kinds = keras.callbacks
        for number, callback in enumerate(self._own):
            watched = getattr(callback, "monitor", None)
            if not isinstance(watched, str) or watched in names:
                continue
            if not getattr(callback, "save_best_only", True):
                continue
            # One before it may add to the logs.
            if any(map(_may_add, self._own[:number])):
                continue
            name = type(callback).__name__
            if not isinstance(
                callback, kinds.EarlyStopping | kinds.ReduceLROnPlateau | kinds.ModelCheckpoint
            ):
                _log.warning("callback %s watches %r, which is not in the logs", name, watched)
                continue
            close = difflib.get_close_matches(watched, names, n=1)
            there = ", ".join(sorted(names))
            raise ModelError(
                f"callback {name} watches {watched!r}, and the logs have {there}",
                hint=f"monitor={close[0]!r}" if close else "give compile a metric of that name",
            )


class _UntestableError(Exception):
    """The network's `test_step` raised something."""


def _may_add(callback: Any) -> bool:
    """Whether it is of a kind that could write into the logs, for those behind it to read."""
    import keras

    is_lambda = isinstance(callback, keras.callbacks.LambdaCallback)
    return is_lambda or type(callback).__module__.partition(".")[0] != "keras"


def _plain(logs: Any) -> dict[str, Any]:
    """Return logs as callbacks see them: without dicts in them, numbers as floats."""
    from keras.src.utils.python_utils import pythonify_logs

    found: dict[str, Any] = pythonify_logs(logs)
    return found


@contextlib.contextmanager
def _nothing_to_watch() -> Iterator[None]:
    """Hide that there are no `val_...`, where no rows are held back."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", _UNAVAILABLE)
        yield
