"""The score to expect: of a vote of networks, without the luck of the race that they won."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from study.finalize.choose import AVERAGED, MOST_AVERAGED, Measured, on_more_rows, predicted
from study.finalize.folds import OutOfFold, expect, gain_of_averaging
from study.report.evidence import Expected
from study.spec.open import Loaded

N_ROWS, N_TEST = 400, 200
LABELS = np.repeat([0, 1, 2, 2], N_ROWS // 4)
"""The most frequent class has half of the rows."""


def found(n_wrong: int, n_votes: float = 1.0, n_wrong_together: int | None = None) -> OutOfFold:
    """A configuration that was wrong on so many rows, and so many where its networks vote."""
    right = (np.arange(N_ROWS) >= n_wrong).astype(float)
    together = (np.arange(N_ROWS) >= (n_wrong_together or n_wrong)).astype(float)
    nothing, rows = np.zeros((N_ROWS, 3), np.float32), np.arange(N_ROWS)
    measured = Measured((0, 1), right, 1 - right, 1.0)
    share = float(right.mean())
    return OutOfFold((0, 1), rows, nothing, measured, share, together, n_votes, 4, is_accuracy=True)


def loaded_with(**dataset: Any) -> Loaded:
    """The labelled rows and the test images; `train` are the rows of a trial."""
    data = {"labels": LABELS, "test_images": np.zeros((N_TEST, 2, 2), np.uint8), **dataset}
    return cast(Loaded, SimpleNamespace(dataset=SimpleNamespace(**data)))


def expected(n_wrong: int, value: float = 0.95, n_networks: int = 4, **dataset: Any) -> Expected:
    """Of one configuration on four folds."""
    one = found(n_wrong)
    return expect(loaded_with(**dataset), [], one, n_networks, (value, one))


def test_one_network_is_expected_to_do_as_it_did() -> None:
    """It learned from as many rows as were measured, and nothing is averaged."""
    said = expected(20, n_networks=1)
    assert said.score == pytest.approx(0.95)
    assert (said.low, said.high) == pytest.approx(predicted(0.95, N_ROWS, N_TEST))


def test_interval_holds_where_averaging_does_not_help() -> None:
    """Its low end is that of the folds' own score; it has room for more."""
    said = expected(20)
    low, high = predicted(0.95, N_ROWS, N_TEST)
    assert (said.low, said.n_test) == (low, N_TEST)
    assert said.high > high
    assert said.score == pytest.approx(0.95 + AVERAGED * 0.05 * 3 / 4)


def test_gain_of_averaging_is_measured_where_several_partitions_predict_a_row() -> None:
    """Two networks that vote say a half of what very many would add."""
    one = found(40, n_votes=2.0, n_wrong_together=30)
    gain, low, high = gain_of_averaging(one, 0.9, 8)
    assert gain == pytest.approx(10 / N_ROWS / (1 - 1 / 2) * (1 - 1 / 8))
    assert low == 0.0 <= gain <= high
    said = expect(loaded_with(), [], one, 8, (0.9, None))
    assert said.score == pytest.approx(0.9 + gain)


def test_average_that_was_worse_is_expected_to_be_worse() -> None:
    """What was measured counts, and the interval reaches below it."""
    one = found(40, n_votes=2.0, n_wrong_together=44)
    gain, low, _ = gain_of_averaging(one, 0.9, 4)
    assert gain == low < 0
    said = expect(loaded_with(), [], one, 4, (0.9, None))
    assert said.low <= said.score < 0.9


def test_gain_of_averaging_is_not_known_from_one_partition() -> None:
    """A share of the error is expected then, from nothing to the most; one network has none."""
    one = found(40)
    gain, low, high = gain_of_averaging(one, 0.9, 5)
    assert (gain, low, high) == pytest.approx((AVERAGED * 0.08, 0.0, MOST_AVERAGED * 0.08))
    assert gain_of_averaging(one, 0.9, 1) == (0.0, 0.0, 0.0)
    assert gain_of_averaging(found(40, 2.0, 30), 0.9, 1) == (0.0, 0.0, 0.0)


def test_luck_of_a_race_is_taken_off() -> None:
    """As much as choosing among equals gives; a clear winner owes nothing to luck."""
    random = np.random.Generator(np.random.Philox(0))

    def drawn(n: int, accuracy: float) -> OutOfFold:
        right = (random.random(N_ROWS) < accuracy).astype(float)
        measured = Measured((n, 1), right, 1 - right, 1.0)
        return replace(found(0), key=(n, 1), measured=measured, averaged=right)

    equals = sorted((drawn(n, 0.9) for n in range(6)), key=lambda one: -one.accuracy)
    alone = expect(loaded_with(), [], equals[0], 1, (0.9, None))
    among = expect(loaded_with(), [equals], equals[0], 1, (0.9, None))
    assert alone.score - 0.04 < among.score < alone.score - 0.005
    clear = [found(20), drawn(1, 0.5)]
    assert expect(loaded_with(), [clear], clear[0], 1, (0.9, None)).score == pytest.approx(
        0.95, abs=1e-3
    )


def test_nothing_wrong_stays_nothing_wrong() -> None:
    """There is no error to shrink, and no luck in a trial that was as good."""
    said = expected(0, 1.0, train=range(360))
    assert (said.score, said.high) == (1.0, 1.0)
    assert 0.9 < said.low < 1
    assert said.luck == pytest.approx(0.0, abs=1e-12)


def test_chance_is_the_most_frequent_class() -> None:
    """Half of the rows here; always saying it is no skill that more rows could add to."""
    half = expected(N_ROWS // 2, 0.75, train=range(360))
    assert half.luck == pytest.approx(0.75 - 0.5)


@pytest.mark.parametrize("n_votes", [1.0, 2.0])
@pytest.mark.parametrize("n_test", [1, 60, 28_000])
@pytest.mark.parametrize("n_wrong", [0, 1, 7, 200, 399, N_ROWS])
def test_score_is_within_its_interval_whatever_the_folds_say(
    n_wrong: int, n_test: int, n_votes: float
) -> None:
    """From nothing right to nothing wrong, on few test images and on many; also where a vote is
    always wrong, or always right."""
    loaded = loaded_with(test_images=np.zeros((n_test, 2, 2), np.uint8))
    for n_together in (1, n_wrong, N_ROWS):
        one = found(n_wrong, n_votes, n_together)
        said = expect(loaded, [], one, 9, (0.9, one))
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
