"""Database engines and connections, and the list of supported databases.

An engine keeps one connection, and opens a second one only while needed (a heartbeat during a read,
nested sessions of Optuna). A connection to a server has a time limit, notices a dead server within
half a minute, and is never used by a forked child.
"""

import contextlib
import math
import os
import socket
import time
import weakref
from collections.abc import Iterator
from contextvars import ContextVar
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.pool import ConnectionPoolEntry

from storage.database.base import Database
from storage.database.mysql import MySQL
from storage.database.postgresql import PostgreSQL
from storage.database.sqlite import SQLite

DATABASES: dict[str, Database] = {one.name: one for one in (SQLite(), PostgreSQL(), MySQL())}
"""The supported databases, by SQLAlchemy's name of the dialect."""

CONNECT_TIMEOUT_S = 10
SHORTEST_CONNECT_TIMEOUT_S = 2

KEEP_ALIVE_S = {
    "TCP_KEEPIDLE": 15,
    "TCP_KEEPINTVL": 5,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": 30_000,
}
"""Socket options that detect a dead server within half a minute, such as a machine without power or
an unplugged network. The kernel's own limits are hours."""

_connect_until: ContextVar[float] = ContextVar("connect_until", default=math.inf)
_engines: "weakref.WeakSet[Engine]" = weakref.WeakSet()
_entries: "weakref.WeakSet[ConnectionPoolEntry]" = weakref.WeakSet()
_of_parent: list[Any] = []
"""In a forked child: objects that would close the parent's connections if collected."""


def database_of(of: URL | Engine | Connection) -> Database:
    """Return the `Database` of a URL, an engine or a connection."""
    return DATABASES[of.get_backend_name() if isinstance(of, URL) else of.dialect.name]


def make_engine(url: URL) -> Engine:
    """Return an engine with one pooled connection, sessions in UTC, READ COMMITTED on MySQL."""
    database = database_of(url)
    options = {"pool_size": 1, "max_overflow": 8, "pool_timeout": 60}
    engine = sa.create_engine(url, **options, **database.engine_options(url))
    database.listen(engine)
    if database.is_server:
        event.listen(engine, "do_connect", partial(_connect_in_time, database))
    event.listen(engine, "connect", lambda _, entry: _entries.add(entry))
    _engines.add(engine)
    return engine


@contextlib.contextmanager
def connecting_until(deadline: float) -> Iterator[None]:
    """Limit new connections inside the block to a deadline in `time.monotonic()`."""
    token = _connect_until.set(deadline)
    try:
        yield
    finally:
        _connect_until.reset(token)


def connect_deadline() -> float:
    """Return the deadline of the innermost `connecting_until`, or infinity."""
    return _connect_until.get()


def _connect_in_time(
    database: Database, dialect: Any, _record: Any, args: Any, params: dict[str, Any]
) -> Any:
    """Connect; give up a server that accepts and then stays silent, like an unreachable one."""
    left_s = min(connect_deadline() - time.monotonic(), CONNECT_TIMEOUT_S)
    timeout_s = max(SHORTEST_CONNECT_TIMEOUT_S, math.ceil(left_s))
    connection = database.connect(dialect, args, params, timeout_s)
    with socket.socket(fileno=os.dup(database.descriptor(connection))) as connected:
        if connected.family in (socket.AF_INET, socket.AF_INET6):
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in KEEP_ALIVE_S.items():
                if hasattr(socket, name):  # else the system's own limits apply
                    connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return connection


def _abandon_connections() -> None:
    """Cut the parent's connections in a forked child, and give each engine a new pool.

    The child must send nothing on them, not even a goodbye, and must not keep them open after the
    parent's end. The old pools are not emptied, as a thread of the parent may hold their lock.
    """
    for entry in list(_entries):
        if entry.dbapi_connection is not None:
            _of_parent.append(entry.dbapi_connection)
            _cut(entry.dbapi_connection)
    for engine in list(_engines):
        _of_parent.append(engine.pool)
        engine.dispose(close=False)
    _entries.clear()


def _cut(connection: Any) -> None:
    """Replace a connection's socket by /dev/null, so that its number is not used again."""
    with contextlib.suppress(Exception):  # already closed, or SQLite without a socket
        number = (connection if hasattr(connection, "fileno") else connection._sock).fileno()
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        os.dup2(nothing, number, inheritable=False)
        os.close(nothing)


os.register_at_fork(after_in_child=_abandon_connections)
