"""Data classes for the results of a finalize: candidates, out-of-fold predictions, expected score.

Terminal, model card and report show these values. `finalize/` computes them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Candidate:
    """A configuration that was retrained on folds of the labelled rows.

    Attributes:
        trial: Number of the search's trial with these params.
        slot: Its slot.
        epochs: Maximum number of passes over the rows in these trainings.
        stop: The median epoch of the kept weights if earlier than `epochs`; else 0.
        value: The trial's own value in the search.
        n_right, n: Correct and all out-of-fold images, averaged over the splits; rows with the
            same image count once.
        low, high: 95 % Wilson interval of `accuracy`.
        log_loss: Mean over these images, in nats.
        flop: Floating point operations of one of these trainings; None if unknown.
        verdict: Why it was chosen or not, in a few words.
    """

    trial: int
    slot: int
    epochs: int
    stop: int
    value: float
    n_right: float
    n: int
    low: float
    high: float
    log_loss: float
    flop: float | None
    verdict: str

    @property
    def shown_epochs(self) -> str:
        """`9 of 40` if its trainings were stopped, else `40`."""
        return shown_epochs(self.stop, self.epochs)

    @property
    def accuracy(self) -> float:
        """Share of images predicted right."""
        return self.n_right / self.n


def shown_epochs(stop: int | None, epochs: int) -> str:
    """Return `9 of 40` for a training that is stopped after 9 epochs, else `40`."""
    return f"{stop} of {epochs}" if stop else str(epochs)


@dataclass(frozen=True)
class Expected:
    """The score to expect on unseen images.

    Attributes:
        score: Expected accuracy, 0..1.
        low, high: 95 % interval of the score on `n_test` images, sampling of the images included.
        n_test: Number of test images.
        luck: By how much the best trial's own value is too high; None if its configuration was not
            trained on folds.
    """

    score: float
    low: float
    high: float
    n_test: int
    luck: float | None


@dataclass(frozen=True)
class Evidence:
    """All results of a finalize.

    Attributes:
        candidates: All candidates, the best first.
        choice: The chosen candidate.
        why: One sentence: why the choice and not the trial with the best value.
        rows: int64 of shape (m,), rising: rows of train.csv with an out-of-fold prediction.
        labels: int64 of shape (m,): their classes, as indexes.
        probabilities: float32 of shape (m, n_classes): the choice's out-of-fold predictions.
        expected: The predicted score.
    """

    candidates: tuple[Candidate, ...]
    choice: Candidate
    why: str
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    expected: Expected

    @property
    def recall(self) -> list[float | None]:
        """Share of each class's rows predicted right; None for a class without rows."""
        right = self.probabilities.argmax(axis=1) == self.labels
        classes = (self.labels == k for k in range(self.probabilities.shape[1]))
        return [float(np.mean(right[rows])) if rows.any() else None for rows in classes]
