"""SQL statements of one attempt: claim, report, heartbeat, end. They run for every epoch.

Each runs inside a transaction that its caller opened, and every write after the claim carries the
fence. Which of them form a transaction is decided in `slots.py`.
"""

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from optuna.distributions import BaseDistribution
from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy.engine import Connection, Engine

from storage import attrs
from storage.database import tables
from storage.database.base import Database
from storage.database.engine import database_of
from storage.database.statement import run
from storage.database.tables import (
    HEARTBEATS,
    PARAMS,
    REPORTS,
    STUDY_ATTRS,
    SYSTEM_ATTRS,
    TRIALS,
    USER_ATTRS,
    VALUES,
    attr_rows,
    internal_params,
    read,
)
from storage.errors import StorageError

PIECE = 60_000  # characters; MySQL's TEXT ends at 65,535 bytes

Found = tuple[int, int, dict[str, Any]]
"""Trial id, number, and attributes as `read_attrs` returns them."""

# Literals, not parameters: PostgreSQL's plans for any value do not know how rare a state is.
WAITING: Any = sa.literal_column(f"'{TrialState.WAITING.name}'", TRIALS.c.state.type)
RUNNING: Any = sa.literal_column(f"'{TrialState.RUNNING.name}'", TRIALS.c.state.type)


def _bound(name: str, column: Any) -> Any:
    return sa.bindparam(name, type_=column.type)


def _fence() -> sa.ColumnElement[bool]:
    """The condition under which an attempt may write: its row is RUNNING under its token."""
    held = sa.exists().where(
        USER_ATTRS.c.trial_id == TRIALS.c.trial_id,
        USER_ATTRS.c.key == attrs.CLAIM,
        USER_ATTRS.c.value_json == sa.bindparam("token_json"),
    )
    return sa.and_(TRIALS.c.trial_id == sa.bindparam("of"), TRIALS.c.state == RUNNING, held)


def _lowest(database: Database) -> Any:
    # A scalar subquery, not EXISTS: that may become a join, which reads every WAITING trial.
    slot = sa.select(USER_ATTRS.c.value_json).where(
        USER_ATTRS.c.trial_id == TRIALS.c.trial_id, USER_ATTRS.c.key == attrs.SLOT
    )
    token = _bound("token_json", STUDY_ATTRS.c.value_json)
    same_study = sa.exists().where(
        STUDY_ATTRS.c.study_id == sa.bindparam("study_id"),
        STUDY_ATTRS.c.key == attrs.TOKEN,
        STUDY_ATTRS.c.value_json == token,
    )
    query = (
        sa.select(TRIALS.c.trial_id, TRIALS.c.number)
        .where(TRIALS.c.study_id == sa.bindparam("study_id"), TRIALS.c.state == WAITING)
        .where(slot.scalar_subquery().is_not(None), sa.or_(token.is_(None), same_study))
        .order_by(TRIALS.c.number)
        .limit(sa.literal_column("1"))
    )
    return database.lock(query, TRIALS, skip_locked=True)


def _attrs(database: Database) -> Any:
    user, system = (
        sa.select(table.c.key, table.c.value_json).where(
            table.c.trial_id == sa.bindparam("trial_id")
        )
        for table in (USER_ATTRS, SYSTEM_ATTRS)
    )
    return user.union_all(system.where(SYSTEM_ATTRS.c.key == attrs.FIXED_PARAMS))


def _start(database: Database) -> Any:
    mine = TRIALS.c.trial_id == sa.bindparam("of")
    return TRIALS.update().where(mine).values(state=RUNNING, datetime_start=database.clock)


def _report(database: Database) -> Any:
    names = ["step", "intermediate_value", "intermediate_value_type"]
    columns = [_bound(name, REPORTS.c[name]).label(name) for name in names]
    source = database.unflushed(sa.select(TRIALS.c.trial_id, *columns).where(_fence()))
    # Locked: else a report could slip in beside the worker that fails this trial.
    locked = database.lock(source, TRIALS, read=True)
    insert = database.insert(REPORTS).from_select(["trial_id", *names], locked)
    return database.replace(insert, ["trial_id", "step"], names[1:])


def _end(database: Database) -> Any:
    state = _bound("ended_as", TRIALS.c.state)
    return TRIALS.update().where(_fence()).values(state=state, datetime_complete=database.clock)


def _beat(database: Database) -> Any:
    held = sa.select(TRIALS.c.trial_id).where(_fence()).scalar_subquery()
    mine = HEARTBEATS.c.trial_id == held
    return HEARTBEATS.update().where(mine).values(heartbeat=database.clock)


def lock_lowest_waiting(connection: Connection, study_id: int, token: str | None) -> Found | None:
    """Lock and return the lowest WAITING slot that nobody else has locked.

    Args:
        token: The study's token: nothing is found if the study has another; None skips the check.
    """
    token_json = None if token is None else json.dumps(token)
    wanted = {"study_id": study_id, "token_json": token_json}
    rows = run(connection, _lowest, wanted).rows
    return (*rows[0], read_attrs(connection, rows[0][0])) if rows else None


def find_by_token(connection: Connection, study_id: int, token: str) -> Found | None:
    """Return the RUNNING trial that was claimed under `token`."""
    query = (
        sa.select(TRIALS.c.trial_id, TRIALS.c.number)
        .join(USER_ATTRS, USER_ATTRS.c.trial_id == TRIALS.c.trial_id)
        .where(TRIALS.c.study_id == study_id, TRIALS.c.state == RUNNING)
        .where(USER_ATTRS.c.key == attrs.CLAIM, USER_ATTRS.c.value_json == json.dumps(token))
    )
    row = connection.execute(query).first()
    return None if row is None else (row[0], row[1], read_attrs(connection, row[0]))


def read_attrs(connection: Connection, trial_id: int) -> dict[str, Any]:
    """Return the user attributes of a trial, and its given params under `FIXED_PARAMS`."""
    found = run(connection, _attrs, {"trial_id": trial_id})
    return {key: attrs.decode(text) for key, text in found.rows}


def start(
    connection: Connection,
    trial_id: int,
    user_attrs: Mapping[str, Any],
    params: Mapping[str, Any],
    distributions: Mapping[str, BaseDistribution],
) -> None:
    """Make a locked WAITING trial RUNNING, with its first heartbeat, attributes and params."""
    rows: dict[sa.Table, list[dict[str, Any]]] = {
        HEARTBEATS: [{}],
        USER_ATTRS: attr_rows(user_attrs, {}),
        PARAMS: [
            {"param_name": name, "param_value": value, "distribution_json": text}
            for name, value, text in internal_params(params, distributions)
        ],
    }
    tables.update_trial(connection, _start, {"of": trial_id}, rows)


def write_attrs(connection: Connection, trial_id: int, values: Mapping[str, Any]) -> None:
    """Write user attributes of a trial that the caller holds."""
    tables.write_attrs(connection, USER_ATTRS, {"trial_id": trial_id}, values)


def insert_report(
    connection: Connection, trial_id: int, token: str, step: int, value: float
) -> bool:
    """Write an intermediate value under the fence; return whether the fence let it through."""
    values = {"of": trial_id, "token_json": json.dumps(token), **_report_row(step, value)}
    return run(connection, _report, values).n_changed > 0


def end(
    connection: Connection,
    trial_id: int,
    token: str,
    state: TrialState,
    value: float | None,
    user_attrs: Mapping[str, Any],
    reports: Mapping[int, float] | None = None,
    kept: bytes | None = None,
) -> bool:
    """Finish a trial under the fence; return whether the fence let it through.

    Args:
        reports: All that the attempt reported. Those that a crashed server has lost are written.
        kept: What `read_kept` is to return.
    """
    ended = {"of": trial_id, "token_json": json.dumps(token), "ended_as": state}
    rows = {USER_ATTRS: attr_rows(user_attrs, {})}
    if value is not None:
        stored, kind = models.TrialValueModel.value_to_stored_repr(value)
        rows[VALUES] = [{"objective": 0, "value": stored, "value_type": kind}]
    if reports and database_of(connection).may_lose_reports:
        rows[REPORTS] = [_report_row(*one) for one in reports.items()]
    if kept is not None:
        rows[SYSTEM_ATTRS] = _kept_rows(kept)
    return tables.update_trial(connection, _end, ended, rows)


def _kept_rows(content: bytes) -> list[dict[str, Any]]:
    text = base64.b85encode(content).decode("ascii")
    pieces = [text[start : start + PIECE] for start in range(0, max(1, len(text)), PIECE)]
    return attr_rows({f"{attrs.KEPT}{n:05d}": piece for n, piece in enumerate(pieces)}, {})


def _report_row(step: int, value: float) -> dict[str, Any]:
    stored, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)
    return {"step": step, "intermediate_value": stored, "intermediate_value_type": kind}


def is_ended_as(
    connection: Connection, trial_id: int, token: str, state: TrialState, reason: str | None
) -> bool:
    """Whether the trial was finished with `state` under this token, and FAIL for `reason`."""
    query = sa.select(TRIALS.c.state).where(TRIALS.c.trial_id == trial_id)
    if connection.execute(query).scalar() != state:
        return False
    found = read_attrs(connection, trial_id)
    return found.get(attrs.CLAIM) == token and found.get(attrs.REASON) == reason


def update_heartbeat(connection: Connection, trial_id: int, token: str) -> bool:
    """Write the heartbeat under the fence; return whether the fence let it through."""
    mine = {"of": trial_id, "token_json": json.dumps(token)}
    return run(connection, _beat, mine).n_changed > 0


def read_kept(
    engine: Engine, trial_ids: Iterable[int], *, wait_s: float = 60.0
) -> dict[int, bytes]:
    """Return trial id to what was kept of it; trials of which nothing was are left out."""
    query = (
        sa.select(SYSTEM_ATTRS.c.trial_id, SYSTEM_ATTRS.c.value_json)
        .where(SYSTEM_ATTRS.c.trial_id.in_(list(trial_ids)))
        .where(SYSTEM_ATTRS.c.key.startswith(attrs.KEPT, autoescape=True))
        .order_by(SYSTEM_ATTRS.c.trial_id, SYSTEM_ATTRS.c.key)
    )

    def look(connection: Connection) -> dict[int, bytes]:
        texts: dict[int, str] = {}
        for trial_id, piece in connection.execute(query):
            texts[trial_id] = texts.get(trial_id, "") + str(attrs.decode(piece))
        try:
            return {trial_id: base64.b85decode(text) for trial_id, text in texts.items()}
        except ValueError:
            raise StorageError(
                "another program changed the stored predictions of a training: they cannot be read",
                "study delete --study NAME.finalize   (then finalize trains again)",
            ) from None

    return read(engine, look, wait_s=wait_s)
