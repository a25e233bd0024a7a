"""Register of a study's workers: their heartbeats, the time used, stop and pause orders.

Each worker is a study attribute. Each heartbeat of a worker also updates the study's time: the wall
time with at least one worker.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from storage import attrs
from storage.database import tables
from storage.database.engine import database_of
from storage.database.tables import STUDY_ATTRS
from storage.database.transaction import patiently, write
from storage.rdb import SlotStorage

T = TypeVar("T")

FORGOTTEN_AFTER_GRACES = 60
"""Number of grace periods without a heartbeat after which a worker is no longer listed."""

NO_STOP = "none"
"""Stands for the id of a stop order if there is none."""


@dataclass(frozen=True)
class StopOrder:
    """A request to stop, for all processes that had started before it.

    Attributes:
        id: Random; identifies the request.
        now: Whether trials must end at once instead of after their epoch.
        why: None if a user asked, else a word such as "errors".
        detail: Text for the user.
        at: Time of the request by the database's clock, as ISO 8601 in UTC.
    """

    id: str
    now: bool = False
    why: str | None = None
    detail: str | None = None
    at: str | None = None

    @classmethod
    def new(cls, **what: Any) -> "StopOrder":
        """Return a new order with a random id."""
        return cls(secrets.token_hex(8), **what)

    @classmethod
    def of(cls, stored: Any) -> "StopOrder | None":
        """Return the order in a study attribute; None if the value is not an order."""
        if not isinstance(stored, dict) or not isinstance(stored.get("id"), str):
            return None
        texts = {name: stored.get(name) for name in ("why", "detail", "at")}
        said = {name: text for name, text in texts.items() if isinstance(text, str)}
        return cls(stored["id"], stored.get("now") is True, **said)

    def to_json(self) -> dict[str, Any]:
        """Return the value of the study attribute."""
        return asdict(self)


@dataclass(frozen=True)
class Seen:
    """The orders and the used time of a study, as read by a worker.

    Attributes:
        token: The study's token; None if the study was deleted.
        stop: The newest request to stop, of any age.
        used_s: Wall time of the study with workers until now, in s.
        paused: Whether workers must not claim trials.
    """

    token: str | None
    stop: StopOrder | None
    used_s: float
    paused: bool = False


@dataclass(frozen=True)
class Registered:
    """A worker with its own description, and the age of its last heartbeat in s."""

    id: str
    facts: dict[str, Any]
    seen_s: float


class Registry:
    """The workers and orders of a study.

    Args:
        grace_s: Age of a heartbeat after which a worker is gone.
        wait_s: Time for which a call waits for an unreachable database.
    """

    def __init__(
        self, storage: SlotStorage, study_id: int, *, grace_s: float, wait_s: float = 60.0
    ) -> None:
        self._engine: Engine = storage.engine
        self._study_id = study_id
        self._grace_s, self._wait_s = grace_s, wait_s

    def join(self, worker: str, facts: Mapping[str, Any]) -> str:
        """Register a worker; time without workers does not count as used.

        A process that replaces itself joins again under its name, so its time counts throughout.

        Returns:
            The current time, as ISO 8601 in UTC: when the worker joined.
        """

        def body(connection: Connection, now: datetime) -> str:
            there = _read_workers(connection, self._study_id, now)
            longest_s = FORGOTTEN_AFTER_GRACES * self._grace_s
            self._drop(connection, [r.id for r in there if r.seen_s > longest_s])
            self._count(connection, now, counts=self._is_any(there))
            since = now.isoformat(timespec="milliseconds") + "Z"
            self._put(connection, worker, {**facts, "since": since}, now)
            return since

        return self._write(body)

    def beat(self, worker: str, facts: Mapping[str, Any]) -> None:
        """Record a heartbeat; count the time since the last heartbeat of any worker."""

        def body(connection: Connection, now: datetime) -> None:
            self._count(connection, now, counts=True)
            self._put(connection, worker, facts, now)

        self._write(body)

    def leave(self, worker: str, *, was_there: bool = True) -> None:
        """Remove a worker from the list.

        Args:
            was_there: Whether the worker ran until now; False for a dead worker.
        """

        def body(connection: Connection, now: datetime) -> None:
            self._drop(connection, [worker])
            goes_on = self._is_any(_read_workers(connection, self._study_id, now))
            # The remaining workers ran all the time.
            self._count(connection, now, counts=was_there or goes_on, goes_on=goes_on)

        self._write(body)

    def look(self) -> Seen:
        """Read the study's orders and its used time."""
        keys = (attrs.TOKEN, attrs.STOP, attrs.USED, attrs.PAUSED)

        def read(connection: Connection) -> Seen:
            found = _read_attrs(connection, self._study_id, STUDY_ATTRS.c.key.in_(keys))
            used_s = self._used_s(found.get(attrs.USED), _now(connection), counts=True)
            order = StopOrder.of(found.get(attrs.STOP))
            return Seen(found.get(attrs.TOKEN), order, used_s, found.get(attrs.PAUSED) is True)

        return self._read(read)

    def workers(self) -> list[Registered]:
        """Return the registered workers by id, also those without a recent heartbeat."""
        return self._read(lambda c: _read_workers(c, self._study_id, _now(c)))

    def now(self) -> str:
        """Return the database's clock, as ISO 8601 in UTC."""
        return self._read(lambda c: _now(c).isoformat())

    def stop_seen(self, age_s: Callable[[], float]) -> str:
        """Return the id of the latest stop order issued before this process started, or "none".

        The process ignores that order. A start takes seconds, and orders issued since then apply to
        this process, too.

        Args:
            age_s: Returns the age of the process, in s.
        """

        def read(connection: Connection) -> str:
            stored = tables.read_study_attr(connection, self._study_id, attrs.STOP)
            age = timedelta(seconds=age_s())  # a wait between this and `_now` makes it too low
            began_at = _now(connection) - age
            order = StopOrder.of(stored)
            if order is None:
                return NO_STOP
            made_at = attrs.moment(order.at)
            return NO_STOP if made_at is not None and made_at >= began_at else order.id

        return self._read(read)

    def order_stop(self, order: StopOrder) -> None:
        """Ask all running workers to stop; workers that start later ignore the order."""

        def body(connection: Connection, now: datetime) -> None:
            made = replace(order, at=now.isoformat())
            tables.write_study_attrs(connection, self._study_id, {attrs.STOP: made.to_json()})

        self._write(body, durable=True)

    def pause(self, paused: bool) -> None:
        """Stop or allow claims of trials; trials in progress go on."""
        value = {attrs.PAUSED: paused}
        self._write(lambda c, _: tables.write_study_attrs(c, self._study_id, value), durable=True)

    def claim_marker(self) -> tuple[str, bool]:
        """Return the text of the study's marker file, and whether this call created it."""

        def body(connection: Connection, _: datetime) -> tuple[str, bool]:
            stored = tables.read_study_attr(connection, self._study_id, attrs.MARKER)
            found = attrs.known(attrs.MARKER, stored)
            if found is not None:
                return str(found), False
            marker = secrets.token_hex(8)
            tables.write_study_attrs(connection, self._study_id, {attrs.MARKER: marker})
            return marker, True

        return self._write(body)

    def _read(self, look: Callable[[Connection], T]) -> T:
        return tables.read(self._engine, look, wait_s=self._wait_s)

    def _write(self, body: Callable[[Connection, datetime], T], *, durable: bool = False) -> T:
        """Write under the study's lock; `body` gets the time at which it got the lock."""

        def locked(connection: Connection) -> T:
            tables.lock_study(connection, self._study_id)
            return body(connection, _now(connection))

        call = partial(write, self._engine, locked, durable=durable, wait_s=0.0)
        return patiently(call, wait_s=self._wait_s)

    def _is_any(self, workers: list[Registered]) -> bool:
        return any(r.seen_s <= self._grace_s for r in workers)

    def _count(
        self, connection: Connection, now: datetime, *, counts: bool, goes_on: bool = True
    ) -> None:
        used = tables.read_study_attr(connection, self._study_id, attrs.USED)
        used_s = round(self._used_s(used, now, counts=counts), 3)
        value = {attrs.USED: {"used_s": used_s, "at": now.isoformat() if goes_on else None}}
        tables.write_study_attrs(connection, self._study_id, value)

    def _used_s(self, used: Any, now: datetime, *, counts: bool) -> float:
        used = used if isinstance(used, dict) else {}
        used_s = attrs.number(used.get("used_s")) or 0.0
        at = attrs.moment(used.get("at"))
        if not counts or at is None:
            return used_s
        # A sleeping machine does no work, so at most a grace period counts.
        return used_s + min(max(0.0, (now - at).total_seconds()), self._grace_s)

    def _put(
        self, connection: Connection, worker: str, facts: Mapping[str, Any], now: datetime
    ) -> None:
        value = {**facts, "seen_at": now.isoformat()}
        tables.write_study_attrs(connection, self._study_id, {attrs.WORKERS + worker: value})

    def _drop(self, connection: Connection, workers: list[str]) -> None:
        mine = STUDY_ATTRS.c.study_id == self._study_id
        names = [attrs.WORKERS + worker for worker in workers]
        if names:
            connection.execute(STUDY_ATTRS.delete().where(mine, STUDY_ATTRS.c.key.in_(names)))


def _now(connection: Connection) -> datetime:
    found: datetime = connection.execute(sa.select(database_of(connection).clock)).scalar_one()
    return found


def _read_attrs(
    connection: Connection, study_id: int, where: sa.ColumnElement[bool]
) -> dict[str, Any]:
    query = sa.select(STUDY_ATTRS.c.key, STUDY_ATTRS.c.value_json)
    query = query.where(STUDY_ATTRS.c.study_id == study_id, where)
    return {key: attrs.read(key, text) for key, text in connection.execute(query)}


def _read_workers(connection: Connection, study_id: int, now: datetime) -> list[Registered]:
    listed = STUDY_ATTRS.c.key.startswith(attrs.WORKERS, autoescape=True)
    found = []
    for key, facts in sorted(_read_attrs(connection, study_id, listed).items()):
        seen_at = attrs.moment(facts.pop("seen_at", None)) if isinstance(facts, dict) else None
        if seen_at is not None:  # else another program wrote the attribute
            seen_s = max(0.0, (now - seen_at).total_seconds())
            found.append(Registered(key.removeprefix(attrs.WORKERS), facts, seen_s))
    return found
