"""What differs between SQLite, PostgreSQL and MySQL/MariaDB, and nothing else.

Engine options, the database's own UTC clock, which errors are passing, and how a write transaction
begins and becomes durable. One connection a worker: the pool keeps one and opens a second only
while it is needed (the lease's beat during a read, Optuna's own nested sessions).
"""

import contextlib
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

SQLITE_BUSY_TIMEOUT_S = 60.0
CONNECT_TIMEOUT_S = 10

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
        options["connect_args"] = {
            "connect_timeout": CONNECT_TIMEOUT_S,
            "options": "-c timezone=UTC",
            "application_name": "study",
        }
    else:
        options["isolation_level"] = "READ COMMITTED"
        options["connect_args"] = {
            "connect_timeout": CONNECT_TIMEOUT_S,
            "init_command": "SET time_zone = '+00:00'",
        }
    engine = sa.create_engine(url, **options)
    if backend == "sqlite":
        event.listen(engine, "connect", _set_sqlite_pragmas)
    return engine


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
        # A connection that failed before the server spoke has no SQLSTATE.
        refused = any(word in text for word in ("password", "does not exist", "authentication"))
        return isinstance(error, OperationalError | InterfaceError) and not refused
    code = original.args[0] if original is not None and original.args else None
    return code in PASSING_MYSQL_CODES  # 0: the connection was closed
