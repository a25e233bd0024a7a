"""Choose the final configuration and estimate its score with statistics, without training.

Candidates are compared row by row on the same labelled rows, none of which any of them had learned
from when it was asked. Of those that cannot be told from the best, by one standard error of the
paired difference, the cheapest is chosen (the rule is that of Breiman et al., 1984).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from study.view.score import wilson

N_RESAMPLES = 200
ONE = 1.0 + 1e-9
"""Standard errors; a lead of one row is exactly one, but for rounding."""
ROWS_EXPONENT, LEAST_EXPONENT, MOST_EXPONENT = 0.4, 0.0, 0.6
"""Errors shrink with the number of rows to the power of minus this. The form is that of Hestness et
al. (2017), the value what `benchmarks/more_rows.py` finds on digits. Of other data it is not known:
the least is that of labels so noisy that more of them do not help."""


@dataclass(frozen=True)
class Measured:
    """A configuration, as its folds have shown it.

    Attributes:
        key: (slot, epochs).
        right: float of shape (m,): of each image, in which share of the splits it was right, 0..1.
        loss: float of shape (m,): of each image, in nats.
        cost: Of one training; any unit, the same for all.
    """

    key: tuple[int, int]
    right: NDArray[np.float64]
    loss: NDArray[np.float64]
    cost: float


@dataclass(frozen=True)
class Choice:
    """The order of the candidates, and the one that is chosen.

    Attributes:
        order: Indexes of the candidates, the best first.
        chosen: Index of the chosen one.
        behind: Of each candidate, by how many standard errors it is behind the best; 0.0 for it.
    """

    order: tuple[int, ...]
    chosen: int
    behind: tuple[float, ...]


def choose(measured: Sequence[Measured]) -> Choice:
    """Choose among candidates, of which there must be one.

    The best has the highest accuracy, of equal ones the lowest log loss.
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
    """Return the accuracy to expect of what `choose` chooses, which flatters nobody.

    Bootstrap over the rows: chosen on the rows that a resample drew, then asked on those that it
    left out (Tsamardinos, Greasidou and Borboudakis, 2018).
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
    """Return what a network of all rows is worth, from one that learned from a share of them.

    Of what is better than chance the odds of an error shrink by a power of the share: a plain power
    law of the error where that is small, and no gain where nothing was learned.

    Args:
        score: Accuracy of the networks of a part of the rows, 0..1.
        chance: Accuracy of always saying the most frequent class, below 1.
        share: How much of the rows they learned from, above 0; more than 1 gives the way back.
    """
    if score <= chance:
        return score
    skill = (score - chance) / (1 - chance)
    grown = skill / (skill + (1 - skill) * math.pow(share, exponent))
    return chance + (1 - chance) * grown


def predicted(score: float, n_known: int, n_test: int) -> tuple[float, float]:
    """Return the 95 % interval in which the score on a test set will lie.

    Two samples speak: the rows that the score was measured on, and the test set's own.
    """
    n_effective = 1 / (1 / n_known + 1 / max(1, n_test))
    return wilson(score * n_effective, n_effective)
