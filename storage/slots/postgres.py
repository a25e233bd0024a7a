"""Claim, report and finish on PostgreSQL with as few round trips as they can have.

Each text is the meaning of the statements of the same name in `attempt.py` in one statement: there,
what a trial costs is not the work but the waiting for answers. A single statement commits by itself
(`write(single=True)`), so a report and a finish are one round trip each, and a claim four. That
both forms leave the same rows is held by `tests/integration/test_claim.py`.
"""

import json
from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy.engine import Connection

from storage import attrs
from storage.database.tables import internal_params

# Literals, not parameters: plans for any value do not know how rare a state is. A scalar subquery,
# not EXISTS: that may become a join, which reads every WAITING trial before it takes one.
LOWEST = f"""
SELECT t.trial_id, t.number,
  (SELECT json_object_agg(key, value_json)::text FROM trial_user_attributes
   WHERE trial_id = t.trial_id),
  (SELECT value_json FROM trial_system_attributes
   WHERE trial_id = t.trial_id AND key = '{attrs.FIXED_PARAMS}')
FROM trials t
WHERE t.study_id = %(study_id)s AND t.state = 'WAITING' AND (
  SELECT value_json FROM trial_user_attributes
  WHERE trial_id = t.trial_id AND key = '{attrs.SLOT}') IS NOT NULL
  AND (%(token_json)s::text IS NULL OR EXISTS (
    SELECT 1 FROM study_user_attributes WHERE study_id = %(study_id)s
    AND key = '{attrs.TOKEN}' AND value_json = %(token_json)s::text))
ORDER BY t.number LIMIT 1 FOR UPDATE OF t SKIP LOCKED
"""

CLAIM = """
WITH beat AS (
  INSERT INTO trial_heartbeats (trial_id, heartbeat)
  VALUES (%(of)s, timezone('UTC', clock_timestamp()))
  ON CONFLICT (trial_id) DO UPDATE SET heartbeat = excluded.heartbeat
), own AS (
  INSERT INTO trial_user_attributes (trial_id, key, value_json)
  SELECT %(of)s, * FROM unnest(%(keys)s::text[], %(texts)s::text[])
  ON CONFLICT (trial_id, key) DO UPDATE SET value_json = excluded.value_json
), drawn AS (
  INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)
  SELECT %(of)s, * FROM unnest(
    %(names)s::text[], %(internals)s::float8[], %(distributions)s::text[])
  ON CONFLICT (trial_id, param_name) DO UPDATE
  SET param_value = excluded.param_value, distribution_json = excluded.distribution_json
)
UPDATE trials SET state = 'RUNNING', datetime_start = timezone('UTC', clock_timestamp())
WHERE trial_id = %(of)s
"""

END = f"""
WITH ended AS (
  UPDATE trials t SET state = %(state)s::trialstate,
    datetime_complete = timezone('UTC', clock_timestamp())
  WHERE t.trial_id = %(of)s AND t.state = 'RUNNING' AND EXISTS (
    SELECT 1 FROM trial_user_attributes
    WHERE trial_id = t.trial_id AND key = '{attrs.CLAIM}' AND value_json = %(token_json)s)
  RETURNING t.trial_id
), valued AS (
  INSERT INTO trial_values (trial_id, objective, value, value_type)
  SELECT trial_id, 0, %(stored)s::float8, %(kind)s::trialvaluetype FROM ended
  WHERE %(kind)s::text IS NOT NULL
  ON CONFLICT (trial_id, objective) DO UPDATE
  SET value = excluded.value, value_type = excluded.value_type
), own AS (
  INSERT INTO trial_user_attributes (trial_id, key, value_json)
  SELECT trial_id, u.* FROM ended, unnest(%(keys)s::text[], %(texts)s::text[]) u
  ON CONFLICT (trial_id, key) DO UPDATE SET value_json = excluded.value_json
), reported AS (
  INSERT INTO trial_intermediate_values
    (trial_id, step, intermediate_value, intermediate_value_type)
  SELECT trial_id, r.* FROM ended, unnest(
    %(steps)s::int[], %(numbers)s::float8[], %(kinds)s::trialintermediatevaluetype[]) r
  ON CONFLICT (trial_id, step) DO NOTHING
)
SELECT count(*) FROM ended
"""


def lock_lowest_waiting(
    connection: Connection, study_id: int, token: str | None
) -> tuple[int, int, dict[str, Any]] | None:
    """As `attempt.lock_lowest_waiting` and `attempt.read_attrs` together."""
    values = {"study_id": study_id, "token_json": None if token is None else json.dumps(token)}
    row = connection.exec_driver_sql(LOWEST, values).first()
    if row is None:
        return None
    found = {key: attrs.decode(text) for key, text in json.loads(row[2]).items()}
    if row[3] is not None:
        found[attrs.FIXED_PARAMS] = attrs.decode(row[3])
    return row[0], row[1], found


def start(
    connection: Connection,
    trial_id: int,
    user_attrs: Mapping[str, Any],
    params: Mapping[str, Any],
    distributions: Mapping[str, BaseDistribution],
) -> None:
    """As `attempt.start`, in one statement."""
    drawn = internal_params(params, distributions)
    values = {
        "of": trial_id,
        **_attr_arrays(user_attrs),
        "names": [name for name, _, _ in drawn],
        "internals": [internal for _, internal, _ in drawn],
        "distributions": [text for _, _, text in drawn],
    }
    connection.exec_driver_sql(CLAIM, values)


def end(
    connection: Connection,
    trial_id: int,
    token: str,
    state: TrialState,
    value: float | None,
    user_attrs: Mapping[str, Any],
    reports: Mapping[int, float],
) -> bool:
    """As `attempt.end`, in one statement.

    Reports are not flushed one by one: a server that crashed may have lost some of an attempt that
    went on. Those are written here.
    """
    stored, kind = None, None
    if value is not None:
        stored, value_type = models.TrialValueModel.value_to_stored_repr(value)
        kind = value_type.name
    values = {
        "of": trial_id,
        "token_json": json.dumps(token),
        "state": state.name,
        "stored": stored,
        "kind": kind,
        **_attr_arrays(user_attrs),
        **_report_arrays(reports),
    }
    return int(connection.exec_driver_sql(END, values).scalar_one()) > 0


def _attr_arrays(user_attrs: Mapping[str, Any]) -> dict[str, list[str]]:
    return {
        "keys": list(user_attrs),
        "texts": [json.dumps(value) for value in user_attrs.values()],
    }


def _report_arrays(reports: Mapping[int, float]) -> dict[str, list[Any]]:
    to_stored = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr
    stored = [to_stored(value) for value in reports.values()]
    return {
        "steps": list(reports),
        "numbers": [number for number, _ in stored],
        "kinds": [kind.name for _, kind in stored],
    }
