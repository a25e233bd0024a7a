"""What callbacks are told: what Keras's `fit` tells them, name by name and value by value."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from objectives.epochorder import epoch_order
from objectives.optimizer import TRAINING_DEFAULTS, compile_network
from objectives.runtime import start_framework
from tests.integration.trainings import (
    OPTIONS,
    build_linear,
    fitted,
    objective_of,
    tiny_dataset,
)

# Keras 3.15 reads TensorFlow's variables in a way that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SEED, SIZE = 4, 20
PARAMS = {"batch_size": SIZE, "learning_rate": 0.05}
Build = Any


def heard(calls: list[Any]) -> Any:
    """Return a callback that writes down every call that it gets, with its logs."""
    import keras

    class Heard(keras.callbacks.Callback):  # type: ignore[misc]
        pass

    def told(name: str) -> Any:
        def method(self: Any, *said: Any, **named: Any) -> None:
            parts = [*said, *named.values()]
            calls.append((name, *(dict(one) if isinstance(one, Mapping) else one for one in parts)))

        return method

    for part in ("train", "test", "epoch", "train_batch", "test_batch"):
        for end in ("begin", "end"):
            setattr(Heard, f"on_{part}_{end}", told(f"{part}_{end}"))
    return Heard()


def compiled(loss: str, metrics: Any = None) -> Build:
    """Return a `build` that compiles its network so; `metrics` makes them anew each time."""

    def build(params: Mapping[str, Any], shape: tuple[int, int, int], n_classes: int) -> Any:
        import keras

        network = build_linear(params, shape, n_classes)
        found = metrics() if metrics else None
        network.compile(keras.optimizers.Adam(0.05), loss, metrics=found)
        return network

    return build


def regularized(params: Mapping[str, Any], shape: tuple[int, int, int], n_classes: int) -> Any:
    """A loss that is more than the labels say, and dropout."""
    import keras
    from keras import layers

    head = layers.Dense(n_classes, activation="softmax", kernel_regularizer="l2")
    network = keras.Sequential([keras.Input(shape), layers.Flatten(), layers.Dropout(0.3), head])
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=0.2)
    network.compile("adam", loss, metrics=["acc", keras.metrics.TopKCategoricalAccuracy(2, "top")])
    return network


def guided(params: Mapping[str, Any], shape: tuple[int, int, int], n_classes: int) -> Any:
    """A model with the `train_step` of Keras's own guide."""
    import keras
    import tensorflow as tf

    class Guided(keras.Model):  # type: ignore[misc]
        def train_step(self, data: Any) -> Any:
            x, y = data
            with tf.GradientTape() as tape:
                said = self(x, training=True)
                loss = self.compute_loss(y=y, y_pred=said)
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
            for metric in self.metrics:
                if metric.name == "loss":
                    metric.update_state(loss)
                else:
                    metric.update_state(y, said)
            return {metric.name: metric.result() for metric in self.metrics}

    image = keras.Input(shape)
    softmax = keras.layers.Dense(n_classes, activation="softmax")
    network = Guided(image, softmax(keras.layers.Flatten()(image)))
    network.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    return network


def objects() -> list[Any]:
    """Metrics as objects, one of which is no mean over rows."""
    import keras

    return [
        keras.metrics.CategoricalAccuracy("right"),
        keras.metrics.AUC(name="auc"),
        keras.metrics.F1Score(average="macro", name="f1"),
    ]


BUILDS = {
    "ours": build_linear,
    "strings": compiled("sparse_categorical_crossentropy", lambda: ["accuracy"]),
    "objects": compiled("categorical_crossentropy", objects),
    "none": compiled("categorical_crossentropy"),
    "regularized": regularized,
    "guided": guided,
}


def rows_of(epoch: int) -> list[Any]:
    """Return the rows of each batch of an epoch, as a training sees them."""
    train = tiny_dataset().train
    order = epoch_order(len(train.rows), SEED, epoch, len(train.rows))
    return list(train.rows[order].reshape(-1, SIZE))


def prepared(build: Build) -> tuple[Any, bool]:
    """Return a network as a training begins with it, and whether it wants indexes."""
    start_framework(OPTIONS)
    import keras

    from objectives.targets import wants_indexes

    keras.utils.clear_session()
    keras.utils.set_random_seed(SEED)
    network = build({}, (8, 8, 1), 3)
    compile_network(network, {**TRAINING_DEFAULTS, **PARAMS}, (8, 8, 1), 3, 6)
    return network, wants_indexes(network, 3)


def by_fit(build: Build, n_epochs: int = 2) -> list[Any]:
    """Return what Keras's own `fit` says, for the same network, data and order."""
    import tensorflow as tf

    network, sparse = prepared(build)
    data = tiny_dataset()

    def formed(rows: Any) -> tuple[Any, Any]:
        floats = data.images[rows].astype(np.float32)[..., None] * np.float32(1 / 255)
        labels = data.labels[rows]
        return floats, labels if sparse else np.eye(3, dtype=np.float32)[labels]

    def batches() -> Iterator[Any]:
        for epoch in range(n_epochs):
            yield from map(formed, rows_of(epoch))

    said = tf.TensorSpec((SIZE,), tf.int64) if sparse else tf.TensorSpec((SIZE, 3), tf.float32)
    spec = (tf.TensorSpec((SIZE, 8, 8, 1), tf.float32), said)
    calls: list[Any] = []
    network.fit(
        tf.data.Dataset.from_generator(batches, output_signature=spec),
        epochs=n_epochs, steps_per_epoch=len(rows_of(0)), verbose=0, shuffle=False,
        callbacks=[heard(calls)],
        validation_data=formed(data.valid.rows), validation_batch_size=SIZE,
    )  # fmt: skip
    return calls


def by_us(build: Build) -> list[Any]:
    """Return what a training of ours says."""
    calls: list[Any] = []
    fitted(objective_of(build, callbacks=lambda params: [heard(calls)]), PARAMS, seed=SEED)
    return calls


def assert_alike(ours: list[Any], theirs: list[Any]) -> None:
    """The same calls in the same order, with the same names and, within rounding, values."""
    assert [call[0] for call in ours] == [call[0] for call in theirs]
    for one, other in zip(ours, theirs, strict=True):
        logs, wanted = (call[-1] or {} for call in (one, other))
        assert one[:-1] == other[:-1], one[0]
        assert set(logs) == set(wanted), one[0]
        for name, value in wanted.items():
            assert isinstance(logs[name], float)
            assert logs[name] == pytest.approx(value, rel=1e-4, abs=1e-6), (one[0], name)


@pytest.mark.parametrize("name", BUILDS)
def test_callbacks_are_told_what_fit_tells_them(name: str) -> None:
    """All calls, names and values, for metrics as strings and as objects, and none."""
    ours = by_us(BUILDS[name])
    assert_alike(ours, by_fit(BUILDS[name]))
    assert [call[0] for call in ours].count("test_end") == 2
    assert "val_loss" in [call for call in ours if call[0] == "epoch_end"][-1][-1]
