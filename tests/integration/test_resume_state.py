"""What users' layers, optimizers and callbacks keep, over an interruption."""

import json
import random
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from objectives.network.train import state
from objectives.network.train.checkpoint import latest_epoch
from objectives.network.train.plainstate import kept_state, put_back
from tests.integration.resuming import OPTIONS, Callbacks, Stop, died, files, finished, hasty
from tests.integration.trainings import build_linear

# Keras 3.15 reads TensorFlow's variables in a way that NumPy 2 deprecates.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.trains,
]


def moody() -> list[Any]:
    """Return a callback that draws its learning rates from every global generator there is."""
    import keras

    def set_rate(epoch: int, logs: Any) -> None:
        drawn = random.random() + random.gauss(0, 1) + np.random.rand() + np.random.randn()
        model.learning_rate = 1e-3 * abs(drawn + float(keras.random.uniform(())))

    class Moody(keras.callbacks.LambdaCallback):  # type: ignore[misc]
        def set_model(self, network: Any) -> None:
            nonlocal model
            super().set_model(network)
            model = network.optimizer

    model: Any = None
    return [Moody(on_epoch_begin=set_rate)]


def test_what_callbacks_draw_is_drawn_again(tmp_path: Path) -> None:
    """Python's, NumPy's and Keras's global generators go on where they were.

    That `report` draws too, to space its tries of a write, changes nothing.
    """

    def draw() -> None:
        random.random()
        np.random.rand()

    died(tmp_path / "trial-1", Stop("report", 2), callbacks=moody, in_report=draw)
    resumed = finished(tmp_path / "trial-2", callbacks=moody, in_report=draw)
    assert resumed == finished(None, callbacks=moody)


def build_noisy(params: Mapping[str, Any], shape: tuple[int, int, int], n_classes: int) -> Any:
    """Return a network with noise from everywhere, part of it while it is scored too."""
    import keras
    import tensorflow as tf

    class Noise(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.own = keras.random.SeedGenerator()
            self.tensorflows = tf.random.Generator.from_seed(7)
            self.n_calls = tf.Variable(0.0, trainable=False)

        def call(self, x: Any, training: bool = False) -> Any:
            shape = keras.ops.shape(x)
            noise = keras.random.normal(shape) + keras.random.normal(shape, seed=self.own)
            noise *= 0.2
            if training:
                self.n_calls.assign_add(1.0)
                noise += 0.2 * self.tensorflows.normal(shape) + 0.1 * self.n_calls
            return x + tf.cast(noise, x.dtype)

    softmax = keras.layers.Dense(n_classes, activation="softmax")
    layers = [keras.Input(shape), Noise(), keras.layers.GaussianDropout(0.3)]
    return keras.Sequential([*layers, keras.layers.Flatten(), softmax])


@pytest.mark.parametrize(
    ("stop", "callbacks"),
    [(Stop("batch", 2), list), (Stop("report", 1), None), (Stop("report", 3), None)],
    ids=["in-epoch", "at-report", "at-the-end"],
)
def test_state_that_a_users_layer_keeps_is_kept(
    tmp_path: Path, stop: Stop, callbacks: Callbacks | None
) -> None:
    """Seed generators of Keras and TensorFlow, global ones and own, and plain variables."""
    how = {"build": build_noisy, "callbacks": callbacks}
    died(tmp_path / "trial-1", stop, **how)
    assert latest_epoch(tmp_path) == (1 if stop.event == "batch" else stop.epoch)
    assert finished(tmp_path / "trial-2", **how) == finished(None, **how)


def build_forgetful(params: Mapping[str, Any], shape: tuple[int, int, int], n_classes: int) -> Any:
    """Return a network with noise from an op of TensorFlow that keeps its state to itself."""
    import keras
    import tensorflow as tf

    class Noise(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any, training: bool = False) -> Any:
            return x + tf.random.normal(tf.shape(x), dtype=x.dtype) if training else x

    softmax = keras.layers.Dense(n_classes, activation="softmax")
    return keras.Sequential([keras.Input(shape), Noise(), keras.layers.Flatten(), softmax])


def test_state_that_cannot_be_saved_means_starting_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No checkpoint is better than one that lies; it is said once."""
    died(tmp_path / "trial-1", Stop("report", 2), build=build_forgetful)
    assert files(tmp_path / "trial-1") == []
    (said,) = caplog.messages
    assert "the model's op RandomStandardNormal cannot be saved" in said
    again = finished(tmp_path / "trial-2", build=build_forgetful)
    assert again == finished(None, build=build_forgetful)


def build_scaled(params: Mapping[str, Any], shape: tuple[int, int, int], n_classes: int) -> Any:
    """Return a network whose optimizer scales the loss and gathers gradients of three steps."""
    import keras

    network = build_linear(params, shape, n_classes)
    gathered = {"gradient_accumulation_steps": 3, "loss_scale_factor": 8.0}
    network.compile(keras.optimizers.Adam(1e-2, **gathered), "categorical_crossentropy")
    return network


def test_a_scaled_loss_and_gathered_gradients_go_on(tmp_path: Path) -> None:
    """Four steps an epoch leave one gradient over, which waits in the checkpoint."""
    died(tmp_path / "trial-1", Stop("report", 1), build=build_scaled)
    resumed = finished(tmp_path / "trial-2", build=build_scaled)
    assert resumed == finished(None, build=build_scaled)


@pytest.mark.parametrize("stop", [Stop("batch", 2), Stop("report", 2)], ids=["before", "at"])
def test_a_training_that_a_callback_stops_stops_at_the_same_epoch(
    tmp_path: Path, stop: Stop
) -> None:
    """Its patience is not renewed by an interruption, and a stop is not forgotten."""
    how = {"callbacks": hasty, "options": replace(OPTIONS, epochs=9, checkpoint_every=5)}
    if stop.event == "batch":
        how["options"] = replace(OPTIONS, epochs=9)
    died(tmp_path / "trial-1", stop, **how)
    resumed = finished(tmp_path / "trial-2", **how)
    assert resumed == finished(None, **how)
    assert resumed.n_epochs == 3


def remembering() -> list[Any]:
    """Return callbacks that hold one of each kind of thing; each has a say in the learning rate."""
    import keras
    import tensorflow as tf

    class Count:
        def __init__(self) -> None:
            self.n = 0

    class Remembering(keras.callbacks.Callback):  # type: ignore[misc]
        def __init__(self, other: Any = None) -> None:
            super().__init__()
            self.other, self.count, self.counts = other, Count(), [Count(), Count()]
            self.numpys, self.pythons = np.random.default_rng(5), random.Random(6)
            self.losses: dict[str, list[float]] = {}
            self.last: deque[float] = deque(maxlen=2)
            self.shadow: list[Any] = []
            self.variable, self.tensor = tf.Variable(1.0), tf.constant(1.0)
            self.mean = keras.metrics.Mean()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.count.n += 1
            self.counts[1].n += 2
            self.losses.setdefault("loss", []).append(logs["loss"])
            self.last.append(logs["loss"])
            now = self.model.trainable_weights[0].numpy()
            self.shadow = [(old + now) / 2 for old in self.shadow] or [now]
            self.variable.assign_add(0.1)
            self.tensor = self.tensor * 1.1
            self.mean.update_state(logs["loss"])
            told = [self.count.n, self.counts[1].n, self.numpys.random(), self.pythons.random()]
            told += [sum(self.losses["loss"]), sum(self.last), float(np.abs(self.shadow[0]).mean())]
            told += [float(self.variable), float(self.tensor), float(self.mean.result())]
            told += [0 if self.other is None else self.other.count.n]
            self.model.optimizer.learning_rate = 1e-3 * float(sum(told))

    first = Remembering()
    return [first, Remembering(first)]


def test_whatever_a_callback_holds_it_goes_on_with(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Numbers, arrays, generators, variables, metrics, and objects of its own."""
    died(tmp_path / "trial-1", Stop("report", 1), callbacks=remembering)
    resumed = finished(tmp_path / "trial-2", callbacks=remembering)
    assert resumed == finished(None, callbacks=remembering)
    assert caplog.messages == []


def secretive() -> list[Any]:
    """Return a callback that holds something no file can keep, and one that can be kept."""
    import keras

    class Secretive(keras.callbacks.Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.secret = (number for number in range(9))

    return [Secretive(), *hasty()]


def test_a_callback_that_cannot_be_kept_starts_anew_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The others go on: patience runs out when it would have."""
    how = {"callbacks": secretive, "options": replace(OPTIONS, epochs=9)}
    died(tmp_path / "trial-1", Stop("report", 1), **how)
    assert finished(tmp_path / "trial-2", **how).n_epochs == 3
    (said,) = caplog.messages
    assert "callback secretive.<locals>.Secretive" in said
    assert "its attribute 'secret' (generator)" in said
    assert said.endswith("it restarts")


def test_a_callback_never_gets_a_copy_of_the_network() -> None:
    """What it refers to is the network of now, also from deep inside of its own things."""
    import keras

    networks = [build_linear({}, (8, 8, 1), 3) for _ in range(2)]
    for network in networks:
        network.compile("adam", "categorical_crossentropy")
    callbacks = [keras.callbacks.Callback() for _ in networks]
    old, new = (
        state.TrainingState(network, network, None, [callback])
        for network, callback in zip(networks, callbacks, strict=True)
    )
    callbacks[0].set_model(networks[0])
    callbacks[0].kept = {"layers": [networks[0].layers[1]], "kernel": networks[0].weights[0]}
    tree, pieces = kept_state(callbacks[0], old._shared())
    assert pieces == []
    put_back(callbacks[1], new._shared(), json.loads(json.dumps(tree)), memoryview(b""))()
    assert callbacks[1]._model is networks[1]
    assert callbacks[1].kept["layers"][0] is networks[1].layers[1]
    assert callbacks[1].kept["kernel"] is networks[1].weights[0]
