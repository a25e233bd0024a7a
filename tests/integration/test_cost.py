"""The operations of a network, against what arithmetic says of it."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from objectives.framework.runtime import start_framework
from objectives.network.cnn import digits_cnn
from objectives.network.cost import forward_flop
from objectives.network.export import averaged_model, serving_model
from tests.integration.trainings import (
    OPTIONS,
    PARAMS,
    build_linear,
    fitted,
    n_graphs,
    objective_of,
    tiny_dataset,
)

# Keras 3.15 reads TensorFlow's variables in a way that NumPy 2 deprecates.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.trains,
]

SIDE, CHANNELS = 8, 3
Layer = Callable[[Any], Any]


def serving(*layers: Layer) -> Any:
    """Return a serving model of these layers upon images of three channels."""
    import keras

    images = keras.Input((SIDE, SIDE, 1))
    x = keras.layers.Concatenate()([images] * CHANNELS)
    for layer in layers:
        x = layer(x)
    return serving_model(keras.Model(images, x), SIDE)


def cases() -> dict[str, tuple[list[Layer], int | None]]:
    """Return layers by name, each with the multiplications that they take."""
    from keras import layers

    flat = SIDE * SIDE * CHANNELS
    attention = layers.MultiHeadAttention(2, 4)
    rows = layers.Reshape((SIDE * SIDE, CHANNELS))
    n, inner = SIDE * SIDE, 2 * 4
    return {
        "dense": ([layers.Flatten(), layers.Dense(10)], flat * 10),
        "same": ([layers.Conv2D(5, 3, padding="same")], 8 * 8 * 5 * 3 * 3 * CHANNELS),
        "strides": ([layers.Conv2D(5, 3, strides=2)], 3 * 3 * 5 * 3 * 3 * CHANNELS),
        "two": ([layers.Conv2D(5, 3), layers.Conv2D(7, 1)], 36 * 5 * 27 + 36 * 7 * 5),
        "depthwise": ([layers.DepthwiseConv2D(3, depth_multiplier=2)], 6 * 6 * 6 * 9),
        "separable": ([layers.SeparableConv2D(5, 3)], 6 * 6 * 3 * 9 + 6 * 6 * 5 * 3),
        "transposed": ([layers.Conv2DTranspose(5, 3)], 8 * 8 * CHANNELS * 3 * 3 * 5),
        "one_dimension": ([rows, layers.Conv1D(4, 3)], 62 * 4 * 3 * CHANNELS),
        "attention": (
            [rows, lambda x: attention(x, x)],
            3 * n * CHANNELS * inner + 2 * n * n * inner + n * inner * CHANNELS,
        ),
        "none": ([layers.BatchNormalization(), layers.MaxPooling2D()], 0),
        "loop": ([rows, layers.LSTM(4)], None),
        "grouped": ([layers.Conv2D(6, 3, groups=3)], None),
    }


def test_operations_are_those_that_arithmetic_says() -> None:
    """A multiplication and its addition are two; what the graph does not tell is unknown."""
    start_framework(OPTIONS)
    found, wanted = {}, {}
    for name, (layers, n_multiplied) in cases().items():
        found[name] = forward_flop(serving(*layers), SIDE)
        wanted[name] = None if n_multiplied is None else 2.0 * n_multiplied
    assert found == wanted


def test_average_costs_what_its_members_cost() -> None:
    """Three members that see each image at two places: six times the operations."""
    start_framework(OPTIONS)
    from keras import layers

    models = [serving(layers.Conv2D(5, 3), layers.Flatten(), layers.Dense(4)) for _ in range(3)]
    one = forward_flop(models[0], SIDE)
    assert one
    assert forward_flop(averaged_model(models, SIDE, [(0, 0), (1, -1)]), SIDE) == 6 * one


def test_counting_prints_nothing_and_keeps_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """It runs once a trial, in processes that run hundreds."""
    model = fitted(digits_cnn(OPTIONS), PARAMS).model
    first, before = forward_flop(model, SIDE), n_graphs()
    capfd.readouterr()
    assert {forward_flop(model, SIDE) for _ in range(30)} == {first}
    assert capfd.readouterr() == ("", "")
    assert n_graphs() == before


def test_training_says_its_images_and_three_passes_for_each() -> None:
    """60 rows in batches of 16 are 64 images an epoch; forward, and backward twice that."""
    info = fitted(objective_of(build_linear), {"batch_size": 16}).info
    assert len(tiny_dataset().train) == 60
    assert info["images"] == 2 * 64
    assert info["flop"] == 3 * info["images"] * 2 * (8 * 8 * 3)


def test_model_that_cannot_take_one_image_has_no_operations() -> None:
    """What a training has cost is no reason to fail it."""

    def build(params: Mapping[str, Any], shape: tuple[int, int, int], n_classes: int) -> Any:
        import keras

        class Crowd(keras.layers.Layer):  # type: ignore[misc]
            def call(self, x: Any) -> Any:
                if x.shape[0] == 1:
                    raise ValueError("one is no crowd")
                return x

        softmax = keras.layers.Dense(n_classes, activation="softmax")
        return keras.Sequential([keras.Input(shape), Crowd(), keras.layers.Flatten(), softmax])

    info = fitted(objective_of(build), {}).info
    assert "flop" not in info
    assert info["images"] > 0
