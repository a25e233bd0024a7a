"""Out-of-fold predictions, collected from all folds of a companion study.

Every labelled row is held out once a split; what the networks said of it then stands in the
database. Which configuration follows from it, `selection.py` decides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from objectives.refit import unpack
from storage import attrs
from storage.reading import Attempt
from study.finalize.choose import Measured
from study.finalize.companion import Companion, Training, stop_of
from study.spec.open import Loaded

Key = tuple[int, int]
"""A configuration of a finalize: slot of the search, epochs."""

SAME = 1e-3  # what is kept has three digits
_FLOOR = 1e-7  # as Keras clips: one hopeless image must not make the loss infinite


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """What a configuration said of every labelled row.

    Attributes:
        probabilities: float32 of shape (m, n_classes), averaged over the splits.
        measured: Right and loss, image by image: rows with the same image count once.
        row_accuracy: The share of rows that are right, each of them counted, averaged over the
            splits.
        flop: Floating point operations of one training; None where not known.
        stop: Epochs that a training on all rows runs, where not all of them; else 0.
        is_accuracy: Whether the objective's own value is the share of rows that are right.
        shifted: The same with predictions averaged over small shifts; None where the objective
            cannot.
    """

    key: Key
    probabilities: NDArray[np.float32]
    measured: Measured
    row_accuracy: float
    flop: float | None = None
    stop: int = 0
    is_accuracy: bool = False
    shifted: "OutOfFold | None" = None

    @property
    def is_better_shifted(self) -> bool:
        """Whether averaging over shifts helps: a lower log loss, and no fewer rows right."""
        if self.shifted is None:
            return False
        ours, theirs = self.measured, self.shifted.measured
        return bool(
            theirs.loss.mean() < ours.loss.mean() and theirs.right.sum() >= ours.right.sum()
        )


def fold_trainings(key: Key, n_folds: int, n_splits: int) -> list[Training]:
    """Return the trainings that hold each fold out once, for each split."""
    slot, epochs = key
    return [
        Training(slot, epochs, fold, n_folds, split)
        for split in range(n_splits)
        for fold in range(1, n_folds + 1)
    ]


def gather(
    companion: Companion,
    loaded: Loaded,
    finished: Mapping[Training, Attempt],
    key: Key,
    n_folds: int,
    n_splits: int,
) -> OutOfFold | None:
    """Return what a configuration said, or None where a fold of it is missing."""
    wanted = fold_trainings(key, n_folds, n_splits)
    if any(training not in finished for training in wanted):
        return None
    attempts = [finished[training] for training in wanted]
    kept = companion.kept(attempts)
    if any(attempt.trial_id not in kept for attempt in attempts):
        return None
    said = [unpack(kept[attempt.trial_id]) for attempt in attempts]
    flop = _flop(attempts)
    # Never its time, which is another one each time: the choice must not be.
    cost = float(key[1]) if flop is None else flop
    plain = _assembled(key, loaded, wanted, [one for one, _ in said], cost)
    sizes = [len(probabilities) for probabilities, _ in said]
    value = float(np.average([attempt.value or 0.0 for attempt in attempts], weights=sizes))
    is_accuracy = abs(value - plain.row_accuracy) < SAME
    plain = replace(plain, flop=flop, stop=stop_of(attempts, key[1]), is_accuracy=is_accuracy)
    shifted = [other for _, other in said if other is not None]
    if len(shifted) < len(said):
        return plain
    return replace(plain, shifted=_assembled(key, loaded, wanted, shifted, cost))


def _assembled(
    key: Key,
    loaded: Loaded,
    wanted: Sequence[Training],
    said: Sequence[NDArray[np.float32]],
    cost: float,
) -> OutOfFold:
    dataset = loaded.dataset
    labels = np.asarray(dataset.labels)
    n_splits = len({training.split for training in wanted})
    total = np.zeros((len(labels), dataset.n_classes), np.float64)
    right, loss = np.zeros(len(labels)), np.zeros(len(labels))
    for training, probabilities in zip(wanted, said, strict=True):
        rows = dataset.for_fold(training.fold - 1, training.n_folds, training.split).valid.rows
        total[rows] += probabilities
        right[rows] += probabilities.argmax(axis=1) == labels[rows]
        likelihood = probabilities[np.arange(len(rows)), labels[rows]].astype(np.float64)
        loss[rows] -= np.log(np.clip(likelihood, _FLOOR, 1.0))
    mean = (total / n_splits).astype(np.float32)
    copies = getattr(dataset, "copies", None)  # an objective's own data may not say
    right_by_image, loss_by_image = (_by_image(v / n_splits, copies) for v in (right, loss))
    measured = Measured(key, right_by_image, loss_by_image, cost)
    return OutOfFold(key, mean, measured, float(right.mean() / n_splits))


def _by_image(values: NDArray[np.float64], copies: NDArray[np.int64] | None) -> NDArray[np.float64]:
    """Return the mean over the rows of each image.

    Args:
        values: One a row, of shape (m,).
        copies: Of each row the first with the same image; None: no two are the same.
    """
    if copies is None:
        return values
    n_rows = np.bincount(copies, minlength=len(values))
    totals = np.bincount(copies, weights=values, minlength=len(values))
    means: NDArray[np.float64] = totals[n_rows > 0] / n_rows[n_rows > 0]
    return means


def _flop(attempts: Sequence[Attempt]) -> float | None:
    """Return the operations of one training; None where they are not known."""
    infos = [attempt.user_attrs.get(attrs.INFO) or {} for attempt in attempts]
    flops = [info["flop"] for info in infos if "flop" in info]
    return float(np.mean(flops)) if len(flops) == len(infos) else None
