"""Read a study's slots and attempts from the database, without Optuna's cache.

Each function takes a few statements for a study of any size, and writes nothing.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from optuna.trial import TrialState
from sqlalchemy.engine import Connection, Engine

from storage import attrs, ends
from storage.database.cells import param, reported, trial_value, whole
from storage.database.engine import database_of
from storage.database.tables import (
    HEARTBEATS,
    PARAMS,
    REPORTS,
    TRIALS,
    UNFINISHED,
    USER_ATTRS,
    VALUES,
    has_attr,
    read,
)
from storage.errors import StorageBrokenError

STATE_KEYS = (attrs.SLOT, attrs.REASON, attrs.ENDED, attrs.INFO, attrs.RUNG, attrs.FROM_SLOT)


@dataclass
class Attempt:
    """One trial row. Times are UTC without a zone.

    Attributes:
        seen_s: Age of the heartbeat in s by the database's clock; None unless RUNNING.
        user_attrs: Attributes in `STATE_KEYS`, or with details all of them; values of a wrong type
            (see `attrs.py`) are left out.
        params, reports: Empty without details.
    """

    trial: int
    trial_id: int
    state: TrialState
    started_at: datetime | None
    finished_at: datetime | None
    value: float | None = None
    seen_s: float | None = None
    user_attrs: dict[str, Any] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    reports: dict[int, float] = field(default_factory=dict)

    @property
    def slot(self) -> int | None:
        """The slot; None for a trial of another program."""
        return self.user_attrs.get(attrs.SLOT)

    @property
    def rung(self) -> int:
        """The rung of its slot, from 0."""
        return int(self.user_attrs.get(attrs.RUNG, 0))

    @property
    def from_slot(self) -> int | None:
        """The slot of the lower rung from which its slot was promoted; None on rung 0."""
        return self.user_attrs.get(attrs.FROM_SLOT)

    @property
    def is_final(self) -> bool:
        """Whether this program ended it: under its claim, or by a requeue with a reason."""
        if self.state in UNFINISHED:
            return False
        return attrs.ENDED in self.user_attrs or attrs.REASON in self.user_attrs


def read_attempts(
    engine: Engine,
    study_id: int,
    *,
    details: bool = False,
    trials: Iterable[int] | None = None,
    wait_s: float = 60.0,
) -> list[Attempt]:
    """Return the trials of a study by number, WAITING included.

    Args:
        details: Whether to read params, reports and all user attributes, too.
        trials: Numbers of the wanted trials; None: all.
        wait_s: Time to wait for an unreachable database.
    """
    mine = TRIALS.c.study_id == study_id
    if trials is not None:
        mine = sa.and_(mine, TRIALS.c.number.in_(list(trials)))
    return read(engine, lambda c: _attempts(c, mine, details), wait_s=wait_s)


def newest_attempts(
    connection: Connection, study_id: int, *, details: bool = False
) -> list[Attempt]:
    """Return the newest attempt of each slot, by slot, inside a transaction of the caller."""
    found = _attempts(connection, TRIALS.c.study_id == study_id, details)
    return list(newest_by_slot(found).values())


def _attempts(connection: Connection, mine: sa.ColumnElement[bool], details: bool) -> list[Attempt]:
    found = {a.trial_id: a for a in _read_rows(connection, mine)}
    _read_user_attrs(connection, mine, found, details)
    if details:
        _read_details(connection, mine, found)
    return list(found.values())


def _read_rows(connection: Connection, mine: sa.ColumnElement[bool]) -> Iterable[Attempt]:
    columns = (TRIALS.c.trial_id, TRIALS.c.number, TRIALS.c.state)
    times = (TRIALS.c.datetime_start, TRIALS.c.datetime_complete, HEARTBEATS.c.heartbeat)
    now = database_of(connection).clock
    query = (
        sa.select(*columns, *times, now, VALUES.c.value, VALUES.c.value_type)
        .outerjoin(HEARTBEATS, HEARTBEATS.c.trial_id == TRIALS.c.trial_id)
        .outerjoin(VALUES, sa.and_(VALUES.c.trial_id == TRIALS.c.trial_id, VALUES.c.objective == 0))
        .where(mine)
        .order_by(TRIALS.c.number)
    )
    for trial_id, number, state, start, end, seen, clock, value, kind in connection.execute(query):
        attempt = Attempt(whole(number), trial_id, state, start, end)
        if kind is not None:
            attempt.value = trial_value(value, kind)
        last = seen or start
        if state == TrialState.RUNNING and last is not None:
            attempt.seen_s = max(0.0, (clock - last).total_seconds())
        yield attempt


def _read_user_attrs(
    connection: Connection, mine: sa.ColumnElement[bool], found: dict[int, Attempt], details: bool
) -> None:
    query = (
        sa.select(USER_ATTRS.c.trial_id, USER_ATTRS.c.key, USER_ATTRS.c.value_json)
        .join(TRIALS, TRIALS.c.trial_id == USER_ATTRS.c.trial_id)
        .where(mine)
    )
    if not details:
        query = query.where(USER_ATTRS.c.key.in_(STATE_KEYS))
    for trial_id, key, text in connection.execute(query):
        if trial_id in found:
            value = attrs.read(key, text)
            if value is not None:
                found[trial_id].user_attrs[key] = value


def _read_details(
    connection: Connection, mine: sa.ColumnElement[bool], found: dict[int, Attempt]
) -> None:
    def rows_of(table: sa.Table, order: sa.Column[Any]) -> Iterator[tuple[Attempt, sa.Row[Any]]]:
        query = sa.select(table).join(TRIALS, TRIALS.c.trial_id == table.c.trial_id)
        for row in connection.execute(query.where(mine).order_by(order)):
            if row.trial_id in found:
                yield found[row.trial_id], row

    for attempt, row in rows_of(PARAMS, PARAMS.c.param_id):
        # Another program wrote a param that cannot be read: skip it.
        with suppress(StorageBrokenError):
            attempt.params[row.param_name] = param(row.distribution_json, row.param_value)
    for attempt, row in rows_of(REPORTS, REPORTS.c.step):
        value = reported(row.intermediate_value, row.intermediate_value_type)
        attempt.reports[whole(row.step)] = value


def failed_numbers(engine: Engine, study_id: int, n: int, *, wait_s: float = 60.0) -> list[int]:
    """Return the numbers of at most `n` newest failed trials, without released ones."""
    reason = USER_ATTRS.alias()
    excused = [json.dumps(end.reason) for end in ends.ENDS.values() if not end.is_failure]
    mine = sa.and_(reason.c.trial_id == TRIALS.c.trial_id, reason.c.key == attrs.REASON)
    query = (
        sa.select(TRIALS.c.number)
        .outerjoin(reason, mine)
        .where(TRIALS.c.study_id == study_id, TRIALS.c.state == TrialState.FAIL)
        .where(sa.func.coalesce(reason.c.value_json, "").notin_(excused))
        .order_by(TRIALS.c.number.desc())
        .limit(n)
    )
    return read(engine, lambda c: list(c.execute(query).scalars()), wait_s=wait_s)


def newest_by_slot(attempts: Iterable[Attempt]) -> dict[int, Attempt]:
    """Return the newest attempt of each slot, by slot."""
    ours = sorted((a for a in attempts if a.slot is not None), key=lambda a: (a.slot, a.trial))
    return {a.slot: a for a in ours if a.slot is not None}  # the last of equal slots stays


def count_unfinished(engine: Engine, study_id: int, *, wait_s: float = 60.0) -> int:
    """Return how many trials with a slot are WAITING or RUNNING, by one fast query.

    Trials of a plain Optuna script have no slot, and workers do not wait for them.
    """
    query = sa.select(sa.func.count()).where(
        TRIALS.c.study_id == study_id, TRIALS.c.state.in_(UNFINISHED), has_attr(attrs.SLOT)
    )
    return read(engine, lambda c: int(c.execute(query).scalar_one()), wait_s=wait_s)
