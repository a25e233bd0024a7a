"""The Objective contract: one fact and a few functions.

Search and finalize share all of it. Nothing here knows of Optuna's studies or of SQL; an objective
sees params, data, a seed, and a `report` to call after each epoch.
"""

import math
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
"""What ends a trial as pruned: `report` raises the first, and a `fit` of its own accord either."""


class Report(Protocol):
    """Called after each epoch; what it raises, `Pruned` or `LeaseLost` say, is left to propagate.

    The value is None where there are no valid rows, as in a retraining: nothing is kept of it then,
    but the training is still told to stop.
    """

    def __call__(self, step: int, value: float | None) -> None: ...


METRICS = ("accuracy", "log_loss")
"""What a trial may be judged by on its validation rows: the share that is right, or nats."""


@dataclass(frozen=True)
class FitOptions:
    """What every training of a study shares; fixed at `create`, stored in the spec.

    Attributes:
        epochs: Passes over the training rows, >= 1.
        precision: "float32" or "bfloat16" (mixed: weights stay float32).
        threads: Threads of one trial, >= 1. Another number gives other weights.
        deterministic: Whether TensorFlow's op determinism is on.
        checkpoint_every: Epochs from one checkpoint to the next, >= 1; the last epoch always has
            one. It decides what an interruption costs, and no value.
        metric: One of `METRICS`: the value of a trial, and what it reports.
        stop_after: Epochs after which a training ends all the same, its schedules still spanning
            `epochs`; None: it runs them all, unless a callback stops it.
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
    """A trained model and what is known of it.

    Attributes:
        value: The objective's value on `dataset.valid`; None where there were no valid rows.
        model: Whatever `predict` of the same objective understands.
        info: Further numbers, each named with its unit, such as `train_s` or `valid_loss`.
        kept: Bytes that the study keeps of it, a few MB at most, such as predictions.
    """

    value: float | None
    model: Any
    info: dict[str, float] = field(default_factory=dict)
    kept: bytes | None = None


class Objective(Protocol):
    """What a study tunes.

    Optional members, used where they are there: `export(fitted, path)` writes a model that takes
    raw uint8 images and returns the names of custom classes that loading needs;
    `check_export(fitted, path, images)` refuses such a file if it does not load as it was;
    `combine(fitted, shifts)` returns one `Fitted` that predicts the mean of several, over the image
    moved by each (down, right) of `shifts` in pixels, and that `predict` and `export` take;
    `trial_run(dataset)` pushes a batch or a few through, before slots are planned, and may return
    images trained a second; `default_epochs(dataset)` and `detect_precision()` answer what the user
    left open; `metrics` names those of `METRICS` that it can be judged by; `note(slot, attempt,
    trial)` is told which slot the next `fit` belongs to.
    """

    direction: str
    needs_data: bool

    @property
    def space(self) -> SearchSpace: ...

    def load(self, data_dir: Path | None) -> Any:
        """Return the dataset: validated, fingerprinted, memory-mapped."""

    def fit(
        self,
        params: Mapping[str, Any],
        dataset: Any,
        *,
        seed: int,
        report: Report,
        resume_dir: Path | None,
    ) -> Fitted:
        """Train on `dataset.train` and score on `dataset.valid`.

        Args:
            params: Drawn from `space`.
            dataset: From `load`.
            seed: >= 0; the same arguments give the same value.
            report: Called after each epoch, with None for a value where `dataset.valid` is empty;
                what it raises is left to propagate.
            resume_dir: This attempt's own folder for checkpoints, called `trial-<number>`, which
                need not exist yet. The folders of that kind beside it are those of earlier attempts
                at the same slot: to go on from, never to write to. A training that goes on reports
                the finished epochs again, in order, and ends as if it had never been interrupted.
                None: no checkpoints. An objective that keeps none ignores it, as the synthetic one
                does.
        """

    def predict(self, fitted: Fitted, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return probabilities of shape (n, n_classes) for raw images (n, side, side)."""


def refuse_unfinite_predictions(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return predictions of shape (n, n_classes), if all of them are finite.

    Raises:
        DivergedError: Names the first image of which they are not, from 1.
    """
    if not _is_finite(probabilities):
        bad = np.flatnonzero(~np.isfinite(probabilities).all(axis=1))
        what = f"image {bad[0] + 1}" if len(bad) == 1 else f"{len(bad)} images"
        place = "" if len(bad) == 1 else f", the first of them image {bad[0] + 1}"
        raise DivergedError(
            f"the network says NaN or infinity of {what} of {len(probabilities)}{place}"
        )
    return probabilities


def _is_finite(value: Any) -> bool:
    # The sum is NaN or infinite where a number is. It may also overflow: then each is looked at.
    with np.errstate(all="ignore"):
        return math.isfinite(float(value.sum())) or bool(np.isfinite(value).all())
