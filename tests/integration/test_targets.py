"""Labels come as the loss takes them, whoever wrote it and whatever it is called."""

import functools
import logging
from typing import Any

import pytest

from objectives.errors import ModelError
from objectives.framework.runtime import start_framework
from objectives.network.optimizer import TRAINING_DEFAULTS, compile_network
from objectives.network.targets import wants_indexes
from tests.integration.trainings import OPTIONS, build_linear, fitted, objective_of

# Keras 3.15 reads TensorFlow's variables in a way that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SHAPE = (8, 8, 1)


def compiled(loss: Any, metrics: Any = None, n_classes: int = 3, kind: Any = None) -> Any:
    """Return the linear network, compiled with a loss."""
    start_framework(OPTIONS)
    import keras

    network = build_linear({}, SHAPE, n_classes)
    if kind is not None:
        image = keras.Input(SHAPE)
        network = kind(image, network(image))
    network.compile("adam", loss, metrics=metrics)
    return network


def losses() -> dict[str, tuple[Any, bool]]:
    """Return losses as users write them, and whether each takes indexes."""
    start_framework(OPTIONS)
    import keras
    import tensorflow as tf

    k, ops = keras.losses, keras.ops

    class Around(k.Loss):  # type: ignore[misc]
        """Wraps a sparse one."""

        def call(self, y_true: Any, y_pred: Any) -> Any:
            return 2 * k.sparse_categorical_crossentropy(y_true, y_pred)

    class Own(k.SparseCategoricalCrossentropy):  # type: ignore[misc]
        """Says nothing of sparse in its name."""

    def picked(y_true: Any, y_pred: Any) -> Any:
        rows = tf.cast(tf.reshape(y_true, [-1, 1]), tf.int32)
        return -tf.math.log(tf.gather(y_pred, rows, batch_dims=1))

    def focal(y_true: Any, y_pred: Any) -> Any:
        return -ops.sum(y_true * (1 - y_pred) ** 2 * ops.log(y_pred), axis=-1)

    return {
        "string": ("sparse_categorical_crossentropy", True),
        "one-hot string": ("categorical_crossentropy", False),
        "adapting string": ("crossentropy", False),
        "object": (k.SparseCategoricalCrossentropy(), True),
        "list of one": ([k.SparseCategoricalCrossentropy()], True),
        "mse": ("mse", False),
        "lambda": (lambda y, p: k.sparse_categorical_crossentropy(y, p), True),
        "one-hot lambda": (lambda y, p: k.categorical_crossentropy(y, p), False),
        "partial": (functools.partial(k.sparse_categorical_crossentropy, axis=-1), True),
        "one-hot partial": (functools.partial(k.categorical_crossentropy, axis=-1), False),
        "class": (Around(), True),
        "subclass": (Own(), True),
        "gathered": (picked, True),
        "one-hot inside": (
            lambda y, p: k.categorical_crossentropy(tf.one_hot(tf.cast(y, tf.int32), 3), p), True,
        ),
        "focal": (focal, False),
        "square": (lambda y, p: ops.mean(ops.square(y - p)), False),
        "squares of Keras": (lambda y, p: k.mean_squared_error(y, p), False),
        "hinge": (lambda y, p: k.categorical_hinge(y, p), False),
    }  # fmt: skip


LOSSES = (
    "string", "one-hot string", "adapting string", "object", "list of one", "mse", "lambda",
    "one-hot lambda", "partial", "one-hot partial", "class", "subclass", "gathered",
    "one-hot inside", "focal", "square", "squares of Keras", "hinge",
)  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
def test_labels_come_in_the_form_that_the_loss_takes(name: str) -> None:
    """By its name where it is Keras's own, else by what it says of a few labels."""
    loss, sparse = losses()[name]
    assert wants_indexes(compiled(loss), 3) is sparse


@pytest.mark.parametrize("n_classes", [2, 7, 26])
def test_form_does_not_depend_on_the_number_of_classes(n_classes: int) -> None:
    """Seven rows are tried: with seven classes a wrong form could fit by chance."""
    import keras

    for function in ("sparse_categorical_crossentropy", "categorical_crossentropy"):
        of_kerass = getattr(keras.losses, function)
        network = compiled(lambda y, p, f=of_kerass: f(y, p), n_classes=n_classes)
        assert wants_indexes(network, n_classes) is function.startswith("sparse")


def test_a_loss_that_takes_neither_is_one_line() -> None:
    """It says what the loss said, and how one is called."""
    for loss, why in ((lambda y: y, "positional argument"), (lambda y, p: 1 / 0, "division")):
        with pytest.raises(ModelError, match=f"nor as class indexes.*{why}") as caught:
            wants_indexes(compiled(loss), 3)
        assert "\n" not in str(caught.value)
        assert "loss(y_true, y_pred)" in (caught.value.hint or "")


def test_a_loss_that_takes_both_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """It gets one-hot rows."""
    import keras

    def either(y_true: Any, y_pred: Any) -> Any:
        is_sparse = len(y_true.shape) == 1 or y_true.shape[-1] == 1
        kinds = keras.losses
        of = kinds.sparse_categorical_crossentropy if is_sparse else kinds.categorical_crossentropy
        return of(y_true, y_pred)

    with caplog.at_level(logging.WARNING):
        assert wants_indexes(compiled(either), 3) is False
    assert "takes class indexes as well as one-hot rows" in caplog.text


def own_step(sparse: bool) -> Any:
    """Return a class whose `train_step` has a loss of its own, which `compile` is not told."""
    import keras
    import tensorflow as tf

    kinds = keras.losses
    loss = kinds.sparse_categorical_crossentropy if sparse else kinds.categorical_crossentropy

    class Own(keras.Model):  # type: ignore[misc]
        def train_step(self, data: Any) -> Any:
            x, y = data
            with tf.GradientTape() as tape:
                value = keras.ops.mean(loss(y, self(x, training=True)))
            gradients = tape.gradient(value, self.trainable_variables)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
            return {"loss": value}

    return Own


@pytest.mark.parametrize("sparse", [True, False])
def test_a_step_of_ones_own_gets_the_labels_that_it_takes(sparse: bool) -> None:
    """Without a loss in `compile`, what TensorFlow can build a step with; and it learns."""
    start_framework(OPTIONS)
    network = compiled(None, kind=own_step(sparse))
    assert wants_indexes(network, 3) is sparse
    result = fitted(objective_of(lambda *_: compiled(None, kind=own_step(sparse))), {})
    assert result.value is not None


@pytest.mark.parametrize(
    ("loss", "metric"),
    [
        ("sparse_categorical_crossentropy", "categorical_accuracy"),
        ("sparse_categorical_crossentropy", "CategoricalAccuracy"),
        ("categorical_crossentropy", "sparse_categorical_accuracy"),
        ("categorical_crossentropy", "SparseTopKCategoricalAccuracy"),
    ],
)
def test_a_metric_that_takes_the_other_form_is_refused(loss: str, metric: str) -> None:
    """Keras would compute a number, and it would say nothing; `accuracy` fits every loss."""
    start_framework(OPTIONS)
    import keras

    made = getattr(keras.metrics, metric)() if metric[0].isupper() else metric
    network = compiled(loss, [made, "accuracy"])
    with pytest.raises(ModelError, match=f"{metric} does not") as caught:
        compile_network(network, TRAINING_DEFAULTS, SHAPE, 3, 5)
    assert caught.value.hint == "metrics=['accuracy'] fits every loss"
    compile_network(compiled(loss, ["accuracy"]), TRAINING_DEFAULTS, SHAPE, 3, 5)
