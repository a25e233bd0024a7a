"""What is not finite is seen: a loss on the way, a weight, a prediction; and nothing else is."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from objectives.base import Fitted, refuse_unfinite_predictions
from objectives.errors import DivergedError
from objectives.framework.runtime import start_framework
from objectives.network.train.scoring import LossWatch
from objectives.refit import Refit
from tests.integration.trainings import OPTIONS, build_linear, fitted, objective_of, tiny_dataset

# Keras 3.15 reads TensorFlow's variables in a way that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def watched(watch: LossWatch, losses: list[float]) -> None:
    """Show an epoch of losses to it."""
    for loss in losses:
        watch.add({"loss": loss})
    watch.read()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("place", [0, 99, 100, 130])
def test_a_loss_is_named_by_its_epoch_and_batch(bad: float, place: int) -> None:
    """Wherever in the epoch, also where the losses after it are numbers again."""
    start_framework(OPTIONS)
    losses = [bad if number == place else 0.5 for number in range(140)]
    with pytest.raises(DivergedError, match=f"became {bad} in epoch 3, batch {place}$"):
        watched(LossWatch(epoch=3), losses)


def test_losses_are_not_read_batch_by_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device need not be waited for after each of them."""
    start_framework(OPTIONS)
    import keras

    reads: list[int] = []
    convert = keras.ops.convert_to_numpy
    monkeypatch.setattr(keras.ops, "convert_to_numpy", lambda x: reads.append(len(x)) or convert(x))
    watch = LossWatch(epoch=0)
    for _ in range(250):
        watch.add({"loss": keras.ops.ones(())})
    watch.read()
    assert reads == [100, 100, 50]


def test_logs_without_a_loss_are_no_matter() -> None:
    """A step of the user's may return what it likes."""
    start_framework(OPTIONS)
    watch = LossWatch(epoch=0)
    for logs in ({}, {"loss": None}, {"loss": {"a": 1.0}}, {"loss": 2.0}):
        watch.add(logs)
    watch.read()


def test_weights_that_became_nan_end_a_training_with_a_finite_loss() -> None:
    """The loss of the last batch was computed before its step."""
    import keras

    class Poison(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            weights = self.model.get_weights()
            weights[0][0] = np.nan
            self.model.set_weights(weights)

    for data in (tiny_dataset(), tiny_dataset().for_retraining()):
        objective = objective_of(build_linear, callbacks=lambda params: [Poison()])
        with pytest.raises(DivergedError, match=r"weights became NaN.*\(.*kernel\)|loss became"):
            objective.fit({}, data, seed=1, report=lambda *_: None, resume_dir=None)


def with_mask(params: Mapping[str, Any], shape: tuple[int, int, int], n_classes: int) -> Any:
    """A network that keeps infinity in a weight that is not trained."""
    import keras

    class Masked(keras.layers.Layer):  # type: ignore[misc]
        def build(self, input_shape: Any) -> None:
            self.mask = self.add_weight(
                shape=(1,), initializer=keras.initializers.Constant(np.inf), trainable=False
            )

        def call(self, x: Any) -> Any:
            return keras.ops.minimum(x, self.mask)

    network = build_linear(params, shape, n_classes)
    return keras.Sequential([keras.Input(shape), Masked(), *network.layers])


def test_infinity_that_is_not_trained_is_no_matter() -> None:
    """A mask, say."""
    assert fitted(objective_of(with_mask), {}).value is not None


def divided(params: Mapping[str, Any], shape: tuple[int, int, int], n_classes: int) -> Any:
    """A network that divides an image by its own brightest pixel, but for training."""
    import keras

    class PerImage(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any, training: bool = False) -> Any:
            return x if training else x / keras.ops.max(x, axis=(1, 2, 3), keepdims=True)

    network = build_linear(params, shape, n_classes)
    return keras.Sequential([keras.Input(shape), PerImage(), *network.layers])


def test_a_prediction_that_is_nan_names_its_image() -> None:
    """No class is 0 because NaN has no largest."""
    objective, images = objective_of(divided), tiny_dataset().images[:20].copy()
    result = fitted(objective, {})
    assert np.isfinite(objective.predict(result, images)).all()
    images[6] = 0
    with pytest.raises(DivergedError, match=r"NaN or infinity for image 7 of 20$"):
        objective.predict(result, images)
    images[9] = 0
    with pytest.raises(DivergedError, match=r"for 2 images of 20, the first of them image 7$"):
        objective.predict(result, images)


def test_large_predictions_are_finite() -> None:
    """Their sum may overflow, and nothing is wrong."""
    huge = np.full((9, 2), np.finfo(np.float32).max, np.float32)
    assert refuse_unfinite_predictions(huge) is huge
    huge[8, 1] = np.nan
    with pytest.raises(DivergedError, match="image 9 of 9"):
        refuse_unfinite_predictions(huge)


class Blind:
    """An objective that says NaN of an image with nothing in its last row."""

    direction, needs_data = "maximize", True

    def fit(self, params: Any, dataset: Any, **how: Any) -> Fitted:
        """Train nothing."""
        return Fitted(0.5, "one")

    def combine(self, fitted: Any, shifts: Any) -> Fitted:
        """Several places at once."""
        return Fitted(None, "several")

    def predict(self, fitted: Fitted, images: Any) -> Any:
        """NaN where an image was moved, or where the first is the black one."""
        said = np.full((len(images), 3), 1 / 3, np.float32)
        if fitted.model == "several" or not images[0].any():
            said[0] = np.nan
        return said


def refitted(fold: int, *, black: bool) -> Fitted:
    """Train for a finalize, on data whose first row is black or not."""
    data = tiny_dataset()
    if black:
        data.images[:] = 0
    params = {"epochs": 1, "candidate": 0, "fold": fold, "n_folds": 3, "split": 0, "stop": 0}
    refit = Refit(lambda epochs, stop: Blind(), lambda slot: {}, "maximize")  # type: ignore[arg-type, return-value]
    return refit.fit(params, data, seed=0, report=lambda *_: None, resume_dir=None)


@pytest.mark.parametrize("fold", [0, 1])
def test_a_network_that_says_nan_is_no_result_of_a_finalize(fold: int) -> None:
    """On all rows and on folds, for an objective of one's own too."""
    assert refitted(fold, black=False).value is not None
    with pytest.raises(DivergedError, match="the network predicts NaN"):
        refitted(fold, black=True)


def test_moved_images_that_give_nan_are_not_used() -> None:
    """The plain predictions are kept, and shifts are none."""
    from objectives.refit import unpack

    plain, shifted = unpack(refitted(1, black=False).kept or b"")
    assert np.isfinite(plain).all()
    assert shifted is None
