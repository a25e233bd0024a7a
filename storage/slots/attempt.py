"""The statements of one attempt: claim, report, beat, end. The hot path.

Each runs inside a transaction that its caller opened; every write after the claim carries the fence
in the statement itself. What belongs into one transaction, and why, is decided in `slots.py`; rows
that are inserted or requeued are `rows.py`'s.
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
from storage.database.dialect import clock
from storage.database.statement import Statement
from storage.database.tables import (
    HEARTBEATS,
    INSERTS,
    PARAMS,
    REPORTS,
    STUDY_ATTRS,
    SYSTEM_ATTRS,
    TRIALS,
    USER_ATTRS,
    VALUES,
    on_conflict_replace,
)
from storage.database.transaction import patiently
from storage.errors import StorageError
from storage.slots import postgres

PIECE = 60_000  # characters; MySQL's TEXT ends at 65,535 bytes


# Literals, not parameters: PostgreSQL's plans for any value do not know how rare a state is.
WAITING: Any = sa.literal_column(f"'{TrialState.WAITING.name}'")
RUNNING: Any = sa.literal_column(f"'{TrialState.RUNNING.name}'")


def _lowest(dialect: str) -> Any:
    # A scalar subquery, not EXISTS: that may become a join, which reads every WAITING trial.
    slot = sa.select(USER_ATTRS.c.value_json).where(
        USER_ATTRS.c.trial_id == TRIALS.c.trial_id, USER_ATTRS.c.key == attrs.SLOT
    )
    study_id: Any = sa.bindparam("study_id")
    token: Any = sa.bindparam("token_json", type_=sa.Text())
    same_study = sa.exists().where(
        STUDY_ATTRS.c.study_id == study_id,
        STUDY_ATTRS.c.key == attrs.TOKEN,
        STUDY_ATTRS.c.value_json == token,
    )
    query = (
        sa.select(TRIALS.c.trial_id, TRIALS.c.number)
        .where(TRIALS.c.study_id == study_id, TRIALS.c.state == WAITING)
        .where(slot.scalar_subquery().is_not(None), sa.or_(token.is_(None), same_study))
        .order_by(TRIALS.c.number)
        .limit(sa.literal_column("1"))
    )
    of = None if dialect == "mysql" else TRIALS  # MariaDB has no `OF`
    return query.with_for_update(skip_locked=True, of=of)


def _of_token(_dialect: str) -> Any:
    return (
        sa.select(TRIALS.c.trial_id, TRIALS.c.number)
        .join(USER_ATTRS, USER_ATTRS.c.trial_id == TRIALS.c.trial_id)
        .where(TRIALS.c.study_id == sa.bindparam("study_id"), TRIALS.c.state == RUNNING)
        .where(USER_ATTRS.c.key == attrs.CLAIM)
        .where(USER_ATTRS.c.value_json == sa.bindparam("token_json"))
    )


def _attrs(_dialect: str) -> Any:
    user, system = (
        sa.select(table.c.key, table.c.value_json).where(
            table.c.trial_id == sa.bindparam("trial_id")
        )
        for table in (USER_ATTRS, SYSTEM_ATTRS)
    )
    return user.union_all(system.where(SYSTEM_ATTRS.c.key == attrs.FIXED_PARAMS))


def _start(dialect: str) -> Any:
    return (
        TRIALS.update()
        .where(TRIALS.c.trial_id == sa.bindparam("claimed"))
        .values(state=RUNNING, datetime_start=clock(dialect))
    )


def _first_beat(dialect: str) -> Any:
    values = {"trial_id": sa.bindparam("claimed"), "heartbeat": clock(dialect)}
    insert = INSERTS[dialect](HEARTBEATS).values(values)
    return on_conflict_replace(insert, ["trial_id"], ["heartbeat"])


def _attr(dialect: str) -> Any:
    # Replaced rather than refused: anybody may have set an attribute of the same key.
    insert = INSERTS[dialect](USER_ATTRS).values(
        trial_id=sa.bindparam("of"), key=sa.bindparam("named"), value_json=sa.bindparam("text")
    )
    return on_conflict_replace(insert, ["trial_id", "key"], ["value_json"])


def _param(dialect: str) -> Any:
    # Replaced rather than refused: Optuna's own retry makes WAITING rows that have params.
    insert = INSERTS[dialect](PARAMS).values(
        trial_id=sa.bindparam("of"),
        param_name=sa.bindparam("named"),
        param_value=sa.bindparam("internal"),
        distribution_json=sa.bindparam("text"),
    )
    names = ["trial_id", "param_name"]
    return on_conflict_replace(insert, names, ["param_value", "distribution_json"])


def _fence() -> sa.ColumnElement[bool]:
    """The condition under which an attempt may write: its row is RUNNING under its token."""
    held = sa.exists().where(
        USER_ATTRS.c.trial_id == TRIALS.c.trial_id,
        USER_ATTRS.c.key == attrs.CLAIM,
        USER_ATTRS.c.value_json == sa.bindparam("token_json"),
    )
    mine = TRIALS.c.trial_id == sa.bindparam("of")
    return sa.and_(mine, TRIALS.c.state == RUNNING, held)


def _report(dialect: str) -> Any:
    row = {
        "step": sa.bindparam("at", type_=REPORTS.c.step.type),
        "intermediate_value": sa.bindparam("stored", type_=REPORTS.c.intermediate_value.type),
        "intermediate_value_type": sa.bindparam(
            "kind", type_=REPORTS.c.intermediate_value_type.type
        ),
    }
    columns = [item.label(name) for name, item in row.items()]
    source = sa.select(TRIALS.c.trial_id, *columns).where(_fence())
    if dialect == "postgresql":
        # A report may be lost with the server's power: `finish` flushes all that was before it.
        source = source.where(sa.func.set_config("synchronous_commit", "off", True) == "off")
    if dialect != "sqlite":
        # Else a report could slip in beside the one who fails this trial.
        source = source.with_for_update(read=True, of=None if dialect == "mysql" else TRIALS)
    names = ["trial_id", *row]
    insert = INSERTS[dialect](REPORTS).from_select(names, source)
    return on_conflict_replace(insert, ["trial_id", "step"], names[2:])


def _end(dialect: str) -> Any:
    state = sa.bindparam("ended_as", type_=TRIALS.c.state.type)
    return TRIALS.update().where(_fence()).values(state=state, datetime_complete=clock(dialect))


def _value(dialect: str) -> Any:
    # Replaced rather than inserted: a stranger may have set a value without finishing the trial.
    insert = INSERTS[dialect](VALUES).values(
        trial_id=sa.bindparam("of"),
        objective=sa.literal_column("0"),
        value=sa.bindparam("stored"),
        value_type=sa.bindparam("kind"),
    )
    return on_conflict_replace(insert, ["trial_id", "objective"], ["value", "value_type"])


def _beat(dialect: str) -> Any:
    held = sa.select(TRIALS.c.trial_id).where(_fence()).scalar_subquery()
    return HEARTBEATS.update().where(HEARTBEATS.c.trial_id == held).values(heartbeat=clock(dialect))


LOWEST, OF_TOKEN, ATTRS = Statement(_lowest), Statement(_of_token), Statement(_attrs)
START, FIRST_BEAT = Statement(_start), Statement(_first_beat)
ATTR, PARAM = Statement(_attr), Statement(_param)
REPORT, END, VALUE, BEAT = Statement(_report), Statement(_end), Statement(_value), Statement(_beat)


def lock_lowest_waiting(
    connection: Connection, study_id: int, token: str | None
) -> tuple[int, int, dict[str, Any]] | None:
    """Lock the lowest WAITING slot that nobody else has locked.

    Args:
        token: Of the study: none is found where it has another; None asks for none.

    Returns:
        Its trial id, its number, and what `read_attrs` returns; None where there is none.
    """
    if connection.dialect.name == "postgresql":
        return postgres.lock_lowest_waiting(connection, study_id, token)
    token_json = None if token is None else json.dumps(token)
    found = LOWEST.rows(connection, study_id=study_id, token_json=token_json)
    return (*found[0], read_attrs(connection, found[0][0])) if found else None


def find_by_token(
    connection: Connection, study_id: int, token: str
) -> tuple[int, int, dict[str, Any]] | None:
    """Return the RUNNING trial that was claimed under `token`, as `lock_lowest_waiting` does."""
    found = OF_TOKEN.rows(connection, study_id=study_id, token_json=json.dumps(token))
    return (*found[0], read_attrs(connection, found[0][0])) if found else None


def read_attrs(connection: Connection, trial_id: int) -> dict[str, Any]:
    """Return the user attributes of a trial, and its given params under `FIXED_PARAMS`."""
    found = ATTRS.rows(connection, trial_id=trial_id)
    return {key: attrs.decode(text) for key, text in found}


def start(
    connection: Connection,
    trial_id: int,
    user_attrs: Mapping[str, Any],
    params: Mapping[str, Any],
    distributions: Mapping[str, BaseDistribution],
) -> None:
    """Make a locked WAITING trial RUNNING, with its first heartbeat, attributes and params."""
    if connection.dialect.name == "postgresql":
        postgres.start(connection, trial_id, user_attrs, params, distributions)
        return
    START.run(connection, claimed=trial_id)
    FIRST_BEAT.run(connection, claimed=trial_id)
    write_attrs(connection, trial_id, user_attrs)
    drawn = tables.internal_params(params, distributions)
    PARAM.run_many(
        connection,
        [{"of": trial_id, "named": n, "internal": i, "text": text} for n, i, text in drawn],
    )


def write_attrs(connection: Connection, trial_id: int, values: Mapping[str, Any]) -> None:
    """Write user attributes of a trial that the caller holds."""
    ATTR.run_many(
        connection,
        [{"of": trial_id, "named": k, "text": json.dumps(v)} for k, v in values.items()],
    )


def insert_report(
    connection: Connection, trial_id: int, token: str, step: int, value: float
) -> bool:
    """Write an intermediate value under the fence; return whether the fence let it through."""
    stored, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)
    token_json = json.dumps(token)
    result = REPORT.run(
        connection, of=trial_id, token_json=token_json, at=step, stored=stored, kind=kind.name
    )
    return bool(result.rowcount > 0)


def end(
    connection: Connection,
    trial_id: int,
    token: str,
    state: TrialState,
    value: float | None,
    user_attrs: Mapping[str, Any],
    reports: Mapping[int, float] | None = None,
) -> bool:
    """Finish a trial under the fence; return whether the fence let it through.

    Args:
        reports: All that the attempt reported. PostgreSQL alone may have lost some of them.
    """
    if connection.dialect.name == "postgresql":
        return postgres.end(connection, trial_id, token, state, value, user_attrs, reports or {})
    token_json = json.dumps(token)
    result = END.run(connection, of=trial_id, token_json=token_json, ended_as=state.name)
    if result.rowcount == 0:
        return False
    write_attrs(connection, trial_id, user_attrs)
    if value is not None:
        stored, kind = models.TrialValueModel.value_to_stored_repr(value)
        VALUE.run(connection, of=trial_id, stored=stored, kind=kind.name)
    return True


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
    result = BEAT.run(connection, of=trial_id, token_json=json.dumps(token))
    return bool(result.rowcount > 0)


def write_kept(connection: Connection, trial_id: int, content: bytes) -> None:
    """Write what is kept of a trial that the caller has just finished."""
    text = base64.b85encode(content).decode("ascii")
    pieces = [text[start : start + PIECE] for start in range(0, max(1, len(text)), PIECE)]
    connection.execute(
        SYSTEM_ATTRS.insert(),
        [
            {
                "trial_id": trial_id,
                "key": f"{attrs.KEPT}{number:05d}",
                "value_json": json.dumps(piece),
            }
            for number, piece in enumerate(pieces)
        ],
    )


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

    def read() -> dict[int, bytes]:
        texts: dict[int, str] = {}
        with engine.connect() as connection:
            for trial_id, piece in connection.execute(query):
                texts[trial_id] = texts.get(trial_id, "") + str(attrs.decode(piece))
        try:
            return {trial_id: base64.b85decode(text) for trial_id, text in texts.items()}
        except ValueError:
            raise StorageError(
                "somebody has changed what is kept of a training: it cannot be read",
                "study delete --study NAME.finalize   (then finalize trains anew)",
            ) from None

    return patiently(read, wait_s=wait_s)
