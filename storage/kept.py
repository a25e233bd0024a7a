"""Bytes that a study keeps of a trial beside its value, such as predictions.

They stand as text in *system* attributes, which dashboards do not list, cut into pieces that every
database's columns hold. They are written in the transaction that finishes the trial, under its
fence, so that whoever sees the value has them too, on any machine.
"""

import base64
import json
from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from storage import attrs
from storage.errors import StorageError
from storage.rows import SYSTEM_ATTRS
from storage.transaction import patiently

PIECE = 60_000  # characters; MySQL's TEXT ends at 65,535 bytes


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
