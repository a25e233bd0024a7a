"""Exceptions that this package raises for known failures, each with one line and a hint.

Messages hold no password. `study/cli/app.py` turns them into text and exit codes. The exceptions of
database drivers are classified in `database/failures.py`.
"""


class StorageError(Exception):
    """A known failure of the database; `hint` is the command or change that fixes it."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class StorageUnavailableError(StorageError):
    """The database cannot be reached within the time limit."""


class StorageBrokenError(StorageError):
    """The disk is full, or the file is read-only or damaged: a retry does not help.

    The trial did not cause it: the worker keeps the slot open and exits.
    """


class StorageMissingError(StorageError):
    """A read-only command got a database that does not exist or has no tables."""


class UnsupportedDatabaseError(StorageError):
    """This server, version or schema cannot keep the guarantees."""


class ClaimLostError(StorageError):
    """The trial's row is finished or has another claim token; the caller must claim another."""
