"""Params that a slot was given and that are not drawn: by `study add`, or by a finalize."""

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from storage import attrs
from storage.backend import TRIALS
from storage.rows import SYSTEM_ATTRS, attr_of
from storage.transaction import patiently


def read_fixed_params(engine: Engine, study_id: int) -> dict[int, dict[str, Any]]:
    """Return slot to params of the slots that were given some."""

    def read() -> dict[int, dict[str, Any]]:
        with engine.connect() as connection:
            return find_given(connection, study_id)

    return patiently(read, wait_s=60.0)


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


def is_added(
    connection: Connection, study_id: int, number: int, slot: int, params: Mapping[str, Any]
) -> bool:
    """Whether the trial of this number is of the slot and was given these params."""
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
