"""Database connections and forked processes: a child has none of its parent's.

A user's objective may fork, with `multiprocessing` for example, while the heartbeat uses a
connection. The child must not send anything on it, not even a goodbye, and must not keep it open
once the parent is gone. What it opens itself is its own.
"""

import contextlib
import os
import weakref
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.pool import ConnectionPoolEntry

_engines: "weakref.WeakSet[Engine]" = weakref.WeakSet()
_entries: "weakref.WeakSet[ConnectionPoolEntry]" = weakref.WeakSet()
_of_parent: list[Any] = []
"""In a child: what would close the parent's connections if it were collected."""


def withhold_connections(engine: Engine) -> None:
    """Let no child that is forked from now on have a connection of an engine."""
    _engines.add(engine)
    event.listen(engine, "connect", _remember)


def _remember(_connection: Any, entry: ConnectionPoolEntry) -> None:
    _entries.add(entry)


def _forget() -> None:
    """In the child: put nothing in the place of each socket, and a new pool into each engine.

    Pools are not emptied: another thread of the parent may have held their lock when it forked.
    """
    for entry in list(_entries):
        connection = entry.dbapi_connection
        if connection is not None:
            _of_parent.append(connection)
            _cut(connection)
    for engine in list(_engines):
        _of_parent.append(engine.pool)
        engine.dispose(close=False)
    _entries.clear()


def _cut(connection: Any) -> None:
    """Put /dev/null in the place of a connection's socket: its number may not become another's."""
    with contextlib.suppress(Exception):  # closed already, or SQLite's, which has no socket
        socket = connection if hasattr(connection, "fileno") else connection._sock
        number = socket.fileno()
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        os.dup2(nothing, number, inheritable=False)
        os.close(nothing)


os.register_at_fork(after_in_child=_forget)
