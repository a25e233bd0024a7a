"""One training: seeds, the loop over epochs, the score after each.

Decides how a network is trained and scored; which network and which params, `cnn.py` decides.
Everything an epoch does is a pure function of the params, the seed, the epoch's number and the
state that `trainstate.py` gathers. Nothing here knows of studies, databases or CSV files, and
importing it loads no TensorFlow.
"""

import contextlib
import math
import time
from collections.abc import Callable, Mapping
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
from objectives.network.building import Build as Build
from objectives.network.building import build_network, only_output, refuse_policy
from objectives.network.cost import training_cost
from objectives.network.export import serving_model
from objectives.network.optimizer import TRAINING_DEFAULTS, compile_network
from objectives.network.train.callbacks import Listeners, as_callbacks
from objectives.network.train.checkpoint import Checkpoints, Progress, training_identity
from objectives.network.train.finite import LossWatch, refuse_unfinite_weights
from objectives.network.train.scoring import Durations, Scorer
from objectives.network.train.state import TrainingState, undisturbed
from objectives.network.train.step import last_or_new, portable_step, traced_step

Callbacks = Callable[[Mapping[str, Any]], Any]
"""Returns Keras callbacks for one training: a list, one of them, or None."""


def fit_network(
    build: Build,
    params: Mapping[str, Any],
    dataset: Dataset,
    *,
    seed: int,
    report: Report,
    options: FitOptions,
    callbacks: Callbacks | None = None,
    resume_dir: Path | None = None,
    pure: bool = False,
) -> Fitted:
    """Train one network on `dataset.train` and score it on `dataset.valid`.

    The same arguments give the same bits on one kind of machine, whatever ran in the process
    before, and however often the training was interrupted.

    Args:
        build, pure: See `cnn.KerasObjective`. `build` is called twice: the second network is the
            float32 one that is scored, predicts, and is saved.
        params: Drawn from the space; `TRAINING_DEFAULTS` stands in for what is missing.
        dataset: images uint8, labels int64 class indexes.
        seed: >= 0; seeds weights, dropout, the order of the rows, augmentation.
        report: Called after each epoch with (epoch from 0, value by `options.metric` or None).
        options: Epochs, precision, threads, determinism.
        callbacks: Called with the params, returns Keras callbacks; see `callbacks.as_callbacks`.
        resume_dir: The attempt's own folder for checkpoints; see `objectives.base`.

    Returns:
        `value`: of the final weights, valid accuracy (n_correct / n) or valid log loss in nats,
        None without valid rows; `info`: `valid_accuracy`, `valid_loss`, `train_s` (steps alone),
        `images_per_s` (without the first step), `n_epochs`, `kept_epochs` (if other weights were
        put back), `resumed_epochs` (if any), those of `cost.training_cost` and of `durations.py`.

    Raises:
        CheckpointError: A checkpoint cannot be written.
        DivergedError: The loss or a weight became NaN or infinite.
        ModelError: `build` or `callbacks` breaks its contract; an op has no deterministic kernel.
        Pruned, LeaseLost: From `report`.
    """
    with (durations := Durations()).of("import"):
        start_framework(options)
        import keras

    policy = keras.config.dtype_policy()
    refuse_policy(policy.name, options.precision, "the file of build")

    def make() -> tuple[_Training, Checkpoints]:
        with durations.of("build"):
            made = _Training(build, params, dataset, seed, options, callbacks, durations, pure)
            return made, made.checkpoints(params, options, resume_dir)

    try:
        return _trained(make, undisturbed(report))
    except Exception as error:
        if (known := _known(error)) is None:
            raise
        raise known from error
    finally:
        keras.config.set_dtype_policy(policy)


def _trained(
    make: Callable[[], "tuple[_Training, Checkpoints]"], report: Report, anew: bool = False
) -> Fitted:
    """Train, and once more from the start where a checkpoint may be to blame for an error."""
    is_reporting = False

    def told(step: int, value: float | None) -> None:
        nonlocal is_reporting
        is_reporting = True
        report(step, value)
        is_reporting = False

    training, checkpoints = make()
    try:
        return training.run(told, checkpoints, anew)
    except (*PRUNED, LeaseLost, CheckpointError):
        raise
    except Exception as error:
        if is_reporting or not checkpoints.blame(error):
            raise
    del training, checkpoints  # memory for one
    return _trained(make, report, anew=True)


def _known(error: Exception) -> ModelError | None:
    """Return what the user can do about an error of the framework's; None where that is unknown."""
    if type(error).__name__ == "TBNotInstalledError":
        why = "a callback writes for TensorBoard, which is not installed"
        return ModelError(why, hint="install tensorboard where study runs")
    if is_undeterministic(error):
        why = f"an op of the model is not deterministic: {str(error).strip().splitlines()[0]}"
        return ModelError(
            why, hint="--no-deterministic, which gives up the promise of the same bits"
        )
    return None


class _Training:
    """One network on its way through the epochs."""

    def __init__(
        self,
        build: Build,
        params: Mapping[str, Any],
        dataset: Dataset,
        seed: int,
        options: FitOptions,
        callbacks: Callbacks | None,
        durations: Durations,
        pure: bool,
    ) -> None:
        import keras

        # A worker trains many networks: what Keras kept of the last goes first (it collects too).
        keras.utils.clear_session()
        settings = {**TRAINING_DEFAULTS, **params}
        self._dataset, self._seed, self._n_epochs = dataset, seed, options.epochs
        self._stop_after = options.stop_after or options.epochs
        self._metric, self._durations = options.metric, durations
        self._epoch = options.epochs - 1  # the last one that was trained
        n_rows = len(dataset.train.rows)
        self._batch_size = min(int(settings["batch_size"]), n_rows)
        self._n_steps = math.ceil(n_rows / self._batch_size)

        keras.utils.set_random_seed(seed % 2**32)
        network = build_network(build, params, dataset, options.precision)
        if on_tensorflow():
            fuse_batch_norms(network)
        shape, n_classes = (dataset.side, dataset.side, 1), dataset.n_classes
        compile_network(network, settings, shape, n_classes, self._n_steps * options.epochs)
        moves = Augmentation(*(float(settings[name]) for name in ("shift", "rotation", "zoom")))
        sizes = (shape, n_classes, self._batch_size, self._n_steps, options.epochs)
        made_of = repr((build, sorted(settings.items()), sizes, options.precision))
        self._network, self._step = last_or_new(
            network,
            made_of if pure and not callbacks and on_tensorflow() else None,
            lambda network: self._made_step(network, moves),
        )
        made = as_callbacks(callbacks(dict(params))) if callbacks else []
        self._callbacks = Listeners(
            made, self._network, dataset, self._batch_size, options.epochs, self._n_steps
        )
        self._twin = build_network(build, params, dataset)
        self._twin.compiled = False  # it never trains: no optimizer goes into the saved file
        self._serving = serving_model(lambda image: only_output(self._twin(image)), dataset.side)
        self._scorer = Scorer(self._serving, dataset.valid, durations)
        self.state = TrainingState(self._network, self._twin, self._step, self._callbacks.callbacks)

    def checkpoints(
        self, params: Mapping[str, Any], options: FitOptions, folder: Path | None
    ) -> Checkpoints:
        """Return those of this attempt and of earlier ones at the same training; else none."""
        if folder is None or not on_tensorflow():  # elsewhere no bits are promised to go on from
            return Checkpoints(None, "", options, self.state)
        identity = training_identity(params, self._seed, self._dataset, options)
        return Checkpoints(folder, identity, options, self.state)

    def run(self, report: Report, checkpoints: Checkpoints, anew: bool) -> Fitted:
        """Train the epochs that are left, unless a callback stops early, and return the outcome.

        Args:
            anew: Whether no checkpoint is taken up.
        """
        self._callbacks.train_begin()
        with self._durations.of("checkpoint"):
            done = Progress() if anew else checkpoints.take_up()
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
                    checkpoints.save(done)
                with self._durations.of("report"):
                    report(epoch, done.values[-1])
                if done.stopped:
                    break
        except (*PRUNED, LeaseLost, DivergedError):
            # The user's loggers close their runs; what they raise must not hide the decision.
            with contextlib.suppress(Exception):
                self._callbacks.train_end()
            raise
        self._callbacks.train_end()
        return self._outcome(done, n_resumed)

    def _outcome(self, done: Progress, n_resumed: int) -> Fitted:
        if self._callbacks:  # one may have put the weights of the best epoch back
            done.accuracy, done.loss = self._score()
        else:  # no epoch has filled the twin, where the last one was taken over
            self._fill_twin()
        info = done.info(self._n_steps, self._batch_size, n_resumed)
        if (n_kept := self.state.restored_epochs()) is not None:
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
        """Train one epoch and return what the step of its last batch returned."""
        self._epoch = epoch
        self._network.reset_metrics()
        self._callbacks.epoch_begin(epoch)
        train, size = self._dataset.train, self._batch_size
        order = train.rows[epoch_order(len(train.rows), self._seed, epoch, self._n_steps * size)]
        seed = np.int64(self._seed % 2**63)
        watch, logs = LossWatch(epoch), {}
        for number in range(self._n_steps):
            rows = order[number * size : (number + 1) * size]
            images, labels = train.images[rows], train.labels[rows]
            self._callbacks.batch_begin(number)
            started = time.perf_counter()
            logs = self._step(images, labels, seed, np.int64(epoch * self._n_steps + number))
            done.add_step(time.perf_counter() - started)
            is_last = self._callbacks.batch_end(number, logs)
            watch.add(logs)
            if is_last:
                break
        watch.read()
        return logs

    def _made_step(self, network: Any, moves: Augmentation) -> Any:
        n_classes = self._dataset.n_classes
        if on_tensorflow():
            return traced_step(network, self._batch_size, self._dataset.side, n_classes, moves)
        return portable_step(network, n_classes, self._n_steps, moves)

    def _score(self) -> tuple[float | None, float]:
        """Return valid accuracy and log loss of the float32 twin with the weights of now."""
        self._fill_twin()
        if not len(self._dataset.valid.rows):
            return None, math.nan
        accuracy, loss = self._scorer.score()
        if not math.isfinite(loss):
            raise DivergedError(f"the valid loss became {loss}")
        return accuracy, loss

    def _fill_twin(self) -> None:
        """Give the twin the weights of the network, or what `use_ema` averages of them.

        Raises:
            DivergedError: They are not finite.
        """
        values = self._network.get_weights()
        refuse_unfinite_weights(self._network.weights, values, self._epoch)
        self._twin.set_weights(values)
        # With `use_ema` the averages are what is scored and kept; training goes on from its own.
        self._network.optimizer.finalize_variable_values(self._twin.trainable_variables)


def epoch_order(n_rows: int, seed: int, epoch: int, n_drawn: int) -> NDArray[np.int64]:
    """Return the positions of the rows of one epoch, in order: a pure function of its arguments.

    Each row once, then from the front again until the last batch is full.

    Returns:
        int64 of shape (n_drawn,), 0 <= position < n_rows.
    """
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, epoch])))
    return np.resize(generator.permutation(n_rows), n_drawn)
