"""What `promote` promises, on each database: every rung is planned once, from final slots alone."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from optuna.trial import TrialState

from storage import attrs, ends
from storage.copying import copy_study
from storage.database import tables
from storage.errors import StorageError
from storage.rdb import SlotStorage
from storage.reading import Attempt, newest_by_slot
from storage.slots.claim import Claim
from storage.slots.slots import Slots
from study.run.create import Request, create_or_resume
from study.spec.open import OpenStudy
from study.spec.spec import Given
from tests.integration.copies import MAXIMIZE, content, trials
from tests.integration.crowd import climb, crowd
from tests.integration.planned import (
    OPENED,
    RUNGS,
    age_heartbeat,
    another,
    attempts,
    claimed,
    draw_on_rungs,
    in_threads,
    planned,
    rows_of_all_tables,
    value_of,
)

Facts = list[tuple[int, int | None, int, int | None, float, float | None]]


def finish(slots: Slots, *values: float | None) -> None:
    """Finish the lowest slots with these values; a slot without one fails."""
    for value in values:
        claim = claimed(slots, draw_on_rungs)
        state = TrialState.FAIL if value is None else TrialState.COMPLETE
        slots.finish(claim, state, value)


def finish_all(slots: Slots) -> None:
    """Finish every slot that waits, each with the value of its params."""
    while (claim := slots.claim("host:1", draw_on_rungs)) is not None:
        slots.finish(claim, TrialState.COMPLETE, value_of(claim.slot))


def climb_alone(slots: Slots) -> list[int]:
    """Finish and promote until nothing is due; return how many were promoted each time."""
    found = []
    finish_all(slots)
    while n_promoted := slots.promote(RUNGS):
        found.append(n_promoted)
        finish_all(slots)
    return found


def facts(slots: Slots) -> Facts:
    """Of each trial: number, slot, rung, slot of the lower rung, param, value."""
    return [(a.trial, a.slot, a.rung, a.from_slot, a.params["x"], a.value) for a in attempts(slots)]


def counts(slots: Slots) -> tuple[int, int]:
    """How many slots there are, and how many of them were promoted."""
    user_attrs = another(slots).storage.get_study_user_attrs(slots.study_id)
    return user_attrs[attrs.N_SLOTS], user_attrs[attrs.N_PROMOTED]


def test_many_machines_promote_each_slot_once(storage_url: str) -> None:
    """All at once: one of them plans the rung, with the params of the best, and counts it."""
    slots = planned(storage_url, 9)
    finish(slots, 0.1, 0.9, 0.3, 0.8, 0.2, 0.8, 0.4, 0.7, 0.0)
    machines = [another(slots) for _ in range(8)]
    found = in_threads(8, lambda i: machines[i].promote(RUNGS))
    assert sorted(found) == [0] * 7 + [3]
    promoted = attempts(slots)[9:]
    assert [(a.trial, a.slot, a.from_slot) for a in promoted] == [
        (9, 9, 1),
        (10, 10, 3),
        (11, 11, 5),
    ]
    assert {(a.state, a.rung, a.user_attrs[attrs.ATTEMPT]) for a in promoted} == {
        (TrialState.WAITING, 1, 1)
    }
    given = tables.read_fixed_params(slots.storage.engine, slots.study_id)
    assert given == {slot: {"x": x / 1000, "kind": "b"} for slot, x in ((9, 1), (10, 3), (11, 5))}
    assert counts(slots) == (12, 3)


def test_many_processes_climb_as_one_does(storage_url: str) -> None:
    """Who runs what, and who plans a rung, changes no slot, no params and no value."""
    alone = planned(storage_url, 30)
    assert climb_alone(alone) == [10, 3]
    other_id = alone.storage.create_new_study(MAXIMIZE, "other")
    other = Slots(alone.storage, other_id)
    other.plan(30)
    crowd(6, climb, alone.storage.url, other_id)
    assert [fact[0] for fact in facts(other)] == list(range(43))
    assert facts(other) == facts(alone)
    assert counts(other) == counts(alone) == (43, 13)
    assert other.promote(RUNGS) == 0


@pytest.mark.parametrize("is_running", [False, True])
def test_nothing_is_promoted_while_a_slot_is_open(storage_url: str, is_running: bool) -> None:
    """It waits, or a worker has it; nothing is written."""
    slots = planned(storage_url, 4)
    finish(slots, 0.1, 0.2, 0.3)
    if is_running:
        claimed(slots)
    before = rows_of_all_tables(slots.storage)
    assert slots.promote(RUNGS) == 0
    assert rows_of_all_tables(slots.storage) == before


def test_slot_that_a_stranger_ended_is_open(storage_url: str) -> None:
    """However good its value: it is run again before anything is promoted."""
    slots = planned(storage_url, 3)
    theirs = slots.storage.get_all_trials(slots.study_id)[0]._trial_id
    slots.storage.set_trial_state_values(theirs, TrialState.RUNNING)
    slots.storage.set_trial_state_values(theirs, TrialState.COMPLETE, [99.0])
    finish(slots, 0.2, 0.3)
    assert slots.promote(RUNGS) == 0
    assert slots.requeue_strangers() == [3]
    finish(slots, 0.1)
    assert slots.promote(RUNGS) == 1
    assert attempts(slots)[-1].from_slot == 2


def test_trial_of_a_plain_script_is_not_promoted(storage_url: str) -> None:
    """It is of no slot, so it neither counts nor is waited for."""
    slots = planned(storage_url, 3)
    finish(slots, 0.2, 0.3, 0.1)
    slots.storage.create_new_trial(slots.study_id)
    assert slots.promote(RUNGS) == 1
    promoted = attempts(slots)[-1]
    assert (promoted.trial, promoted.slot, promoted.from_slot) == (4, 3, 1)


def test_failed_and_pruned_slots_are_not_promoted(storage_url: str) -> None:
    """They are final, so nobody waits for them; the share is that of all slots of the rung."""
    slots = planned(storage_url, 6)
    finish(slots, None, 0.1, None)
    slots.finish(claimed(slots), TrialState.PRUNED, 0.9)
    slots.finish(claimed(slots), TrialState.FAIL, None, {attrs.REASON: ends.INFEASIBLE})
    finish(slots, None)
    assert slots.promote(RUNGS) == 1
    assert attempts(slots)[-1].from_slot == 1


def test_study_whose_slots_all_failed_is_done(storage_url: str) -> None:
    """There is nothing to promote, now or later."""
    slots = planned(storage_url, 3)
    finish(slots, None, None, None)
    assert slots.promote(RUNGS) == 0
    assert len(attempts(slots)) == 3


def test_slot_that_is_reopened_may_still_be_promoted(storage_url: str) -> None:
    """While it is open nothing else is; then it takes its place among the best."""
    slots = planned(storage_url, 6)
    finish(slots, 0.5, None, 0.4, 0.3, 0.2, 0.1)
    assert slots.promote(RUNGS) == 2
    finish(slots, 0.6, 0.7)
    assert slots.reopen([1]) == [8]
    assert slots.promote(RUNGS) == 0
    finish(slots, 0.9)
    assert slots.promote(RUNGS) == 1
    assert [(a.rung, a.from_slot) for a in attempts(slots)[6:]] == [
        *((1, source) for source in (0, 2)),
        (0, None),
        (1, 1),
    ]


def test_promotion_is_all_or_none(storage_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error after the rows were inserted leaves none of them."""
    slots = planned(storage_url, 6)
    finish_all(slots)
    before = rows_of_all_tables(slots.storage)

    def fail(*_: object) -> None:
        raise RuntimeError("the last statement")

    with monkeypatch.context() as patched:
        patched.setattr(tables, "write_study_attrs", fail)
        with pytest.raises(RuntimeError, match="the last statement"):
            slots.promote(RUNGS)
    assert rows_of_all_tables(slots.storage) == before
    assert slots.promote(RUNGS) == 2


def release(slots: Slots, claim: Claim) -> None:
    """The worker gives the slot back."""
    slots.release(claim)


def lose(slots: Slots, claim: Claim) -> None:
    """Its heartbeat grows old."""
    age_heartbeat(slots, claim, 100)
    assert slots.requeue_lost(50) == [claim.slot.trial]


def crash(slots: Slots, claim: Claim) -> None:
    """Its supervisor saw the worker die."""
    assert slots.requeue_crashed("host:1", {attrs.REASON: ends.CRASHED}) == [claim.slot.trial]


def run_out_of_memory(slots: Slots, claim: Claim) -> None:
    """It is tried again, alone on its device."""
    slots.retry_alone(claim, {})


def fail_and_reopen(slots: Slots, claim: Claim) -> None:
    """A person retries it."""
    slots.finish(claim, TrialState.FAIL)
    assert slots.reopen([claim.slot.trial]) == [claim.slot.trial + 1]


def end_from_outside(slots: Slots, claim: Claim) -> None:
    """The dashboard's tell ends it."""
    slots.storage.claimed.clear()  # another process knows nothing of our claims
    slots.storage.set_trial_state_values(claim.trial_id, TrialState.COMPLETE, [99.0])
    assert slots.requeue_strangers() == [claim.slot.trial + 1]


@pytest.mark.parametrize(
    "end", [release, lose, crash, run_out_of_memory, fail_and_reopen, end_from_outside]
)
def test_every_attempt_at_a_promoted_slot_has_its_rung_and_params(
    storage_url: str, end: Callable[[Slots, Claim], None]
) -> None:
    """However the one before it ended; and what it reaches is promoted further."""
    slots = planned(storage_url, 3)
    finish(slots, 0.1, 0.2, 0.3)
    assert slots.promote(RUNGS) == 1
    first = claimed(slots, draw_on_rungs)
    end(slots, first)
    second = claimed(another(slots), draw_on_rungs)
    assert first.slot.fixed_params == {"x": 0.002, "kind": "b"}
    assert (first.slot.rung, first.slot.slot) == (1, 3)
    same = replace(first.slot, attempt=second.slot.attempt, alone=second.slot.alone)
    assert second.slot == replace(same, trial=4, trial_id=second.trial_id)
    found = attempts(slots)[4]
    assert (found.rung, found.from_slot) == (1, 2)
    assert found.params == first.slot.fixed_params
    slots.finish(second, TrialState.COMPLETE, 0.5)
    assert slots.promote(RUNGS) == 1
    assert (attempts(slots)[5].rung, attempts(slots)[5].from_slot) == (2, 3)


def test_row_keeps_the_rung_that_it_was_planned_on(storage_url: str) -> None:
    """A worker writes the rung with its claim, and the epochs: the source stays beside them."""
    slots = planned(storage_url, 3)
    finish(slots, 0.1, 0.2, 0.3)
    slots.promote(RUNGS)

    def draw(slot: Any) -> Any:
        drawn = draw_on_rungs(slot)
        own = {**drawn.user_attrs, attrs.RUNG: slot.rung, attrs.EPOCHS: 3}
        return replace(drawn, user_attrs=own)

    claimed(slots, draw)
    found = attempts(another(slots))[3].user_attrs
    assert (found[attrs.RUNG], found[attrs.FROM_SLOT], found[attrs.EPOCHS]) == (1, 2, 3)


def results(slots: Slots) -> dict[int, tuple[int, int | None, dict[str, Any], float | None]]:
    """Slot to rung, source, params and value."""
    newest = newest_by_slot(attempts(slots))
    return {slot: (a.rung, a.from_slot, a.params, a.value) for slot, a in newest.items()}


def test_copy_climbs_on_as_the_study_would(source: SlotStorage, target: SlotStorage) -> None:
    """Rungs, sources, params and counts go along; a slot that runs waits on its rung."""
    slots = Slots(source, source.create_new_study(MAXIMIZE, "digits"))
    slots.plan(9)
    finish_all(slots)
    assert slots.promote(RUNGS) == 3
    finish(slots, 0.5)
    running = claimed(slots, draw_on_rungs)
    copy_study(source, target, "digits")
    there = Slots(target, target.get_study_id_from_name("digits"))
    waiting = attempts(there)[running.slot.trial]
    assert (waiting.state, waiting.rung) == (TrialState.WAITING, 1)
    assert waiting.from_slot == attempts(slots)[running.slot.trial].from_slot
    assert there.promote(RUNGS) == 0
    slots.finish(running, TrialState.COMPLETE, value_of(running.slot))
    assert climb_alone(there) == climb_alone(slots) == [1]
    assert results(there) == results(slots)
    assert counts(there) == counts(slots) == (13, 4)
    copy_study(target, target, "digits", "again")
    assert [content(t) for t in trials(target, "again")] == [content(t) for t in trials(target)]


def test_added_slot_joins_the_draws(storage_url: str) -> None:
    """`study add` at any time: its params climb as those of a draw do."""
    slots = planned(storage_url, 3)
    finish(slots, 0.1, 0.2, 0.3)
    assert slots.promote(RUNGS) == 1
    slots.add({"x": 0.75, "kind": "a"})
    finish(slots, 0.4, 0.9)
    assert attempts(slots)[4].rung == 0
    assert slots.promote(RUNGS) == 1  # one of four slots: the added one is now the best
    added = attempts(slots)[5]
    assert (added.rung, added.from_slot) == (1, 4)
    finish(slots, 0.8)
    assert attempts(slots)[5].params == {"x": 0.75, "kind": "a"}
    user_attrs = another(slots).storage.get_study_user_attrs(slots.study_id)
    names = (attrs.N_SLOTS, attrs.N_ADDED, attrs.N_PROMOTED)
    assert [user_attrs[name] for name in names] == [6, 1, 2]


def create(url: str, n_trials: int | None) -> OpenStudy:
    """What `study create` does, for a study with rungs; closed after the test."""
    given = Given(objective="synthetic", seed=3, rungs=[1, 3, 9])
    opened = create_or_resume(Request(url, "s", None, given, n_trials), lambda line: None)
    OPENED.append(opened.slots)
    return opened


def of_draws(slots: Slots) -> list[Attempt]:
    """The newest attempts of the slots on rung 0."""
    return [a for a in newest_by_slot(attempts(slots)).values() if a.rung == 0]


def test_raised_budget_is_of_draws_and_only_adds(storage_url: str) -> None:
    """`--n-trials` counts the draws alone; those that were promoted stay, and others join them."""
    opened = create(storage_url, 6)
    slots, rungs = opened.slots, opened.spec.promotion
    assert rungs == RUNGS
    finish(slots, *(n / 10 for n in range(6)))
    assert slots.promote(RUNGS) == 2
    assert create(storage_url, 6).n_slots == create(storage_url, None).n_slots == 8
    before = facts_of_rungs(slots)
    raised = create(storage_url, 9)
    assert raised.n_slots == 11
    assert [a.slot for a in of_draws(slots)] == [*range(6), 8, 9, 10]
    assert slots.promote(RUNGS) == 0
    finish(slots, 0.4, 0.5, 0.0, 0.9, 0.8)  # first the promoted ones, which waited before
    assert slots.promote(RUNGS) == 2  # of nine: slots 9, 10 and 5, which is there
    assert facts_of_rungs(slots)[: len(before)] == before
    assert [(a.slot, a.rung, a.from_slot) for a in attempts(slots)[11:]] == [
        (11, 1, 9),
        (12, 1, 10),
    ]
    finish(slots, 0.1, 0.2)
    assert slots.promote(RUNGS) == 1  # of four, of which slot 6 has 0.4 and slot 7 has 0.5
    assert (attempts(slots)[-1].rung, attempts(slots)[-1].from_slot) == (2, 7)
    assert counts(slots) == (14, 5)
    with pytest.raises(StorageError, match="14 slots already; 13 would lower its budget"):
        create(storage_url, 8)


def facts_of_rungs(slots: Slots) -> list[tuple[int | None, int, int | None]]:
    """Of each trial: slot, rung, slot of the lower rung."""
    return [(a.slot, a.rung, a.from_slot) for a in attempts(slots)]
