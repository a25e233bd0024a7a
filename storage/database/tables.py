"""Optuna's tables, and how their rows are read and written in few statements."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, TypeVar

import sqlalchemy as sa
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy.engine import Connection, Engine

from storage import attrs
from storage.database.base import Database
from storage.database.engine import database_of
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
    """Return a study's attribute, None where it has none."""
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
    rows = [{**owner, "key": key, "value_json": json.dumps(v)} for key, v in values.items()]
    replace_rows(connection, table, rows)


def write_heartbeat(connection: Connection, trial_id: int) -> None:
    replace = replacing(database_of(connection), HEARTBEATS)
    connection.execute(replace, {"trial_id": trial_id})


def replace_rows(
    connection: Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Insert rows; a row that is already there is overwritten.

    Somebody else may have written it: an attribute, a value without an end, the params of a WAITING
    row that Optuna's own retry has made.
    """
    if rows:
        connection.execute(replacing(database_of(connection), table), rows)


@cache
def replacing(database: Database, table: sa.Table) -> Any:
    """Return an insert of one row that overwrites the row of the same unique key."""
    (key,) = (one for one in table.constraints if isinstance(one, sa.UniqueConstraint))
    columns = [column.name for column in table.c if not column.primary_key]
    values: dict[str, Any] = {name: sa.bindparam(name) for name in columns}
    if table is HEARTBEATS:
        values["heartbeat"] = database.clock
    others = [name for name in columns if name not in key.columns]
    return database.replace(database.insert(table).values(values), key.columns.keys(), others)


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
