"""In which form a network's loss takes the labels: as class indexes, or as one-hot rows.

Decides it by name for Keras's own losses. A loss of the user's is called with a few labels in both
forms. Metrics that need the other form are refused, as they would say nothing of the network.
"""

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objectives.errors import ModelError
from objectives.framework.backend import on_tensorflow

_log = logging.getLogger(__name__)

_SURE = 0.9  # the probability of one class in the tried predictions
_N_TRIED = 7  # rows; another number than there are classes, so that no wrong form fits by chance


def wants_indexes(network: Any, n_classes: int) -> bool:
    """Return whether the network's loss takes class indexes (n,) and not rows (n, n_classes).

    Args:
        network: Compiled Keras model.
        n_classes: Width of its output.

    Raises:
        ModelError: A loss of the user's takes neither.
    """
    loss = _only(network.loss)
    if loss is None:
        return _step_wants_indexes(network, n_classes)
    if _is_kerass(loss):
        return _name(loss).lower().startswith("sparse")
    return _tried(loss, n_classes)


def refuse_other_metrics(network: Any, *, sparse: bool) -> None:
    """Refuse metrics that need the labels in the form that the loss does not take.

    Args:
        network: Compiled Keras model.
        sparse: What `wants_indexes` says of it.

    Raises:
        ModelError: There is one.
    """
    compiled = network._compile_metrics
    given = [getattr(compiled, name, None) for name in ("_user_metrics", "_user_weighted_metrics")]
    for metric in _flat(given):
        name = _name(metric).lower().replace("_", "")
        is_sparse = name.startswith("sparse") and "categorical" in name
        is_one_hot = name in ("categoricalaccuracy", "topkcategoricalaccuracy") or (
            name == "categoricalcrossentropy"
        )
        if (is_one_hot and sparse) or (is_sparse and not sparse):
            loss = _name(_only(network.loss))
            labels = "class indexes" if sparse else "one-hot rows"
            raise ModelError(
                f"the loss {loss} takes {labels}, and the metric {_name(metric)} does not",
                hint="metrics=['accuracy'] fits every loss",
            )


def _only(loss: Any) -> Any:
    while isinstance(loss, list | tuple | dict) and len(loss) == 1:
        loss = next(iter(loss.values() if isinstance(loss, dict) else loss))
    return loss


def _flat(found: Any) -> Iterator[Any]:
    if isinstance(found, list | tuple | dict):
        for one in found.values() if isinstance(found, dict) else found:
            yield from _flat(one)
    elif found is not None:
        yield found


def _is_kerass(thing: Any) -> bool:
    if isinstance(thing, str):
        return True
    kind = thing if hasattr(thing, "__name__") else type(thing)
    return str(getattr(kind, "__module__", "")).partition(".")[0] == "keras"


def _name(thing: Any) -> str:
    return thing if isinstance(thing, str) else getattr(thing, "__name__", type(thing).__name__)


def _tried(loss: Any, n_classes: int) -> bool:
    """Return which form a loss of the user's takes: the one in which it knows right from wrong."""
    n_rows = _N_TRIED + (n_classes == _N_TRIED)
    labels = np.arange(n_rows, dtype=np.int64) % n_classes
    forms = {False: np.eye(n_classes, dtype=np.float32)[labels], True: labels}
    runs, tells, errors = [], [], []
    for sparse, targets in forms.items():
        try:
            right, wrong = (
                _loss(loss, targets, _sure_of(labels + off, n_classes)) for off in (0, 1)
            )
        except Exception as error:  # of the user's code, or of Keras about shapes
            errors.append(error)
            continue
        runs.append(sparse)
        if wrong - right > 1e-4 * max(1.0, abs(right)):
            tells.append(sparse)
    if not runs:
        why = (str(errors[0]).strip().splitlines() or [type(errors[0]).__name__])[0]
        raise ModelError(
            f"the loss {_name(loss)} takes labels neither as one-hot rows (n, {n_classes}) nor as "
            f"class indexes (n,): {why}",
            hint="a loss is called as loss(y_true, y_pred), with y_pred of shape (n, n_classes)",
        )
    found = tells or runs
    if len(found) > 1:
        _log.warning(
            "the loss %s takes class indexes and one-hot rows alike: it gets one-hot rows",
            _name(loss),
        )
    return found[0]


def _sure_of(classes: NDArray[np.int64], n_classes: int) -> NDArray[np.float32]:
    rest = (1 - _SURE) / max(1, n_classes - 1)
    said = np.full((len(classes), n_classes), rest, np.float32)
    said[np.arange(len(classes)), classes % n_classes] = _SURE
    return said


def _loss(loss: Any, targets: Any, said: Any) -> float:
    """Return the loss as Keras computes it in a training: with its changes of rank."""
    import keras
    from keras.src.trainers.compile_utils import CompileLoss

    tensors = map(keras.ops.convert_to_tensor, (targets, said))
    return float(np.mean(keras.ops.convert_to_numpy(CompileLoss(loss)(*tensors))))


def _step_wants_indexes(network: Any, n_classes: int) -> bool:
    """Return what the network's own `train_step` or `compute_loss` takes, where no loss is named.

    One-hot rows, unless TensorFlow can build a step with class indexes alone.
    """
    import keras

    kind = type(network)
    is_own = (
        kind.train_step is not keras.Model.train_step
        or kind.compute_loss is not keras.Model.compute_loss
    )
    image_shape = _image_shape(network)
    if not (is_own and on_tensorflow() and image_shape):
        return False
    import tensorflow as tf

    shape = (_N_TRIED, *image_shape)
    for sparse in (False, True):
        targets = tf.TensorSpec((_N_TRIED,) if sparse else (_N_TRIED, n_classes),
                                tf.int64 if sparse else tf.float32)  # fmt: skip
        try:
            _trace(network, tf.TensorSpec(shape, tf.float32), targets)
        except Exception:  # of the user's code; the real step will say it again
            continue
        return sparse
    return False


def _image_shape(network: Any) -> tuple[int, ...] | None:
    """Return the shape of one image, also of a subclassed network, which has no `inputs`."""
    inputs = getattr(network, "inputs", None)
    if inputs:
        return tuple(inputs[0].shape[1:])
    shapes = getattr(network, "_build_shapes_dict", None) or {}
    found = next(iter(shapes.values()), None)
    return tuple(found[1:]) if isinstance(found, tuple) and len(found) > 1 else None


def _trace(network: Any, images: Any, targets: Any) -> None:
    import tensorflow as tf

    @tf.function(input_signature=[images, targets], autograph=False)  # type: ignore[untyped-decorator]
    def step(images: Any, targets: Any) -> Any:
        replica = tf.distribute.get_replica_context()  # as in `step.traced_step`
        return replica.merge_call(lambda _, data: network.train_step(data), ((images, targets),))

    step.get_concrete_function()
