"""Which slots are promoted is a function of the final slots below, and of nothing else."""

from fractions import Fraction
from random import Random

import pytest

from storage.slots.rungs import Final, Rungs, due

RUNGS = Rungs(3, Fraction(1, 3), maximize=True)


def drawn(values: list[float | None]) -> list[Final]:
    """Slots of rung 0 with these values."""
    return [Final(slot, 0, value) for slot, value in enumerate(values)]


def slots_of(found: list[Final]) -> list[int]:
    """Return the slots, in order."""
    return [one.slot for one in found]


def climb(slots: list[Final], rungs: Rungs = RUNGS) -> list[Final]:
    """Promote until nothing is due; a promoted slot keeps its value."""
    while found := due(slots, rungs):
        first = len(slots)
        slots = slots + [
            Final(first + i, one.rung + 1, one.value, one.slot) for i, one in enumerate(found)
        ]
    return slots


def test_best_third_is_promoted_by_value_then_by_slot() -> None:
    """Six slots, of which three are equal: the two lowest of these numbers."""
    assert slots_of(due(drawn([0.1, 0.9, 0.5, 0.9, 0.9, 0.2]), RUNGS)) == [1, 3]


def test_lowest_values_are_promoted_where_a_loss_is_minimized() -> None:
    """The same share."""
    rungs = Rungs(2, Fraction(1, 3), maximize=False)
    assert slots_of(due(drawn([0.1, 0.9, 0.5, 0.9, 0.9, 0.2]), rungs)) == [0, 5]


@pytest.mark.parametrize(("n_slots", "sizes"), [(1, [1, 1, 1]), (4, [4, 1, 1]), (30, [30, 10, 3])])
def test_each_rung_has_the_share_of_the_one_below_and_one_slot_at_least(
    n_slots: int, sizes: list[int]
) -> None:
    """`sizes` says beforehand what `due` does."""
    slots = climb(drawn([slot / 100 for slot in range(n_slots)]))
    assert [sum(one.rung == rung for one in slots) for rung in range(3)] == sizes
    assert RUNGS.sizes(n_slots) == sizes


def test_slots_without_a_value_are_not_promoted_but_counted() -> None:
    """The share is of all slots of the rung; with no value at all nobody is promoted."""
    assert slots_of(due(drawn([None, 0.3, None, None, 0.2, 0.1, None, None, None]), RUNGS)) == [
        1, 4, 5,
    ]  # fmt: skip
    assert due(drawn([None] * 6), RUNGS) == []
    assert due([], RUNGS) == []


def test_order_of_the_slots_does_not_matter() -> None:
    """Whoever reads them gets the same promotions, in the same order."""
    slots = climb(drawn([Random(slot).random() for slot in range(20)]))[:26]
    wanted = due(slots, RUNGS)
    for seed in range(20):
        shuffled = Random(seed).sample(slots, len(slots))
        assert due(shuffled, RUNGS) == wanted


def test_raised_budget_only_adds() -> None:
    """What was promoted before stays; the better ones of the new slots are promoted, too."""
    before = climb(drawn([0.5, 0.6, 0.7]))
    assert [(one.rung, one.from_slot) for one in before[3:]] == [(1, 2), (2, 3)]
    raised = [*before, *(Final(slot, 0, value) for slot, value in ((5, 0.9), (6, 0.1), (7, 0.2)))]
    assert slots_of(due(raised, RUNGS)) == [5]
    after = climb(raised)
    assert after[: len(before)] == before
    assert [(one.rung, one.from_slot) for one in after[8:]] == [(1, 5), (2, 8)]


def test_higher_rungs_wait_for_lower_ones() -> None:
    """A slot that is due on rung 0 comes before one that is due on rung 1."""
    slots = [*drawn([0.9, 0.8, 0.1, 0.1, 0.1, 0.1]), Final(6, 1, 0.95, 0)]
    assert slots_of(due(slots, RUNGS)) == [1]


def test_single_rung_promotes_nothing() -> None:
    """As a plain search."""
    assert due(drawn([0.1, 0.2, 0.3]), Rungs(1, Fraction(1, 3), maximize=True)) == []
