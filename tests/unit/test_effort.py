"""What a budget buys: no more than it pays for, more for more, and what is given as given."""

from dataclasses import asdict
from itertools import pairwise

import pytest

from study.finalize.effort import QUICK, STEPS, Effort, effort_for

BUDGETS = [0, 0.5, 5.9, 6, 8, 11.9, 12, 25, 30, 47, 60, 100, 120, 500, 10_000]


@pytest.mark.parametrize("n_units", BUDGETS)
def test_effort_is_within_its_budget(n_units: float) -> None:
    """A search as long as the budget is at most doubled by its finalize."""
    found = effort_for(n_units, {})
    assert found == QUICK or found.n_units <= n_units


def test_plan_is_said_in_the_order_in_which_it_is_done() -> None:
    """With nothing in it that is not done."""
    first = "plan: the best trial on all rows, for a submission at once"
    assert QUICK.plan() == first
    assert Effort(1, 3, 1, 1, 0).plan() == (
        f"{first}; then the best on 3 folds; these 3 networks vote"
    )
    assert Effort(2, 3, 1, 1, 1).plan() == (
        f"{first}; then 2 configurations on folds, one after the other, and the best on 3 folds, "
        "1 network on all rows; these 4 networks vote"
    )
    assert Effort(4, 3, 2, 4, 5, 2).plan() == (
        f"{first}; then with 4 x the epochs 4 configurations on folds, one after the other, and "
        "the best 2 on 3 folds, 2 times, 10 networks on all rows; these 22 networks vote"
    )


def test_larger_budgets_buy_more() -> None:
    """Each field, too: a larger budget never gives up what a smaller one has."""
    efforts = [effort_for(n_units, {}) for n_units in BUDGETS]
    assert [e.n_units for e in efforts] == sorted(e.n_units for e in efforts)
    for smaller, larger in pairwise(efforts):
        given_up = {name for name, n in asdict(smaller).items() if asdict(larger)[name] < n}
        # Without folds the one network is of all rows; with them those of folds vote.
        assert given_up == ({"seeds"} if smaller == QUICK != larger else set())
    assert efforts[-1] == STEPS[-1][1]


def test_most_of_a_budget_is_spent() -> None:
    """At the budget from which on a step is taken, most of it."""
    for least, effort in STEPS:
        assert effort_for(least, {}) == effort
        assert 0.75 * least <= effort.n_units <= least


def test_budget_below_the_first_step_compares_nothing() -> None:
    """The first submission alone: one training."""
    assert effort_for(STEPS[0][0] - 0.1, {}) == effort_for(0, {}) == QUICK
    assert (QUICK.top_k, QUICK.seeds, QUICK.ensemble, QUICK.n_units) == (0, 1, 1, 1)


def test_units_are_trainings_of_the_search() -> None:
    """The first network, the race, the winners' folds, networks on all rows: as long as each is."""
    effort = Effort(top_k=5, folds=5, repeats=2, longer=4, seeds=6, ensemble=2)
    # A fold less than all rows, each: 4/5 of a training. Three race on fold 1 beside the winners,
    # then two, then one; two winners have five folds twice.
    assert effort.n_units == pytest.approx(1 + 4 * (0.8 * (3 + 2 + 1 + 2 * 2 * 5) + 2 * 6))
    assert Effort(3, 5, 1, 1, 2).n_units == pytest.approx(1 + 0.8 * (2 + 1 + 5) + 2)
    assert Effort(1, 3, 1, 2, 0).n_units == pytest.approx(1 + 2 * 3 * 2 / 3)


@pytest.mark.parametrize("n_units", [0, 12, 200])
def test_given_sizes_win(n_units: float) -> None:
    """Over any budget, also one that would buy nothing; those left open come from the budget."""
    given = {"top_k": 9, "seeds": 1, "ensemble": 3, "folds": None, "longer": None}
    found = effort_for(n_units, given)
    assert (found.top_k, found.seeds, found.ensemble) == (9, 1, 3)
    from_budget = effort_for(max(n_units, STEPS[0][0]), {})
    assert (found.folds, found.longer) == (from_budget.folds, from_budget.longer)


def test_sizes_that_are_all_left_open_change_nothing() -> None:
    """The command gives every size, most of them as None."""
    assert effort_for(0, dict.fromkeys(("top_k", "folds", "seeds"))) == QUICK
