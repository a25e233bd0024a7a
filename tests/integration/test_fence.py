"""What an attempt that is no longer its worker's can write, on each database: nothing."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from optuna.trial import TrialState
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError

from storage import attrs
from storage.database.transaction import write
from storage.errors import ClaimLostError
from storage.slots import rows
from storage.slots.lease import Lease
from storage.slots.slots import Claim, Slots
from tests.integration.planned import (
    age_heartbeat,
    another,
    attempts,
    claimed,
    planned,
    rows_of_all_tables,
)


def _released(slots: Slots, claim: Claim) -> None:
    slots.release(claim)


def _lost(slots: Slots, claim: Claim) -> None:
    age_heartbeat(slots, claim, 100)
    assert slots.requeue_lost(50) == [claim.slot.trial]


def _failed_by_a_stranger(slots: Slots, claim: Claim) -> None:
    slots.storage.set_trial_state_values(claim.trial_id, TrialState.FAIL)


def _told_by_a_stranger(slots: Slots, claim: Claim) -> None:
    slots.storage.set_trial_state_values(claim.trial_id, TrialState.COMPLETE, [0.125])


def _finished(slots: Slots, claim: Claim) -> None:
    slots.finish(claim, TrialState.COMPLETE, 0.5)


def _stolen(slots: Slots, claim: Claim) -> None:
    """The row is RUNNING, under another token."""
    slots.storage.set_trial_user_attr(claim.trial_id, attrs.CLAIM, "another")


ENDS = [_released, _lost, _failed_by_a_stranger, _told_by_a_stranger, _finished, _stolen]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__.strip("_"))
def test_fence_lets_nothing_through_after(
    storage_url: str, end: Callable[[Slots, Claim], None]
) -> None:
    """Every write of the old claim raises, and nothing in the database changes."""
    slots = planned(storage_url, 2)
    claim = claimed(slots)
    slots.report(claim, 0, 0.5)
    end(slots, claim)
    before = rows_of_all_tables(slots.storage)
    late: list[Callable[[], None]] = [
        lambda: slots.report(claim, 0, 0.75),
        lambda: slots.report(claim, 1, 0.75),
        lambda: slots.beat(claim),
        lambda: slots.finish(claim, TrialState.COMPLETE, 0.125, {attrs.INFO: {}}),
        lambda: slots.finish(claim, TrialState.FAIL),
        lambda: slots.release(claim),
    ]
    for write_late in late:
        with pytest.raises(ClaimLostError, match=r"trial 0 \(slot 0\) is no longer"):
            write_late()
    assert rows_of_all_tables(slots.storage) == before


def test_report_waits_for_who_fails_the_trial(storage_url: str) -> None:
    """A report that comes while the trial is being failed is refused, not slipped in."""
    slots = planned(storage_url, 1)
    claim = claimed(slots)
    failing, fenced = threading.Event(), threading.Event()

    def fail(connection: Connection) -> None:
        assert rows.fail(connection, claim.trial_id)
        failing.set()
        fenced.wait(0.3)  # the report stands at the row's lock by now, or comes after it

    def report() -> None:
        failing.wait(60)
        another(slots).report(claim, 0, 0.5)
        fenced.set()

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(report)
        write(slots.storage.engine, fail)
        with pytest.raises(ClaimLostError):
            future.result()
    assert attempts(slots)[0].reports == {}


def test_lease_keeps_a_trial_alive_and_notices_its_loss(storage_url: str) -> None:
    """It beats while it is held, survives errors, and says when the trial is somebody else's."""
    slots = planned(storage_url, 1)
    claim = claimed(slots)
    beaten = threading.Event()
    beat = slots.beat
    n_beats = [0]

    def flaky(held: Claim) -> None:
        n_beats[0] += 1
        if n_beats[0] == 1:
            raise OperationalError("UPDATE", {}, Exception("the server is away"))
        beat(held)
        beaten.set()

    slots.beat = flaky  # type: ignore[method-assign]
    age_heartbeat(slots, claim, 100)
    with Lease(slots, claim, interval_s=0.01) as lease:
        assert beaten.wait(30)
        assert slots.requeue_lost(50) == []
        assert not lease.lost.is_set()
        slots.storage.set_trial_state_values(claim.trial_id, TrialState.FAIL)
        assert lease.lost.wait(30)
