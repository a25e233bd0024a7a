"""Copy a study with its slots to another database, in one transaction there.

A RUNNING attempt becomes WAITING in the copy, because its worker cannot follow. The copy gets its
own token, which names its folder in a work dir. The source is read in a snapshot, so workers may go
on there. Rows are copied table by table, in batches.
"""

import json
import re
import secrets
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError

from storage import attrs
from storage.database.engine import database_of
from storage.database.failures import is_passing
from storage.database.password import redact
from storage.database.rdbstorage import MOST_IDS_A_QUERY
from storage.database.tables import (
    HEARTBEATS,
    PARAMS,
    REPORTS,
    STUDIES,
    STUDY_ATTRS,
    SYSTEM_ATTRS,
    TRIALS,
    USER_ATTRS,
    VALUES,
    attr_rows,
)
from storage.database.transaction import write
from storage.errors import StorageError, StorageUnavailableError
from storage.rdb import SlotStorage

ROWS_A_BATCH = 2_000
MOST_NAMES_SHOWN = 20

DIRECTIONS = models.StudyDirectionModel.__table__
STUDY_SYSTEM_ATTRS = models.StudySystemAttributeModel.__table__
OF_A_TRIAL = (PARAMS, VALUES, REPORTS, USER_ATTRS, SYSTEM_ATTRS, HEARTBEATS)

# Attributes that are copied of a RUNNING trial; rows of other tables are not.
KEPT_OF_RUNNING: Mapping[sa.Table, Sequence[str]] = {
    USER_ATTRS: attrs.CARRIED,
    SYSTEM_ATTRS: (attrs.FIXED_PARAMS,),
}

# Study system attributes that name trials by id, which changes in the copy: notes, artifacts and
# skipped trials of optuna-dashboard in the key, a generation's parents in the value.
TRIAL_ID_IN_KEY = re.compile(
    r"(?P<before>dashboard:(?:artifacts:)?|preference:skip_trial:)(?P<id>\d+)(?P<after>:.*)?",
    re.DOTALL,
)
TRIAL_IDS_IN_VALUE = re.compile(r"\w+:parent:\d+")


def copy_study(
    source: SlotStorage, target: SlotStorage, name: str, new_name: str | None = None
) -> int:
    """Copy a study with its trials to another storage, or to the same one under another name.

    Trials keep their numbers, states, times, params, values, reports, attributes and heartbeats. A
    RUNNING trial becomes a WAITING trial of the same slot and attempt. The copy is complete and
    durable, or does not exist. Times are exact to the microsecond, except in MySQL tables that
    plain Optuna created, which store seconds.

    Args:
        name: The study's name in `source`, which is only read.
        new_name: The copy's name; None: `name`.

    Returns:
        The number of copied trials.

    Raises:
        StorageError: `source` has no such study, or `target` has that name already or cannot store
            it.
        StorageUnavailableError: One of the databases was unreachable for too long.
    """
    copied_as = new_name or name
    made: set[int] = set()  # ids that earlier tries gave to the copy

    def body(writing: Connection) -> int:
        with _snapshot(source.engine) as reading:
            study_id = _find_study(reading, source.url, name)
            # An earlier commit may have succeeded although its answer was lost.
            if _id_of(writing, copied_as) in made:
                return len(_trial_ids(reading, study_id))
            new_study_id = _insert_study(writing, target.url, copied_as)
            made.add(new_study_id)
            new_ids = _copy_trials(reading, writing, study_id, new_study_id)
            _copy_study_rows(reading, writing, study_id, new_study_id, new_ids)
            return len(new_ids)

    try:
        return write(target.engine, body, durable=True)
    except DBAPIError as error:
        reason = str(error.orig).strip().splitlines()[0]
        where = f"from {redact(source.url)} to {redact(target.url)}"
        kind = StorageUnavailableError if is_passing(error) else StorageError
        raise kind(f"cannot copy study '{name}' {where}: {reason}") from error


@contextmanager
def _snapshot(engine: Engine) -> Iterator[Connection]:
    """Open a connection on which all statements see the database as of the first statement."""
    with engine.connect() as connection:
        database_of(engine).begin_snapshot(connection)
        yield connection


def _find_study(reading: Connection, url: str, name: str) -> int:
    query = sa.select(STUDIES.c.study_name, STUDIES.c.study_id).order_by(STUDIES.c.study_id)
    found = {row.study_name: row.study_id for row in reading.execute(query)}
    if name in found:
        return int(found[name])
    there = [f"'{other}'" for other in found]
    if len(there) > MOST_NAMES_SHOWN:
        there[MOST_NAMES_SHOWN:] = [f"and {len(there) - MOST_NAMES_SHOWN} more"]
    hint = "name another --storage"
    if found:
        hint = f"name one of them: --study {shlex.quote(next(iter(found)))}"
    holds = ", ".join(there) or "none"
    raise StorageError(f"there is no study '{name}' in {redact(url)}; it has {holds}", hint)


def _id_of(writing: Connection, name: str) -> int | None:
    query = sa.select(STUDIES.c.study_id).where(STUDIES.c.study_name == name)
    return writing.execute(query).scalar()


def _insert_study(writing: Connection, url: str, name: str) -> int:
    """Insert the study's row; its unique name decides between concurrent copies."""
    try:
        writing.execute(STUDIES.insert().values(study_name=name))
    except IntegrityError:
        raise StorageError(
            f"there is a study '{name}' in {redact(url)} already",
            "--to-study NAME, another name in that database",
        ) from None
    new_study_id = _id_of(writing, name)
    if new_study_id is None:
        raise StorageError(f"study '{name}' in {redact(url)} was deleted while it was copied")
    return new_study_id


def _trial_ids(reading: Connection, study_id: int) -> Sequence[int]:
    query = sa.select(TRIALS.c.trial_id).where(TRIALS.c.study_id == study_id)
    return reading.execute(query.order_by(TRIALS.c.number, TRIALS.c.trial_id)).scalars().all()


def _copy_trials(
    reading: Connection, writing: Connection, study_id: int, new_study_id: int
) -> dict[int, int]:
    """Copy the trials with the rows of all other tables; return new ids by old id."""
    ids = _trial_ids(reading, study_id)
    new_ids: dict[int, int] = {}
    for start in range(0, len(ids), MOST_IDS_A_QUERY):
        chunk = ids[start : start + MOST_IDS_A_QUERY]
        last = max(new_ids.values(), default=0)
        running = _copy_rows_of_trials(reading, writing, chunk, new_study_id)
        mine = sa.select(TRIALS.c.trial_id).where(
            TRIALS.c.study_id == new_study_id, TRIALS.c.trial_id > last
        )
        inserted = writing.execute(mine.order_by(TRIALS.c.trial_id)).scalars()
        chunk_ids = dict(zip(chunk, inserted, strict=True))
        for table in OF_A_TRIAL:
            _copy_details(reading, writing, table, chunk_ids, running)
        new_ids |= chunk_ids
    return new_ids


def _copy_rows_of_trials(
    reading: Connection, writing: Connection, chunk: Sequence[int], new_study_id: int
) -> set[int]:
    """Insert the rows of `trials` by number; return the old ids of RUNNING trials."""
    query = sa.select(TRIALS).where(TRIALS.c.trial_id.in_(chunk))
    rows = reading.execute(query.order_by(TRIALS.c.number, TRIALS.c.trial_id)).mappings().all()
    reset = {"state": TrialState.WAITING, "datetime_start": None, "datetime_complete": None}
    running = {row["trial_id"] for row in rows if row["state"] == TrialState.RUNNING}
    new = [
        {**row, "study_id": new_study_id, **(reset if row["trial_id"] in running else {})}
        for row in rows
    ]
    for row in new:
        del row["trial_id"]
    writing.execute(TRIALS.insert(), new)
    return running


def _copy_details(
    reading: Connection,
    writing: Connection,
    table: sa.Table,
    new_ids: Mapping[int, int],
    running: set[int],
) -> None:
    """Copy the rows of `table` that belong to the trials of `new_ids`, in the same order."""
    trial_id = table.c.trial_id
    wanted: sa.ColumnElement[bool] = trial_id.in_([old for old in new_ids if old not in running])
    if running and table in KEPT_OF_RUNNING:
        kept = sa.and_(trial_id.in_(running), table.c.key.in_(KEPT_OF_RUNNING[table]))
        wanted = sa.or_(wanted, kept)
    # Streamed: a trial may have any number of reports.
    query = _all_but_key(table).where(wanted).execution_options(yield_per=ROWS_A_BATCH)
    streamed = reading.execute(query)
    for batch in streamed.mappings().partitions():
        new = [{**row, "trial_id": new_ids[row["trial_id"]]} for row in batch]
        writing.execute(table.insert(), new)


def _copy_study_rows(
    reading: Connection,
    writing: Connection,
    study_id: int,
    new_study_id: int,
    new_ids: Mapping[int, int],
) -> None:
    """Copy directions and attributes of the study itself."""
    for table in (DIRECTIONS, STUDY_ATTRS, STUDY_SYSTEM_ATTRS):
        query = _all_but_key(table).where(table.c.study_id == study_id)
        new = [{**row, "study_id": new_study_id} for row in reading.execute(query).mappings()]
        if table is STUDY_ATTRS:
            new = _with_own_token(new)
        if table is STUDY_SYSTEM_ATTRS:
            new = [_renamed(row, new_ids) for row in new]
        if new:
            writing.execute(table.insert(), new)


def _all_but_key(table: sa.Table) -> sa.Select[Any]:
    """Return a query of all columns except the primary key, in the order of that key."""
    key = table.primary_key.columns.values()[0]
    return sa.select(*(column for column in table.c if column is not key)).order_by(key)


def _with_own_token(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the study attributes with a new token, so that the copy shares no work dir.

    Otherwise each study would delete unknown checkpoints of the other.
    """
    found = {row["key"]: attrs.read(row["key"], row["value_json"]) for row in rows}
    token = found.get(attrs.TOKEN)
    if token is None:  # a study of plain Optuna
        return rows
    changed = {
        attrs.TOKEN: secrets.token_hex(16),
        attrs.COPIED_FROM: [token, *(found.get(attrs.COPIED_FROM) or [])],
    }
    kept = [row for row in rows if row["key"] not in (*changed, attrs.MARKER)]
    return kept + attr_rows(changed, rows[0])


def _renamed(row: dict[str, Any], new_ids: Mapping[int, int]) -> dict[str, Any]:
    """Return a study system attribute with the copy's trial ids in place of the source's."""
    found = TRIAL_ID_IN_KEY.fullmatch(row["key"])
    if found is not None:
        trial_id = new_ids.get(int(found["id"]), int(found["id"]))
        return {**row, "key": f"{found['before']}{trial_id}{found['after'] or ''}"}
    if TRIAL_IDS_IN_VALUE.fullmatch(row["key"]):
        ids = [new_ids.get(old, old) for old in json.loads(row["value_json"])]
        return {**row, "value_json": json.dumps(ids)}
    return row
