"""Out-of-fold predictions of a configuration, and the score to expect from them.

Each split holds every labelled row out once. The database stores each network's predictions for its
held-out rows. `choose.py` compares configurations by these predictions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from objectives.refit import unpack
from study.finalize.choose import (
    LEAST_EXPONENT,
    MOST_EXPONENT,
    Measured,
    on_more_rows,
    predicted,
    score_of_choosing,
)
from study.finalize.companion import Companion, Finished, Training, stop_of
from study.report.evidence import Expected
from study.report.snapshot import info_of
from study.spec.open import Loaded

Key = tuple[int, int]
"""A configuration of a finalize: slot of the search, epochs."""

SAME = 1e-3  # stored predictions have three digits
_FLOOR = 1e-7  # clipped as in Keras: one image must not make the loss infinite


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """The predictions of a configuration for every labelled row.

    Attributes:
        probabilities: float32 of shape (m, n_classes), averaged over the splits.
        measured: Accuracy and loss by image; rows with the same image count once.
        row_accuracy: The share of rows predicted right, averaged over the splits.
        flop: Floating point operations of one training; None if unknown.
        stop: The `Training.stop` of a training on all rows.
        is_accuracy: Whether the objective's own value is the share of rows predicted right.
        shifted: The same with predictions averaged over small shifts; None if the objective does
            not support shifts.
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
    def accuracy(self) -> float:
        """The share of images predicted right, averaged over the splits."""
        return float(self.measured.right.mean())

    @property
    def best(self) -> "OutOfFold":
        """`shifted` if it has a lower log loss and no fewer images right, else this object."""
        if self.shifted is None:
            return self
        plain, shifted = self.measured, self.shifted.measured
        is_better = shifted.loss.mean() < plain.loss.mean()
        return self.shifted if is_better and shifted.right.sum() >= plain.right.sum() else self


def fold_trainings(key: Key, n_folds: int, n_splits: int) -> list[Training]:
    """Return one training for each held-out fold of each split."""
    slot, epochs = key
    return [
        Training(slot, epochs, fold, n_folds, split)
        for split in range(n_splits)
        for fold in range(1, n_folds + 1)
    ]


def gather(
    companion: Companion,
    loaded: Loaded,
    finished: Finished,
    key: Key,
    n_folds: int,
    n_splits: int,
) -> OutOfFold | None:
    """Return the predictions of a configuration, or None if a fold is missing."""
    wanted = fold_trainings(key, n_folds, n_splits)
    attempts = [finished[training] for training in wanted if training in finished]
    kept = companion.kept(attempts) if len(attempts) == len(wanted) else {}
    if len(kept) < len(wanted):
        return None
    predictions = [unpack(kept[attempt.trial_id]) for attempt in attempts]
    flops = [flop for attempt in attempts if (flop := info_of(attempt, "flop")) is not None]
    flop = float(np.mean(flops)) if len(flops) == len(attempts) else None
    # The cost is never the measured time: it differs between runs, and the choice must not.
    cost = float(key[1]) if flop is None else flop
    found = _assembled(key, loaded, wanted, [plain for plain, _ in predictions], cost)
    sizes = [len(plain) for plain, _ in predictions]
    value = float(np.average([attempt.value or 0.0 for attempt in attempts], weights=sizes))
    shifted = [over_shifts for _, over_shifts in predictions if over_shifts is not None]
    has_shifted = len(shifted) == len(predictions)
    return replace(
        found,
        flop=flop,
        stop=stop_of(attempts, key[1]),
        is_accuracy=abs(value - found.row_accuracy) < SAME,
        shifted=_assembled(key, loaded, wanted, shifted, cost) if has_shifted else None,
    )


def _assembled(
    key: Key,
    loaded: Loaded,
    wanted: Sequence[Training],
    predictions: Sequence[NDArray[np.float32]],
    cost: float,
) -> OutOfFold:
    dataset = loaded.dataset
    labels = np.asarray(dataset.labels)
    n_splits = len({training.split for training in wanted})
    total = np.zeros((len(labels), dataset.n_classes), np.float64)
    right, loss = np.zeros(len(labels)), np.zeros(len(labels))
    for training, probabilities in zip(wanted, predictions, strict=True):
        rows = dataset.for_fold(training.fold - 1, training.n_folds, training.split).valid.rows
        total[rows] += probabilities
        right[rows] += probabilities.argmax(axis=1) == labels[rows]
        likelihood = probabilities[np.arange(len(rows)), labels[rows]].astype(np.float64)
        loss[rows] -= np.log(np.clip(likelihood, _FLOOR, 1.0))
    mean = (total / n_splits).astype(np.float32)
    copies = getattr(dataset, "copies", None)  # a user's own dataset may not have them
    right_by_image, loss_by_image = (_by_image(v / n_splits, copies) for v in (right, loss))
    measured = Measured(key, right_by_image, loss_by_image, cost)
    return OutOfFold(key, mean, measured, float(right.mean() / n_splits))


def _by_image(values: NDArray[np.float64], copies: NDArray[np.int64] | None) -> NDArray[np.float64]:
    """Return the mean over the rows of each image.

    Args:
        values: One per row, of shape (m,).
        copies: The first row with the same image, for each row; None: all images differ.
    """
    if copies is None:
        return values
    n_rows = np.bincount(copies, minlength=len(values))
    totals = np.bincount(copies, weights=values, minlength=len(values))
    means: NDArray[np.float64] = totals[n_rows > 0] / n_rows[n_rows > 0]
    return means


def expect(
    loaded: Loaded,
    n_folds: int,
    found: Sequence[OutOfFold],
    chosen: OutOfFold,
    used: OutOfFold,
    top: tuple[float, OutOfFold | None],
) -> Expected:
    """Return the score to expect on the test images, from networks that learn from all rows.

    Args:
        loaded: The labelled rows and the test images.
        n_folds: Number of folds, of which one was held out each time.
        found: All candidates.
        chosen: The chosen candidate.
        used: The chosen candidate, with shifts if they are used.
        top: The best trial's own value, and the candidate with its configuration, if any.
    """
    labels = np.asarray(loaded.dataset.labels)
    chance = float(np.bincount(labels).max() / len(labels))
    share = 1 - 1 / n_folds
    gain = used.accuracy - chosen.accuracy  # from shifts
    on_folds = min(1.0, score_of_choosing([one.measured for one in found]) + gain)
    score = on_more_rows(on_folds, chance, share)
    n_test = len(loaded.dataset.test_images)
    n_known = len(chosen.measured.right)  # images: copies add no evidence
    low, _ = predicted(on_more_rows(on_folds, chance, share, LEAST_EXPONENT), n_known, n_test)
    _, high = predicted(on_more_rows(on_folds, chance, share, MOST_EXPONENT), n_known, n_test)
    value, candidate = top
    luck = None
    n_searched = len(getattr(loaded.dataset, "train", ()))  # a user's own dataset may not have it
    if candidate is not None and candidate.is_accuracy and n_searched:
        # A trial learned from more rows than a fold's network, though not from all.
        worth = on_more_rows(candidate.accuracy, chance, share * len(labels) / n_searched)
        luck = value - worth
    return Expected(score, low, high, n_test, luck)
