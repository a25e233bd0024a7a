"""Which errors are retried, for how long, and what a transaction is."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest
import sqlalchemy as sa
from optuna.exceptions import StorageInternalError
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError

from storage.database import transaction
from storage.database.engine import make_engine
from storage.database.failures import is_passing
from storage.database.transaction import patiently, retry, write
from storage.errors import StorageBrokenError


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An SQLite file with one table of one column."""
    made = make_engine(sa.make_url(f"sqlite:///{tmp_path}/study.db"))
    with made.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE numbers (n INTEGER)")
    yield made
    made.dispose()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that `retry` sees: it goes on by what is slept, at once."""
    now = [0.0]

    def sleep(pause_s: float) -> None:
        now[0] += pause_s

    monkeypatch.setattr(transaction.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(transaction.time, "sleep", sleep)
    return now


def wrapped(original: BaseException, kind: type[DBAPIError] = OperationalError) -> DBAPIError:
    """The driver's error as SQLAlchemy raises it."""
    return kind("SELECT 1", {}, original)


def mysql(code: int, said: str, sqlstate: str) -> pymysql.OperationalError:
    """An error as newer versions of PyMySQL raise it, with an SQLSTATE beside its number."""
    error = pymysql.OperationalError(code, said)
    error.sqlstate = sqlstate
    return error


PASSING: dict[str, BaseException] = {
    "SQLite is locked": wrapped(sqlite3.OperationalError("database is locked")),
    "deadlock, PostgreSQL": wrapped(psycopg.errors.DeadlockDetected()),
    "serialization": wrapped(psycopg.errors.SerializationFailure()),
    "server is starting": wrapped(psycopg.errors.CannotConnectNow()),
    "too many clients": wrapped(psycopg.errors.TooManyConnections()),
    "connection refused": wrapped(psycopg.OperationalError("connection refused")),
    "deadlock, MySQL": wrapped(pymysql.OperationalError(1213, "Deadlock found")),
    "lock wait, MySQL": wrapped(pymysql.OperationalError(1205, "Lock wait timeout")),
    "server has gone away": wrapped(pymysql.OperationalError(2006, "gone away")),
    "cancelled": wrapped(psycopg.errors.QueryCanceled("canceling statement due to user request")),
    "cancelled, MySQL": wrapped(mysql(1317, "Query execution was interrupted", "70100")),
    "killed, MariaDB": wrapped(mysql(1927, "Connection was killed", "70100")),
    "table altered, MySQL": wrapped(mysql(1412, "Table definition has changed", "HY000")),
    "a pooler's session": wrapped(psycopg.errors.InvalidSqlStatementName("does not exist")),
    "a pooler's other session": wrapped(psycopg.errors.DuplicatePreparedStatement("exists")),
    "table altered": wrapped(
        psycopg.errors.FeatureNotSupported("cached plan must not change result type")
    ),
    "failed transaction": wrapped(psycopg.errors.InFailedSqlTransaction("is aborted")),
    "pool": sa.exc.TimeoutError("QueuePool limit"),
    "broken": OperationalError("SELECT 1", {}, Exception("?"), connection_invalidated=True),
}
LASTING: dict[str, BaseException] = {
    "no table": wrapped(sqlite3.OperationalError("no such table: trials")),
    "unique": wrapped(psycopg.errors.UniqueViolation(), IntegrityError),
    "mixed types": wrapped(psycopg.DataError("cannot dump lists of mixed types"), DataError),
    "wrong password": wrapped(psycopg.OperationalError("password authentication failed")),
    "not supported": wrapped(psycopg.errors.FeatureNotSupported("FOR UPDATE is not allowed")),
    "ours": ValueError("database is locked"),
}
BROKEN: dict[str, tuple[Exception, str]] = {
    "full": (sqlite3.OperationalError("database or disk is full"), "make space"),
    "full, PostgreSQL": (psycopg.errors.DiskFull("no space left"), "make space"),
    "full, MySQL": (pymysql.OperationalError(1114, "The table is full"), "make space"),
    "read-only": (sqlite3.OperationalError("attempt to write a readonly database"), "writable"),
    "damaged": (sqlite3.DatabaseError("database disk image is malformed"), "a backup"),
    "access denied": (pymysql.OperationalError(1045, "Access denied"), "user and password"),
}
PASSING_WITH_REMEDY: dict[str, tuple[Exception, str]] = {
    "standby": (psycopg.errors.ReadOnlySqlTransaction("cannot execute"), "takes writes"),
    "read-only, MySQL": (mysql(1290, "running with the --read-only option", "HY000"), "writes"),
    "too slow": (psycopg.errors.QueryCanceled("due to statement timeout"), "statement_timeout"),
}


@pytest.mark.parametrize("name", PASSING)
def test_passing_error_is_known(name: str) -> None:
    """Also where Optuna has wrapped it once more."""
    error = PASSING[name]
    assert is_passing(error)
    theirs = StorageInternalError("An exception is raised during the commit.")
    theirs.__cause__ = error
    assert is_passing(theirs)


@pytest.mark.parametrize("name", LASTING)
def test_lasting_error_is_not_retried(name: str, clock: list[float]) -> None:
    """It is raised by the first try."""
    n_tries = [0]

    def fail() -> None:
        n_tries[0] += 1
        raise LASTING[name]

    with pytest.raises(type(LASTING[name])):
        retry(fail, wait_s=60)
    assert n_tries == [1]
    assert clock == [0.0]


@pytest.mark.parametrize("name", BROKEN)
def test_broken_database_is_no_mistake_of_a_trial(name: str, clock: list[float]) -> None:
    """An error of storage, with what mends it, also where Optuna has wrapped the driver's."""
    original, hint = BROKEN[name]
    theirs = StorageInternalError("An exception is raised during the commit.")
    theirs.__cause__ = wrapped(original)
    for error in (theirs, theirs.__cause__):

        def fail(error: Exception = error) -> None:
            raise error

        with pytest.raises(StorageBrokenError, match=r"^the database failed: ") as caught:
            retry(fail, wait_s=60)
        assert hint in str(caught.value.hint)
    assert clock == [0.0]


@pytest.mark.parametrize("name", PASSING_WITH_REMEDY)
def test_what_may_pass_is_waited_for_before_its_remedy_is_told(
    name: str, clock: list[float]
) -> None:
    """A replica takes over, somebody stops to cancel: the hint is for what does not pass."""
    original, hint = PASSING_WITH_REMEDY[name]

    def fail() -> None:
        raise wrapped(original)

    with pytest.raises(StorageBrokenError, match=r"^the database failed: ") as caught:
        retry(fail, wait_s=60)
    assert hint in str(caught.value.hint)
    assert clock[0] > 50
    # What asks once, inside what is patient, is asked again.
    n_left = [5]

    def ask() -> None:
        n_left[0] -= 1
        if n_left[0]:
            fail()

    patiently(lambda: patiently(ask, wait_s=0), wait_s=60)


def test_retry_inside_another_ends_with_it(clock: list[float]) -> None:
    """Who waits for a page two seconds does not wait for a minute inside."""
    with pytest.raises(OperationalError):
        retry(lambda: retry(failing(1000), wait_s=60), wait_s=2)
    assert clock[0] <= 4


@pytest.mark.parametrize("name", LASTING)
def test_error_of_the_database_is_storages_whatever_it_is(name: str) -> None:
    """The driver's, SQLAlchemy's and Optuna's; another one is somebody else's."""
    error = LASTING[name]

    def fail() -> None:
        raise error

    kind = StorageBrokenError if isinstance(error, DBAPIError) else type(error)
    with pytest.raises(kind):
        patiently(fail, wait_s=1)


def failing(n: int) -> Callable[[], str]:
    """A call that fails `n` times by a lock, then returns."""
    left = [n]

    def call() -> str:
        if left[0] > 0:
            left[0] -= 1
            raise PASSING["SQLite is locked"]
        return "done"

    return call


def test_passing_error_is_retried_until_it_passes(clock: list[float]) -> None:
    """Pauses grow, to two seconds at most: an outage of a minute is some 35 tries."""
    assert retry(failing(20), wait_s=60) == "done"
    assert 8 <= clock[0] <= 30


def test_retry_ends_with_the_last_error(clock: list[float]) -> None:
    """After `wait_s`, not later."""
    with pytest.raises(OperationalError, match="database is locked"):
        retry(failing(1000), wait_s=5)
    assert 3 <= clock[0] <= 5


def test_body_runs_again_from_its_start(engine: Engine, clock: list[float]) -> None:
    """What a failed try wrote is rolled back."""
    n_tries = [0]

    def body(connection: Connection) -> int:
        n_tries[0] += 1
        connection.exec_driver_sql("INSERT INTO numbers VALUES (?)", (n_tries[0],))
        if n_tries[0] < 3:
            raise PASSING["SQLite is locked"]
        return n_tries[0]

    assert write(engine, body) == 3
    assert _numbers(engine) == [3]


def test_error_in_the_body_rolls_back(engine: Engine) -> None:
    """And leaves the pooled connection usable."""

    def body(connection: Connection) -> None:
        connection.exec_driver_sql("INSERT INTO numbers VALUES (1)")
        raise KeyError("body")

    with pytest.raises(KeyError, match="body"):
        write(engine, body)
    write(engine, lambda c: c.exec_driver_sql("INSERT INTO numbers VALUES (2)"))
    assert _numbers(engine) == [2]


def test_write_takes_sqlites_lock_at_its_start(engine: Engine, tmp_path: Path) -> None:
    """Nothing that is read inside can grow old before the commit."""
    other = sqlite3.connect(tmp_path / "study.db", timeout=0)

    def body(_: Connection) -> None:
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")

    write(engine, body)
    other.execute("BEGIN IMMEDIATE")
    other.close()


def _numbers(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.exec_driver_sql("SELECT n FROM numbers").scalars())
