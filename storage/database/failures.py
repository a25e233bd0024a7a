"""Classify exceptions of database drivers: temporary (retry), or permanent (tell the user a fix).

Each database's file knows its error codes. `storage/errors.py` has this package's own exceptions.
"""

from typing import Any

from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from storage.database.base import Database
from storage.database.engine import DATABASES


def is_passing(error: BaseException) -> bool:
    """Whether a retry may succeed: deadlock, lock wait, server unreachable or full."""
    if not isinstance(error, DBAPIError):
        cause = error.__cause__
        # From a pool, or from Optuna, which used a session with a broken connection.
        if any(isinstance(e, PoolTimeoutError | PendingRollbackError) for e in (error, cause)):
            return True
        return isinstance(cause, DBAPIError) and is_passing(cause)
    if error.connection_invalidated:
        return True
    database = _raised_by(error.orig)
    return database is not None and database.is_passing(error.orig)


def how_to_mend(error: BaseException | None) -> str | None:
    """Return the command, GRANT or name that fixes a permanent error; None if there is none."""
    database = _raised_by(error.orig) if isinstance(error, DBAPIError) else None
    return None if database is None else database.remedy(error.orig)  # type: ignore[union-attr]


def is_missing(what: str, error: DBAPIError) -> bool:
    """Whether an error says that a "table" or "column" does not exist."""
    database = _raised_by(error.orig)
    return database is not None and database.is_missing(what, error.orig)


def first_line(error: Any) -> str:
    """Return the first line of the driver's message in an error of SQLAlchemy or Optuna."""
    found = getattr(error, "orig", None) or getattr(error.__cause__, "orig", None) or error
    said = str(found).strip()
    return said.splitlines()[0] if said else repr(found)


def _raised_by(original: BaseException | None) -> Database | None:
    package = type(original).__module__.partition(".")[0]
    return next((one for one in DATABASES.values() if one.package == package), None)
