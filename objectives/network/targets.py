"""Find the label format that a network's loss expects: class indexes or one-hot rows.

For Keras's losses the name decides; a user's loss is called with a few labels in both formats.
Metrics that need the other format are refused, as their values would be meaningless.
"""

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objectives.errors import ModelError
from objectives.framework.backend import on_tensorflow
from objectives.network.building import only_output

_log = logging.getLogger(__name__)

_SURE = 0.9  # probability of one class in the test predictions
_ONE_HOT = ("categoricalaccuracy", "topkcategoricalaccuracy", "categoricalcrossentropy")
_N_TRIED = 7  # rows; not the number of classes, so that no wrong format fits by chance


def wants_indexes(network: Any, n_classes: int) -> bool:
    """Return whether the loss of a compiled network takes indexes (n,), not rows (n, n_classes).

    Raises:
        ModelError: A user's loss takes neither format.
    """
    loss = only_output(network.loss)
    if loss is None:
        return _step_wants_indexes(network, n_classes)
    kind = loss if hasattr(loss, "__name__") else type(loss)
    of_keras = str(getattr(kind, "__module__", "")).partition(".")[0] == "keras"
    if of_keras or isinstance(loss, str):
        return _name(loss).lower().startswith("sparse")
    return _tried(loss, n_classes)


def refuse_other_metrics(network: Any, *, sparse: bool) -> None:
    """Refuse metrics that need another label format than the loss; `sparse` means indexes."""
    compiled = network._compile_metrics
    given = [getattr(compiled, name, None) for name in ("_user_metrics", "_user_weighted_metrics")]
    for metric in _flat(given):
        name = _name(metric).lower().replace("_", "")
        is_sparse = name.startswith("sparse") and "categorical" in name
        if (sparse and name in _ONE_HOT) or (is_sparse and not sparse):
            loss = _name(only_output(network.loss))
            labels = "class indexes" if sparse else "one-hot rows"
            raise ModelError(
                f"the loss {loss} takes {labels}, but the metric {_name(metric)} does not",
                hint="metrics=['accuracy'] fits every loss",
            )


def _flat(found: Any) -> Iterator[Any]:
    if isinstance(found, list | tuple | dict):
        for one in found.values() if isinstance(found, dict) else found:
            yield from _flat(one)
    elif found is not None:
        yield found


def _name(thing: Any) -> str:
    return thing if isinstance(thing, str) else getattr(thing, "__name__", type(thing).__name__)


def _tried(loss: Any, n_classes: int) -> bool:
    """Return whether a user's loss takes indexes: in its format, right predictions cost less."""
    n_rows = _N_TRIED + (n_classes == _N_TRIED)
    labels = np.arange(n_rows, dtype=np.int64) % n_classes
    forms = {False: np.eye(n_classes, dtype=np.float32)[labels], True: labels}
    runs, tells, errors = [], [], []  # runs: raises no error; tells: also tells right from wrong
    for sparse, targets in forms.items():
        try:
            right, wrong = (
                _loss(loss, targets, _predictions(labels + off, n_classes)) for off in (0, 1)
            )
        except Exception as error:  # raised by the user's code, or by Keras about shapes
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
            "the loss %s takes class indexes as well as one-hot rows: it gets one-hot rows",
            _name(loss),
        )
    return found[0]


def _predictions(classes: NDArray[np.int64], n_classes: int) -> NDArray[np.float32]:
    rest = (1 - _SURE) / max(1, n_classes - 1)
    predicted = np.full((len(classes), n_classes), rest, np.float32)
    predicted[np.arange(len(classes)), classes % n_classes] = _SURE
    return predicted


def _loss(loss: Any, targets: Any, predicted: Any) -> float:
    """Return the loss as Keras computes it in a training, with its changes of rank."""
    import keras
    from keras.src.trainers.compile_utils import CompileLoss

    tensors = map(keras.ops.convert_to_tensor, (targets, predicted))
    return float(np.mean(keras.ops.convert_to_numpy(CompileLoss(loss)(*tensors))))


def _step_wants_indexes(network: Any, n_classes: int) -> bool:
    """Return whether the network's own `train_step` or `compute_loss` takes class indexes.

    The default is one-hot rows, unless TensorFlow can build a step only with class indexes.
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
        form = ((_N_TRIED,), tf.int64) if sparse else ((_N_TRIED, n_classes), tf.float32)
        try:
            _trace(network, tf.TensorSpec(shape, tf.float32), tf.TensorSpec(*form))
        except Exception:  # raised by the user's code; the real step will raise it again
            continue
        return sparse
    return False


def _image_shape(network: Any) -> tuple[int, ...] | None:
    """Return the shape of one image, also for a subclassed network without `inputs`."""
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
