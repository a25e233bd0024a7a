"""What a loss costs a slot: progress, memory, dead workers, and slots that a person reopens."""

from typing import Any

import optuna
import pytest
from optuna.study import StudyDirection
from optuna.trial import TrialState

from storage import attrs, ends
from storage.errors import ClaimLostError
from storage.slots.slots import Claim, Slots
from tests.integration.planned import (
    age_heartbeat,
    another,
    attempts,
    claimed,
    draw,
    in_threads,
    planned,
)

MOST = 2
DIED = {attrs.REASON: ends.CRASHED, attrs.LOG: "the end"}


def lose(slots: Slots, *steps: int) -> Claim:
    """Claim, report the steps, and be lost; `MOST` losses in a row give the slot up."""
    claim = claimed(slots)
    for step in steps:
        slots.report(claim, step, 0.5)
    age_heartbeat(slots, claim, 100)
    assert slots.requeue_lost(50, MOST) == [claim.slot.trial]
    return claim


def given_up(slots: Slots) -> bool:
    """Whether there is nothing to claim."""
    return all(a.state != TrialState.WAITING for a in attempts(slots))


def test_progress_resets_the_count_of_losses(storage_url: str) -> None:
    """A report of a step that no attempt had reached; steps that are reported again are none."""
    slots = planned(storage_url, 1)
    lose(slots)
    lose(slots, 0, 1)
    lose(slots, 0, 1)
    assert not given_up(slots)
    lose(slots, 0, 1, 2)
    lose(slots, 0, 1, 2)
    assert claimed(slots).slot.attempt == 6
    assert slots.running_of("host:1") == [5]


def test_progress_of_an_attempt_that_was_given_back_counts(storage_url: str) -> None:
    """A stop after ten good epochs is no reason to give the slot up at the next kill."""
    slots = planned(storage_url, 1)
    lose(slots)
    stopped = claimed(slots)
    slots.report(stopped, 0, 0.5)
    slots.release(stopped)
    lose(slots, 0)
    assert not given_up(slots)
    lose(slots, 0)
    assert given_up(slots)


def test_losses_without_progress_give_a_slot_up(storage_url: str) -> None:
    """Also where an earlier attempt had come further."""
    slots = planned(storage_url, 1)
    lose(slots, 0, 1, 2)
    slots.release(claimed(slots))  # is no loss
    lose(slots, 0, 1)
    assert not given_up(slots)
    lose(slots, 0, 1, 2)
    assert given_up(slots)


def test_dead_worker_opens_its_slot_without_a_grace_period(storage_url: str) -> None:
    """Its own trials alone, once, with what its supervisor knows of the end."""
    slots = planned(storage_url, 2)
    mine, others = claimed(slots), slots.claim("host:2", draw)
    assert others is not None
    each = [another(slots) for _ in range(4)]
    found = in_threads(4, lambda i: each[i].requeue_crashed("host:1", DIED, 3))
    assert sorted(found) == [[], [], [], [mine.slot.trial]]
    first, second, third = attempts(slots)
    assert (first.state, first.user_attrs[attrs.REASON]) == (TrialState.FAIL, "crashed")
    assert first.user_attrs[attrs.LOG] == "the end"
    assert second.state == TrialState.RUNNING
    assert (third.slot, third.user_attrs[attrs.ATTEMPT]) == (0, 2)
    with pytest.raises(ClaimLostError):
        slots.report(mine, 0, 0.5)


@pytest.mark.parametrize("by_kernel", [False, True])
def test_slot_that_ran_out_of_memory_is_tried_once_more_alone(
    storage_url: str, by_kernel: bool
) -> None:
    """Whoever noticed; a second time, or with `max_attempts` 1, changes nothing about that."""
    slots = planned(storage_url, 1)
    memory = {attrs.REASON: ends.OUT_OF_MEMORY}
    first = claimed(slots)
    assert not first.slot.alone
    if by_kernel:
        slots.requeue_crashed("host:1", memory, 1)
    else:
        slots.retry_alone(first, {attrs.LOG: "no room"})
    second = claimed(slots)
    assert (second.slot.alone, second.slot.attempt) == (True, 2)
    slots.requeue_crashed("host:1", memory, 1)
    assert given_up(slots)
    assert [a.user_attrs[attrs.REASON] for a in attempts(slots)] == ["out_of_memory"] * 2


def test_reopened_slot_starts_with_a_fresh_count(storage_url: str) -> None:
    """One new row however often it is asked for; other states, and slots with a later row, none."""
    slots = planned(storage_url, 3)
    done, failed = claimed(slots), claimed(slots)
    slots.finish(done, TrialState.COMPLETE, 0.5)
    slots.finish(failed, TrialState.FAIL)
    lose(slots)
    lost_again = lose(slots)
    assert given_up(slots)
    each = [another(slots) for _ in range(4)]
    wanted = [done.slot.trial, failed.slot.trial, lost_again.slot.trial, 99]
    found = in_threads(4, lambda i: each[i].reopen(wanted, {attrs.STOP: {"id": "x"}}))
    assert sorted(found) == [[], [], [], [4, 5]]
    assert [(a.slot, a.user_attrs[attrs.ATTEMPT]) for a in attempts(slots)[4:]] == [(1, 2), (2, 3)]
    for _ in range(2):  # of slots 1 and 2, a first loss each
        lose(slots)
    assert not given_up(slots)


def test_nothing_is_claimed_of_another_study_with_the_same_id(storage_url: str) -> None:
    """SQLite gives the id of a deleted study to the next one; the token tells them apart."""
    slots = planned(storage_url, 1)
    storage, study_id = slots.storage, slots.study_id
    old = another(slots, token="old")
    assert old.claim("host:1", draw) is None
    storage.set_study_user_attr(study_id, attrs.TOKEN, "old")
    storage.set_study_user_attr(study_id, attrs.TOKEN, "new")
    assert old.claim("host:1", draw) is None
    assert another(slots, token="new").claim("host:1", draw) is not None


def test_row_that_has_params_already_is_claimed(storage_url: str) -> None:
    """Optuna's own retry copies a lost trial of ours, params and all."""
    slots = planned(storage_url, 1)
    study = optuna.load_study(study_name="study", storage=slots.storage)
    first = claimed(slots)
    copied: dict[str, Any] = {attrs.SLOT: 0, attrs.ATTEMPT: 1}
    study.add_trial(
        optuna.create_trial(
            state=TrialState.WAITING,
            params=dict(first.draw.params),
            distributions=dict(first.draw.distributions),
            user_attrs=copied,
        )
    )
    assert claimed(slots).slot.trial == 1
    assert attempts(slots)[1].params == dict(first.draw.params)


def test_row_that_has_a_claim_already_gets_that_of_its_worker(storage_url: str) -> None:
    """Optuna's own retry copies the claim, too: with it the new worker could write nothing."""
    slots = planned(storage_url, 1)
    study = optuna.load_study(study_name="study", storage=slots.storage)
    claimed(slots)
    (lost,) = study.trials
    study.add_trial(optuna.create_trial(state=TrialState.WAITING, user_attrs=lost.user_attrs))
    mine = slots.claim("host:2", draw)
    assert mine is not None
    slots.report(mine, 0, 0.5)
    slots.finish(mine, TrialState.COMPLETE, 0.5)
    found = attempts(slots)[1]
    assert (found.user_attrs[attrs.WORKER], found.user_attrs[attrs.CLAIM]) == ("host:2", mine.token)


def test_another_study_is_left_alone(storage_url: str) -> None:
    """Its trials have the same numbers, slots and workers."""
    slots = planned(storage_url, 1)
    other_id = slots.storage.create_new_study([StudyDirection.MAXIMIZE], "other")
    other = Slots(slots.storage, other_id)
    other.plan(1)
    theirs = claimed(other)
    other.finish(theirs, TrialState.FAIL)
    claimed(slots)
    assert other.requeue_crashed("host:1", DIED, 3) == []
    assert slots.reopen([0]) == []
    assert slots.running_of("host:1") == [0]
