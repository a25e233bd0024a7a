"""The ways in which storage fails that are known.

Each carries one line for the user, free of passwords, and where there is one the next command to
try. Turning them into text and exit codes is `study/cli/app.py`'s work.
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

    No trial is to blame for it: whoever meets it keeps the slot open and ends.
    """


class StorageMissingError(StorageError):
    """A command that only reads was given a database that does not exist or holds no tables."""


class UnsupportedDatabaseError(StorageError):
    """The server, its version or its schema is one that the guarantees cannot be kept on."""


class ClaimLostError(StorageError):
    """The trial is no longer this worker's: write nothing more of it, claim another.

    Raised by every write of an attempt whose row is finished or carries another claim token.
    """
