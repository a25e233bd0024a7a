"""The trial budget of a study, as slots: plan, add, claim, report, finish, release, requeue.

A slot is one unit of the budget, a trial one attempt at it. The planned budget stands in Optuna's
tables as WAITING trials; a claim makes one RUNNING under a random token, and every later write of
the attempt is fenced by that token: a worker that lost its trial can write nothing. A row never
goes back from RUNNING to WAITING: a slot that is open again gets a new row, in one transaction with
the end of the old one and under the study's lock. So it gets one, however many processes notice.
"""

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any, TypeVar

from optuna.trial import TrialState
from sqlalchemy.engine import Connection

from storage import attrs, ends
from storage.database import tables
from storage.database.engine import database_of
from storage.database.transaction import patiently, write
from storage.errors import ClaimLostError, StorageError
from storage.rdb import SlotStorage
from storage.reading import Attempt, newest_attempts
from storage.slots import attempt, rows
from storage.slots.claim import Claim, Draw, Slot
from storage.slots.rungs import Final, Rungs, due

__all__ = ["Claim", "Draw", "Slot", "Slots"]

T = TypeVar("T")

Find = Callable[..., list[tuple[int, int]]]
"""Returns (trial id, number) of trials to end; given a `trial_id`, of that one or of none."""

MANY_ROWS = 100  # inserted at once, they change which plans are good


class Slots:
    """The slots of one study, which has one direction. Cheap to make; holds no connection.

    Every method raises StorageUnavailableError where the database is away for longer than `wait_s`.
    A method that writes for a claim raises ClaimLostError, and writes nothing, where the trial is
    no longer the claim's.

    Args:
        token: Of the study; nothing is claimed where the study of this id has another, or none.
        wait_s: For how long a database that is away is waited for, per call.
    """

    def __init__(
        self,
        storage: SlotStorage,
        study_id: int,
        *,
        token: str | None = None,
        wait_s: float = 60.0,
    ) -> None:
        self.storage = storage
        self.study_id = study_id
        self.token = token
        self._wait_s = wait_s
        # Finished rows are immutable: those below the lowest unfinished one need one look.
        self._checked_below = 0

    def plan(
        self,
        n_slots: int,
        redraws: Mapping[int, int] | None = None,
        define: Mapping[str, Any] | None = None,
        agree: Callable[[Any], None] | None = None,
    ) -> int:
        """Raise the budget to `n_slots`: one WAITING trial for each new slot, all or none.

        Args:
            n_slots: The whole budget, not the increment; 0 defines the study and plans nothing.
            redraws: Slot to `redraw`; slots with 0 are left out.
            define: Study attributes that only the first plan writes; every later plan ignores them,
                also one that raced with the first.
            agree: A later plan calls it with the first of these attributes as it is stored. If it
                raises, no slot is added.

        Returns:
            How many slots were added; 0 where the budget is `n_slots` already.

        Raises:
            StorageError: The budget is higher already; it cannot be lowered.
        """

        def body(connection: Connection) -> int:
            for key in list(define or ())[:1]:
                stored = tables.read_study_attr(connection, self.study_id, key)
                if stored is None:
                    tables.write_study_attrs(connection, self.study_id, define or {})
                elif agree is not None:
                    agree(stored)
            have = tables.read_count(connection, self.study_id, attrs.N_SLOTS)
            wanted = n_slots or have
            if wanted < have:
                raise StorageError(
                    f"the study has {have} slots already; {n_slots} would lower its budget",
                    f"drop --n-trials, or give {have} or more",
                )
            new = [_planned(slot, (redraws or {}).get(slot, 0)) for slot in range(have, wanted)]
            rows.insert_waiting(connection, self.study_id, new)
            tables.write_study_attrs(connection, self.study_id, {attrs.N_SLOTS: wanted})
            return len(new)

        n_new = self._write_locked(body)
        if n_new >= MANY_ROWS:
            database_of(self.storage.engine).refresh_statistics(self.storage.engine)
        return n_new

    def ensure(self, wanted: Sequence[Mapping[str, Any]]) -> int:
        """Append a slot with given params for each of `wanted` that no slot was given yet.

        Safe to call again and from many machines at once: each of them gets one slot.

        Returns:
            How many slots were added.
        """

        def body(connection: Connection) -> int:
            given = tables.find_given(connection, self.study_id).values()
            there = {_key(params) for params in given}
            new = [p for key, p in {_key(p): p for p in wanted}.items() if key not in there]
            n_slots = tables.read_count(connection, self.study_id, attrs.N_SLOTS)
            n_added = tables.read_count(connection, self.study_id, attrs.N_ADDED)
            planned = [_planned(n_slots + i, 0) for i in range(len(new))]
            rows.insert_waiting(connection, self.study_id, planned, new)
            counts = {attrs.N_SLOTS: n_slots + len(new), attrs.N_ADDED: n_added + len(new)}
            tables.write_study_attrs(connection, self.study_id, counts)
            return len(new)

        return self._write_locked(body)

    def promote(self, rungs: Rungs) -> int:
        """Plan the slots of the next rung if all slots are final; safe to call from many machines.

        Returns:
            How many slots were added.
        """

        def body(connection: Connection) -> int:
            newest = newest_attempts(connection, self.study_id, details=True)
            promoted = promotions(newest, rungs)
            first = tables.read_count(connection, self.study_id, attrs.N_SLOTS)
            planned = [
                {**_planned(slot, 0), attrs.RUNG: one.rung + 1, attrs.FROM_SLOT: one.slot}
                for slot, one in enumerate(promoted, first)
            ]
            rows.insert_waiting(connection, self.study_id, planned, [a.params for a in promoted])
            n_promoted = tables.read_count(connection, self.study_id, attrs.N_PROMOTED)
            counts = {
                attrs.N_SLOTS: first + len(promoted),
                attrs.N_PROMOTED: n_promoted + len(promoted),
            }
            if promoted:
                tables.write_study_attrs(connection, self.study_id, counts)
            return len(promoted)

        return self._write_locked(body)

    def add(self, params: Mapping[str, Any]) -> int:
        """Append one slot with given params, and return its trial number."""
        tried: list[tuple[int, int]] = []  # (trial number, slot) of each try

        def body(connection: Connection) -> int:
            for number, slot in tried:  # the commit may have got through and its answer been lost
                if rows.is_added(connection, self.study_id, number, slot, params):
                    return number
            slot = tables.read_count(connection, self.study_id, attrs.N_SLOTS)
            new = _planned(slot, 0)
            (number,) = rows.insert_waiting(connection, self.study_id, [new], [params])
            n_added = tables.read_count(connection, self.study_id, attrs.N_ADDED)
            counts = {attrs.N_SLOTS: slot + 1, attrs.N_ADDED: n_added + 1}
            tables.write_study_attrs(connection, self.study_id, counts)
            tried.append((number, slot))
            return number

        return self._write_locked(body)

    def claim(self, worker: str, draw: Callable[[Slot], Draw]) -> Claim | None:
        """Take the lowest WAITING slot; return None if there is none.

        State, heartbeat, worker, token, params and attributes are written in one transaction: a
        claimed trial is never without a heartbeat.

        Args:
            worker: The name of this process, which no other process has.
            draw: Returns what to write with the claim, as a pure function of the slot. It is called
                inside the transaction, so it should be quick.
        """
        token, tries = secrets.token_hex(16), count()

        def body(connection: Connection) -> Claim | None:
            if next(tries) > 0:  # the commit may have got through and its answer been lost
                earlier = attempt.find_by_token(connection, self.study_id, token)
                if earlier is not None:
                    slot = Slot.of(*earlier)
                    return Claim(slot, token, draw(slot))
            found = attempt.lock_lowest_waiting(connection, self.study_id, self.token)
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
        """Write an intermediate value; one of the same step is replaced."""

        what = (claim.trial_id, claim.token, step, value)
        self._write_fenced(claim, lambda c: attempt.insert_report(c, *what), single=True)

    def beat(self, claim: Claim) -> None:
        """Write the heartbeat."""

        what = (claim.trial_id, claim.token)
        self._write_fenced(claim, lambda c: attempt.update_heartbeat(c, *what), single=True)

    def finish(
        self,
        claim: Claim,
        state: TrialState,
        value: float | None = None,
        user_attrs: Mapping[str, Any] | None = None,
        reports: Mapping[int, float] | None = None,
        kept: bytes | None = None,
    ) -> None:
        """Write state, value and last attributes in one transaction that survives power loss.

        A FAIL without a reason gets `error`: a FAIL without any was written by another program.

        Args:
            reports: Step to value of every report of this claim. Those that a crash of PostgreSQL
                has lost are written again.
            kept: Bytes to keep with the trial; `storage.slots.attempt.read_kept` reads them.
        """
        own = dict(user_attrs or {})
        if state == TrialState.FAIL:
            own.setdefault(attrs.REASON, ends.ERROR)
        self._end(claim, state, own, value=value, reports=reports, kept=kept)

    def release(self, claim: Claim) -> None:
        """Give the slot back unfinished: this row FAILs as `released`, a new one is WAITING."""
        self._end(claim, TrialState.FAIL, {attrs.REASON: ends.RELEASED}, successor={})

    def retry_alone(self, claim: Claim, user_attrs: Mapping[str, Any]) -> None:
        """Fail a trial that ran out of memory; its slot is tried again, alone on its device."""
        again = {attrs.ATTEMPT: claim.slot.attempt + 1, attrs.ALONE: True}
        why = {attrs.REASON: ends.OUT_OF_MEMORY, **user_attrs}
        self._end(claim, TrialState.FAIL, why, successor=again)

    def requeue_lost(self, grace_s: float, max_attempts: int | None = None) -> list[int]:
        """Fail trials whose heartbeat is older than `grace_s` and open their slots again.

        Args:
            grace_s: Age of a heartbeat in s, by the database's clock, beyond which a trial is lost.
            max_attempts: After so many losses in a row without a new report a slot is given up.

        Returns:
            The numbers of the trials that this call found lost.
        """

        find = partial(rows.find_stale, study_id=self.study_id, grace_s=grace_s)
        return self._lose_all(find, {attrs.REASON: ends.LOST}, max_attempts)

    def running_of(self, worker: str) -> list[int]:
        """Return the numbers of the trials that a worker holds."""
        held = self._read(lambda c: rows.find_running_of(c, self.study_id, worker))
        return [number for _, number in held]

    def count_ended_by(self, workers: Sequence[str]) -> int:
        """Return how many trials these workers ended themselves."""
        return self._read(lambda c: rows.count_ended_by(c, self.study_id, workers))

    def requeue_crashed(
        self,
        worker: str,
        why: Mapping[str, Any],
        max_attempts: int | None = None,
    ) -> list[int]:
        """Fail the trials of a dead worker and open their slots again, without a grace period.

        Args:
            worker: Name of a process that its parent saw end.
            why: Attributes to write, `reason` among them. After `out_of_memory` the slot is tried
                once more, alone on its device.
            max_attempts: As in `requeue_lost`.

        Returns:
            The numbers of its trials.
        """

        find = partial(rows.find_running_of, study_id=self.study_id, worker=worker)
        return self._lose_all(find, why, max_attempts)

    def _lose_all(self, find: Find, why: Mapping[str, Any], max_attempts: int | None) -> list[int]:
        """End the trials that `find` still finds in the transaction that ends them."""

        def lose(trial_id: int, connection: Connection) -> bool:
            if not find(connection, trial_id=trial_id) or not rows.fail(connection, trial_id):
                return False
            attempt.write_attrs(connection, trial_id, why)
            changes = _after_loss(connection, trial_id, why[attrs.REASON], max_attempts)
            if changes is not None:
                rows.insert_successor(connection, self.study_id, trial_id, changes)
            return True

        found = self._read(find)
        return [n for trial_id, n in found if self._write_locked(partial(lose, trial_id))]

    def requeue_strangers(self) -> list[int]:
        """Open the slots again whose newest row was ended without a claim of ours.

        A plain Optuna worker that popped a slot, or the dashboard's tell, leaves such rows.

        Returns:
            The numbers of the new trials.
        """

        def find(connection: Connection) -> list[int]:
            below = self._checked_below
            return rows.find_ended_from_outside(connection, self.study_id, below)

        def look(connection: Connection) -> tuple[int, list[int]]:
            return rows.lowest_unfinished(connection, self.study_id), find(connection)

        def body(connection: Connection) -> list[int]:
            ended = find(connection)
            return [rows.insert_successor(connection, self.study_id, i) for i in ended]

        open_from, found = self._read(look)
        requeued = self._write_locked(body) if found else []
        self._checked_below = open_from
        return requeued

    def reopen(
        self, trials: Sequence[int], study_attrs: Mapping[str, Any] | None = None
    ) -> list[int]:
        """Open the slots of failed trials again, as a further attempt with a fresh count of losses.

        A trial that is not the newest of its slot, or not a FAIL, is passed over.

        Args:
            trials: Numbers.
            study_attrs: Written with it, where any slot was opened.

        Returns:
            The numbers of the new trials.
        """

        def body(connection: Connection) -> list[int]:
            opened = []
            for trial_id in rows.find_newest_failed(connection, self.study_id, trials):
                n_attempts = rows.read_carried(connection, trial_id).get(attrs.ATTEMPT, 1)
                anew = dict.fromkeys((attrs.LOSSES, attrs.REACHED, attrs.ALONE))
                anew[attrs.ATTEMPT] = n_attempts + 1
                opened.append(rows.insert_successor(connection, self.study_id, trial_id, anew))
            if opened:
                tables.write_study_attrs(connection, self.study_id, study_attrs or {})
            return opened

        return self._write_locked(body)

    def _end(
        self,
        claim: Claim,
        state: TrialState,
        user_attrs: Mapping[str, Any],
        *,
        value: float | None = None,
        reports: Mapping[int, float] | None = None,
        kept: bytes | None = None,
        successor: Mapping[str, Any] | None = None,
    ) -> None:
        """End a claimed trial; with `successor` its slot gets a new row that differs in these."""
        own = {**user_attrs, attrs.ENDED: claim.token}
        mine, tries = (claim.trial_id, claim.token), count()

        def body(connection: Connection) -> bool:
            if successor is not None:
                tables.lock_study(connection, self.study_id)
            is_repeated = next(tries) > 0
            if not attempt.end(connection, *mine, state, value, own, reports, kept):
                # The commit may have got through and its answer been lost.
                reason = own.get(attrs.REASON)
                return is_repeated and attempt.is_ended_as(connection, *mine, state, reason)
            if successor is not None:
                rows.insert_successor(connection, self.study_id, claim.trial_id, successor)
            return True

        self._write_fenced(claim, body, ends=True, durable=True, single=successor is None)

    def _write_fenced(
        self,
        claim: Claim,
        body: Callable[[Connection], bool],
        *,
        ends: bool = False,
        **how: bool,
    ) -> None:
        is_held = self._write(body, **how)
        if ends or not is_held:
            self.storage.claimed.pop((self.storage.url, claim.trial_id), None)
        if not is_held:
            raise ClaimLostError(
                f"trial {claim.slot.trial} (slot {claim.slot.slot}) is no longer this worker's"
            )

    def _read(self, look: Callable[[Connection], T]) -> T:
        return tables.read(self.storage.engine, look, wait_s=self._wait_s)

    def _write(self, body: Callable[[Connection], T], **how: bool) -> T:
        call = partial(write, self.storage.engine, body, wait_s=0.0, **how)
        return patiently(call, wait_s=self._wait_s)

    def _write_locked(self, body: Callable[[Connection], T]) -> T:
        def locked(connection: Connection) -> T:
            tables.lock_study(connection, self.study_id)
            return body(connection)

        return self._write(locked, durable=True)


def promotions(newest: Sequence[Attempt], rungs: Rungs) -> list[Attempt]:
    """Return the attempts whose slots are promoted now, the best first; none if a slot is open.

    Args:
        newest: The newest attempt of each slot.
    """
    if not all(attempt.is_final for attempt in newest):
        return []
    by_slot = {attempt.slot: attempt for attempt in newest}
    final = [
        Final(slot, a.rung, a.value if a.state == TrialState.COMPLETE else None, a.from_slot)
        for slot, a in by_slot.items()
        if slot is not None
    ]
    return [by_slot[one.slot] for one in due(final, rungs)]


def _key(params: Mapping[str, Any]) -> str:
    return json.dumps(params, sort_keys=True)


def _planned(slot: int, redraw: int) -> dict[str, Any]:
    planned = {attrs.SLOT: slot, attrs.ATTEMPT: 1}
    return {**planned, attrs.REDRAW: redraw} if redraw else planned


def _after_loss(
    connection: Connection, trial_id: int, reason: str, max_attempts: int | None
) -> dict[str, Any] | None:
    """Return in what the next attempt differs; None where the slot is given up.

    A report of a step that no attempt before it had reached is progress, and ends the row of
    losses. Memory that ran out with nothing beside it on the device would run out again.
    """
    carried = rows.read_carried(connection, trial_id)
    progressed = rows.highest_step(connection, trial_id) > carried.get(attrs.REACHED, -1)
    losses = 0 if progressed else carried.get(attrs.LOSSES, 0) + 1
    changes: dict[str, Any] = {
        attrs.ATTEMPT: carried.get(attrs.ATTEMPT, 1) + 1,
        attrs.LOSSES: losses or None,
    }
    if ends.end_of(reason).opener is ends.Opener.WORKER_ONCE:
        return None if carried.get(attrs.ALONE) else {**changes, attrs.ALONE: True}
    return None if max_attempts is not None and losses >= max_attempts else changes
