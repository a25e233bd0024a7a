"""The score to expect: of networks of all rows, and of what is better than chance alone."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from study.finalize.choose import Measured, on_more_rows, predicted
from study.finalize.folds import OutOfFold, expect
from study.report.evidence import Expected
from study.spec.open import Loaded

N_ROWS, N_TEST = 400, 200
LABELS = np.repeat([0, 1, 2, 2], N_ROWS // 4)
"""The most frequent class has half of the rows."""


def found(n_wrong: int) -> OutOfFold:
    """A configuration that was wrong on so many rows."""
    right = (np.arange(N_ROWS) >= n_wrong).astype(float)
    nothing = np.zeros((N_ROWS, 3), np.float32)
    measured = Measured((0, 1), right, 1 - right, 1.0)
    return OutOfFold((0, 1), nothing, measured, float(right.mean()), is_accuracy=True)


def expected(n_wrong: int, value: float = 0.95, **dataset: Any) -> Expected:
    """Of one configuration on four folds; `train` are the rows of a trial."""
    data = {"labels": LABELS, "test_images": np.zeros((N_TEST, 2, 2), np.uint8), **dataset}
    loaded = cast(Loaded, SimpleNamespace(dataset=SimpleNamespace(**data)))
    one = found(n_wrong)
    return expect(loaded, 4, [one], one, one, (value, one))


def test_chance_is_the_most_frequent_class() -> None:
    """Half of the rows here; always saying it is no skill that more rows could add to."""
    assert expected(N_ROWS // 2).score == 0.5
    assert expected(N_ROWS // 4).score == on_more_rows(0.75, 0.5, 3 / 4)


def test_interval_holds_where_more_rows_do_not_help() -> None:
    """Its low end is that of the folds' own score."""
    said = expected(20)
    low, high = predicted(0.95, N_ROWS, N_TEST)
    assert (said.low, said.n_test) == (low, N_TEST)
    assert said.high > high


def test_nothing_wrong_stays_nothing_wrong() -> None:
    """There is no error to shrink, and no luck in a trial that was as good."""
    said = expected(0, 1.0, train=range(360))
    assert (said.score, said.high) == (1.0, 1.0)
    assert 0.9 < said.low < 1
    assert said.luck == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("n_test", [1, 60, 28_000])
@pytest.mark.parametrize("n_wrong", [0, 1, 7, 200, 399, N_ROWS])
def test_score_is_within_its_interval_whatever_the_folds_say(n_wrong: int, n_test: int) -> None:
    """From nothing right to nothing wrong, on few test images and on many."""
    said = expected(n_wrong, test_images=np.zeros((n_test, 2, 2), np.uint8))
    assert 0 <= said.low <= said.score <= said.high <= 1
    assert said.low < said.high


def test_luck_is_above_what_a_network_of_the_trials_rows_is_worth() -> None:
    """A trial had nine tenths of the rows, a fold's network three quarters."""
    worth = on_more_rows(0.95, 0.5, 0.75 / 0.9)
    assert expected(20, 0.97, train=range(360)).luck == pytest.approx(0.97 - worth)


def test_luck_is_not_known_where_the_data_do_not_say() -> None:
    """An objective of one's own may bring data that have no rows of a trial."""
    assert expected(20).luck is None
    assert expected(20, train=()).luck is None
