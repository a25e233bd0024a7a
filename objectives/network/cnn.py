"""The default CNN with its search space, and the objective class for any `build` function.

`training.py` trains a network; `objectives/data/` reads the data. Importing this file loads neither
Keras nor TensorFlow.
"""

import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objectives.base import METRICS, FitOptions, Fitted, Params, Report, refuse_unfinite_predictions
from objectives.data.dataset import Dataset, load_dataset
from objectives.errors import DataError, DivergedError, ModelError, ObjectiveError
from objectives.framework.runtime import detect_precision
from objectives.framework.sentence import one_line
from objectives.network.building import Build, build_network
from objectives.network.cost import default_epochs
from objectives.network.export import (
    Shift,
    averaged_model,
    check_loading,
    predict_images,
    serving_model,
    write_model,
)
from objectives.network.optimizer import TRAINING_DEFAULTS, refuse_impossible
from objectives.network.train.training import Callbacks, Recipe, fit_network
from objectives.network.tryout.tryout import Watched, look_at
from objectives.source import function_of
from objectives.space.space import SearchSpace, middle, parse_space

# Ranges in which most draws do well and none is slow; docs/decisions.md has the measurements.
CNN_SPACE: SearchSpace = parse_space(
    {
        "n_blocks": [2, 3],
        "filters_1": [16, 32],  # in bfloat16 24 are slower than 32: blocks of 16 channels
        "filters_2": [32, 48, 64],
        "filters_3": {"choices": [64, 96, 128], "when": {"n_blocks": [3]}},
        "kernel": [3, 5],  # of the first convolution; all others have 3
        "dropout": {"low": 0.0, "high": 0.5},  # after the dense layer
        "dense_units": [64, 128, 256],
        "optimizer": ["adam", "adamw", "rmsprop", "sgd"],
        "learning_rate": {
            "low": 4e-3,
            "high": 1.5e-2,
            "log": True,
            "when": {"optimizer": ["adam", "adamw", "rmsprop"]},
        },
        # A separate param: good rates of SGD are 20 to 50 times those of Adam.
        "sgd_learning_rate": {
            "low": 5e-2,
            "high": 1.5e-1,
            "log": True,
            "when": {"optimizer": ["sgd"]},
        },
        "batch_size": [64, 96, 128],
        "label_smoothing": {"low": 0.02, "high": 0.1},
        "weight_decay": {"low": 1e-4, "high": 1e-1, "log": True, "when": {"optimizer": ["adamw"]}},
        "schedule": ["cosine", "one_cycle"],
        "shift": {"low": 0.03, "high": 0.1},  # of the image side
        "rotation": {"low": 4.0, "high": 15.0},  # degrees
        "zoom": {"low": 0.03, "high": 0.12},
    }
)

_POOLED_DOWN_TO = 4  # pixels a side: 28 -> 14 -> 7 -> 4, and 8 -> 4 -> 4 -> 4
_TRIAL_BATCHES = 6  # enough to measure the speed without the first batch, in half a second
_TRIAL_PREDICTIONS = 8


def build_cnn(params: Params, image_shape: tuple[int, int, int], n_classes: int) -> Any:
    """Return the default network: one to three blocks of two convolutions, a dense layer, softmax.

    A block pools right after its first convolution: batch norm and activation then work on a
    quarter of the pixels. Images of 4 pixels a side or fewer are not pooled further: on the 8x8
    digits, three poolings cost a percent of accuracy.

    Args:
        params: Drawn from `CNN_SPACE`; blocks without own filters repeat the last width.
        image_shape: (side, side, 1).
        n_classes: Width of the output.

    Returns:
        Keras model of float32 images in 0..1; probabilities of shape (n, n_classes).
    """
    import keras
    from keras import layers

    # A single block always has batch norm: without it such networks were the worst draws.
    batch_norm = params.get("batch_norm", True)

    def activated(x: Any) -> Any:
        if batch_norm:
            # Keras's default of 0.99 needs more steps than a short training has.
            x = layers.BatchNormalization(momentum=0.9)(x)
        return layers.Activation("relu")(x)

    def convolved(x: Any, filters: int, kernel: int, *, pooled: bool) -> Any:
        x = layers.Conv2D(
            filters, kernel, padding="same", use_bias=not batch_norm, kernel_initializer="he_normal"
        )(x)
        return activated(layers.MaxPooling2D(2, padding="same")(x) if pooled else x)

    images = keras.Input(image_shape)
    x, filters, kernel = images, int(params["filters_1"]), params["kernel"]
    for block in range(1, params["n_blocks"] + 1):
        filters = int(params.get(f"filters_{block}", filters))
        x = convolved(x, filters, kernel, pooled=x.shape[1] > _POOLED_DOWN_TO)
        x = convolved(x, filters, 3, pooled=False)
        kernel = 3  # a larger kernel here costs more than it gains; see docs/decisions.md
    units = layers.Dense(
        params["dense_units"], use_bias=not batch_norm, kernel_initializer="he_normal"
    )
    # On the dense units, not on the flattened pixels: drawing that many random numbers took 10 %
    # of a step.
    x = layers.Dropout(params["dropout"])(activated(units(layers.Flatten()(x))))
    # In bfloat16 the softmax would round probabilities to two or three digits.
    probabilities = layers.Activation("softmax", dtype="float32")(layers.Dense(n_classes)(x))
    return keras.Model(images, probabilities)


class KerasObjective:
    """Tunes the network that `build` returns for params; members as in `objectives.base`."""

    metrics = METRICS
    needs_data = True

    def __init__(
        self,
        build: Build,
        space: SearchSpace,
        fit_options: FitOptions,
        *,
        callbacks: Callbacks | None = None,
        pure: bool = False,
    ) -> None:
        """Store the parts; see `training.Recipe` for `build`, `callbacks` and `pure`.

        `optimizer.TRAINING_DEFAULTS` names the params of `space` that training itself reads.
        """
        self.build = build
        self.space = space
        self.fit_options = fit_options
        self.callbacks = callbacks
        self.pure = pure
        self.warnings: list[str] = []
        self.direction = "maximize" if fit_options.metric == "accuracy" else "minimize"

    detect_precision = staticmethod(detect_precision)

    def default_epochs(self, dataset: Dataset) -> int:
        """Return the default epochs of a trial; see `cost.default_epochs`."""
        return default_epochs(len(dataset.labels))

    def load(self, data_dir: Path | None) -> Dataset:
        """Return the checked, memory-mapped dataset of a folder."""
        if data_dir is None:
            raise DataError("this objective needs data", hint="--data DIR")
        return load_dataset(data_dir)

    def fit(
        self,
        params: Params,
        dataset: Dataset,
        *,
        seed: int,
        report: Report,
        resume_dir: Path | None,
    ) -> Fitted:
        """Train on `dataset.train` and score on `dataset.valid`; see `training.fit_network`."""
        recipe = Recipe(self.build, self.fit_options, self.callbacks, self.pure)
        return fit_network(recipe, params, dataset, seed=seed, report=report, resume_dir=resume_dir)

    def predict(self, fitted: Fitted, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return finite probabilities (n, n_classes) for raw images, uint8 (n, side, side)."""
        return refuse_unfinite_predictions(predict_images(fitted.model, images))

    def export(self, fitted: Fitted, path: Path) -> tuple[str, ...]:
        """Write a model of raw uint8 images; return the names that loading needs, usually none."""
        return write_model(fitted.model, path).names

    def check_export(self, fitted: Fitted, path: Path, images: NDArray[np.uint8]) -> None:
        """Load an exported file and compare its predictions for a few raw images."""
        if self.build is not build_cnn:
            check_loading(path, fitted.model, self.build, images)

    def combine(self, fitted: Sequence[Fitted], shifts: Sequence[Shift]) -> Fitted:
        """Return the mean of distinct trainings over shifted images; see `export.averaged_model`.

        The result has no value; its `info` has `n_members` and `n_shifts`.
        """
        models = [one.model for one in fitted]
        side = int(models[0].input_shape[1]) if models else 0
        model = averaged_model(models, side, shifts)
        info = {"n_members": float(len(models)), "n_shifts": float(len(shifts))}
        return Fitted(None, model, info)

    def trial_run(self, dataset: Dataset) -> float:
        """Train a few batches with params from the middle of the space, and predict a few images.

        Sets `warnings`, one line each.

        Returns:
            Images trained per second without the first batch: the expected speed of a trial.

        Raises:
            ModelError: Two networks share state, a param has a wrong name, or the user's code
                raised an exception; the message has its file and line.
        """
        # The default network needs no checks, and each new study waits for them.
        watched = None if self.build is build_cnn else Watched(self.build, self.callbacks)
        if watched is not None:
            refuse_impossible(self.space, compiled=True)  # params that training always reads
        params = self.space.draw(middle)
        n_rows = _TRIAL_BATCHES * params.get("batch_size", TRAINING_DEFAULTS["batch_size"])
        some = replace(dataset.train, rows=dataset.train.rows[: int(n_rows)])
        few = replace(some, rows=some.rows[:_TRIAL_PREDICTIONS])
        images = few.images[few.rows]
        sample = replace(dataset, train=some, valid=few)
        options = replace(self.fit_options, epochs=1)
        build = self.build if watched is None else watched.build
        callbacks = None if self.callbacks is None or watched is None else watched.callbacks
        once = KerasObjective(build, self.space, options, callbacks=callbacks)
        try:
            fitted = once.fit(params, sample, seed=0, report=lambda *_: None, resume_dir=None)
            probabilities = once.predict(fitted, images)
        except ObjectiveError:
            raise
        except DivergedError as error:
            # A forgotten softmax may show as a NaN loss.
            untrained = serving_model(build_network(build, params, dataset), dataset.side)
            predicted = predict_images(untrained, images)
            if np.isfinite(predicted).all():
                _refuse_no_probabilities(predicted)
            raise ModelError(f"in a first batch, {error} (params {params})") from error
        except Exception as error:
            line, hint = _one_line(error, self.build), None
            if "bfloat16" in line and options.precision == "bfloat16":
                hint = "--precision float32; bfloat16 was chosen for this machine"
            raise ModelError(line, hint) from error
        _refuse_no_probabilities(probabilities)
        if watched is not None:
            self.warnings = look_at(watched, self.space, fitted.model, images, options.precision)
        return fitted.info["images_per_s"]


def digits_cnn(fit_options: FitOptions) -> KerasObjective:
    """Return the objective `digits-cnn`: `build_cnn` over `CNN_SPACE`."""
    return KerasObjective(build_cnn, CNN_SPACE, fit_options, pure=True)


def _refuse_no_probabilities(probabilities: NDArray[np.float32]) -> None:
    sums = probabilities.sum(axis=1)
    if not (np.allclose(sums, 1, atol=1e-2) and probabilities.min() >= 0):
        raise ModelError(
            f"the model's outputs are not probabilities: a row sums to {sums[0]:.3g}, not to 1",
            hint="end build with keras.layers.Dense(n_classes, activation='softmax'), and use a "
            "loss without from_logits=True",
        )


def _one_line(error: Exception, build: Build) -> str:
    """Return an exception's type and message, and the line in the user's file."""
    text = f"{type(error).__name__}: {one_line(str(error)) or 'no message'}"
    code = getattr(function_of(build), "__code__", None)
    if code is not None:
        user_file = code.co_filename
        rows = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == user_file]
        if rows:
            text += f" ({Path(user_file).name}, line {rows[-1].lineno}, in {rows[-1].name})"
    return text
