"""Train one network: seeds, the loop over epochs, a score after each epoch.

Each epoch is a pure function of the params, the seed, the number of the epoch and the state in
`state.py`. Importing this file loads no TensorFlow.
"""

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objectives.base import PRUNED, FitOptions, Fitted, Report
from objectives.data.dataset import Dataset
from objectives.errors import CheckpointError, DivergedError, LeaseLost, ModelError
from objectives.framework.backend import on_tensorflow
from objectives.framework.runtime import is_undeterministic, start_framework
from objectives.network.augment import Augmentation
from objectives.network.batchnorm import fuse_batch_norms
from objectives.network.building import Build, build_network, only_output, refuse_policy
from objectives.network.cost import training_cost
from objectives.network.export import serving_model
from objectives.network.optimizer import TRAINING_DEFAULTS, compile_network
from objectives.network.train.callbacks import Listeners, as_callbacks
from objectives.network.train.checkpoint import Checkpoints, Progress, training_identity
from objectives.network.train.scoring import Durations, LossWatch, Scorer, refuse_unfinite_weights
from objectives.network.train.state import TrainingState, keeping_random_state
from objectives.network.train.step import last_or_new, portable_step, traced_step

Callbacks = Callable[[Mapping[str, Any]], Any]
"""Returns the Keras callbacks of one training: a list, a single callback, or None."""


@dataclass(frozen=True)
class Recipe:
    """The settings that all trainings of an objective share.

    Attributes:
        build: `build(params, image_shape, n_classes)` returns a Keras model of float32 images
            (n, side, side, 1) in 0..1, with probabilities (n, n_classes). A compiled model keeps
            its optimizer and loss.
        options: Epochs, precision, threads, determinism and the like.
        callbacks: Returns the Keras callbacks of one training; see `callbacks.as_callbacks`.
        pure: Whether the network is a pure function of params with all state in its variables; a
            training with the same params as the last one then reuses its graph.
    """

    build: Build
    options: FitOptions
    callbacks: Callbacks | None = None
    pure: bool = False


def fit_network(
    recipe: Recipe,
    params: Mapping[str, Any],
    dataset: Dataset,
    *,
    seed: int,
    report: Report,
    resume_dir: Path | None = None,
) -> Fitted:
    """Train one network on `dataset.train` and score it on `dataset.valid`.

    The same arguments give the same bits on one kind of machine, independent of earlier trainings
    in the process and of interruptions. `build` is called twice: the second network is in float32,
    and is scored, used for predictions and saved.

    Args:
        recipe: Network, options and callbacks.
        params: Drawn from the space; `TRAINING_DEFAULTS` has the values of missing ones.
        dataset: images uint8, labels int64 class indexes.
        seed: >= 0; seeds weights, dropout, the order of the rows, augmentation.
        report: Called after each epoch with (epoch from 0, value by `options.metric` or None).
        resume_dir: The attempt's folder for checkpoints; see `objectives.base`.

    Returns:
        `value`: validation accuracy or log loss in nats of the final weights; None without
        validation rows. `info`: `valid_accuracy`, `valid_loss`, `train_s` (steps only),
        `images_per_s` (without the first step), `n_epochs`, `kept_epochs` and `resumed_epochs` (if
        any), and the numbers of `cost.training_cost` and `scoring.Durations`.

    Raises:
        CheckpointError: A checkpoint cannot be written.
        DivergedError: The loss or a weight became NaN or infinite.
        ModelError: `build` or `callbacks` breaks its contract; an op has no deterministic kernel.
        Pruned, LeaseLost: Raised by `report`.
    """
    with (durations := Durations()).of("import"):
        start_framework(recipe.options)
        import keras

    policy = keras.config.dtype_policy()
    refuse_policy(policy.name, recipe.options.precision, "the file of build")

    def make() -> _Training:
        with durations.of("build"):
            return _Training(recipe, params, dataset, seed, resume_dir, durations)

    try:
        return _trained(make, keeping_random_state(report))
    except Exception as error:
        if type(error).__name__ == "TBNotInstalledError":
            why = "a callback writes for TensorBoard, which is not installed"
            hint = "install tensorboard where study runs"
        elif is_undeterministic(error):
            why = f"an op of the model is not deterministic: {str(error).strip().splitlines()[0]}"
            hint = "--no-deterministic, which gives up bit-for-bit results"
        else:
            raise
        raise ModelError(why, hint) from error
    finally:
        keras.config.set_dtype_policy(policy)


def _trained(make: "Callable[[], _Training]", report: Report, anew: bool = False) -> Fitted:
    """Train; restart from the first epoch if a checkpoint may have caused an error."""
    is_reporting = False

    def noted(step: int, value: float | None) -> None:
        nonlocal is_reporting
        is_reporting = True
        report(step, value)
        is_reporting = False

    training = make()
    try:
        return training.run(noted, anew)
    except (*PRUNED, LeaseLost, CheckpointError):
        raise
    except Exception as error:
        if is_reporting or not training.checkpoints.set_all_aside(error):
            raise
    del training  # frees the memory of the first
    return _trained(make, report, anew=True)


class _Training:
    """One network, its float32 twin for scores, and the loop over its epochs."""

    def __init__(
        self,
        recipe: Recipe,
        params: Mapping[str, Any],
        dataset: Dataset,
        seed: int,
        folder: Path | None,
        durations: Durations,
    ) -> None:
        import keras

        # A worker trains many networks: first free Keras's state of the last one.
        keras.utils.clear_session()
        options, settings = recipe.options, {**TRAINING_DEFAULTS, **params}
        self._dataset, self._seed, self._n_epochs = dataset, seed, options.epochs
        self._stop_after = options.stop_after or options.epochs
        self._metric, self._durations = options.metric, durations
        self._epoch = options.epochs - 1  # the last trained epoch
        n_rows = len(dataset.train.rows)
        self._batch_size = min(int(settings["batch_size"]), n_rows)
        self._n_steps = math.ceil(n_rows / self._batch_size)

        keras.utils.set_random_seed(seed % 2**32)
        network = build_network(recipe.build, params, dataset, options.precision)
        if on_tensorflow():
            fuse_batch_norms(network)
        shape, n_classes = (dataset.side, dataset.side, 1), dataset.n_classes
        compile_network(network, settings, shape, n_classes, self._n_steps * options.epochs)
        moves = Augmentation(*(float(settings[name]) for name in ("shift", "rotation", "zoom")))
        sizes = (shape, n_classes, self._batch_size, self._n_steps, options.epochs)
        made_of = repr((recipe.build, sorted(settings.items()), sizes, options.precision))
        self._network, self._step = last_or_new(
            network,
            made_of if recipe.pure and not recipe.callbacks and on_tensorflow() else None,
            lambda network: self._new_step(network, moves),
        )
        made = as_callbacks(recipe.callbacks(dict(params))) if recipe.callbacks else []
        self._callbacks = Listeners(
            made, self._network, dataset, self._batch_size, options.epochs, self._n_steps
        )
        self._twin = build_network(recipe.build, params, dataset)
        self._twin.compiled = False  # it never trains, so the saved file needs no optimizer
        self._serving = serving_model(lambda image: only_output(self._twin(image)), dataset.side)
        self._scorer = Scorer(self._serving, dataset.valid, durations)
        listening = self._callbacks.list.callbacks
        self._state = TrainingState(self._network, self._twin, self._step, listening)
        if not on_tensorflow():  # without bit-for-bit results a training cannot resume
            folder = None
        identity = training_identity(params, seed, dataset, options) if folder else ""
        self.checkpoints = Checkpoints(folder, identity, options, self._state)

    def run(self, report: Report, anew: bool) -> Fitted:
        """Train the remaining epochs; `anew` ignores checkpoints."""
        self._callbacks.train_begin()
        with self._durations.of("checkpoint"):
            done = Progress() if anew else self.checkpoints.resume()
        n_resumed = len(done.values)
        try:
            for epoch, value in enumerate(done.values):
                report(epoch, value)
            for epoch in range(self._n_epochs if done.stopped else n_resumed, self._n_epochs):
                logs = self._run_epoch(epoch, done)
                done.accuracy, done.loss = self._callbacks.epoch_end(epoch, logs, self._score)
                done.values.append(self._value(done))
                stops = epoch + 1 == self._stop_after
                done.stopped = stops or bool(self._network.stop_training)
                with self._durations.of("checkpoint"):
                    self.checkpoints.save(done)
                with self._durations.of("report"):
                    report(epoch, done.values[-1])
                if done.stopped:
                    break
        except (*PRUNED, LeaseLost, DivergedError):
            # Lets the user's loggers close their runs; their errors must not hide this exception.
            with contextlib.suppress(Exception):
                self._callbacks.train_end()
            raise
        self._callbacks.train_end()
        return self._outcome(done, n_resumed)

    def _outcome(self, done: Progress, n_resumed: int) -> Fitted:
        if self._callbacks:  # a callback may have restored the weights of the best epoch
            done.accuracy, done.loss = self._score()
        else:  # after a resumed last epoch the twin is still empty
            self._fill_twin()
        info = done.info(self._n_steps, self._batch_size, n_resumed)
        if (n_kept := self._state.restored_epochs()) is not None:
            info["kept_epochs"] = float(n_kept)
        n_images = len(done.values) * self._n_steps * self._batch_size
        with self._durations.of("cost"):
            info |= training_cost(self._serving, self._dataset.side, n_images)
        if done.accuracy is not None:
            info |= {"valid_accuracy": done.accuracy, "valid_loss": done.loss}
        return Fitted(self._value(done), self._serving, info | self._durations.info())

    def _value(self, done: Progress) -> float | None:
        if done.accuracy is None or self._metric == "accuracy":
            return done.accuracy
        return done.loss

    def _run_epoch(self, epoch: int, done: Progress) -> Mapping[str, Any]:
        """Train one epoch and return the logs of its last batch."""
        self._epoch = epoch
        self._network.reset_metrics()
        self._callbacks.list.on_epoch_begin(epoch)
        train, size = self._dataset.train, self._batch_size
        order = train.rows[epoch_order(len(train.rows), self._seed, epoch, self._n_steps * size)]
        seed = np.int64(self._seed % 2**63)
        watch, logs = LossWatch(epoch), {}
        for number in range(self._n_steps):
            rows = order[number * size : (number + 1) * size]
            images, labels = train.images[rows], train.labels[rows]
            self._callbacks.list.on_train_batch_begin(number)
            started = time.perf_counter()
            logs = self._step(images, labels, seed, np.int64(epoch * self._n_steps + number))
            done.add_step(time.perf_counter() - started)
            is_last = self._callbacks.batch_end(number, logs)
            watch.add(logs)
            if is_last:
                break
        watch.read()
        return logs

    def _new_step(self, network: Any, moves: Augmentation) -> Any:
        n_classes = self._dataset.n_classes
        if on_tensorflow():
            return traced_step(network, self._batch_size, self._dataset.side, n_classes, moves)
        return portable_step(network, n_classes, self._n_steps, moves)

    def _score(self) -> tuple[float | None, float]:
        """Return validation accuracy and log loss of the current weights."""
        self._fill_twin()
        if not len(self._dataset.valid.rows):
            return None, math.nan
        accuracy, loss = self._scorer.score()
        if not math.isfinite(loss):
            raise DivergedError(f"the valid loss became {loss}")
        return accuracy, loss

    def _fill_twin(self) -> None:
        """Copy the weights of the network, or their averages with `use_ema`, into the twin."""
        values = self._network.get_weights()
        refuse_unfinite_weights(self._network.weights, values, self._epoch)
        self._twin.set_weights(values)
        # With `use_ema` the averages are scored and saved; training continues with the weights.
        self._network.optimizer.finalize_variable_values(self._twin.trainable_variables)


def epoch_order(n_rows: int, seed: int, epoch: int, n_drawn: int) -> NDArray[np.int64]:
    """Return the row positions of one epoch, int64 of shape (n_drawn,): a pure function.

    Each row occurs once; then rows repeat from the front until the last batch is full.
    """
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, epoch])))
    return np.resize(generator.permutation(n_rows), n_drawn)
