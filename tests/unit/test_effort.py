"""What a budget buys: no more than it pays for, more for more, and what is given as given."""

from itertools import pairwise

import pytest

from study.spec.effort import MOST_NETWORKS, QUICK, Effort, effort_for
from tests.unit.evidence import EPOCHS, World, drive

BUDGETS = [0, 0.5, 4.9, 5, 6, 8, 11.9, 12, 25, 30, 47, 60, 100, 120, 500, 10_000]
VALUES = {slot: 1 - slot / 100 for slot in range(6)}


@pytest.mark.parametrize("n_units", BUDGETS)
def test_effort_is_within_its_budget(n_units: float) -> None:
    """A search as long as the budget is at most doubled by its finalize."""
    found = effort_for(n_units, {})
    assert found == QUICK or found.n_units <= n_units


def test_plan_is_said_in_the_order_in_which_it_is_done() -> None:
    """With nothing in it that is not done."""
    first = "plan: the best trial on all rows, for a submission at once"
    assert QUICK.plan() == first
    assert (
        Effort(1, 3, 1, 1, 0).plan() == f"{first}; then the best on 3 folds; these 3 networks vote"
    )
    assert Effort(3, 5, 2, 4, 2, 2).plan() == (
        f"{first}; then with 4 x the epochs 3 configurations on folds, one after the other, and "
        "the best 2 on 5 folds, 2 times, 4 networks on all rows; these 24 networks vote"
    )


def test_larger_budgets_buy_more() -> None:
    """More work; and networks that are not fewer, of epochs that are not fewer."""
    efforts = [effort_for(n_units, {}) for n_units in BUDGETS]
    for smaller, larger in pairwise(efforts):
        assert larger.n_units >= smaller.n_units
        assert larger.longer >= smaller.longer
        assert larger.top_k >= smaller.top_k
    assert efforts[-1].n_networks == MOST_NETWORKS


@pytest.mark.parametrize("n_units", [12, 15, 18, 22, 25, 30, 40, 60])
def test_most_of_a_budget_is_spent(n_units: float) -> None:
    """Four fifths at least, until the most networks are reached."""
    assert effort_for(n_units, {}).n_units >= 0.8 * n_units


def test_budget_below_the_first_step_compares_nothing() -> None:
    """The first submission alone: one training."""
    assert effort_for(4.9, {}) == effort_for(0, {}) == QUICK
    assert (QUICK.top_k, QUICK.n_networks, QUICK.n_units) == (0, 1, 1)
    assert effort_for(5, {}) == Effort(top_k=1, folds=3, repeats=1, longer=2, seeds=0)


@pytest.mark.parametrize(
    "effort",
    [
        Effort(1, 4, 1, 2, 0),
        Effort(3, 5, 2, 3, 0),
        Effort(4, 3, 1, 2, 2),
        Effort(3, 4, 1, 2, 1, 2),
        Effort(6, 3, 1, 1, 0),
    ],
)
def test_units_are_the_most_that_is_trained(effort: Effort) -> None:
    """In trainings of the search; reached where no candidate falls behind in the race."""
    epochs = EPOCHS * effort.longer
    world = World({(slot, epochs): range(10) for slot in VALUES})
    drive(world, VALUES, effort)
    assert sum(t.n_units(EPOCHS) for t in world.settled) == pytest.approx(effort.n_units)
    clear = World({(slot, epochs): range(30 * slot) for slot in VALUES})
    drive(clear, VALUES, effort)
    assert sum(t.n_units(EPOCHS) for t in clear.settled) <= effort.n_units


@pytest.mark.parametrize("n_units", [0, 12, 200])
def test_given_sizes_win(n_units: float) -> None:
    """Over any budget, also one that would buy nothing; those left open come from the budget."""
    given = {"top_k": 9, "seeds": 1, "ensemble": 3, "folds": None, "longer": None}
    found = effort_for(n_units, given)
    assert (found.top_k, found.seeds, found.ensemble) == (9, 1, 3)
    assert effort_for(n_units, {"folds": 7, "repeats": 2}).folds == 7
    assert effort_for(n_units, {"folds": 7, "repeats": 2}).repeats == 2


def test_sizes_that_are_all_left_open_change_nothing() -> None:
    """The command gives every size, most of them as None."""
    assert effort_for(0, dict.fromkeys(("top_k", "folds", "seeds"))) == QUICK


@pytest.mark.parametrize("n_units", [6, 30, 1000])
@pytest.mark.parametrize("most", [2, 3, 6])
def test_no_more_folds_than_the_smallest_class_has_rows(n_units: float, most: int) -> None:
    """Two at least."""
    assert effort_for(n_units, {}, most).folds <= most
