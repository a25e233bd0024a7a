"""Training on Keras's other backends: the step that needs no TensorFlow, and whole trainings.

The whole trainings are collected where JAX or PyTorch is installed; the lock files have neither.
"""

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from objectives.framework.runtime import start_framework
from objectives.network.augment import Augmentation, augmented, transforms
from objectives.network.optimizer import TRAINING_DEFAULTS, compile_network
from objectives.network.train.step import portable_step, traced_step
from tests.integration.trainings import OPTIONS, ROOT, build_linear, tiny_dataset

# Keras 3.15 reads TensorFlow's variables in a way that NumPy 2 deprecates.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.timeout(360),
    pytest.mark.trains,
]

INSTALLED = [name for name in ("jax", "torch") if importlib.util.find_spec(name)]
WHOLE = """
import json
from dataclasses import replace
from pathlib import Path
from objectives.network.cnn import digits_cnn
from tests.conditions import seeded
from tests.integration.trainings import OPTIONS, PARAMS, build_linear, objective_of, tiny_dataset

reports = []
told = lambda *report: reports.append(report)
how = dict(seed=seeded(1), report=told, resume_dir=Path("never-made"))
linear = objective_of(build_linear, replace(OPTIONS, epochs=20))
params = {"learning_rate": 3e-2, "shift": 0.05}
fitted = linear.fit(params, tiny_dataset(), **how)
value, kernel = fitted.value, fitted.model.get_weights()[0].tolist()
still = linear.fit({**params, "learning_rate": 1e-30}, tiny_dataset(), **how)
moved = kernel != still.model.get_weights()[0].tolist()
params = {**PARAMS, "n_blocks": 1}
default = digits_cnn(replace(OPTIONS, epochs=1)).fit(params, tiny_dataset(), **how)
import keras
print(json.dumps([keras.backend.backend(), value, moved, reports[19], len(reports), default.value]))
"""


def test_step_of_other_backends_trains_as_that_of_tensorflow() -> None:
    """The same losses within rounding; on TensorFlow, where both run."""
    start_framework(OPTIONS)
    import keras

    data = tiny_dataset()
    batch = data.train.images[:16], data.train.labels[:16]
    losses = []
    for portable in (False, True):
        keras.utils.set_random_seed(3)
        network = build_linear({}, (8, 8, 1), 3)
        compile_network(network, TRAINING_DEFAULTS, (8, 8, 1), 3, 5)
        still = Augmentation()
        step = traced_step(network, 16, 8, 3, still)
        if portable:
            step = portable_step(network, 3, 5, still)
        found = [step(*batch, np.int64(7), np.int64(number)) for number in range(5)]
        losses.append([float(result["loss"]) for result in found])
    assert np.allclose(losses[0], losses[1], rtol=1e-4)
    assert len(set(losses[0])) == 5  # of a network that each step has changed


def test_images_are_moved_alike() -> None:
    """By the transform of Keras as by TensorFlow's op, for the same draws."""
    start_framework(OPTIONS)
    import keras
    import tensorflow as tf

    moves = Augmentation(shift=0.2, rotation=30.0, zoom=0.2)
    images = tiny_dataset().train.images[:8].astype(np.float32)[..., None]
    seed, number = np.int64(7), np.int64(3)
    draws = tf.random.stateless_uniform([5, 8], seed=tf.stack([seed, number]), minval=-1, maxval=1)
    moved = transforms(draws.numpy(), 8, moves, np.cos, np.sin)
    table = np.stack([*moved, *np.zeros((2, 8))], axis=1).astype(np.float32)
    theirs = keras.ops.image.affine_transform(
        images, table, interpolation="bilinear", fill_mode="constant", data_format="channels_last"
    )
    ours = augmented(tf.constant(images), seed, number, moves)
    assert np.allclose(ours.numpy(), theirs.numpy(), atol=1e-2)
    assert not np.allclose(ours.numpy(), images, atol=1)


if INSTALLED:

    @pytest.mark.parametrize("backend", INSTALLED)
    def test_networks_train_on_another_backend(backend: str) -> None:
        """Their weights move, they report each epoch, and keep no checkpoints."""
        environment = {**os.environ, "KERAS_BACKEND": backend}
        command = [sys.executable, "-c", WHOLE]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        found, value, moved, last, n_reports, default = json.loads(done.stdout)
        assert (found, moved, n_reports, last) == (backend, True, 41, [19, value])
        assert 0 <= value <= 1
        assert 0 <= default <= 1
        assert not (ROOT / "never-made").exists()
