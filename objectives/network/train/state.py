"""Gather and restore the state of a running training: all that the next epoch depends on.

The state consists of the variables of network and optimizer, all random generators, and the user's
callbacks. Keras's own files are unsuitable, because loading one resets the seed generators.
Importing this file loads neither NumPy nor TensorFlow.
"""

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from objectives.framework.sentence import one_line
from objectives.network.train.plainstate import (
    UnkeptError,
    check_python_state,
    kept_state,
    put_back,
)

if TYPE_CHECKING:
    from objectives.base import Report

_log = logging.getLogger(__name__)


class UnusableError(Exception):
    """A checkpoint is damaged or of another training; the message has the reason."""


@dataclass(frozen=True)
class TrainingState:
    """The objects that hold the state of one training.

    Attributes:
        network: Compiled Keras model that trains.
        twin: Keras model that is scored; its weights are copies, its layers' seeds are its own.
        step: `tf.function` of one batch.
        callbacks: The user's Keras callbacks.
    """

    network: Any
    twin: Any
    step: Any
    callbacks: Sequence[Any]

    def gather(self) -> tuple[dict[str, Any], list[bytes]]:
        """Return a description for JSON, and the bytes that it describes, in order."""
        arrays = self._arrays()
        pieces, callbacks = [array.tobytes() for _, array in arrays], []
        for callback, name in zip(self.callbacks, self._callback_names(), strict=True):
            try:
                tree, own = kept_state(callback, self._shared())
                callbacks.append([name, tree, sum(map(len, own))])
                pieces += own
            except UnkeptError as error:
                callbacks.append([name, None, str(error)])
        described = {
            "variables": _described(arrays),
            "callbacks": callbacks,
            "random": _random_state(),
            "keras_seed": _keras_seed(),
        }
        return described, pieces

    def restorer(self, described: Mapping[str, Any], content: memoryview) -> Callable[[], None]:
        """Return a function that restores the result of `gather`; nothing changes before its call.

        Raises:
            UnusableError: The state belongs to another network or to other callbacks.
            Exception: The arguments do not come from `gather`.
        """
        import numpy as np

        arrays = self._arrays()
        if described["variables"] != _described(arrays):
            raise UnusableError("it is of another network or optimizer")
        if [name for name, *_ in described["callbacks"]] != self._callback_names():
            raise UnusableError("it is of other callbacks")
        found, start = [], 0
        for _, old in arrays:
            found.append(np.ndarray(old.shape, old.dtype, content, start))
            start += old.nbytes
        todo, unkept = [], []
        kept = zip(self.callbacks, described["callbacks"], strict=True)
        for callback, (name, tree, size) in kept:
            end = start if tree is None else start + size
            try:
                if tree is None:
                    raise UnkeptError(size)
                todo.append(put_back(callback, self._shared(), tree, content[start:end]))
            except UnkeptError as error:
                unkept.append((name, one_line(str(error))))
            start = end
        if start != len(content):
            raise UnusableError("its length is wrong")
        _check_random_state(described["random"], described["keras_seed"])
        for name, why in unkept:
            _log.warning("callback %s could not be saved (%s): it restarts", name, why)

        def restore() -> None:
            for (_, variable), array in zip(self._variables(), found, strict=True):
                variable.assign(array)
            for put in todo:
                put()
            _set_keras_seed(described["keras_seed"])
            _set_random_state(described["random"])

        return restore

    def restored_epochs(self) -> int | None:
        """Return the epoch of the weights that a callback restores; None if none does."""
        from keras.callbacks import EarlyStopping

        for callback in self.callbacks:
            if isinstance(callback, EarlyStopping) and callback.restore_best_weights:
                return None if callback.best_weights is None else callback.best_epoch + 1
        return None

    def unsaved_op(self) -> str | None:
        """Return an op whose random state cannot be read, such as RandomUniform; or None."""
        graph = self.step.get_concrete_function().graph.as_graph_def()
        nodes = [*graph.node, *(node for body in graph.library.function for node in body.node_def)]
        # cuDNN's recurrent kernels need a seed only for dropout, which Keras never passes.
        found = (n.op for n in nodes if "seed2" in n.attr and not n.op.startswith("Cudnn"))
        return next(map(str, found), None)

    def _variables(self) -> list[tuple[str, Any]]:
        """Return names and TensorFlow variables, always in the same order.

        The graph of the step adds variables that only it knows, such as a TensorFlow generator in a
        user's network. This traces the step, unless it has run.
        """
        copied = {id(weight) for weight in self.twin.weights}
        seeds = [one for one in self.twin.variables if id(one) not in copied]
        own = [*self.network.variables, *self.network.optimizer.variables, *seeds]
        found = {id(one.value): (one.path, one.value) for one in own}
        graph = self.step.get_concrete_function().graph
        # The graph lists its variables in any order; its captures are in the order of tracing.
        by_handle = {id(variable.handle): variable for variable in graph.variables}
        for handle, _ in graph.captures:
            if (variable := by_handle.get(id(handle))) is not None:
                found.setdefault(id(variable), (variable.name, variable))
        return list(found.values())

    def _arrays(self) -> list[tuple[str, Any]]:
        import numpy as np

        return [(name, np.asarray(variable.numpy())) for name, variable in self._variables()]

    def _callback_names(self) -> list[str]:
        return [type(callback).__qualname__ for callback in self.callbacks]

    def _shared(self) -> list[Any]:
        """Return the objects to which a callback may refer; it must never get copies of them."""
        import keras

        network, compared = self.network, (keras.ops.less, keras.ops.greater)
        own = [network, network.optimizer, *network.layers, *network.variables]
        return [*own, *self.callbacks, *compared]  # Keras's callbacks keep either function


def _described(arrays: Sequence[tuple[str, Any]]) -> list[list[Any]]:
    return [[name, array.dtype.name, list(array.shape)] for name, array in arrays]


def keeping_random_state(report: "Report") -> "Report":
    """Return a `report` that leaves Python's and NumPy's global generators unchanged.

    Draws inside of `report`, for example to space retries, must not change later draws of
    callbacks, because a resumed training reports more often.
    """

    def reported(step: int, value: float | None) -> None:
        state = _random_state()
        try:
            report(step, value)
        finally:
            _set_random_state(state)

    return reported


def _random_state() -> dict[str, Any]:
    import numpy as np

    state: tuple[Any, ...] = np.random.get_state(legacy=True)  # type: ignore[assignment]
    kind, keys, *rest = state
    return {"python": random.getstate(), "numpy": [kind, keys.tolist(), *rest]}


def _set_random_state(state: Mapping[str, Any]) -> None:
    import numpy as np

    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, np.array(keys, np.uint32), *rest))


def _check_random_state(state: Mapping[str, Any], words: Any) -> None:
    """Raise an exception unless it is a state of the generators."""
    import numpy as np

    kind, keys, place, has_gauss, gauss = state["numpy"]
    # NumPy accepts any position, and would read beyond its array.
    if not 0 <= place <= len(keys) == 624 or has_gauss not in (0, 1) or not -1e9 < gauss < 1e9:
        raise ValueError("no state of a generator")
    np.random.RandomState().set_state((kind, np.array(keys, np.uint32), place, has_gauss, gauss))
    version, own, last = state["python"]
    check_python_state((version, tuple(own), last))
    if words is not None and np.array(words, np.uint32).shape != (2,):
        raise ValueError("no state of a generator")


def _keras_seed() -> list[int] | None:
    """Return the state of Keras's global seed generator; None if it was never used."""
    from keras.src.backend.common.global_state import get_global_attribute
    from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR

    generator = get_global_attribute(GLOBAL_SEED_GENERATOR)
    return None if generator is None else [int(word) for word in generator.state.numpy()]


def _set_keras_seed(words: list[int] | None) -> None:
    from keras.src.random.seed_generator import global_seed_generator

    if words is not None:
        global_seed_generator().state.assign(words)
