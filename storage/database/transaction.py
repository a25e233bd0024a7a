"""Write transactions that are retried after deadlocks, lock waits and database outages.

The body of a transaction may run again from its start, so it must keep nothing from a failed try.
"""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from optuna.exceptions import StorageInternalError
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from storage.database.engine import connect_deadline, connecting_until, database_of
from storage.database.failures import first_line, how_to_mend, is_passing
from storage.errors import StorageBrokenError, StorageUnavailableError

T = TypeVar("T")

FIRST_PAUSE_S = 0.01
LONGEST_PAUSE_S = 2.0


def write(
    engine: Engine,
    body: Callable[[Connection], T],
    *,
    durable: bool = False,
    single: bool = False,
    wait_s: float = 60.0,
) -> T:
    """Run `body` in one write transaction and return what it returned.

    Args:
        body: Given the connection; called again from its start after a passing error.
        durable: Whether the commit must survive power loss before this returns.
        single: Whether `body` writes with one statement on PostgreSQL, which then commits by
            itself and saves two round trips.
        wait_s: For how long passing errors are retried.

    Raises:
        StorageBrokenError: Its disk is full, or it cannot be written.
        DBAPIError: The database refused, or was away for longer than `wait_s`.
    """

    def attempt() -> T:
        with engine.connect() as connection:
            database_of(engine).begin_write(connection, durable=durable, single=single)
            result = body(connection)
            connection.commit()
            return result

    return retry(attempt, wait_s=wait_s)


def retry(call: Callable[[], T], *, wait_s: float) -> T:
    """Call until it succeeds; passing errors are retried for `wait_s`, with jittered backoff.

    A retry inside another one ends with the outer one.

    Raises:
        StorageBrokenError: Its disk is full, or it cannot be written.
    """
    deadline = min(time.monotonic() + wait_s, connect_deadline())
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            with connecting_until(deadline):
                return call()
        except Exception as error:
            if not is_passing(error) or time.monotonic() + pause_s > deadline:
                _refuse_broken(error)
                raise
        time.sleep(pause_s * random.uniform(0.5, 1.0))
        pause_s = min(pause_s * 2, LONGEST_PAUSE_S)


def patiently(call: Callable[[], T], *, wait_s: float) -> T:
    """Call until it succeeds, as `retry`; its errors are this program's.

    Raises:
        StorageUnavailableError: The database was away or locked for longer than `wait_s`.
        StorageBrokenError: It failed otherwise.
    """
    try:
        return retry(call, wait_s=wait_s)
    except StorageBrokenError:
        raise
    except Exception as error:
        if is_passing(error):
            raise StorageUnavailableError(
                f"the database was away or locked for over {wait_s:g} s: {first_line(error)}"
            ) from error
        if isinstance(error, SQLAlchemyError | StorageInternalError):
            raise StorageBrokenError(f"the database failed: {first_line(error)}") from error
        raise


def _refuse_broken(error: Exception) -> None:
    """Raise a defect of the database itself as an error that no trial is blamed for."""
    cause = error if isinstance(error, DBAPIError) else error.__cause__
    hint = how_to_mend(cause)
    if hint is not None:
        raise StorageBrokenError(f"the database failed: {first_line(cause)}", hint) from cause
