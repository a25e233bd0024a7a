"""Which slots are promoted: a pure function of the final slots, whatever their order."""

import random
from fractions import Fraction

import pytest

from storage.slots.rungs import Final, Rungs, due

THIRD = Fraction(1, 3)


def rungs(n: int = 3, keep: Fraction = THIRD, *, maximize: bool = True) -> Rungs:
    """Three rungs of which a third is promoted, to be maximized, unless another is asked for."""
    return Rungs(n, keep, maximize)


def drawn(*values: float | None) -> list[Final]:
    """Slots on rung 0, one a value."""
    return [Final(slot, 0, value) for slot, value in enumerate(values)]


def due_slots(slots: list[Final], of: Rungs) -> list[int]:
    """The numbers of the slots to promote."""
    return [one.slot for one in due(slots, of)]


def climbed(slots: list[Final], of: Rungs) -> list[Final]:
    """Promote until nothing is due; a slot keeps its value on every rung."""
    found = list(slots)
    while promoted := due(found, of):
        for one in promoted:
            found.append(Final(len(found), one.rung + 1, one.value, one.slot))
    return found


def random_values(rng: random.Random, n: int) -> list[float | None]:
    """Values of which some are equal, and some are missing."""
    return [rng.choice([None, *(k / 10 for k in range(10))]) for _ in range(n)]


@pytest.mark.parametrize(
    ("maximize", "wanted"), [(True, [4, 1, 6]), (False, [2, 8, 0])], ids=["maximize", "minimize"]
)
def test_best_third_is_promoted_best_first(maximize: bool, wanted: list[int]) -> None:
    """By value, in the study's direction."""
    slots = drawn(0.3, 0.8, 0.1, 0.5, 0.9, 0.4, 0.7, 0.6, 0.2)
    assert due_slots(slots, rungs(maximize=maximize)) == wanted


@pytest.mark.parametrize("maximize", [True, False])
def test_ties_are_broken_by_slot(maximize: bool) -> None:
    """Of equal values the lowest slots, in either direction."""
    slots = drawn(*[0.5] * 7)
    assert due_slots(slots, rungs(maximize=maximize)) == [0, 1]
    assert due_slots(slots[::-1], rungs(maximize=maximize)) == [0, 1]


@pytest.mark.parametrize("maximize", [True, False])
def test_slots_without_a_value_are_never_promoted(maximize: bool) -> None:
    """They count in the size of their rung, and lose to every value."""
    slots = drawn(None, 0.2, None, None, None, None, None, None, 0.1)
    wanted = [1, 8] if maximize else [8, 1]
    assert due_slots(slots, rungs(maximize=maximize)) == wanted
    assert due_slots(drawn(None, None, None), rungs(maximize=maximize)) == []


@pytest.mark.parametrize(
    ("n_slots", "keep", "wanted"),
    [
        (9, THIRD, [9, 3, 1]),
        (30, THIRD, [30, 10, 3]),
        (29, THIRD, [29, 9, 3]),
        (3, THIRD, [3, 1, 1]),
        (2, THIRD, [2, 1, 1]),
        (1, THIRD, [1, 1, 1]),
        (0, THIRD, [0, 0, 0]),
        (60, Fraction(1, 4), [60, 15, 3]),
        (49, Fraction(1, 49), [49, 1, 1]),
        (10, Fraction(9, 10), [10, 9, 8]),
    ],
)
def test_share_is_exact_and_at_least_one(n_slots: int, keep: Fraction, wanted: list[int]) -> None:
    """Rounded down, without an error of floats; where there is a slot, one is promoted."""
    of = rungs(keep=keep)
    assert of.sizes(n_slots) == wanted
    found = climbed(drawn(*[0.5] * n_slots), of)
    assert [sum(one.rung == rung for one in found) for rung in range(of.n)] == wanted


def test_one_rung_promotes_nothing() -> None:
    """It is the plain search with other words."""
    assert rungs(1).sizes(9) == [9]
    assert due(drawn(0.5, 0.4, 0.3), rungs(1)) == []
    assert due([], rungs()) == []


def test_promoted_slots_are_left_out() -> None:
    """They have their slot on the next rung; on the last one there is no next."""
    slots = [*drawn(0.3, 0.9, 0.8, 0.1, 0.2, 0.0), Final(6, 1, 0.5, 1)]
    assert due_slots(slots, rungs(2)) == [2]
    slots.append(Final(7, 1, 0.6, 2))
    assert due_slots(slots, rungs(2)) == []
    assert due_slots(slots, rungs(3)) == [7]


def test_slot_that_failed_above_is_not_promoted_again() -> None:
    """Nor is another one in its place: what is promoted is decided below alone."""
    slots = [*drawn(0.3, 0.9, 0.8), Final(3, 1, None, 1)]
    assert due_slots(slots, rungs()) == []


def test_lower_rungs_come_first() -> None:
    """A rung is complete before the next one is chosen from."""
    slots = [*drawn(0.6, 0.5, 0.4, 0.3, 0.2, 0.1), Final(6, 1, 0.7, 0), Final(7, 1, 0.8, 1)]
    more = [Final(slot, 0, 0.9) for slot in range(8, 11)]
    assert due_slots(slots, rungs()) == [7]
    assert due_slots([*slots, *more], rungs()) == [8, 9, 10]


@pytest.mark.parametrize("seed", range(20))
def test_order_of_the_slots_does_not_matter(seed: int) -> None:
    """Each rung is the same from slots in any order."""
    rng = random.Random(seed)
    found = climbed(drawn(*random_values(rng, 25)), rungs())
    for n in range(25, len(found) + 1):
        shuffled = rng.sample(found[:n], n)
        assert due(shuffled, rungs()) == due(found[:n], rungs())


@pytest.mark.parametrize("seed", range(20))
def test_raised_budget_only_adds(seed: int) -> None:
    """Nobody is promoted twice, and whoever would be with the large budget at once is."""
    rng = random.Random(seed)
    values = random_values(rng, 40)
    before = climbed(drawn(*values[:15]), rungs())
    added = [Final(len(before) + n, 0, value) for n, value in enumerate(values[15:])]
    raised = climbed([*before, *added], rungs())
    assert raised[: len(before)] == before
    sources = [one.from_slot for one in raised if one.rung]
    assert len(sources) == len(set(sources))
    at_once = due(drawn(*values), rungs())
    promoted = {one.slot for one in raised if one.slot in sources and one.rung == 0}
    same_draw = {slot: slot if slot < 15 else slot - 15 + len(before) for slot in range(40)}
    assert {same_draw[one.slot] for one in at_once} <= promoted
