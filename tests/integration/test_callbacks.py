"""What callbacks are told: what Keras's `fit` tells them, name by name and value by value."""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from objectives.errors import DivergedError, ModelError
from objectives.framework.runtime import start_framework
from objectives.network.optimizer import TRAINING_DEFAULTS, compile_network
from objectives.network.train.callbacks import as_callbacks
from objectives.network.train.training import epoch_order
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

    from objectives.network.targets import wants_indexes

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


@pytest.mark.parametrize("name", ["strings", "objects"])
def test_other_backends_tell_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their step, here on TensorFlow: also of a metric that is no mean over batches."""
    for place in ("training", "step"):
        monkeypatch.setattr(f"objectives.network.train.{place}.on_tensorflow", lambda: False)
    ours = by_us(BUILDS[name])
    monkeypatch.undo()
    assert_alike(ours, by_fit(BUILDS[name]))


def test_a_difference_in_one_log_is_seen() -> None:
    """The comparison above can fail."""
    call = ("epoch_end", 0, {"loss": 1.0, "auc": 0.5})
    for logs in ({"loss": 1.0}, {"loss": 1.0, "auc": 0.51}):
        with pytest.raises(AssertionError):
            assert_alike([("epoch_end", 0, logs)], [call])


def trained(made: Callable[[], Any], epochs: int = 6, build: Build = build_linear) -> Any:
    """Fit with callbacks; a rate of 0, so that nothing ever gets better."""
    params = {"learning_rate": 0.0, "batch_size": SIZE}
    objective = objective_of(build, replace(OPTIONS, epochs=epochs), lambda params: made())
    return fitted(objective, params)


@pytest.mark.parametrize("watched", ["loss", "accuracy", "val_loss", "val_accuracy"])
def test_early_stopping_hears_each_value(watched: str) -> None:
    """A watched value that does not get better ends the training."""
    import keras

    result = trained(lambda: [keras.callbacks.EarlyStopping(watched, patience=2, min_delta=0.1)])
    assert result.info["n_epochs"] == 3


def test_rates_and_files_of_keras_s_callbacks_follow_the_logs(tmp_path: Path) -> None:
    """The plateau is seen, the files have the numbers, and the history is the model's."""
    import keras

    rates: list[float] = []
    seen: list[Any] = []

    def made() -> list[Any]:
        callbacks = keras.callbacks
        after = callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: rates.append(logs["learning_rate"]),
            on_train_end=lambda logs: seen.append((logs, after.model.history.history)),
        )
        return [
            callbacks.LearningRateScheduler(lambda epoch, rate: 0.8 if epoch == 0 else rate),
            callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=1e9),
            callbacks.CSVLogger(str(tmp_path / "log.csv")),
            callbacks.ModelCheckpoint(str(tmp_path / "best.keras"), save_best_only=True),
            after,
        ]

    trained(made, epochs=3)
    assert rates == pytest.approx([0.8, 0.8, 0.4])
    header, *rows = (tmp_path / "log.csv").read_text().splitlines()
    assert header == "epoch,accuracy,learning_rate,loss,val_accuracy,val_loss"
    assert len(rows) == 3
    assert (tmp_path / "best.keras").exists()
    ((logs, history),) = seen
    assert set(logs) == {"accuracy", "loss", "val_accuracy", "val_loss"}
    assert [len(values) for values in history.values()] == [3] * 5


def test_a_callback_may_end_the_training_within_an_epoch() -> None:
    """As under `fit`: the epoch is scored, and is the last."""
    import keras

    calls: list[Any] = []

    class Stop(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.stop_training = batch == 1

    result = trained(lambda: [Stop(), heard(calls)])
    assert [call[0] for call in calls].count("train_batch_end") == 2
    assert result.info["n_epochs"] == 1
    assert result.value is not None


def test_an_early_end_closes_what_callbacks_have_open() -> None:
    """A training that became NaN ends their runs too."""
    import keras

    ended: list[Any] = []
    closing = keras.callbacks.LambdaCallback(on_train_end=ended.append)
    objective = objective_of(build_linear, callbacks=lambda params: [closing])
    with pytest.raises(DivergedError):
        fitted(objective, {"optimizer": "sgd", "learning_rate": 1e38})
    assert len(ended) == 1


def test_callbacks_come_in_any_form() -> None:
    """One of them, several in whatever holds them, or none."""
    import keras

    one, other = keras.callbacks.History(), keras.callbacks.TerminateOnNaN()
    assert as_callbacks(None) == []
    assert as_callbacks(one) == [one]
    for several in ((one, other), [one, [other]], iter([one, other]), [one, None, other]):
        assert as_callbacks(several) == [one, other]


@pytest.mark.parametrize(
    ("made", "message", "hint"),
    [
        (
            lambda k: "val_loss",
            "returned 'val_loss', which is not a Keras callback",
            "EarlyStopping",
        ),
        (lambda k: {"stop": k.History()}, "which is not a Keras callback", "return a list"),
        (lambda k: [3], "returned 3, which is not a Keras callback", "return a list"),
        (lambda k: k.EarlyStopping, "returned the class EarlyStopping", "EarlyStopping()"),
        (lambda k: k.EarlyStopping("val_acc"), "'val_acc'.*val_accuracy", "'val_accuracy'"),
        (lambda k: k.EarlyStopping("val_auc", mode="max"), "monitors 'val_auc'", "val_accuracy"),
        (lambda k: k.ReduceLROnPlateau("zzz", mode="min"), "ReduceLROnPlateau", "a metric of"),
        (lambda k: k.ModelCheckpoint("x.keras", "f1", save_best_only=True), "'f1'", "metric"),
    ],
)
def test_callbacks_that_cannot_work_are_one_line(made: Any, message: str, hint: str) -> None:
    """What is no callback, and what would wait for a value that never comes."""
    import keras

    objective = objective_of(build_linear, callbacks=lambda params: made(keras.callbacks))
    with pytest.raises(ModelError, match=message) as caught:
        objective.trial_run(tiny_dataset())
    assert hint in (caught.value.hint or "")
    assert "\n" not in str(caught.value)


def test_a_value_that_a_callback_adds_may_be_watched() -> None:
    """One before it writes it into the logs, which all of them share."""
    import keras

    adds = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(mine=1.0))
    result = trained(lambda: [adds, keras.callbacks.EarlyStopping("mine", mode="max", patience=1)])
    assert result.info["n_epochs"] == 2


def test_nothing_to_watch_is_no_noise_on_all_rows() -> None:
    """There are no valid rows in a retraining: no warning follows, and it runs to its end."""
    import keras

    watching = [
        keras.callbacks.EarlyStopping("val_accuracy", mode="max", patience=1),
        keras.callbacks.ReduceLROnPlateau(patience=1),
    ]
    objective = objective_of(build_linear, callbacks=lambda params: watching)
    result = objective.fit(
        {}, tiny_dataset().for_retraining(), seed=1, report=lambda *_: None, resume_dir=None
    )
    assert result.info["n_epochs"] == 2


def test_a_model_that_cannot_be_tested_has_our_own_values(caplog: Any) -> None:
    """Its `test_step` has no loss to compute: one line says what callbacks get."""
    import keras

    class Own(keras.Model):  # type: ignore[misc]
        def test_step(self, data: Any) -> Any:
            raise NotImplementedError("no tests")

    def build(params: Mapping[str, Any], shape: tuple[int, int, int], n_classes: int) -> Any:
        image = keras.Input(shape)
        softmax = keras.layers.Dense(n_classes, activation="softmax")
        return Own(image, softmax(keras.layers.Flatten()(image)))

    calls: list[Any] = []
    with caplog.at_level(logging.WARNING):
        trained(lambda: heard(calls), build=build)
    ends = [call[-1] for call in calls if call[0] == "epoch_end"]
    assert len(ends) == 6
    assert all(set(end) == {"accuracy", "loss", "val_accuracy", "val_loss"} for end in ends)
    assert len(caplog.messages) == 1
    assert "NotImplementedError: no tests" in caplog.messages[0]


def test_tensorboard_that_is_not_installed_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hint says what to install."""
    import keras

    class TBNotInstalledError(ImportError):
        pass

    def on_epoch_end(epoch: int, logs: Any) -> None:
        raise TBNotInstalledError("TensorBoard is not installed, missing implementation for ...")

    with pytest.raises(ModelError, match="TensorBoard, which is not installed") as caught:
        trained(lambda: keras.callbacks.LambdaCallback(on_epoch_end=on_epoch_end))
    assert caught.value.hint == "install tensorboard where study runs"
