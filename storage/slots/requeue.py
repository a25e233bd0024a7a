"""Slots whose trial was not ended by who claimed it: lost, crashed, ended by strangers, reopened.

Decides when a slot gets a further row and when it is given up. A slot is opened again and its old
row ended in one transaction, under the study's lock: however many notice, it gets one new row.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from sqlalchemy.engine import Connection

from storage import attrs
from storage.database import tables
from storage.database.transaction import patiently, write
from storage.rdb import SlotStorage
from storage.slots import attempt, rows

T = TypeVar("T")


class Find(Protocol):
    """Finds (trial id, number) of trials to end; asked of one, it or nothing."""

    def __call__(
        self, connection: Connection, trial_id: int | None = None
    ) -> list[tuple[int, int]]: ...


class Requeue:
    """What opens the slots of a study again. Cheap to make; holds no connection.

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

    def requeue_lost(self, grace_s: float, max_attempts: int | None = None) -> list[int]:
        """Fail trials whose heartbeat is older than `grace_s` and open their slots again.

        However many notice at once, a lost trial gets one successor: the row itself decides.

        Args:
            grace_s: Age of a heartbeat in s, by the database's clock, beyond which a trial is lost.
            max_attempts: How many losses in a row without a new report give a slot up.

        Returns:
            The numbers of the trials that this call found lost.
        """

        def find(connection: Connection, trial_id: int | None = None) -> list[tuple[int, int]]:
            return rows.find_stale(connection, self.study_id, grace_s, trial_id)

        return self._lose_all(find, {attrs.REASON: attrs.Reason.LOST}, max_attempts)

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
        """Fail what a worker that is dead held, and open its slot again without a grace period.

        Args:
            worker: Name of a process that its parent saw end.
            why: Attributes that say how, `reason` among them. After `out_of_memory` the slot is
                tried once more, alone on its device.
            max_attempts: As in `requeue_lost`.

        Returns:
            The numbers of its trials.
        """

        def find(connection: Connection, trial_id: int | None = None) -> list[tuple[int, int]]:
            return rows.find_running_of(connection, self.study_id, worker, trial_id)

        return self._lose_all(find, why, max_attempts)

    def _lose_all(self, find: Find, why: Mapping[str, Any], max_attempts: int | None) -> list[int]:
        """End what `find` finds, each if it still finds it in the transaction that ends it."""
        found = self._read(find)
        return [
            number for trial_id, number in found if self._lose(trial_id, find, why, max_attempts)
        ]

    def _lose(
        self,
        trial_id: int,
        find: Find,
        why: Mapping[str, Any],
        max_attempts: int | None,
    ) -> bool:
        def body(connection: Connection) -> bool:
            tables.lock_study(connection, self.study_id)
            if not find(connection, trial_id) or not rows.fail(connection, trial_id):
                return False
            attempt.write_attrs(connection, trial_id, why)
            changes = _after_loss(connection, trial_id, why[attrs.REASON], max_attempts)
            if changes is not None:
                rows.insert_successor(connection, self.study_id, trial_id, changes)
            return True

        return self._write(body, durable=True)

    def requeue_strangers(self) -> list[int]:
        """Open the slots again whose newest row was ended by somebody without a claim of ours.

        A plain Optuna worker that popped a slot, or the dashboard's tell, leaves such rows.

        Returns:
            The numbers of the new trials.
        """

        def look(connection: Connection) -> tuple[int, list[int]]:
            open_from = rows.lowest_unfinished(connection, self.study_id)
            below = self._checked_below
            return open_from, rows.find_ended_by_strangers(connection, self.study_id, below)

        def body(connection: Connection) -> list[int]:
            tables.lock_study(connection, self.study_id)
            ended = rows.find_ended_by_strangers(connection, self.study_id, self._checked_below)
            return [rows.insert_successor(connection, self.study_id, i) for i in ended]

        open_from, found = self._read(look)
        requeued = self._write(body, durable=True) if found else []
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
            tables.lock_study(connection, self.study_id)
            opened = []
            for trial_id in rows.find_newest_failed(connection, self.study_id, trials):
                n_attempts = rows.read_carried(connection, trial_id).get(attrs.ATTEMPT, 1)
                anew = dict.fromkeys((attrs.LOSSES, attrs.REACHED, attrs.ALONE))
                anew[attrs.ATTEMPT] = n_attempts + 1
                opened.append(rows.insert_successor(connection, self.study_id, trial_id, anew))
            if opened:
                tables.write_study_attrs(connection, self.study_id, study_attrs or {})
            return opened

        return self._write(body, durable=True)

    def _read(self, look: Callable[[Connection], T]) -> T:
        def call() -> T:
            with self.storage.engine.connect() as connection:
                return look(connection)

        return patiently(call, wait_s=self._wait_s)

    def _write(
        self, body: Callable[[Connection], T], *, durable: bool = False, single: bool = False
    ) -> T:
        engine = self.storage.engine

        def call() -> T:
            return write(engine, body, durable=durable, single=single, wait_s=0.0)

        return patiently(call, wait_s=self._wait_s)


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
    if reason == attrs.Reason.OUT_OF_MEMORY:
        return None if carried.get(attrs.ALONE) else {**changes, attrs.ALONE: True}
    return None if max_attempts is not None and losses >= max_attempts else changes
