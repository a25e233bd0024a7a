"""Batch normalization by the fused kernel: the same arithmetic, and no other layer's business."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from objectives.framework.runtime import start_framework
from objectives.network.batchnorm import fuse_batch_norms
from tests.integration.trainings import OPTIONS

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.trains,
]


def network_with(*layers: Callable[[], Any], shape: tuple[int, ...] = (6, 6, 3)) -> Any:
    """Return a Keras model of the layers in a row, with the same weights at each call."""
    import keras

    keras.utils.set_random_seed(3)
    return keras.Sequential([keras.Input(shape), *(make() for make in layers)])


def norm(**options: Any) -> Callable[[], Any]:
    """Return what makes a batch normalization with weights that are not ones and zeros."""

    def make() -> Any:
        import keras

        random = {"gamma_initializer": "random_uniform", "beta_initializer": "random_uniform"}
        return keras.layers.BatchNormalization(**{**random, "momentum": 0.9, **options})

    return make


def trained_once(network: Any, images: Any) -> dict[str, Any]:
    """Return what a training pass gives, its gradients, and the averages that it leaves."""
    import tensorflow as tf

    images = tf.constant(images)
    weights = [variable.value for variable in network.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch(images)
        outputs = network(images, training=True)
        loss = tf.reduce_sum(outputs**3)
    gradients = tape.gradient(loss, [images, *weights])
    found = {"outputs": outputs, **{f"gradient {n}": one for n, one in enumerate(gradients)}}
    return {
        **{name: np.asarray(value) for name, value in found.items()},
        **{v.path: np.asarray(v.value) for v in network.non_trainable_variables},
    }


def test_the_fused_kernel_trains_as_keras_does() -> None:
    """Outputs, gradients and running averages agree, to what float32 holds."""
    start_framework(OPTIONS)
    images = np.random.default_rng(1).normal(2.0, 3.0, (5, 6, 6, 3)).astype(np.float32)
    plain, fused = network_with(norm()), network_with(norm())
    fuse_batch_norms(fused)
    assert "call" in vars(fused.layers[0])
    expected, found = trained_once(plain, images), trained_once(fused, images)
    assert expected["outputs"].std() > 0.01
    for one, other in zip(expected.values(), found.values(), strict=True):
        np.testing.assert_allclose(other, one, rtol=2e-4, atol=2e-5)


def test_a_network_predicts_by_keras_alone() -> None:
    """Predictions and frozen layers use the averages, bit for bit as without the kernel."""
    start_framework(OPTIONS)
    images = np.random.default_rng(1).normal(2.0, 3.0, (5, 6, 6, 3)).astype(np.float32)
    plain, fused = network_with(norm()), network_with(norm())
    fuse_batch_norms(fused)
    assert np.array_equal(fused(images), plain(images))
    fused.layers[0].trainable = False
    assert np.array_equal(fused(images, training=True), plain(images))


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"axis": 1}, (6, 6, 3)),
        ({"scale": False}, (6, 6, 3)),
        ({"center": False}, (6, 6, 3)),
        ({"synchronized": True}, (6, 6, 3)),
        ({"renorm": True}, (6, 6, 3)),
        ({}, (7,)),
    ],
)
def test_layers_that_the_kernel_cannot_compute_are_left_alone(
    options: dict[str, Any], shape: tuple[int, ...]
) -> None:
    """Keras computes them as it always did."""
    start_framework(OPTIONS)
    network = network_with(norm(**options), shape=shape)
    fuse_batch_norms(network)
    assert "call" not in vars(network.layers[0])
