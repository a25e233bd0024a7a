"""The budget as rows: plan, add, claim, report, finish, release.

A slot is one unit of the budget, a trial one attempt at it. The planned budget stands in Optuna's
tables as WAITING trials; a claim makes one RUNNING under a random token, and every later write of
the attempt is fenced by that token: whoever lost a trial can write nothing. A row never goes back
from RUNNING to WAITING: a slot that is open again gets a new row. Slots whose trial was ended by
somebody else are `requeue.py`'s. What is worth running, and with which params, is not decided here.
"""

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optuna.trial import TrialState
from sqlalchemy.engine import Connection

from storage import attrs
from storage.database import tables
from storage.database.dialect import refresh_statistics
from storage.database.tables import find_given
from storage.errors import ClaimLostError, StorageError
from storage.slots import attempt, rows
from storage.slots.attempt import write_kept
from storage.slots.claim import Claim, Draw, Slot
from storage.slots.requeue import Requeue
from storage.slots.rows import is_added

__all__ = ["Claim", "Draw", "Slot", "Slots"]

MANY_ROWS = 100  # inserted at once, they change which plans are good


class Slots(Requeue):
    """The slots of one study, which has one direction."""

    def plan(
        self,
        n_slots: int,
        redraws: Mapping[int, int] | None = None,
        define: Mapping[str, Any] | None = None,
        agree: Callable[[Any], None] | None = None,
    ) -> int:
        """Raise the budget to `n_slots`: one WAITING trial for each new slot, all or none.

        Args:
            n_slots: The whole budget, not the increment. What is there already stays; 0 defines
                the study and plans nothing.
            redraws: Slot to `redraw`, where it is not 0.
            define: Study attributes that stand for ever once the first plan has written them;
                ignored by every later plan, also by one that raced with the first.
            agree: Called by such a later plan with the first of these attributes as it stands;
                what it raises ends the plan, and no slot is added.

        Returns:
            How many slots were added; 0 where the budget is `n_slots` already.

        Raises:
            StorageError: The budget is higher already; it cannot be lowered.
        """

        def body(connection: Connection) -> int:
            tables.lock_study(connection, self.study_id)
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

        n_new = self._write(body, durable=True)
        if n_new >= MANY_ROWS:
            refresh_statistics(self.storage.engine)
        return n_new

    def ensure(self, wanted: Sequence[Mapping[str, Any]]) -> int:
        """Append a slot with given params for each of `wanted` that no slot was given yet.

        Safe to call again and from many machines at once: each of them gets one slot.

        Returns:
            How many slots were added.
        """

        def body(connection: Connection) -> int:
            tables.lock_study(connection, self.study_id)
            given = find_given(connection, self.study_id).values()
            there = {_key(params) for params in given}
            new = [p for key, p in {_key(p): p for p in wanted}.items() if key not in there]
            n_slots = tables.read_count(connection, self.study_id, attrs.N_SLOTS)
            n_added = tables.read_count(connection, self.study_id, attrs.N_ADDED)
            planned = [_planned(n_slots + i, 0) for i in range(len(new))]
            rows.insert_waiting(connection, self.study_id, planned, new)
            counts = {attrs.N_SLOTS: n_slots + len(new), attrs.N_ADDED: n_added + len(new)}
            tables.write_study_attrs(connection, self.study_id, counts)
            return len(new)

        return self._write(body, durable=True)

    def add(self, params: Mapping[str, Any]) -> int:
        """Append one slot with given params, and return its trial number."""
        tried: list[tuple[int, int]] = []  # (trial number, slot) of each try

        def body(connection: Connection) -> int:
            tables.lock_study(connection, self.study_id)
            for number, slot in tried:  # the commit may have got through and its answer been lost
                if is_added(connection, self.study_id, number, slot, params):
                    return number
            slot = tables.read_count(connection, self.study_id, attrs.N_SLOTS)
            new = _planned(slot, 0)
            (number,) = rows.insert_waiting(connection, self.study_id, [new], [params])
            n_added = tables.read_count(connection, self.study_id, attrs.N_ADDED)
            counts = {attrs.N_SLOTS: slot + 1, attrs.N_ADDED: n_added + 1}
            tables.write_study_attrs(connection, self.study_id, counts)
            tried.append((number, slot))
            return number

        return self._write(body, durable=True)

    def claim(self, worker: str, draw: Callable[[Slot], Draw]) -> Claim | None:
        """Take the lowest WAITING slot, or return None where there is none.

        State, heartbeat, worker, token, params and attributes are written in one transaction: there
        is no moment at which a claimed trial has no heartbeat.

        Args:
            worker: Who claims: a name that no other process has.
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
        reports: Mapping[int, float] | None = None,
        kept: bytes | None = None,
    ) -> None:
        """Write state, value and last attributes in one transaction that survives power loss.

        A FAIL without a reason gets the reason `error`: one without any is a stranger's.

        Args:
            reports: Step to value of all that this claim reported. A PostgreSQL that crashed
                meanwhile may have lost some, which are written again; others lose none.
            kept: Bytes that are kept of the trial; see `storage.slots.kept`.

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
            if attempt.end(connection, claim.trial_id, claim.token, state, value, own, reports):
                if kept is not None:
                    write_kept(connection, claim.trial_id, kept)
                return True
            return n_tries > 1 and _ended_before(connection, claim, state, own)

        self._write_fenced(claim, body, ends=True, durable=True, single=kept is None)

    def release(self, claim: Claim) -> None:
        """Give the slot back unfinished: this row FAILs as `released`, a new one is WAITING.

        Raises:
            ClaimLostError: The trial is no longer this claim's; nothing was written.
        """
        self._end_and_reopen(claim, {attrs.REASON: attrs.Reason.RELEASED}, {})

    def retry_alone(self, claim: Claim, user_attrs: Mapping[str, Any]) -> None:
        """Fail a trial that ran out of memory; its slot is tried again, alone on its device.

        Raises:
            ClaimLostError: The trial is no longer this claim's; nothing was written.
        """
        again = {attrs.ATTEMPT: claim.slot.attempt + 1, attrs.ALONE: True}
        why = {**user_attrs, attrs.REASON: attrs.Reason.OUT_OF_MEMORY}
        self._end_and_reopen(claim, why, again)

    def _end_and_reopen(
        self, claim: Claim, why: Mapping[str, Any], changes: Mapping[str, Any]
    ) -> None:
        own = {**why, attrs.ENDED: claim.token}
        n_tries = 0

        def body(connection: Connection) -> bool:
            nonlocal n_tries
            n_tries += 1
            tables.lock_study(connection, self.study_id)
            if not attempt.end(connection, claim.trial_id, claim.token, TrialState.FAIL, None, own):
                return n_tries > 1 and _ended_before(connection, claim, TrialState.FAIL, own)
            rows.insert_successor(connection, self.study_id, claim.trial_id, changes)
            return True

        self._write_fenced(claim, body, ends=True, durable=True)

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


def _key(params: Mapping[str, Any]) -> str:
    return json.dumps(params, sort_keys=True)


def _planned(slot: int, redraw: int) -> dict[str, Any]:
    planned = {attrs.SLOT: slot, attrs.ATTEMPT: 1}
    return {**planned, attrs.REDRAW: redraw} if redraw else planned


def _ended_before(
    connection: Connection, claim: Claim, state: TrialState, own: Mapping[str, Any]
) -> bool:
    """Whether the commit of an earlier try got through and only its answer was lost."""
    reason = own.get(attrs.REASON)
    return attempt.is_ended_as(connection, claim.trial_id, claim.token, state, reason)
