"""The interface of an objective, as a search and a finalize call it.

An objective gets params, data, a seed, and a `report` to call after each epoch. It does not depend
on Optuna's studies or on SQL.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from optuna.exceptions import TrialPruned

from objectives.errors import DivergedError, Pruned
from objectives.space.space import SearchSpace

PRUNED = (Pruned, TrialPruned)
"""Exceptions that end a trial as pruned: from `report`, and Optuna's from a user's `fit`."""

Params = Mapping[str, Any]

METRICS = ("accuracy", "log_loss")
"""Values of a trial on its validation rows: share predicted correctly, or log loss in nats."""


class Report(Protocol):
    """Called after each epoch; its exceptions (`Pruned`, `LeaseLost`) must propagate.

    `value` is None without validation rows, as in a retraining. Nothing is stored then, but the
    training can still be told to stop.
    """

    def __call__(self, step: int, value: float | None) -> None: ...


@dataclass(frozen=True)
class FitOptions:
    """Settings of every training of a study; fixed at `create`, stored in the spec.

    Attributes:
        epochs: Passes over the training rows, >= 1.
        precision: "float32" or "bfloat16" (mixed: weights stay float32).
        threads: Threads of one trial, >= 1. The weights depend on the number.
        deterministic: Whether TensorFlow's op determinism is on.
        checkpoint_every: Epochs between checkpoints, >= 1; the last epoch always has one. It
            changes no value, only how much an interruption costs.
        metric: One of `METRICS`, reported after each epoch and the final value of a trial.
        stop_after: Epochs after which a training ends while its schedules still span `epochs`;
            None: all epochs, unless a callback stops earlier.
    """

    epochs: int = 10
    precision: str = "float32"
    threads: int = 1
    deterministic: bool = True
    checkpoint_every: int = 1
    metric: str = "accuracy"
    stop_after: int | None = None


@dataclass
class Fitted:
    """A trained model and its results.

    Attributes:
        value: The objective's value on `dataset.valid`; None without validation rows.
        model: Any object that `predict` of the same objective accepts.
        info: Further numbers, each named with its unit, such as `train_s` or `valid_loss`.
        kept: Bytes to store with the trial, a few MB at most, such as predictions.
    """

    value: float | None
    model: Any
    info: dict[str, float] = field(default_factory=dict)
    kept: bytes | None = None


class Objective(Protocol):
    """The protocol of an objective.

    Optional members:
        export(fitted, path): Write a model of raw uint8 images; return the names of custom classes
            that loading needs.
        check_export(fitted, path, images): Raise if the exported file does not load as saved.
        combine(fitted, shifts): Return one `Fitted` that predicts the mean of several, over the
            image moved by each (down, right) of `shifts` in pixels, for `predict` and `export`.
        trial_run(dataset): Train a few batches before slots are planned; may return images trained
            per second.
        default_epochs(dataset), detect_precision(): Defaults of options that were not given.
        metrics: The supported `METRICS`.
        note(slot, attempt, trial): Called before `fit` with the slot that it belongs to.
    """

    direction: str
    needs_data: bool

    @property
    def space(self) -> SearchSpace: ...

    def load(self, data_dir: Path | None) -> Any:
        """Return the dataset: validated, fingerprinted, memory-mapped."""

    def fit(
        self, params: Params, dataset: Any, *, seed: int, report: Report, resume_dir: Path | None
    ) -> Fitted:
        """Train on `dataset.train` and score on `dataset.valid`.

        Args:
            params: Drawn from `space`.
            dataset: From `load`.
            seed: >= 0; the same arguments give the same value.
            report: Called after each epoch, with the value None if `dataset.valid` is empty.
            resume_dir: The folder for this attempt's checkpoints, `trial-<number>`, which need not
                exist yet; None: no checkpoints. Sibling folders with such names belong to earlier
                attempts at the slot: read them, but never write there. A resumed training reports
                the finished epochs again, in order, and ends as if it had never been interrupted.
                An objective may ignore this.
        """

    def predict(self, fitted: Fitted, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return probabilities of shape (n, n_classes) for raw images (n, side, side)."""


def refuse_unfinite_predictions(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return predictions of shape (n, n_classes) if all of them are finite.

    Raises:
        DivergedError: Names the first image (from 1) with NaN or infinity.
    """
    if not np.isfinite(probabilities).all():
        bad = np.flatnonzero(~np.isfinite(probabilities).all(axis=1))
        what = f"image {bad[0] + 1}" if len(bad) == 1 else f"{len(bad)} images"
        place = "" if len(bad) == 1 else f", the first of them image {bad[0] + 1}"
        raise DivergedError(
            f"the network predicts NaN or infinity for {what} of {len(probabilities)}{place}"
        )
    return probabilities
