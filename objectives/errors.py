"""The ways in which an objective fails that are known, and the two that end a trial early.

Known failures carry one line for the user and, where there is one, the next command to try.
Turning them into text and exit codes is `study/cli/app.py`'s work, not theirs.
"""

from typing import ClassVar


class ObjectiveError(Exception):
    """A failure that the user can mend; `hint` is the command or change that mends it."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class DataError(ObjectiveError):
    """A file of the data is missing or wrong; names file, row and column."""


class FileError(ObjectiveError):
    """A file or folder of the machine cannot be used; names it and says why."""


class SpaceError(ObjectiveError):
    """A search space with an unknown name or an empty range, or params outside the space."""


class ModelError(ObjectiveError):
    """A model or objective file cannot be loaded, or breaks the contract."""


class CheckpointError(ObjectiveError):
    """A checkpoint cannot be written, as where the disk is full.

    Attributes:
        last: The newest one: a user's `fit` around a training of ours may not let it through.
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
    """Raised by `report`: the trial is no longer this worker's; write nothing more."""
