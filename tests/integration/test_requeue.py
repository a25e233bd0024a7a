"""How a slot is opened again, on each database: released, lost, ended by a stranger."""

from itertools import chain

import optuna
import pytest
from optuna.trial import TrialState

from storage import attrs, ends
from storage.reading import newest_by_slot
from tests.integration.planned import (
    LONG_S,
    age_heartbeat,
    another,
    attempts,
    claimed,
    draw,
    in_threads,
    planned,
)


def test_release_opens_the_slot_with_the_same_attempt(storage_url: str) -> None:
    """This row FAILs as `released`, with a new WAITING row, at the end of the queue."""
    slots = planned(storage_url)
    slots.plan(2, {0: 4})
    slots.release(claimed(slots))
    found = attempts(slots)
    assert [(a.trial, a.slot, a.state) for a in found] == [
        (0, 0, TrialState.FAIL),
        (1, 1, TrialState.WAITING),
        (2, 0, TrialState.WAITING),
    ]
    assert found[0].user_attrs[attrs.REASON] == ends.RELEASED
    assert found[2].user_attrs == {attrs.SLOT: 0, attrs.ATTEMPT: 1, attrs.REDRAW: 4}


def test_lost_trial_is_requeued_with_the_next_attempt(storage_url: str) -> None:
    """One that has been heard of is left alone; a beat makes an old one young."""
    slots = planned(storage_url, 3)
    fresh, old, beaten = claimed(slots), claimed(slots), claimed(slots)
    age_heartbeat(slots, old, 100)
    age_heartbeat(slots, beaten, 100)
    slots.beat(beaten)
    assert slots.requeue_lost(50) == [old.slot.trial]
    assert slots.requeue_lost(50) == []
    found = attempts(slots)
    assert found[1].user_attrs[attrs.REASON] == ends.LOST
    assert (found[3].slot, found[3].user_attrs[attrs.ATTEMPT]) == (1, 2)
    assert claimed(slots).slot.attempt == 2
    slots.report(fresh, 0, 0.5)


def test_trials_a_worker_ended_itself_are_counted(storage_url: str) -> None:
    """Not what it lost or gave back, what runs, or what another worker ended."""
    slots = planned(storage_url, 4)
    slots.finish(claimed(slots), TrialState.COMPLETE, 1.0)
    lost = claimed(slots)
    age_heartbeat(slots, lost, 100)
    slots.requeue_lost(50)
    slots.release(claimed(slots))
    claimed(slots)
    assert slots.count_ended_by(["host:1", "other:2"]) == 1
    assert slots.count_ended_by(["other:2"]) == slots.count_ended_by([]) == 0


def test_slot_is_given_up_after_max_attempts(storage_url: str) -> None:
    """The last attempt gets no successor, and strangers are not blamed for it."""
    slots = planned(storage_url, 1)
    for n_attempt in (1, 2):
        claim = claimed(slots)
        assert claim.slot.attempt == n_attempt
        age_heartbeat(slots, claim, 100)
        assert slots.requeue_lost(50, max_attempts=2) == [claim.slot.trial]
    assert slots.claim("host:1", draw) is None
    assert slots.requeue_strangers() == []


def test_lost_trial_gets_one_successor_however_many_notice(storage_url: str) -> None:
    """8 workers look at once."""
    slots = planned(storage_url, 2)
    lost = [claimed(slots), claimed(slots)]
    for claim in lost:
        age_heartbeat(slots, claim, 100)
    each = [another(slots) for _ in range(8)]
    requeued = in_threads(8, lambda i: each[i].requeue_lost(50))
    assert sorted(chain.from_iterable(requeued)) == [0, 1]
    assert sorted(a.slot for a in attempts(slots)[2:] if a.slot is not None) == [0, 1]


def test_row_that_a_stranger_popped_is_stale_from_its_start(storage_url: str) -> None:
    """A plain Optuna worker takes a slot without a heartbeat, and dies."""
    slots = planned(storage_url, 1)
    study = optuna.load_study(study_name="study", storage=slots.storage)
    assert study.ask().number == 0
    assert slots.requeue_lost(LONG_S) == []
    assert slots.requeue_lost(-LONG_S) == [0]
    assert claimed(slots).slot.attempt == 2


@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.FAIL])
@pytest.mark.parametrize("was_claimed", [False, True])
def test_slot_that_a_stranger_ended_is_opened_again(
    storage_url: str, state: TrialState, was_claimed: bool
) -> None:
    """Popped and told by plain Optuna, or a claimed one told by it. Once, by whoever looks."""
    slots = planned(storage_url, 3)
    slots.finish(claimed(slots), TrialState.COMPLETE, 1.0)
    slots.finish(claimed(slots), TrialState.FAIL)
    study = optuna.load_study(study_name="study", storage=slots.storage)
    trial_id = claimed(slots).trial_id if was_claimed else study.ask()._trial_id
    values = [0.5] if state == TrialState.COMPLETE else None
    stranger = optuna.storages.RDBStorage(slots.storage.url)
    stranger.set_trial_state_values(trial_id, state, values)
    stranger.remove_session()
    stranger.engine.dispose()
    each = [another(slots) for _ in range(4)]
    requeued = list(chain(*in_threads(4, lambda i: each[i].requeue_strangers())))
    assert requeued == [3]
    again = claimed(slots)
    assert (again.slot.slot, again.slot.attempt) == (2, 1)
    slots.finish(again, TrialState.COMPLETE, 1.0)
    assert slots.requeue_strangers() == []
    assert all(a.is_final for a in newest_by_slot(attempts(slots)).values())


def test_strangers_are_seen_by_one_that_looked_before(storage_url: str) -> None:
    """Finished rows are looked at once; what ends later, below or above, is not missed."""
    slots = planned(storage_url, 4)
    running = claimed(slots)
    slots.finish(claimed(slots), TrialState.COMPLETE, 1.0)
    assert slots.requeue_strangers() == []
    slots.storage.set_trial_state_values(running.trial_id, TrialState.FAIL)
    assert slots.requeue_strangers() == [4]
    study = optuna.load_study(study_name="study", storage=slots.storage)
    study.tell(study.ask(), 0.5)
    assert slots.requeue_strangers() == [5]
