"""The budget as rows: plan, add, claim, report, finish, release, requeue.

A slot is one unit of the budget, a trial one attempt at it. The planned budget stands in Optuna's
tables as WAITING trials; a claim makes one RUNNING under a random token, and every later write of
the attempt is fenced by that token: whoever lost a trial can write nothing. A row never goes back
from RUNNING to WAITING: a slot that is open again gets a new row. What is worth running, and with
which params, is not decided here.
"""

import secrets
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from optuna.trial import TrialState
from sqlalchemy.engine import Connection

from storage import attempt, attrs, rows
from storage.claim import Claim, Draw, Slot
from storage.dialect import is_passing, refresh_statistics
from storage.errors import ClaimLostError, StorageError, StorageUnavailableError
from storage.rdb import SlotStorage
from storage.transaction import write

__all__ = ["Claim", "Draw", "Slot", "Slots"]

T = TypeVar("T")

MANY_ROWS = 100  # inserted at once, they change which plans are good


class Slots:
    """The slots of one study, which has one direction. Cheap to make; holds no connection.

    Args:
        wait_s: For how long a database that is away is waited for, per write.
    """

    def __init__(self, storage: SlotStorage, study_id: int, *, wait_s: float = 60.0) -> None:
        self.storage = storage
        self.study_id = study_id
        self._wait_s = wait_s
        # Finished rows are immutable: those below the lowest unfinished one need one look.
        self._checked_below = 0

    def plan(
        self,
        n_slots: int,
        redraws: Mapping[int, int] | None = None,
        define: Mapping[str, Any] | None = None,
    ) -> int:
        """Raise the budget to `n_slots`: one WAITING trial for each new slot, all or none.

        Args:
            n_slots: The whole budget, not the increment. What is there already stays.
            redraws: Slot to `redraw`, where it is not 0.
            define: Study attributes that stand for ever once the first plan has written them;
                ignored by every later plan, also by one that raced with the first.

        Returns:
            How many slots were added; 0 where the budget is `n_slots` already.

        Raises:
            StorageError: The budget is higher already; it cannot be lowered.
        """

        def body(connection: Connection) -> int:
            rows.lock_study(connection, self.study_id)
            have = rows.read_count(connection, self.study_id, attrs.N_SLOTS)
            if n_slots < have:
                raise StorageError(
                    f"the study has {have} slots already; {n_slots} would lower its budget",
                    f"drop --n-trials, or give {have} or more",
                )
            if have == 0:
                rows.write_study_attrs(connection, self.study_id, define or {})
            new = [_planned(slot, (redraws or {}).get(slot, 0)) for slot in range(have, n_slots)]
            rows.insert_waiting(connection, self.study_id, new)
            rows.write_study_attrs(connection, self.study_id, {attrs.N_SLOTS: n_slots})
            return len(new)

        n_new = self._write(body, durable=True)
        if n_new >= MANY_ROWS:
            refresh_statistics(self.storage.engine)
        return n_new

    def add(self, params: Mapping[str, Any]) -> int:
        """Append one slot with given params, and return its trial number."""
        tried: list[tuple[int, int]] = []  # (trial number, slot) of each try

        def body(connection: Connection) -> int:
            rows.lock_study(connection, self.study_id)
            for number, slot in tried:  # the commit may have got through and its answer been lost
                if rows.is_added(connection, self.study_id, number, slot, params):
                    return number
            slot = rows.read_count(connection, self.study_id, attrs.N_SLOTS)
            new = _planned(slot, 0)
            (number,) = rows.insert_waiting(connection, self.study_id, [new], [params])
            n_added = rows.read_count(connection, self.study_id, attrs.N_ADDED)
            counts = {attrs.N_SLOTS: slot + 1, attrs.N_ADDED: n_added + 1}
            rows.write_study_attrs(connection, self.study_id, counts)
            tried.append((number, slot))
            return number

        return self._write(body, durable=True)

    def claim(self, worker: str, draw: Callable[[Slot], Draw]) -> Claim | None:
        """Take the lowest WAITING slot, or return None where there is none.

        State, heartbeat, worker, token, params and attributes are written in one transaction: there
        is no moment at which a claimed trial has no heartbeat.

        Args:
            worker: Who claims, as `host:pid`.
            draw: What to write with the claim, a pure function of the slot; called inside the
                transaction, so it should be quick.
        """
        token = secrets.token_hex(16)
        n_tries = 0

        def body(connection: Connection) -> Claim | None:
            nonlocal n_tries
            n_tries += 1
            if n_tries > 1:  # the commit may have got through and only its answer been lost
                earlier = attempt.find_by_token(connection, self.study_id, token)
                if earlier is not None:
                    slot = Slot.of(*earlier)
                    return Claim(slot, token, draw(slot))
            found = attempt.lock_lowest_waiting(connection, self.study_id)
            if found is None:
                return None
            slot = Slot.of(*found)
            drawn = draw(slot)
            own = {attrs.WORKER: worker, attrs.CLAIM: token, **drawn.user_attrs}
            attempt.start(connection, slot.trial_id, own, drawn.params, drawn.distributions)
            return Claim(slot, token, drawn)

        # Not durable on SQLite: with the machine's power both the claim and its worker are gone.
        claim = self._write(body)
        if claim is not None:
            self.storage.claimed[self.storage.url, claim.trial_id] = token
        return claim

    def report(self, claim: Claim, step: int, value: float) -> None:
        """Write an intermediate value; one of the same step is replaced.

        Raises:
            ClaimLostError: The trial is no longer this claim's.
        """

        def body(connection: Connection) -> bool:
            return attempt.insert_report(connection, claim.trial_id, claim.token, step, value)

        self._write_fenced(claim, body, single=True)

    def beat(self, claim: Claim) -> None:
        """Write the heartbeat.

        Raises:
            ClaimLostError: The trial is no longer this claim's.
        """

        def body(connection: Connection) -> bool:
            return attempt.update_heartbeat(connection, claim.trial_id, claim.token)

        self._write_fenced(claim, body, single=True)

    def finish(
        self,
        claim: Claim,
        state: TrialState,
        value: float | None = None,
        user_attrs: Mapping[str, Any] | None = None,
    ) -> None:
        """Write state, value and last attributes in one transaction that survives power loss.

        A FAIL without a reason gets the reason `error`: one without any is a stranger's.

        Raises:
            ClaimLostError: The trial is no longer this claim's; nothing was written.
        """
        own = {**(user_attrs or {}), attrs.ENDED: claim.token}
        if state == TrialState.FAIL:
            own.setdefault(attrs.REASON, attrs.Reason.ERROR)
        n_tries = 0

        def body(connection: Connection) -> bool:
            nonlocal n_tries
            n_tries += 1
            if attempt.end(connection, claim.trial_id, claim.token, state, value, own):
                return True
            return n_tries > 1 and _ended_before(connection, claim, state, own)

        self._write_fenced(claim, body, durable=True, single=True)

    def release(self, claim: Claim) -> None:
        """Give the slot back unfinished: this row FAILs as `released`, a new one is WAITING.

        Raises:
            ClaimLostError: The trial is no longer this claim's; nothing was written.
        """
        own = {attrs.REASON: attrs.Reason.RELEASED, attrs.ENDED: claim.token}
        n_tries = 0

        def body(connection: Connection) -> bool:
            nonlocal n_tries
            n_tries += 1
            rows.lock_study(connection, self.study_id)
            if not attempt.end(connection, claim.trial_id, claim.token, TrialState.FAIL, None, own):
                return n_tries > 1 and _ended_before(connection, claim, TrialState.FAIL, own)
            rows.insert_successor(connection, self.study_id, claim.trial_id, n_further=0)
            return True

        self._write_fenced(claim, body, durable=True)

    def requeue_lost(self, grace_s: float, max_attempts: int | None = None) -> list[int]:
        """Fail trials whose heartbeat is older than `grace_s` and open their slots again.

        However many notice at once, a lost trial gets one successor: the row itself decides.

        Args:
            grace_s: Age of a heartbeat in s, by the database's clock, beyond which a trial is lost.
            max_attempts: A slot whose attempt reaches it is given up: it gets no successor.

        Returns:
            The numbers of the lost trials that this call requeued.
        """
        with self.storage.engine.connect() as connection:
            stale = rows.find_stale(connection, self.study_id, grace_s)
        return [number for trial_id, number in stale if self._lose(trial_id, grace_s, max_attempts)]

    def _lose(self, trial_id: int, grace_s: float, max_attempts: int | None) -> bool:
        def body(connection: Connection) -> bool:
            rows.lock_study(connection, self.study_id)
            still = rows.find_stale(connection, self.study_id, grace_s, trial_id)
            if not still or not rows.fail(connection, trial_id):
                return False
            attempt.write_attrs(connection, trial_id, {attrs.REASON: attrs.Reason.LOST})
            n_attempts = attempt.read_attrs(connection, trial_id).get(attrs.ATTEMPT, 1)
            if max_attempts is None or n_attempts < max_attempts:
                rows.insert_successor(connection, self.study_id, trial_id, n_further=1)
            return True

        return self._write(body, durable=True)

    def requeue_strangers(self) -> list[int]:
        """Open the slots again whose newest row was ended by somebody without a claim of ours.

        A plain Optuna worker that popped a slot, or the dashboard's tell, leaves such rows.

        Returns:
            The numbers of the new trials.
        """
        with self.storage.engine.connect() as connection:
            open_from = rows.lowest_unfinished(connection, self.study_id)
            found = rows.find_ended_by_strangers(connection, self.study_id, self._checked_below)

        def body(connection: Connection) -> list[int]:
            rows.lock_study(connection, self.study_id)
            ended = rows.find_ended_by_strangers(connection, self.study_id, self._checked_below)
            return [
                rows.insert_successor(connection, self.study_id, trial_id, n_further=0)
                for trial_id in ended
            ]

        requeued = self._write(body, durable=True) if found else []
        self._checked_below = open_from
        return requeued

    def _write(
        self, body: Callable[[Connection], T], *, durable: bool = False, single: bool = False
    ) -> T:
        engine, wait_s = self.storage.engine, self._wait_s
        try:
            return write(engine, body, durable=durable, single=single, wait_s=wait_s)
        except Exception as error:
            if not is_passing(error):
                raise
            raise StorageUnavailableError(
                f"the database was away or locked for over {wait_s:g} s: {error.__cause__ or error}"
            ) from error

    def _write_fenced(self, claim: Claim, body: Callable[[Connection], bool], **how: bool) -> None:
        if not self._write(body, **how):
            raise ClaimLostError(
                f"trial {claim.slot.trial} (slot {claim.slot.slot}) is no longer this worker's"
            )


def _planned(slot: int, redraw: int) -> dict[str, Any]:
    planned = {attrs.SLOT: slot, attrs.ATTEMPT: 1}
    return {**planned, attrs.REDRAW: redraw} if redraw else planned


def _ended_before(
    connection: Connection, claim: Claim, state: TrialState, own: Mapping[str, Any]
) -> bool:
    """Whether the commit of an earlier try got through and only its answer was lost."""
    reason = own.get(attrs.REASON)
    return attempt.is_ended_as(connection, claim.trial_id, claim.token, state, reason)
