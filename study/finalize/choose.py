"""Statistics of the choice: choose a configuration and estimate its score, without training.

All candidates are compared on the same out-of-fold rows. Candidates within one standard error of
the best, by the paired difference, count as equal; the cheapest of them is chosen (the rule of
Breiman et al., 1984).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from study.view.score import wilson

N_RESAMPLES = 200
ONE = 1.0 + 1e-9
"""In standard errors. A lead of one row is exactly one, except for rounding."""
ROWS_EXPONENT = 0.4
"""The error falls as n_rows ** -exponent (Hestness et al., 2017). `benchmarks/more_rows.py` finds
0.4 on digits. Other data may differ: with very noisy labels, more rows do not help."""
AVERAGED, MOST_AVERAGED = 0.15, 0.4
"""The share of the error that an average of very many networks removes, where no rows show it:
expected, and at most."""


@dataclass(frozen=True)
class Measured:
    """The out-of-fold results of a configuration.

    Attributes:
        key: (slot, epochs).
        right: float of shape (m,), 0..1: share of splits in which each image was predicted right.
        loss: float of shape (m,): log loss of each image, in nats.
        cost: Cost of one training, in a unit that all candidates share.
    """

    key: tuple[int, int]
    right: NDArray[np.float64]
    loss: NDArray[np.float64]
    cost: float


@dataclass(frozen=True)
class Choice:
    """The order of the candidates, and the chosen candidate.

    Attributes:
        order: Indexes of the candidates, the best first.
        chosen: Index of the chosen candidate.
        behind: How many standard errors each candidate is behind the best; 0.0 for the best.
    """

    order: tuple[int, ...]
    chosen: int
    behind: tuple[float, ...]


def choose(measured: Sequence[Measured]) -> Choice:
    """Choose among at least one candidate.

    The best has the highest accuracy; ties are broken by log loss.
    """
    numbers = range(len(measured))
    order = sorted(numbers, key=lambda i: (-measured[i].right.mean(), measured[i].loss.mean(), i))
    best = measured[order[0]]
    behind = tuple(_standard_errors(best.right - one.right) for one in measured)
    alike = [i for i in order if behind[i] <= ONE]
    chosen = min(alike, key=lambda i: (measured[i].cost, order.index(i)))
    return Choice(tuple(order), chosen, behind)


def _standard_errors(difference: NDArray[np.float64]) -> float:
    mean = float(difference.mean())
    if mean == 0.0:
        return 0.0
    error = float(difference.std(ddof=1)) / math.sqrt(len(difference))
    return mean / error if error else math.inf


def score_of_choosing(measured: Sequence[Measured], seed: int = 0) -> float:
    """Return the expected accuracy of the choice, without the bias of choosing the best.

    Bootstrap over the rows: each resample chooses on the rows it drew and measures the accuracy on
    the rows it left out (Tsamardinos, Greasidou and Borboudakis, 2018).
    """
    if len(measured) == 1:
        return float(measured[0].right.mean())
    n_rows = len(measured[0].right)
    generator = np.random.Generator(np.random.Philox(seed))
    found = []
    for _ in range(N_RESAMPLES):
        drawn = generator.integers(n_rows, size=n_rows)
        left_out = np.ones(n_rows, np.bool_)
        left_out[drawn] = False
        inside = [replace(one, right=one.right[drawn], loss=one.loss[drawn]) for one in measured]
        found.append(measured[choose(inside).chosen].right[left_out].mean())
    return float(np.mean(found))


def on_more_rows(
    score: float, chance: float, share: float, exponent: float = ROWS_EXPONENT
) -> float:
    """Return the accuracy of a network trained on all rows, from one trained on a share of them.

    The odds of an error, above chance level, shrink by a power of the share. For small errors this
    is a plain power law; at chance level nothing is gained.

    Args:
        score: Accuracy after training on a share of the rows, 0..1.
        chance: Accuracy of always predicting the most frequent class, below 1.
        share: The share of the rows, above 0; above 1 it computes the opposite direction.
    """
    if score <= chance:
        return score
    skill = (score - chance) / (1 - chance)
    grown = skill / (skill + (1 - skill) * math.pow(share, exponent))
    return chance + (1 - chance) * grown


def predicted(score: float, n_known: int, n_test: int) -> tuple[float, float]:
    """Return the 95 % interval of the score on a test set.

    It covers two samples: the rows that the score was measured on, and the test set.
    """
    n_effective = 1 / (1 / n_known + 1 / max(1, n_test))
    return wilson(score * n_effective, n_effective)
