"""The expected score of a submission, estimated from out-of-fold predictions.

Of these each learned from a part of the rows; those of the submission have learned from all.
"""

from collections.abc import Sequence

import numpy as np

from study.finalize.choose import (
    LEAST_EXPONENT,
    MOST_EXPONENT,
    ROWS_EXPONENT,
    on_more_rows,
    predicted,
    score_of_choosing,
)
from study.finalize.folds import OutOfFold
from study.report.evidence import Expected
from study.spec.open import Loaded


def expect(
    loaded: Loaded,
    n_folds: int,
    found: Sequence[OutOfFold],
    chosen: OutOfFold,
    used: OutOfFold,
    top: tuple[float, OutOfFold | None],
) -> Expected:
    """Return the score that the folds predict for the test images.

    Args:
        loaded: The labelled rows and the test images.
        n_folds: Folds, of which one was held out each time.
        found: Those among which was chosen.
        chosen: One of them.
        used: The same, over shifts where these are used.
        top: The best trial's own value, and what was found of its configuration, if anything.
    """
    labels = np.asarray(loaded.dataset.labels)
    chance = float(np.bincount(labels).max() / len(labels))
    share = 1 - 1 / n_folds
    gain = _mean(used) - _mean(chosen)  # of the shifts, where they are used
    said = min(1.0, score_of_choosing([one.measured for one in found]) + gain)
    score, least, most = (
        on_more_rows(said, chance, share, exponent)
        for exponent in (ROWS_EXPONENT, LEAST_EXPONENT, MOST_EXPONENT)
    )
    n_test = len(loaded.dataset.test_images)
    n_known = len(chosen.measured.right)  # images: copies are no further evidence
    low, high = predicted(least, n_known, n_test)[0], predicted(most, n_known, n_test)[1]
    value, measured = top
    luck = None
    n_searched = len(getattr(loaded.dataset, "train", ()))  # an objective's own data may not say
    if measured is not None and measured.is_accuracy and n_searched:
        # A trial learned from more rows than a fold's network, though not from all.
        worth = on_more_rows(_mean(measured), chance, share * len(labels) / n_searched)
        luck = value - worth
    return Expected(score, low, high, n_test, luck)


def _mean(one: OutOfFold) -> float:
    return float(one.measured.right.mean())
