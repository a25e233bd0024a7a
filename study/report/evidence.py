"""What is known of the candidates of a finalize: how each did on rows it had not learned from.

Plain values, for whoever shows them: the terminal, the model card, the report. Where they come from
is `outoffold.py`'s work; which candidate is chosen, `selection.py`'s.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Candidate:
    """A configuration that was trained anew on folds of the labelled rows.

    Attributes:
        trial: Number of the search's trial that its params come from.
        slot: Its slot.
        epochs: Passes over the rows in these trainings, at most.
        stop: The median of those whose weights they kept, where that is fewer; else 0.
        value: What the trial itself reported in the search.
        n_right, n: Images it got right of those it had not learned from, averaged over the splits;
            rows with the same image count once.
        low, high: 95 % Wilson interval of `accuracy`.
        log_loss: Mean over these images, in nats.
        flop: Floating point operations of one of these trainings; None where not known.
        verdict: Why it was chosen or not, a few words.
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
        """`9 of 40` where its trainings were stopped, else `40`."""
        return shown_epochs(self.stop, self.epochs)

    @property
    def accuracy(self) -> float:
        """Share of the rows that it got right."""
        return self.n_right / self.n


def shown_epochs(stop: int | None, epochs: int) -> str:
    """Return `9 of 40` for a training that is stopped after 9 of them, `40` for one that is not."""
    return f"{stop} of {epochs}" if stop else str(epochs)


@dataclass(frozen=True)
class Expected:
    """The score to expect on unseen images.

    Attributes:
        score: Expected accuracy, 0..1.
        low, high: 95 % interval of the score on `n_test` images, their own luck included.
        n_test: Test images.
        luck: How much the best trial's own value says above what it is worth; None where its
            configuration was not trained on folds.
    """

    score: float
    low: float
    high: float
    n_test: int
    luck: float | None


@dataclass(frozen=True)
class Evidence:
    """All that a finalize has found.

    Attributes:
        candidates: The best first.
        choice: One of them.
        why: One sentence: why it, and not the trial on top.
        rows: int64 of shape (m,), rising: rows of train.csv that have out-of-fold predictions.
        labels: int64 of shape (m,): their classes, as indexes.
        probabilities: float32 of shape (m, n_classes): the choice's, out of fold.
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
        """Share of each class's rows that was right, by class; None for a class without rows."""
        said, found = self.probabilities.argmax(axis=1), []
        for number in range(self.probabilities.shape[1]):
            mine = self.labels == number
            found.append(float(np.mean(said[mine] == number)) if mine.any() else None)
        return found
