"""Exceptions of objectives: errors that the user can fix, and exceptions that end a trial early.

`study/cli/app.py` turns them into text and exit codes.
"""

from typing import ClassVar


class ObjectiveError(Exception):
    """A failure that the user can fix; `hint` is the command or change that fixes it."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class DataError(ObjectiveError):
    """A data file is missing or wrong; names file, row and column."""


class FileError(ObjectiveError):
    """A file or folder cannot be used; names it and says why."""


class SpaceError(ObjectiveError):
    """A search space is invalid, or params are outside of it."""


class ModelError(ObjectiveError):
    """A model or objective file cannot be loaded, or breaks the contract."""


class CheckpointError(ObjectiveError):
    """A checkpoint cannot be written, for example because the disk is full.

    Attributes:
        last: The newest instance, kept because a user's `fit` may swallow the exception.
    """

    last: ClassVar["CheckpointError | None"] = None

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint)
        CheckpointError.last = self


class DivergedError(Exception):
    """The loss became NaN or infinite; the params are infeasible."""


class Pruned(Exception):  # noqa: N818 - a decision, not an error
    """Raised by `report`: the pruner ended the trial."""


class LeaseLost(Exception):  # noqa: N818 - a fact, not an error
    """Raised by `report`: the trial belongs to another worker now, so nothing may be written."""
