"""The score to expect: of networks on folds, of their average, and without the luck of a race."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from study.finalize.choose import Measured, on_more_rows, predicted, score_of_choosing
from study.finalize.folds import OutOfFold, expect, gain_of_averaging
from study.report.evidence import Expected
from study.spec.open import Loaded

N_ROWS, N_TEST = 400, 200
LABELS = np.repeat([0, 1, 2, 2], N_ROWS // 4)
"""The most frequent class has half of the rows."""


def found(n_wrong: int, *, averaged: int | None = None, n_votes: float = 1.0) -> OutOfFold:
    """A configuration on four folds that was wrong on so many rows, alone and by its average."""
    right = (np.arange(N_ROWS) >= n_wrong).astype(float)
    both = (np.arange(N_ROWS) >= (n_wrong if averaged is None else averaged)).astype(float)
    nothing, rows = np.zeros((N_ROWS, 3), np.float32), np.arange(N_ROWS)
    measured = Measured((0, 1), right, 1 - right, 1.0)
    accuracy = float(right.mean())
    return OutOfFold((0, 1), rows, nothing, measured, accuracy, both, n_votes, 4, is_accuracy=True)


def expected(n_wrong: int, value: float = 0.95, *, n_networks: int = 1, **dataset: Any) -> Expected:
    """Of one configuration; `train` are the rows of a trial."""
    one = found(n_wrong)
    return expect(loaded(**dataset), [one], one, n_networks, (value, one))


def loaded(**dataset: Any) -> Loaded:
    """Data without an objective."""
    data = {"labels": LABELS, "test_images": np.zeros((N_TEST, 2, 2), np.uint8), **dataset}
    return cast(Loaded, SimpleNamespace(dataset=SimpleNamespace(**data)))


def test_single_network_is_expected_to_score_as_on_its_folds() -> None:
    """Those that vote have learned from as many rows as those that were measured."""
    said = expected(20)
    assert (said.score, said.low, said.high) == (0.95, *predicted(0.95, N_ROWS, N_TEST))
    assert said.n_test == N_TEST


def test_averaging_adds_what_rows_with_two_predictions_show() -> None:
    """Two networks remove half of what differs between networks, eight seven eighths of it."""
    one = found(20, averaged=16, n_votes=2.0)
    assert gain_of_averaging(one, 0.95, 2)[0] == pytest.approx(0.01)
    assert gain_of_averaging(one, 0.95, 8)[0] == pytest.approx(0.02 * 7 / 8)
    assert gain_of_averaging(one, 0.95, 1) == (0.0, 0.0, 0.0)
    worse = found(20, averaged=24, n_votes=2.0)
    gain, low, high = gain_of_averaging(worse, 0.95, 2)
    assert low == gain < 0 < high


def test_averaging_is_expected_to_add_a_little_where_no_row_shows_it() -> None:
    """The interval begins where it adds nothing."""
    alone, eight = expected(20), expected(20, n_networks=8)
    assert alone.low == eight.low
    assert alone.score < eight.score < eight.high
    assert alone.high < eight.high


def test_winner_of_a_race_was_lucky_on_the_rows_of_the_race() -> None:
    """What choosing among equals promises is taken off, for the share of these rows."""
    generator = np.random.default_rng(0)
    rights = [(generator.random(100) > 0.1).astype(float) for _ in range(4)]
    raced = [
        replace(found(0), measured=Measured((slot, 1), right, 1 - right, 1.0))
        for slot, right in enumerate(sorted(rights, key=lambda right: -right.mean()))
    ]
    chosen = found(40)
    after = expect(loaded(), raced, chosen, 1, (0.9, None)).score
    assert 0.85 < after < 0.9
    assert after == pytest.approx(
        0.9 - (raced[0].accuracy - score_of_choosing([one.measured for one in raced])) / 4
    )


def test_nothing_wrong_stays_nothing_wrong() -> None:
    """There is no error to shrink, and no luck in a trial that was as good."""
    said = expected(0, 1.0, n_networks=8, train=range(360))
    assert (said.score, said.high) == (1.0, 1.0)
    assert 0.9 < said.low < 1
    assert said.luck == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("n_test", [1, 60, 28_000])
@pytest.mark.parametrize("n_wrong", [0, 1, 7, 200, 399, N_ROWS])
def test_score_is_within_its_interval_whatever_the_folds_say(n_wrong: int, n_test: int) -> None:
    """From nothing right to nothing wrong, on few test images and on many."""
    for n_networks in (1, 8):
        images = np.zeros((n_test, 2, 2), np.uint8)
        said = expected(n_wrong, n_networks=n_networks, test_images=images)
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
