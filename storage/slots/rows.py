"""SQL statements on the trial rows of slots: insert, find stale rows or rows ended elsewhere.

Each function runs inside a transaction of its caller. `slots.py` decides which of them form a
transaction.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from optuna.trial import TrialState
from sqlalchemy.engine import Connection

from storage import attrs, ends
from storage.database.engine import database_of
from storage.database.tables import (
    FINISHED,
    HEARTBEATS,
    REPORTS,
    SYSTEM_ATTRS,
    TRIALS,
    UNFINISHED,
    USER_ATTRS,
    attr_of,
    attr_rows,
    has_attr,
)
from storage.errors import StorageBrokenError


def insert_waiting(
    connection: Connection,
    study_id: int,
    user_attrs: Sequence[Mapping[str, Any]],
    fixed_params: Sequence[Mapping[str, Any]] = (),
) -> list[int]:
    """Insert one WAITING trial for each item of `user_attrs`; the study must be locked.

    Returns:
        The numbers of the trials, in order.
    """
    if not user_attrs:
        return []
    count = sa.select(sa.func.count()).where(TRIALS.c.study_id == study_id)
    first = connection.execute(count).scalar_one()
    numbers = [first + i for i in range(len(user_attrs))]
    row = {"study_id": study_id, "state": TrialState.WAITING}
    connection.execute(TRIALS.insert(), [{**row, "number": number} for number in numbers])
    mine = sa.select(TRIALS.c.trial_id).where(
        TRIALS.c.study_id == study_id, TRIALS.c.number >= first
    )
    ids = connection.execute(mine.order_by(TRIALS.c.number)).scalars().all()
    if len(ids) != len(numbers):
        raise StorageBrokenError(
            f"somebody has changed the numbers of trials: of {first}, one is above {first - 1}",
            "put them back, or plan in another --study",
        )
    connection.execute(USER_ATTRS.insert(), _attr_rows(zip(ids, user_attrs, strict=True)))
    if fixed_params:
        fixed = [{attrs.FIXED_PARAMS: params} for params in fixed_params]
        connection.execute(SYSTEM_ATTRS.insert(), _attr_rows(zip(ids, fixed, strict=True)))
    return numbers


def insert_successor(
    connection: Connection, study_id: int, trial_id: int, changes: Mapping[str, Any] | None = None
) -> int:
    """Insert a WAITING trial for the slot of `trial_id`; the study must be locked.

    It carries the highest reached step, by which progress is detected. After progress the count of
    losses restarts, independent of how the trial ended.

    Args:
        changes: Attributes that differ from its predecessor; the value None drops one.

    Returns:
        The number of the new trial.
    """
    user = read_carried(connection, trial_id)
    highest = highest_step(connection, trial_id)
    if highest > user.get(attrs.REACHED, -1):
        user |= {attrs.REACHED: highest, attrs.LOSSES: None}
    user |= changes or {}
    user = {key: value for key, value in user.items() if value is not None}
    fixed = sa.select(SYSTEM_ATTRS.c.value_json).where(
        SYSTEM_ATTRS.c.trial_id == trial_id, SYSTEM_ATTRS.c.key == attrs.FIXED_PARAMS
    )
    params = [attrs.decode(text) for text in connection.execute(fixed).scalars()]
    return insert_waiting(connection, study_id, [user], params)[0]


def read_carried(connection: Connection, trial_id: int) -> dict[str, Any]:
    """Return the attributes that the next attempt at the slot copies.

    An invalid slot is copied, too, so that its claim raises an error.
    """
    carried = sa.select(USER_ATTRS.c.key, USER_ATTRS.c.value_json).where(
        USER_ATTRS.c.trial_id == trial_id, USER_ATTRS.c.key.in_(attrs.CARRIED)
    )
    found = {key: attrs.decode(text) for key, text in connection.execute(carried)}
    return {
        key: value
        for key, value in found.items()
        if key == attrs.SLOT or attrs.known(key, value) is not None
    }


def highest_step(connection: Connection, trial_id: int) -> int:
    """Return the highest reported step of a trial, or -1."""
    query = sa.select(sa.func.max(REPORTS.c.step)).where(REPORTS.c.trial_id == trial_id)
    found = connection.execute(query).scalar()
    return -1 if found is None else int(found)


def _attr_rows(items: Iterable[tuple[int, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    return [row for trial_id, own in items for row in attr_rows(own, {"trial_id": trial_id})]


def _running(study_id: int, trial_id: int | None, *columns: Any) -> sa.Select[Any]:
    """Return a query of the RUNNING trials of a study, or of one trial, by number."""
    query = (
        sa.select(TRIALS.c.trial_id, TRIALS.c.number, *columns)
        .where(TRIALS.c.study_id == study_id, TRIALS.c.state == TrialState.RUNNING)
        .order_by(TRIALS.c.number)
    )
    return query if trial_id is None else query.where(TRIALS.c.trial_id == trial_id)


def find_stale(
    connection: Connection, study_id: int, grace_s: float, trial_id: int | None = None
) -> list[tuple[int, int]]:
    """Return (trial id, number) of RUNNING trials with a slot and no heartbeat for `grace_s`.

    The age of a RUNNING row without a heartbeat (of a plain Optuna worker) counts from its start.
    """
    seen = sa.func.coalesce(HEARTBEATS.c.heartbeat, TRIALS.c.datetime_start)
    seen.type = TRIALS.c.datetime_start.type
    query = (
        _running(study_id, trial_id, seen, database_of(connection).clock)
        .outerjoin(HEARTBEATS, HEARTBEATS.c.trial_id == TRIALS.c.trial_id)
        .where(has_attr(attrs.SLOT))
    )
    grace = timedelta(seconds=grace_s)
    return [
        (row[0], row[1])
        for row in connection.execute(query)
        if row[2] is None or row[3] - row[2] > grace
    ]


def find_running_of(
    connection: Connection, study_id: int, worker: str, trial_id: int | None = None
) -> list[tuple[int, int]]:
    """Return (trial id, number) of the RUNNING trials that a worker claimed."""
    query = (
        _running(study_id, trial_id)
        .join(USER_ATTRS, USER_ATTRS.c.trial_id == TRIALS.c.trial_id)
        .where(USER_ATTRS.c.key == attrs.WORKER, USER_ATTRS.c.value_json == json.dumps(worker))
    )
    return [(row[0], row[1]) for row in connection.execute(query)]


def count_ended_by(connection: Connection, study_id: int, workers: Sequence[str]) -> int:
    """Return how many trials these workers ended themselves, without those given back."""
    worker, reason = attr_of(attrs.WORKER), attr_of(attrs.REASON)
    given_back = [json.dumps(end.reason) for end in ends.ENDS.values() if end.is_given_back]
    query = (
        sa.select(sa.func.count())
        .select_from(TRIALS)
        .join(worker, worker.c.trial_id == TRIALS.c.trial_id)
        .outerjoin(reason, reason.c.trial_id == TRIALS.c.trial_id)
        .where(TRIALS.c.study_id == study_id, TRIALS.c.state.in_(FINISHED))
        .where(sa.func.coalesce(reason.c.value_json, "").notin_(given_back))
        .where(worker.c.value_json.in_([json.dumps(name) for name in workers]))
        .where(has_attr(attrs.ENDED))
    )
    return int(connection.execute(query).scalar_one())


def find_newest_failed(connection: Connection, study_id: int, numbers: Sequence[int]) -> list[int]:
    """Return the ids of those trials that are FAIL and the newest of their slot, by number."""
    failed = sa.and_(TRIALS.c.state == TrialState.FAIL, TRIALS.c.number.in_(list(numbers)))
    return _newest_where(connection, study_id, failed)


def fail(connection: Connection, trial_id: int) -> bool:
    """Finish a RUNNING trial as FAIL without its token; return whether it was RUNNING."""
    statement = (
        TRIALS.update()
        .where(TRIALS.c.trial_id == trial_id, TRIALS.c.state == TrialState.RUNNING)
        .values(state=TrialState.FAIL, datetime_complete=database_of(connection).clock)
    )
    return connection.execute(statement).rowcount > 0


def lowest_unfinished(connection: Connection, study_id: int) -> int:
    """Return the lowest number of an unfinished trial, or the number of the next trial."""
    mine = TRIALS.c.study_id == study_id
    highest = connection.execute(sa.select(sa.func.max(TRIALS.c.number)).where(mine)).scalar()
    found = [0 if highest is None else highest + 1]
    for state in UNFINISHED:  # one query per state, which the index answers
        lowest = sa.select(sa.func.min(TRIALS.c.number)).where(mine, TRIALS.c.state == state)
        found += [n for n in connection.execute(lowest).scalars() if n is not None]
    return min(found)


def find_ended_from_outside(connection: Connection, study_id: int, from_number: int) -> list[int]:
    """Return the newest trial id of each slot whose newest row another program ended.

    A row that this program ended has a claim token or a reason. Only trials from `from_number` on
    are checked.
    """
    theirs = sa.and_(
        TRIALS.c.number >= from_number,
        TRIALS.c.state.in_(FINISHED),
        ~has_attr(attrs.REASON),
        ~has_attr(attrs.ENDED),
    )
    return _newest_where(connection, study_id, theirs)


def _newest_where(
    connection: Connection, study_id: int, condition: sa.ColumnElement[bool]
) -> list[int]:
    """Return the ids of trials that fulfil a condition and are the newest of their slot."""
    slot = attr_of(attrs.SLOT)
    mine = slot.c.trial_id == TRIALS.c.trial_id
    query = sa.select(slot.c.value_json, TRIALS.c.trial_id).join(slot, mine)
    query = query.where(TRIALS.c.study_id == study_id, condition).order_by(TRIALS.c.number)
    found = {row[0]: row[1] for row in connection.execute(query)}
    if not found:
        return []
    later = (
        sa.select(slot.c.value_json, sa.func.max(TRIALS.c.trial_id))
        .join(slot, mine)
        .where(TRIALS.c.study_id == study_id, TRIALS.c.trial_id >= min(found.values()))
        .group_by(slot.c.value_json)
    )
    newest = {row[0]: row[1] for row in connection.execute(later)}
    return [trial_id for text, trial_id in found.items() if newest[text] == trial_id]


def is_added(
    connection: Connection, study_id: int, number: int, slot: int, params: Mapping[str, Any]
) -> bool:
    """Whether the trial with this number belongs to the slot and has these fixed params."""
    user, system = attr_of(attrs.SLOT), sa.alias(SYSTEM_ATTRS)
    query = (
        sa.select(user.c.value_json, system.c.value_json)
        .join_from(TRIALS, user, user.c.trial_id == TRIALS.c.trial_id)
        .join(system, system.c.trial_id == TRIALS.c.trial_id)
        .where(TRIALS.c.study_id == study_id, TRIALS.c.number == number)
        .where(system.c.key == attrs.FIXED_PARAMS)
    )
    row = connection.execute(query).first()
    return row is not None and tuple(row) == (json.dumps(slot), json.dumps(dict(params)))
