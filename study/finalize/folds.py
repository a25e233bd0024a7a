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
    AVERAGED,
    MOST_AVERAGED,
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
        rows: int64 of shape (m,), rising: the held-out rows.
        probabilities: float32 of shape (m, n_classes), averaged over the splits.
        measured: Accuracy and loss by image; rows with the same image count once.
        row_accuracy: The share of rows predicted right, averaged over the splits.
        averaged: float of shape (n,), 0..1: whether the average is right, by image.
        n_votes: Mean number of predictions of a row.
        n_folds: Folds of a split, of which each training held out one.
        flop: Floating point operations of one training; None if unknown.
        stop: The `Training.stop` of a training on all rows.
        is_accuracy: Whether the objective's own value is the share of rows predicted right.
        shifted: The same with predictions averaged over small shifts; None if the objective does
            not support shifts.
    """

    key: Key
    rows: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    measured: Measured
    row_accuracy: float
    averaged: NDArray[np.float64]
    n_votes: float
    n_folds: int
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
    companion: Companion, loaded: Loaded, finished: Finished, key: Key, wanted: Sequence[Training]
) -> OutOfFold | None:
    """Return what trainings of a configuration predict; None if one of them is missing.

    Args:
        wanted: Trainings on folds of the configuration `key`.
    """
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
    total = np.zeros((len(labels), dataset.n_classes), np.float64)
    n_said, right, loss = (np.zeros(len(labels)) for _ in range(3))
    for training, probabilities in zip(wanted, predictions, strict=True):
        rows = dataset.for_fold(training.fold - 1, training.n_folds, training.split).valid.rows
        total[rows] += probabilities
        n_said[rows] += 1
        right[rows] += probabilities.argmax(axis=1) == labels[rows]
        likelihood = probabilities[np.arange(len(rows)), labels[rows]].astype(np.float64)
        loss[rows] -= np.log(np.clip(likelihood, _FLOOR, 1.0))
    rows, times = np.flatnonzero(n_said), n_said[n_said > 0]
    mean = (total[rows] / times[:, np.newaxis]).astype(np.float32)
    right, loss = right[rows] / times, loss[rows] / times
    averaged = (mean.argmax(axis=1) == labels[rows]).astype(np.float64)
    copies = getattr(dataset, "copies", None)  # a user's own dataset may not have them
    copies = None if copies is None else np.asarray(copies)[rows]
    right_by_image, loss_by_image, averaged = (
        _by_image(values, copies) for values in (right, loss, averaged)
    )
    measured = Measured(key, right_by_image, loss_by_image, cost)
    n_votes = float(times.mean())
    return OutOfFold(
        key, rows, mean, measured, float(right.mean()), averaged, n_votes, wanted[0].n_folds
    )


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
    rounds: Sequence[Sequence[OutOfFold]],
    chosen: OutOfFold,
    n_networks: int,
    top: tuple[float, OutOfFold | None],
) -> Expected:
    """Return the score to expect on the test images, from the average of networks on folds.

    The accuracy on held-out rows is that of single networks, each of which learned from as many
    rows as the networks that vote. What averaging adds is measured on rows that several partitions
    have predicted, where there are such rows.

    Args:
        loaded: The labelled rows and the test images.
        rounds: For each fold after which a candidate left, those that raced on it, on the rows of
            the race so far; the chosen one first.
        chosen: The chosen candidate on all rows.
        n_networks: Number of networks that vote.
        top: The best trial's own value, and the candidate with its configuration if it trained as
            long as the trial.
    """
    used = chosen.best
    single = used.accuracy - _luck_of_race(rounds, chosen)
    gain, low_gain, high_gain = gain_of_averaging(used, single, n_networks)
    n_test = len(loaded.dataset.test_images)
    n_known = len(chosen.measured.right)  # images: copies add no evidence
    low, _ = predicted(max(0.0, min(1.0, single + low_gain)), n_known, n_test)
    _, high = predicted(min(1.0, single + high_gain), n_known, n_test)
    value, candidate = top
    luck = None
    n_searched = len(getattr(loaded.dataset, "train", ()))  # a user's own dataset may not have it
    if candidate is not None and candidate.is_accuracy and n_searched:
        # A trial learned from another number of rows than the networks on folds.
        luck = value - _worth(loaded, candidate, n_searched)
    return Expected(max(0.0, min(1.0, single + gain)), low, high, n_test, luck)


def _luck_of_race(rounds: Sequence[Sequence[OutOfFold]], chosen: OutOfFold) -> float:
    """Return by how much the chosen candidate looks better because it was the best of a few.

    The rows of a round are those of the rounds before it, and more: the most of them counts.
    """
    lucks = [0.0]
    for raced in rounds:
        luck = raced[0].accuracy - score_of_choosing([one.measured for one in raced])
        lucks.append(luck * len(raced[0].measured.right) / len(chosen.measured.right))
    return max(lucks)


def gain_of_averaging(
    used: OutOfFold, single: float, n_networks: int
) -> tuple[float, float, float]:
    """Return what the average of `n_networks` adds to the accuracy of one, with its least and most.

    Averaging n networks removes the part of the error that differs between them, up to its n-th
    part. Rows with several predictions show how much that is.
    """
    if n_networks < 2:
        return 0.0, 0.0, 0.0
    grown = 1 - 1 / n_networks
    if used.n_votes > 1:
        measured = float(used.averaged.mean()) - used.accuracy
        gain = measured / (1 - 1 / used.n_votes) * grown
        return gain, min(0.0, gain), max(gain, MOST_AVERAGED * grown * (1 - single))
    left = (1 - single) * grown
    return AVERAGED * left, 0.0, MOST_AVERAGED * left


def _worth(loaded: Loaded, candidate: OutOfFold, n_searched: int) -> float:
    """Return the accuracy of a candidate if it had learned from as many rows as a trial."""
    labels = np.asarray(loaded.dataset.labels)
    chance = float(np.bincount(labels).max() / len(labels))
    share = (1 - 1 / candidate.n_folds) * len(labels) / n_searched
    return on_more_rows(candidate.accuracy, chance, share)
