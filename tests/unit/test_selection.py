"""The choice is the cheapest of those that cannot be told apart, and its score flatters nobody."""

from collections.abc import Sequence

import numpy as np
import pytest

from study.finalize import choose as selection
from study.finalize.choose import Measured, choose, on_more_rows, predicted, score_of_choosing
from study.view.score import wilson

N = 400


def measured(
    right: Sequence[int] | np.ndarray, *, number: int = 0, cost: float = 1.0, loss: float = 0.5
) -> Measured:
    """A candidate that was right in these rows."""
    found = np.asarray(right, np.float64)
    return Measured((number, 1), found, np.full(len(found), loss), cost)


def wrong_in(first: int, last: int) -> np.ndarray:
    """Right in all of N rows but some."""
    right = np.ones(N)
    right[first:last] = 0
    return right


def equals(n_candidates: int, n_rows: int, accuracy: float, seed: int) -> list[Measured]:
    """Candidates of which none is better than another: what one has more of is luck."""
    drawn = np.random.Generator(np.random.Philox(seed)).random((n_candidates, n_rows)) < accuracy
    return [measured(right, number=number) for number, right in enumerate(drawn)]


def test_clear_winner_is_chosen_although_it_is_dear() -> None:
    """Forty rows better of four hundred is no luck."""
    cheap, dear = measured(wrong_in(0, 60)), measured(wrong_in(0, 20), cost=9.0)
    choice = choose([cheap, dear])
    assert (choice.order, choice.chosen) == ((1, 0), 1)
    assert choice.behind[1] == 0.0
    # 40 rows of 400 that one alone has right: a mean of 0.1, of which the error is 0.015.
    assert choice.behind[0] == pytest.approx(0.1 / np.sqrt(0.1 * 0.9 / (N - 1)))


def test_cheapest_of_those_within_one_standard_error_is_chosen() -> None:
    """One is as good but for luck and cheap, one cheaper yet and worse."""
    best = measured(wrong_in(0, 20), cost=5.0)
    alike = measured(wrong_in(19, 40), cost=2.0)
    worse = measured(wrong_in(0, 90), cost=1.0)
    choice = choose([worse, best, alike])
    assert choice.order == (1, 2, 0)
    assert choice.chosen == 2
    assert 0 < choice.behind[2] <= 1.0 < choice.behind[0]


def test_comparison_is_paired() -> None:
    """The same two accuracies: told apart where the same rows are hard for both, and else not."""
    best, cost = measured(wrong_in(0, 100), cost=2.0), 1.0
    in_step, crosswise = wrong_in(0, 104), wrong_in(200, 304)
    assert in_step.mean() == crosswise.mean()
    assert choose([best, measured(in_step, cost=cost)]).chosen == 0
    assert choose([best, measured(crosswise, cost=cost)]).chosen == 1


def test_one_that_is_behind_by_the_same_in_every_row_is_told_apart() -> None:
    """Without spread there is no luck: no division by zero, and no chance for the cheap one."""
    found = choose([measured(np.full(9, 0.75)), measured(np.full(9, 0.5), cost=0.1)])
    assert found.chosen == 0
    assert found.behind == (0.0, np.inf)


def test_ties_go_by_loss_then_by_place() -> None:
    """So that the same evidence gives the same choice on every machine."""
    surer = measured(wrong_in(0, 9), loss=0.1)
    choice = choose([measured(wrong_in(0, 9)), measured(wrong_in(0, 9)), surer])
    assert (choice.order, choice.chosen) == ((2, 0, 1), 2)
    same = [measured(wrong_in(0, 9), number=n) for n in range(3)]
    assert choose(same).order == (0, 1, 2)
    assert choose(same).chosen == 0


def test_one_candidate_is_chosen_and_expected_to_do_as_it_did() -> None:
    """There was nothing to choose, so nothing is flattered."""
    alone = [measured(wrong_in(0, 30))]
    assert choose(alone).chosen == 0
    assert score_of_choosing(alone) == alone[0].right.mean()


def test_score_of_choosing_is_the_same_again() -> None:
    """It ends in a manifest: the same seed gives the same bits, another seed others."""
    found = equals(4, 100, 0.8, seed=1)
    assert score_of_choosing(found) == score_of_choosing(found)
    assert score_of_choosing(found) != score_of_choosing(found, seed=1)


def test_score_of_choosing_is_honest_where_the_best_is_luck(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Over many data sets it is right on average, and the value of the best is far too high."""
    monkeypatch.setattr(selection, "N_RESAMPLES", 40)  # the mean over data sets is what is asked
    accuracy, honest, naive = 0.85, [], []
    for seed in range(60):
        found = equals(8, 200, accuracy, seed)
        honest.append(score_of_choosing(found))
        naive.append(max(one.right.mean() for one in found))
    assert np.mean(honest) == pytest.approx(accuracy, abs=0.006)
    assert np.mean(naive) > accuracy + 0.03


@pytest.mark.parametrize(
    ("n_right", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (20, 20, 0.8389, 1),
    ],
)
def test_interval_is_wilsons(n_right: int, n: int, low: float, high: float) -> None:
    """Against the values that Newcombe (1998) printed, to his digits."""
    assert wilson(n_right, n) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("accuracy", "n_known", "n_test"),
    [(0.9, 400, 400), (0.98, 2000, 1000), (0.99, 1000, 28_000), (0.7, 240, 60)],
)
def test_predicted_interval_holds_the_score_in_95_of_100(
    accuracy: float, n_known: int, n_test: int
) -> None:
    """Measured on some rows, asked of others: both samples' luck is in the interval."""
    random = np.random.Generator(np.random.Philox(7))
    known = random.binomial(n_known, accuracy, 4000) / n_known
    scores = random.binomial(n_test, accuracy, 4000) / n_test
    intervals = [predicted(share, n_known, n_test) for share in known]
    held = [low <= score <= high for (low, high), score in zip(intervals, scores, strict=True)]
    assert 0.93 <= np.mean(held) <= 0.97


def test_predicted_interval_is_wider_than_that_of_the_known_rows() -> None:
    """And no narrower than a test set of any size leaves it."""
    low, high = wilson(0.95 * 500, 500)
    few, many = predicted(0.95, 500, 100), predicted(0.95, 500, 10**9)
    assert few[0] < low < high < few[1]
    assert many == pytest.approx((low, high), abs=1e-5)


def test_more_rows_lower_the_error_by_a_power_of_their_number() -> None:
    """Where it is small: twice the rows, 2 to the power of minus the exponent times the error."""
    error = 1 - on_more_rows(0.999, chance=0.0, share=0.5, exponent=0.4)
    assert error == pytest.approx(0.001 * 0.5**0.4, rel=1e-3)
    assert on_more_rows(0.9, 0.1, share=1.0) == pytest.approx(0.9)
    there = on_more_rows(0.8, 0.1, share=0.5)
    assert on_more_rows(there, 0.1, share=2.0) == pytest.approx(0.8)


def test_more_rows_make_nothing_of_nothing() -> None:
    """What is no better than chance stays; what is never wrong, too."""
    assert [on_more_rows(score, 0.3, share=0.5) for score in (0.0, 0.2, 0.3)] == [0.0, 0.2, 0.3]
    assert on_more_rows(1.0, 0.3, share=0.5) == 1.0
    assert 0.31 < on_more_rows(0.31, 0.3, share=0.5) < 0.315


def test_lead_of_one_row_decides_nothing() -> None:
    """It is one standard error, whatever the number of rows."""
    for n_wrong in range(1, 30):
        ahead, cheap = measured(wrong_in(0, n_wrong), cost=9.0), measured(wrong_in(0, n_wrong + 1))
        assert choose([ahead, cheap]).chosen == 1
