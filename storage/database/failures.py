"""Classify driver errors: temporary (retry the call), or permanent (tell the user the fix).

What the codes and texts of one database mean is in its own file.
"""

from typing import Any

from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from storage.database.base import Database
from storage.database.engine import DATABASES


def is_passing(error: BaseException) -> bool:
    """Whether the same call may succeed in a moment: deadlock, lock wait, server away or full."""
    if not isinstance(error, DBAPIError):
        cause = error.__cause__
        # Of a pool, or of Optuna, which went on with a session whose connection had broken.
        if any(isinstance(e, PoolTimeoutError | PendingRollbackError) for e in (error, cause)):
            return True
        return isinstance(cause, DBAPIError) and is_passing(cause)
    if error.connection_invalidated:
        return True
    database = _raised_by(error.orig)
    return database is not None and database.is_passing(error.orig)


def how_to_mend(error: BaseException | None) -> str | None:
    """Return the command, GRANT or name that mends a database that refuses; None if none does."""
    database = _raised_by(error.orig) if isinstance(error, DBAPIError) else None
    return None if database is None else database.remedy(error.orig)  # type: ignore[union-attr]


def is_missing(what: str, error: DBAPIError) -> bool:
    """Whether an error says that there is no such "table" or "column"."""
    database = _raised_by(error.orig)
    return database is not None and database.is_missing(what, error.orig)


def first_line(error: Any) -> str:
    """Return what the driver said in an error of SQLAlchemy's or Optuna's, on one line."""
    found = getattr(error, "orig", None) or getattr(error.__cause__, "orig", None) or error
    said = str(found).strip()
    return said.splitlines()[0] if said else repr(found)


def _raised_by(original: BaseException | None) -> Database | None:
    package = type(original).__module__.partition(".")[0]
    return next((one for one in DATABASES.values() if one.package == package), None)
