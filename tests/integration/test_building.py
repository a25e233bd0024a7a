"""Networks as users build them: what is taken as it comes, and what is refused in one line."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from objectives.errors import ModelError
from objectives.network.cnn import KerasObjective
from tests.integration.trainings import OPTIONS, build_linear, fitted, objective_of, tiny_dataset

# Keras 3.15 reads TensorFlow's variables in a way that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

Shape = tuple[int, int, int]


def softmax_of(image: Any, n_classes: int) -> Any:
    """Return the probabilities of a linear network."""
    from keras import layers

    return layers.Dense(n_classes, activation="softmax")(layers.Flatten()(image))


def network_of(inputs: Callable[[Any], Any], outputs: Callable[[Any], Any], loss: Any) -> Any:
    """Return a `build` whose network has its input and its output in something."""

    def build(params: Mapping[str, Any], shape: Shape, n_classes: int) -> Any:
        import keras

        image = keras.Input(shape)
        network = keras.Model(inputs(image), outputs(softmax_of(image, n_classes)))
        if loss is not None:
            network.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
        return network

    return build


@pytest.mark.parametrize("loss", [None, "sparse_categorical_crossentropy"])
@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        (lambda x: [x], lambda y: [y]),
        (lambda x: x, lambda y: (y,)),
        (lambda x: {"image": x}, lambda y: {"digit": y}),
    ],
    ids=["lists", "tuple", "dicts"],
)
def test_one_output_in_something_is_that_output(inputs: Any, outputs: Any, loss: Any) -> None:
    """The same training as with the bare one, without a warning; it predicts and is kept."""
    build = network_of(inputs, outputs, loss)
    plain = network_of(lambda x: x, lambda y: y, loss)
    result, wanted = fitted(objective_of(build), {}), fitted(objective_of(plain), {})
    assert result.info["valid_loss"] == wanted.info["valid_loss"]
    said = objective_of(build).predict(result, tiny_dataset().images[:4])
    assert said.shape == (4, 3)


def with_policy(name: str) -> Any:
    """Return a `build` that sets Keras's policy for all layers."""

    def build(params: Mapping[str, Any], shape: Shape, n_classes: int) -> Any:
        import keras

        keras.config.set_dtype_policy(name)
        return build_linear(params, shape, n_classes)

    return build


def half_layer(params: Mapping[str, Any], shape: Shape, n_classes: int) -> Any:
    """One layer in float16."""
    import keras
    from keras import layers

    head = [layers.Dense(4, dtype="mixed_float16"), layers.Dense(n_classes, activation="softmax")]
    return keras.Sequential([keras.Input(shape), layers.Flatten(), *head])


def scaled(params: Mapping[str, Any], shape: Shape, n_classes: int) -> Any:
    """Compiled for float16."""
    import keras

    network = build_linear(params, shape, n_classes)
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD())
    network.compile(optimizer, "categorical_crossentropy")
    return network


def starting_with(*head: str) -> Any:
    """Return a `build` that starts with what the code says."""

    def build(params: Mapping[str, Any], shape: Shape, n_classes: int) -> Any:
        import keras
        from keras import layers

        known = {"keras": keras, "layers": layers, "shape": shape}
        made = [eval(code, known) for code in head]
        return keras.Sequential([*made, layers.Dense(n_classes, activation="softmax")])

    return build


@pytest.mark.parametrize(
    ("build", "message", "hint"),
    [
        (with_policy("mixed_float16"), "policy to mixed_float16: float16 is not", "bfloat16"),
        (with_policy("mixed_bfloat16"), "policy to mixed_bfloat16: the study", "bfloat16"),
        (half_layer, r"layer dense\S* has the dtype policy mixed_float16", "--precision bfloat16"),
        (scaled, "LossScaleOptimizer, which is for float16", "compile it with SGD itself"),
        (
            starting_with("keras.Input((64,))"),
            r"flat rows of 64 numbers.*\(8, 8, 1\) \(test_building.py, line \d+, in build\)",
            "keras.Input(image_shape), then keras.layers.Flatten()",
        ),
        (starting_with("keras.Input((784,))"), "flat rows of 784 numbers", "Flatten()"),
        (
            starting_with("layers.Dense(4, input_shape=(64,))"), "flat rows of 64", "Flatten()",
        ),
        (
            starting_with("keras.Input((28, 28, 1))", "layers.Flatten()"),
            r"inputs of shape \(28, 28, 1\), but the images have shape \(8, 8, 1\)",
            "start it with keras.Input(image_shape)",
        ),
        (
            starting_with("keras.Input((8, 8, 3))", "layers.Flatten()"),
            "images of 3 channels",
            "makes three channels of one",
        ),
        (starting_with("layers.Dense(4)"), r"of shape \(None, 8, 8, 3\)", "Flatten() before"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_one_line_with_a_next_step(
    build: Any, message: str, hint: str
) -> None:
    """Before any slot is planned, and without a warning of Keras's beside it."""
    with pytest.raises(ModelError, match=message) as caught:
        objective_of(build).trial_run(tiny_dataset())
    assert hint in (caught.value.hint or "")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "build",
    [
        with_policy("float32"),
        starting_with("keras.Input((8, 8))", "layers.Flatten()"),
        starting_with("layers.Flatten(input_shape=shape)"),
        starting_with("keras.Input((None, None, 1))", "layers.GlobalAveragePooling2D()"),
    ],
    ids=["float32", "no channel", "input_shape", "any size"],
)
def test_what_fits_is_taken(build: Any) -> None:
    """In older spellings too, and without a warning."""
    objective_of(build).trial_run(tiny_dataset())


def test_policy_of_the_file_is_refused_before_anything_is_built() -> None:
    """It was set where the file was imported; the study would have gone over it in silence."""
    import keras

    built: list[Any] = []
    objective = objective_of(lambda *given: built.append(given))
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy("mixed_float16")
        with pytest.raises(ModelError, match=r"the file of build sets .* mixed_float16"):
            fitted(objective, {})
        keras.config.set_dtype_policy("mixed_bfloat16")
        with pytest.raises(ModelError, match="mixed_bfloat16"):
            fitted(objective, {})
        # What the study does anyway is no matter.
        bfloat16 = objective_of(build_linear, replace(OPTIONS, precision="bfloat16"))
        assert fitted(bfloat16, {}).value is not None
    finally:
        keras.config.set_dtype_policy(before)
    assert built == []


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        ("plain", "plain"),
        ("Exception encountered when calling A.call().\n\n\x1b[1mbad\x1b[0m\n\nArguments", "bad"),
        ("One sentence that\ngoes on. And two.\nMore.", "One sentence that goes on. And two."),
        ("Shapes differ:\n\n(3,) and (4,)\n\nthe rest", "Shapes differ: (3,) and (4,)"),
        ("Graph execution error:\n\nDetected at node x\nFile \"a.py\", line 1\n\nbad op", "bad op"),
        ("", "no message"),
    ],
)  # fmt: skip
def test_an_error_of_many_lines_is_its_first_telling_sentence(message: str, wanted: str) -> None:
    """Whole, and never cut in the middle."""

    def build(params: Mapping[str, Any], shape: Shape, n_classes: int) -> Any:
        raise ValueError(message)

    objective: KerasObjective = objective_of(build)
    with pytest.raises(ModelError) as caught:
        objective.trial_run(tiny_dataset())
    found = str(caught.value)
    assert found.startswith(f"ValueError: {wanted} (test_building.py, line ")
