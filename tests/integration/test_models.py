"""Models that users bring: compiled ones, callbacks, mistakes; and the default network."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from objectives.errors import ModelError, ObjectiveError
from objectives.network.cnn import build_cnn, digits_cnn
from tests.integration.trainings import (
    OPTIONS,
    PARAMS,
    build_linear,
    fitted,
    objective_of,
    tiny_dataset,
)

# Keras 3.15 reads TensorFlow's variables in a way that NumPy 2 deprecates.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.trains,
]


@pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", "categorical_crossentropy"])
def test_a_compiled_model_keeps_its_optimizer_and_loss(loss: str) -> None:
    """Labels come as that loss wants them, and our params have no say."""
    optimizers = []

    def build(params: Mapping[str, Any], shape: tuple[int, int, int], n_classes: int) -> Any:
        import keras

        network = build_linear(params, shape, n_classes)
        network.compile(keras.optimizers.SGD(0.25), loss, metrics=["accuracy"])
        optimizers.append(network.optimizer)
        return network

    result = fitted(objective_of(build), {"optimizer": "magic"})
    assert float(optimizers[0].learning_rate) == 0.25
    assert int(optimizers[0].iterations) == 2 * 1
    assert result.value is not None


def test_sparse_and_one_hot_losses_train_alike() -> None:
    """They are one loss in two spellings."""
    weights = []
    for loss in ("SparseCategoricalCrossentropy", "CategoricalCrossentropy"):

        def build(
            params: Mapping[str, Any], shape: tuple[int, int, int], n_classes: int, loss: str = loss
        ) -> Any:
            import keras

            network = build_linear(params, shape, n_classes)
            network.compile("adam", getattr(keras.losses, loss)())
            return network

        weights.append(fitted(objective_of(build), {}).model.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_averaged_weights_are_scored_and_kept() -> None:
    """With `use_ema` the model that is kept holds the averages, not the last weights."""
    networks = []

    def build(params: Mapping[str, Any], shape: tuple[int, int, int], n_classes: int) -> Any:
        import keras

        network = build_linear(params, shape, n_classes)
        optimizer = keras.optimizers.Adam(0.1, use_ema=True, ema_momentum=0.9)
        network.compile(optimizer, "categorical_crossentropy")
        networks.append(network)
        return network

    result = fitted(objective_of(build), {})
    last = networks[0].get_weights()[0]
    assert not np.allclose(last, result.model.get_weights()[0])
    averages = [variable.numpy() for variable in networks[0].optimizer.variables]
    assert any(np.array_equal(result.model.get_weights()[0], average) for average in averages)


def test_callbacks_may_stop_and_put_the_best_weights_back() -> None:
    """The value is that of the weights that are kept."""

    def callbacks(params: Mapping[str, Any]) -> list[Any]:
        import keras

        assert params == {"learning_rate": 0.0}
        return [keras.callbacks.EarlyStopping("val_accuracy", restore_best_weights=True)]

    objective = objective_of(build_linear, replace(OPTIONS, epochs=9), callbacks)
    result = fitted(objective, {"learning_rate": 0.0})
    assert result.info["n_epochs"] == 2
    assert result.info["kept_epochs"] == 1
    assert result.value is not None


def test_stop_after_ends_a_training_in_the_middle_of_its_schedule() -> None:
    """As a longer one was at that moment, and not as one of so many epochs, whose rate fell."""
    params = {"learning_rate": 0.1, "schedule": "cosine"}
    seen: list[list[Any]] = []

    def watching(_: Mapping[str, Any]) -> list[Any]:
        import keras

        class Watch(keras.callbacks.Callback):  # type: ignore[misc]
            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                if epoch == 1:
                    seen.append(self.model.get_weights())

        return [Watch()]

    options = replace(OPTIONS, epochs=4)
    fitted(objective_of(build_linear, options, watching), params)
    stopped = fitted(objective_of(build_linear, replace(options, stop_after=2)), params)
    shorter = fitted(objective_of(build_linear, replace(options, epochs=2)), params)
    assert stopped.info["n_epochs"] == 2
    weights = stopped.model.get_weights()
    assert all(map(np.array_equal, weights, seen[0]))
    assert not all(map(np.array_equal, weights, shorter.model.get_weights()))


def broken_build(params: Mapping[str, Any], shape: tuple[int, int, int], n_classes: int) -> Any:
    """Fail like a user's typo does."""
    return params["unitz"]


def deep_build(params: Mapping[str, Any], shape: tuple[int, int, int], n_classes: int) -> Any:
    """Pool a small image away, which Keras itself refuses."""
    import keras

    pools = [keras.layers.MaxPooling2D(4) for _ in range(3)]
    return keras.Sequential([keras.Input(shape), *pools])


def doubled_build(params: Mapping[str, Any], shape: tuple[int, int, int], n_classes: int) -> Any:
    """Return what sums to two, whatever the training makes of it."""
    import keras

    network = build_linear(params, shape, n_classes)
    network.add(keras.layers.Rescaling(2.0))
    return network


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (broken_build, r"^KeyError: 'unitz' \(test_models.py, line \d+, in broken_build\)$"),
        (deep_build, r"^ValueError: .*negative.*\(test_models.py, line \d+, in deep_build\)$"),
        (doubled_build, "not probabilities: a row sums to"),
        (lambda *_: "model", "build returned 'model', not a keras.Model"),
        (lambda p, s, n: build_linear(p, s, n + 1), r"of shape \(None, 4\), not .*\(None, 3\)"),
    ],
    ids=["typo", "too-deep", "no-probabilities", "no-model", "wrong-classes"],
)
def test_a_trial_run_turns_a_mistake_into_one_line(build: Any, message: str) -> None:
    """A typo costs a second and names its file and line, before any slot is planned."""
    with pytest.raises(ObjectiveError, match=message) as caught:
        objective_of(build).trial_run(tiny_dataset())
    assert isinstance(caught.value, ModelError)
    assert "\n" not in str(caught.value)


def test_a_trial_run_of_the_default_objective_passes() -> None:
    """One batch goes through build, training and predict."""
    digits_cnn(OPTIONS).trial_run(tiny_dataset())


def test_the_default_network_fits_images_of_any_size() -> None:
    """Pooling never shrinks an image below one pixel."""
    params = {**PARAMS, "n_blocks": 3, "filters_3": 8, "kernel": 5}
    for side in (1, 5, 8, 29):
        network = build_cnn(params, (side, side, 1), 7)
        assert network.output_shape == (None, 7)
