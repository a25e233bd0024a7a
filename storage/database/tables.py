"""Optuna's tables, and how their rows are read and written in few statements."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import sqlalchemy as sa
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy.engine import Connection, Engine

from storage import attrs
from storage.database.base import Database
from storage.database.engine import database_of
from storage.database.statement import Build, run
from storage.database.transaction import patiently
from storage.errors import StorageError

T = TypeVar("T")

TRIALS = models.TrialModel.__table__
HEARTBEATS = models.TrialHeartbeatModel.__table__
STUDIES = models.StudyModel.__table__
STUDY_ATTRS = models.StudyUserAttributeModel.__table__
USER_ATTRS = models.TrialUserAttributeModel.__table__
SYSTEM_ATTRS = models.TrialSystemAttributeModel.__table__
PARAMS = models.TrialParamModel.__table__
VALUES = models.TrialValueModel.__table__
REPORTS = models.TrialIntermediateValueModel.__table__
UNFINISHED = (TrialState.WAITING, TrialState.RUNNING)
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


def attr_of(key: str) -> Any:
    """Return an alias of the user attributes that holds `key` of a trial; join it by trial id."""
    return sa.select(USER_ATTRS).where(USER_ATTRS.c.key == key).subquery(f"attr_{key}")


def has_attr(key: str) -> sa.Exists:
    """Return the condition that the trial of the enclosing query has the user attribute."""
    return sa.exists().where(USER_ATTRS.c.trial_id == TRIALS.c.trial_id, USER_ATTRS.c.key == key)


def read(engine: Engine, look: Callable[[Connection], T], *, wait_s: float) -> T:
    """Return what `look` reads on a connection; waits for a database that is away."""

    def call() -> T:
        with engine.connect() as connection:
            return look(connection)

    return patiently(call, wait_s=wait_s)


def lock_study(connection: Connection, study_id: int) -> None:
    """Every insert of a trial locks the study first, so that numbers and ids rise together."""
    query = sa.select(STUDIES.c.study_id).where(STUDIES.c.study_id == study_id)
    if connection.execute(query.with_for_update()).first() is None:
        raise StorageError("the study was deleted")


def read_count(connection: Connection, study_id: int, key: str) -> int:
    found = read_study_attr(connection, study_id, key)
    return attrs.count(key, {} if found is None else {key: found})


def read_study_attr(connection: Connection, study_id: int, key: str) -> Any:
    """Return a study's attribute, or None if it has none."""
    query = sa.select(STUDY_ATTRS.c.value_json).where(
        STUDY_ATTRS.c.study_id == study_id, STUDY_ATTRS.c.key == key
    )
    found = connection.execute(query).scalar()
    return None if found is None else attrs.decode(found)


def write_study_attrs(connection: Connection, study_id: int, values: Mapping[str, Any]) -> None:
    write_attrs(connection, STUDY_ATTRS, {"study_id": study_id}, values)


def write_attrs(
    connection: Connection, table: sa.Table, owner: Mapping[str, int], values: Mapping[str, Any]
) -> None:
    """Write attributes of the study or the trial whose id is `owner`."""
    replace_rows(connection, table, attr_rows(values, owner))


def attr_rows(values: Mapping[str, Any], owner: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each attribute of the study or the trial whose id is `owner`."""
    return [{**owner, "key": key, "value_json": json.dumps(v)} for key, v in values.items()]


def write_heartbeat(connection: Connection, trial_id: int) -> None:
    run(connection, _replacing, {"trial_id": trial_id}, HEARTBEATS)


def replace_rows(
    connection: Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Insert rows; a row that is already there is overwritten.

    Other programs may have written a row: an attribute, a value, or the params of a WAITING trial
    that Optuna's own retry created.
    """
    if rows:
        run(connection, _replacing, rows, table)


def update_trial(
    connection: Connection,
    update: Build,
    values: Mapping[str, Any],
    rows: Mapping[sa.Table, Sequence[Mapping[str, Any]]],
) -> bool:
    """Update a trial, and write its rows of other tables; return whether it was updated.

    One statement where the database can do so.

    Args:
        update: Builds the UPDATE. Where it matches no trial, nothing else is written.
        values: The arguments of `update`; `of` is the trial's id.
        rows: Rows of each table as for `replace_rows`, without the trial's id.
    """
    if database_of(connection).joins_writes:
        arrays = {
            f"{table.name}_{name}": [row[name] for row in some]
            for table, some in rows.items()
            for name in _given(table)
        }
        return bool(run(connection, _joined, {**values, **arrays}, update, *rows).rows[0][0])
    if run(connection, update, values).n_changed == 0:
        return False
    for table, some in rows.items():
        replace_rows(connection, table, [{"trial_id": values["of"], **row} for row in some])
    return True


def _replacing(database: Database, table: sa.Table) -> Any:
    """Return an insert of one row that overwrites the row of the same unique key."""
    owner = [name for name in ("trial_id", "study_id") if name in table.c]
    values: dict[str, Any] = {name: sa.bindparam(name) for name in [*owner, *_given(table)]}
    if table is HEARTBEATS:
        values["heartbeat"] = database.clock
    return _overwriting(database, table, database.insert(table).values(values))


def _joined(database: Database, update: Build, *tables: sa.Table) -> Any:
    """Return one statement for `update_trial`: it counts the trials that were updated."""
    updated = update(database).returning(TRIALS.c.trial_id).cte("updated")
    inserts = []
    for table in tables:
        given = _given(table)
        if table is HEARTBEATS:
            source = sa.select(updated.c.trial_id, database.clock)
            names = ["trial_id", "heartbeat"]
        else:
            arrays = database.unnest({f"{table.name}_{n}": table.c[n] for n in given})
            source = sa.select(updated.c.trial_id, arrays).join(arrays, sa.true())
            names = ["trial_id", *given]
        insert = database.insert(table).from_select(names, source)
        if table is REPORTS:  # there already, unless the server has lost them
            insert = insert.on_conflict_do_nothing()
        else:
            insert = _overwriting(database, table, insert)
        inserts.append(insert.cte(f"new_{table.name}"))
    return sa.select(sa.func.count()).select_from(updated).add_cte(*inserts)


def _overwriting(database: Database, table: sa.Table, insert: Any) -> Any:
    (key,) = (one for one in table.constraints if isinstance(one, sa.UniqueConstraint))
    others = [c.name for c in table.c if not c.primary_key and c not in key.columns.values()]
    return database.replace(insert, key.columns.keys(), others)


def _given(table: sa.Table) -> list[str]:
    """Return the columns whose values a caller gives, beside the owner of the row."""
    kept = {"trial_id", "study_id", "heartbeat"}
    return [column.name for column in table.c if not column.primary_key and column.name not in kept]


def internal_params(
    params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]
) -> list[tuple[str, float, str]]:
    """Return (name, Optuna's internal value, distribution as JSON) of each param, in order."""
    return [
        (name, float(distributions[name].to_internal_repr(value)), _to_json(distributions[name]))
        for name, value in params.items()
    ]


@lru_cache(maxsize=256)
def _to_json(distribution: BaseDistribution) -> str:
    return distribution_to_json(distribution)


def read_fixed_params(engine: Engine, study_id: int) -> dict[int, dict[str, Any]]:
    """Return slot to params of the slots that were given some."""
    return read(engine, lambda c: find_given(c, study_id), wait_s=60.0)


def find_given(connection: Connection, study_id: int) -> dict[int, dict[str, Any]]:
    """As `read_fixed_params`, inside a transaction."""
    slot = attr_of(attrs.SLOT)
    query = (
        sa.select(slot.c.value_json, SYSTEM_ATTRS.c.value_json)
        .join_from(TRIALS, slot, slot.c.trial_id == TRIALS.c.trial_id)
        .join(SYSTEM_ATTRS, SYSTEM_ATTRS.c.trial_id == TRIALS.c.trial_id)
        .where(TRIALS.c.study_id == study_id, SYSTEM_ATTRS.c.key == attrs.FIXED_PARAMS)
    )
    found = {
        attrs.read(attrs.SLOT, row[0]): attrs.decode(row[1]) for row in connection.execute(query)
    }
    return {
        slot: params
        for slot, params in found.items()
        if slot is not None and isinstance(params, dict)
    }
