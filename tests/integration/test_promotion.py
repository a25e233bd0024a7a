"""Rungs on each database: slots are promoted once, and keep what they are through every end."""

from fractions import Fraction

from optuna.trial import TrialState

from storage import attrs
from storage.copying import copy_study
from storage.rdb import open_storage
from storage.reading import Attempt, newest_by_slot
from storage.slots.rungs import Rungs
from storage.slots.slots import Claim, Draw, Slots
from tests.integration.planned import (
    LONG_S,
    age_heartbeat,
    another,
    attempts,
    claimed,
    in_threads,
    planned,
)

RUNGS = Rungs(2, Fraction(1, 2), maximize=True)
N_SLOTS = 4


def finish(slots: Slots, value: float) -> None:
    """Claim a slot, of which there must be one, and finish it."""
    slots.finish(claimed(slots), TrialState.COMPLETE, value)


def complete(url: str) -> Slots:
    """A study whose slots 0 to 3 have the values 0.0, 0.1, 0.2, 0.3."""
    slots = planned(url, N_SLOTS)
    for slot in range(N_SLOTS):
        finish(slots, slot / 10)
    return slots


def claimed_promoted(slots: Slots) -> Claim:
    """Claim the lowest slot as a worker of a study with rungs does."""
    own = {attrs.RUNG: 1, attrs.EPOCHS: 3}
    claim = slots.claim("host:1", lambda slot: Draw(user_attrs=own))
    assert claim is not None
    return claim


def shape(found: Attempt) -> tuple[int | None, int, int | None]:
    """Return slot, rung and the slot from which it was promoted."""
    return found.slot, found.rung, found.from_slot


def test_best_slots_get_a_slot_on_the_next_rung_with_their_params(storage_url: str) -> None:
    """Numbered on from the budget, the best first; a second call adds nothing."""
    slots = complete(storage_url)
    assert slots.promote(RUNGS) == 2
    assert another(slots).promote(RUNGS) == 0
    *drawn, first, second = attempts(slots)
    assert [shape(one) for one in (first, second)] == [(4, 1, 3), (5, 1, 2)]
    assert {one.state for one in (first, second)} == {TrialState.WAITING}
    claim = claimed_promoted(slots)
    assert (claim.slot.slot, claim.slot.rung) == (4, 1)
    assert claim.slot.fixed_params == drawn[3].params
    user_attrs = slots.storage.get_study_user_attrs(slots.study_id)
    assert (user_attrs[attrs.N_SLOTS], user_attrs[attrs.N_PROMOTED]) == (6, 2)


def test_nothing_is_promoted_while_a_slot_is_open(storage_url: str) -> None:
    """Neither while one waits, nor while one runs, nor after it was given back."""
    slots = planned(storage_url, 2)
    assert slots.promote(RUNGS) == 0
    finish(slots, 0.5)
    assert slots.promote(RUNGS) == 0
    running = claimed(slots)
    assert slots.promote(RUNGS) == 0
    slots.release(running)
    assert slots.promote(RUNGS) == 0
    finish(slots, 0.6)
    assert slots.promote(RUNGS) == 1


def test_many_machines_promote_each_slot_once(storage_url: str) -> None:
    """All at once, each through a storage of its own."""
    slots = complete(storage_url)
    machines = [another(slots) for _ in range(8)]
    assert sum(in_threads(8, lambda i: machines[i].promote(RUNGS))) == 2
    found = attempts(slots)
    assert [one.trial for one in found] == list(range(6))
    assert sorted(one.slot or 0 for one in found) == list(range(6))


def test_failed_slots_are_not_promoted(storage_url: str) -> None:
    """Nor is their place given to nobody: the next best takes it."""
    slots = planned(storage_url, N_SLOTS)
    slots.finish(claimed(slots), TrialState.FAIL, user_attrs={attrs.REASON: "infeasible"})
    for value in (0.3, 0.1, 0.2):
        finish(slots, value)
    assert slots.promote(RUNGS) == 2
    assert [one.from_slot for one in attempts(slots)[N_SLOTS:]] == [1, 3]


def test_promoted_slot_keeps_its_rung_and_params_through_every_end(storage_url: str) -> None:
    """Given back, lost, failed and opened again, and copied to another database."""
    slots = complete(storage_url)
    slots.promote(RUNGS)
    params = attempts(slots)[3].params
    slots.release(claimed_promoted(slots))
    finish(slots, 0.1)  # slot 5
    lost = claimed_promoted(slots)
    age_heartbeat(slots, lost, 2 * LONG_S)
    assert slots.requeue_lost(LONG_S) == [lost.slot.trial]
    failed = claimed_promoted(slots)
    slots.finish(failed, TrialState.FAIL, user_attrs={attrs.REASON: "error"})
    slots.reopen([failed.slot.trial])
    newest = newest_by_slot(attempts(slots))[4]
    assert (shape(newest), newest.state) == ((4, 1, 3), TrialState.WAITING)
    copy_study(slots.storage, open_storage(storage_url), "study", "copy")
    storage = another(slots).storage
    copied = Slots(storage, storage.get_study_id_from_name("copy"))
    claim = claimed_promoted(copied)
    assert (claim.slot.slot, claim.slot.rung, claim.slot.fixed_params) == (4, 1, params)


def test_added_and_further_slots_are_promoted_beside_the_earlier_ones(storage_url: str) -> None:
    """What was promoted stays; of the new ones the better are promoted, too."""
    slots = complete(storage_url)
    slots.promote(RUNGS)
    finish(slots, 0.3)
    finish(slots, 0.2)
    assert slots.promote(RUNGS) == 0
    slots.add({"x": 0.9, "kind": "a"})
    assert slots.plan(8) == 1
    finish(slots, 0.9)
    finish(slots, 0.05)
    assert slots.promote(RUNGS) == 1
    assert shape(attempts(slots)[-1]) == (8, 1, 6)
    assert slots.promote(RUNGS) == 0
