"""What differs between SQLite, PostgreSQL and MySQL/MariaDB, and nothing else.

Engine options, the database's own UTC clock, which errors are passing, and how a write transaction
begins and becomes durable. One connection a worker: the pool keeps one and opens a second only
while it is needed (the lease's beat during a read, Optuna's own nested sessions).
"""

import contextlib
import math
import os
import socket
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, PendingRollbackError

from storage.forked import withhold_connections
from storage.remedy import tell_remedy

SQLITE_BUSY_TIMEOUT_S = 60.0
CONNECT_TIMEOUT_S = 10
SHORTEST_CONNECT_TIMEOUT_S = 2

LONGEST_HELD_S = 60
"""How long a process that is frozen in the middle of a transaction may keep its locks."""

KEEP_ALIVE_S = {
    "TCP_KEEPIDLE": 15,
    "TCP_KEEPINTVL": 5,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": 30_000,
}
"""Socket options that find out within half a minute that the other end has gone without a word:
a machine without power, a network that was unplugged. The kernel's own limits are hours."""

_connect_until: ContextVar[float | None] = ContextVar("connect_until", default=None)

# serialization failure, deadlock, lock not available, admin shutdown, crash shutdown,
# cannot connect now, too many connections
PASSING_SQLSTATES = ("40001", "40P01", "55P03", "57P01", "57P02", "57P03", "53300")
# closed before the call, too many connections (two codes), lock wait timeout, deadlock,
# changed since last read, shutdown in progress, can't connect (two codes), gone away,
# lost during query, aborted by peer
PASSING_MYSQL_CODES = (0, 1040, 1203, 1205, 1213, 1020, 1053, 2002, 2003, 2006, 2013, 4031)


def make_engine(url: URL) -> Engine:
    """Return an engine with one pooled connection, sessions in UTC, READ COMMITTED on MySQL."""
    options: dict[str, Any] = {"pool_size": 1, "max_overflow": 8, "pool_timeout": 60}
    backend = url.get_backend_name()
    if backend == "sqlite":
        options["connect_args"] = {"timeout": SQLITE_BUSY_TIMEOUT_S, "check_same_thread": False}
        options["poolclass"] = sa.pool.QueuePool
    elif backend == "postgresql":
        held = f"-c idle_in_transaction_session_timeout={LONGEST_HELD_S}s"
        options["connect_args"] = {
            # The URL's own options stay (a search_path); of two alike the last one holds.
            "options": f"{held} {url.query.get('options', '')} -c timezone=UTC",
            "application_name": "study",
            # Also in a database of another encoding: psycopg would return bytes from SQL_ASCII.
            "client_encoding": "utf8",
        }
    else:
        options["isolation_level"] = "READ COMMITTED"
        # MySQL, which has no such limit, takes what MariaDB reads there for a comment.
        held = f"/*M! , idle_transaction_timeout = {LONGEST_HELD_S} */"
        options["connect_args"] = {"init_command": f"SET time_zone = '+00:00' {held}"}
    engine = sa.create_engine(url, **options)
    if backend == "sqlite":
        event.listen(engine, "connect", _set_sqlite_pragmas)
    else:
        event.listen(engine, "do_connect", _connect_in_time)
        event.listen(engine, "handle_error", tell_remedy)
    withhold_connections(engine)
    return engine


@contextlib.contextmanager
def connecting_until(deadline: float) -> Iterator[None]:
    """Let no new connection inside the block take much longer than to a `time.monotonic()`."""
    token = _connect_until.set(deadline)
    try:
        yield
    finally:
        _connect_until.reset(token)


def _connect_in_time(dialect: Any, _record: Any, args: Any, params: dict[str, Any]) -> Any:
    """Connect; a server that accepts and then says nothing is given up like one that is away.

    PyMySQL bounds only the first packet by its `connect_timeout`; the handshake needs a timeout of
    reads, which is taken off again: a query may take long.
    """
    until = _connect_until.get()
    left_s = CONNECT_TIMEOUT_S if until is None else math.ceil(until - time.monotonic())
    timeout_s = max(SHORTEST_CONNECT_TIMEOUT_S, min(left_s, CONNECT_TIMEOUT_S))
    if dialect.name == "postgresql":
        connection = dialect.connect(*args, **{"connect_timeout": timeout_s, **params})
        _keep_alive(connection.fileno())
        return connection
    bounds = ("connect_timeout", "read_timeout", "write_timeout")
    connection = dialect.connect(*args, **(dict.fromkeys(bounds, timeout_s) | params))
    connection._read_timeout = params.get("read_timeout")
    connection._write_timeout = params.get("write_timeout")
    _keep_alive(connection._sock.fileno())
    return connection


def _keep_alive(descriptor: int) -> None:
    """Let a connection whose other end is gone break soon, also while an answer is waited for."""
    with socket.socket(fileno=os.dup(descriptor)) as connected:
        if connected.family not in (socket.AF_INET, socket.AF_INET6):
            return
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEP_ALIVE_S.items():
            if hasattr(socket, name):  # else another system: the kernel's own limits hold
                connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _set_sqlite_pragmas(connection: Any, _record: Any) -> None:
    """WAL with synchronous=NORMAL keeps the file whole; `begin_write` asks for more."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def begin_write(connection: Connection, *, durable: bool, single: bool) -> None:
    """Begin a write transaction; a durable one survives power loss once it is committed.

    SQLite takes its write lock at once, so that nothing read in the transaction can grow old. Only
    our own transactions do: Optuna opens a second connection inside a session and would wait for
    itself.
    """
    if connection.dialect.name == "sqlite":
        raw = connection.connection.driver_connection
        assert raw is not None  # for the type checker: the connection is open
        raw.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    elif single and connection.dialect.name == "postgresql":
        connection.execution_options(isolation_level="AUTOCOMMIT")  # for this checkout only


def utc_now(connection: Connection) -> sa.ColumnElement[Any]:
    """Return the expression of the connection's clock; see `clock`."""
    return clock(connection.dialect.name)


def clock(dialect: str) -> sa.ColumnElement[Any]:
    """Return the expression of the database's clock, in UTC and without a zone."""
    if dialect == "sqlite":
        return sa.literal_column("strftime('%Y-%m-%d %H:%M:%f000', 'now')")
    if dialect == "postgresql":
        return sa.literal_column("timezone('UTC', clock_timestamp())")
    return sa.literal_column("UTC_TIMESTAMP(6)")


def refresh_statistics(engine: Engine) -> None:
    """Tell PostgreSQL's planner of rows that were inserted in bulk.

    Until it has heard of them it may sort all WAITING trials to claim one; autovacuum tells it
    within a minute, or never where it is off. The others need no telling.
    """
    if engine.dialect.name != "postgresql":
        return
    with contextlib.suppress(DBAPIError), engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.exec_driver_sql("ANALYZE trials, trial_user_attributes")


def is_passing(error: BaseException) -> bool:
    """Whether the same call may succeed in a moment: deadlock, lock wait, server away or full."""
    if not isinstance(error, DBAPIError):
        cause = error.__cause__
        if isinstance(cause, PendingRollbackError):
            return True  # Optuna went on with a session whose connection had broken
        return isinstance(cause, DBAPIError) and is_passing(cause)
    original: Any = error.orig
    if error.connection_invalidated:
        return True
    text = str(original).lower()
    if "database is locked" in text or "database schema is locked" in text:
        return True
    sqlstate = getattr(original, "sqlstate", None)
    if sqlstate is not None:
        return sqlstate in PASSING_SQLSTATES or sqlstate.startswith("08")
    if type(original).__module__.startswith("psycopg"):
        # A connection that failed has no SQLSTATE; what a person has to mend does not pass.
        refused = getattr(original, "remedy", None) is not None or any(
            word in text for word in ("password", "does not exist", "authentication")
        )
        return isinstance(error, OperationalError | InterfaceError) and not refused
    code = original.args[0] if original is not None and original.args else None
    return code in PASSING_MYSQL_CODES  # 0: the connection was closed
