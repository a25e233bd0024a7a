"""Known failures of the database, each with one line for the user and a hint.

The messages hold no password. `study/cli/app.py` turns them into text and exit codes.
"""


class StorageError(Exception):
    """A known failure of the database; `hint` is the command or change that mends it."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class StorageUnavailableError(StorageError):
    """The database cannot be reached, or not within the time that we wait."""


class StorageBrokenError(StorageError):
    """The disk is full, or the file cannot be written or is damaged: waiting does not help.

    No trial is to blame: the worker that meets it keeps the slot open and ends.
    """


class StorageMissingError(StorageError):
    """A command that only reads was given a database that does not exist or has no tables."""


class UnsupportedDatabaseError(StorageError):
    """The guarantees cannot be kept on this server, version or schema."""


class ClaimLostError(StorageError):
    """The row of the trial is finished or has another claim token: claim another trial."""
