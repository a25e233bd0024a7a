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
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from storage.database.cells import CHECKED
from storage.database.forked import withhold_connections
from storage.database.remedy import code_of, tell_remedy

SQLITE_BUSY_TIMEOUT_S = 60.0
CONNECT_TIMEOUT_S = 10
SHORTEST_CONNECT_TIMEOUT_S = 2

LONGEST_HELD_S = 60
"""How long a process that is frozen in the middle of a transaction may keep its locks."""

OWN_OPTIONS = f"-c idle_in_transaction_session_timeout={LONGEST_HELD_S}s  -c timezone=UTC"
"""PostgreSQL's; those of a URL go between."""
HEARD = "-c study.heard=1"

OWN_SETTINGS = (
    "SET time_zone = '+00:00'"
    # MySQL, which has no such limit, takes what MariaDB reads there for a comment.
    f" /*M! , idle_transaction_timeout = {LONGEST_HELD_S} */"
)

KEEP_ALIVE_S = {
    "TCP_KEEPIDLE": 15,
    "TCP_KEEPINTVL": 5,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": 30_000,
}
"""Socket options that find out within half a minute that the other end has gone without a word:
a machine without power, a network that was unplugged. The kernel's own limits are hours."""

_connect_until: ContextVar[float | None] = ContextVar("connect_until", default=None)

PASSING_CLASSES = ("08", "40")
"""The first two digits of an SQLSTATE: connection exceptions, transactions rolled back."""
PASSING_SQLSTATES = (
    *("53000", "53200", "53300", "53400"),  # resources, but for a full disk
    *("55006", "55P03"),  # object in use, lock not available
    *("57014", "57P01", "57P02", "57P03", "57P05"),  # cancelled, shutting down, starting, idle
    *("25006", "25P02", "25P03", "25P04"),  # read-only; transaction failed, idle, too long
    *("26000", "42P05"),  # a pooler's other session has, or lacks, a prepared statement
)
PASSING_TEXTS = (
    *("database is locked", "database schema is locked", "database table is locked"),
    *("cached plan must not change result type", "tuple concurrently updated"),
    "could not open relation with oid",  # as `ALTER TABLE` goes on
    "packet sequence number wrong",
)
PASSING_MYSQL_CODES = (
    *(0, 1158, 1159, 1160, 1161, 1927, 2002, 2003, 2006, 2013, 2055, 4031),  # connection broken
    *(1040, 1041, 1135, 1203, 1226),  # connections, memory, threads; limits of the user
    *(1205, 1206, 1213, 1020),  # lock wait timeout, locks, deadlock, changed since last read
    *(1028, 1317, 1969, 3024),  # cancelled, by somebody or for the time it took
    *(1053, 1077, 1079),  # shutting down
    *(1290, 1792, 1836),  # read-only, as a replica is until it takes over
    1467,  # no next number, where the statement that asked for it was cancelled
    *(1243, 1412, 1615),  # as `ALTER TABLE` goes on; a prepared statement that is not there
)


def make_engine(url: URL) -> Engine:
    """Return an engine with one pooled connection, sessions in UTC, READ COMMITTED on MySQL."""
    options: dict[str, Any] = {"pool_size": 1, "max_overflow": 8, "pool_timeout": 60}
    backend = url.get_backend_name()
    if backend == "sqlite":
        options["connect_args"] = {"timeout": SQLITE_BUSY_TIMEOUT_S, "check_same_thread": False}
        options["poolclass"] = sa.pool.QueuePool
    elif backend == "postgresql":
        options["connect_args"] = {
            # The URL's own options stay (a search_path); of two alike the last one holds.
            "options": OWN_OPTIONS.replace("  ", f" {url.query.get('options', '')} "),
            "application_name": "study",
            # Also in a database of another encoding: psycopg would return bytes from SQL_ASCII.
            "client_encoding": "utf8",
            # A pooler may give each transaction another session, without what was prepared.
            "prepare_threshold": None,
        }
    else:
        options["isolation_level"] = "READ COMMITTED"  # and no autocommit, whatever the URL says
        options["connect_args"] = {"charset": "utf8mb4"}
    engine = sa.create_engine(url, **options)
    if backend == "sqlite":
        engine.dialect.colspecs = {**engine.dialect.colspecs, **CHECKED}
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


def time_is_up() -> float:
    """Return the `time.monotonic()` until which `connecting_until` lets connect; or infinity."""
    until = _connect_until.get()
    return math.inf if until is None else until


def _connect_in_time(dialect: Any, _record: Any, args: Any, params: dict[str, Any]) -> Any:
    """Connect; a server that accepts and then says nothing is given up like one that is away.

    PyMySQL bounds only the first packet by its `connect_timeout`; the handshake needs a timeout of
    reads, which is taken off again: a query may take long.
    """
    left_s = min(time_is_up() - time.monotonic(), CONNECT_TIMEOUT_S)
    timeout_s = max(SHORTEST_CONNECT_TIMEOUT_S, math.ceil(left_s))
    if dialect.name == "postgresql":
        connection = _connect_postgres(dialect, args, {"connect_timeout": timeout_s, **params})
        _keep_alive(connection.fileno())
        return connection
    bounds = ("connect_timeout", "read_timeout", "write_timeout")
    connection = dialect.connect(*args, **(dict.fromkeys(bounds, timeout_s) | params))
    connection.query(OWN_SETTINGS)  # after an `init_command` of the URL
    connection._read_timeout = params.get("read_timeout")
    connection._write_timeout = params.get("write_timeout")
    _keep_alive(connection._sock.fileno())
    return connection


def _connect_postgres(dialect: Any, args: Any, params: dict[str, Any]) -> Any:
    """Connect, also through a pooler that refuses `options`: we can do without ours.

    Of one that leaves them out and says nothing, no others would be heard: no `search_path`.
    """
    if params["options"] == OWN_OPTIONS:
        try:
            return dialect.connect(*args, **params)
        except Exception as error:
            if "unsupported startup parameter" not in str(error):
                raise
        return dialect.connect(*args, **{**params, "options": ""})
    connection = dialect.connect(*args, **{**params, "options": f"{params['options']} {HEARD}"})
    heard = connection.execute("SELECT current_setting('study.heard', true)").fetchone()[0]
    connection.rollback()
    if not heard:
        connection.close()
        said = "unsupported startup parameter, which the pooler leaves out: options"
        raise dialect.loaded_dbapi.OperationalError(said)
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
        # Of a pool, or of Optuna, which went on with a session whose connection had broken.
        if any(isinstance(e, PoolTimeoutError | PendingRollbackError) for e in (error, cause)):
            return True
        return isinstance(cause, DBAPIError) and is_passing(cause)
    original: Any = error.orig
    if error.connection_invalidated:
        return True
    text = str(original).lower()
    if any(said in text for said in PASSING_TEXTS):
        return True
    code = code_of(original)
    if isinstance(code, str):
        return code in PASSING_SQLSTATES or code.startswith(PASSING_CLASSES)
    if type(original).__module__.startswith("psycopg"):
        # A connection that failed has no SQLSTATE; what a person has to mend does not pass.
        refused = getattr(original, "remedy", None) is not None or any(
            word in text for word in ("password", "does not exist", "authentication")
        )
        return isinstance(error, OperationalError | InterfaceError) and not refused
    return code in PASSING_MYSQL_CODES  # 0: the connection was closed
