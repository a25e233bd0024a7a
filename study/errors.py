"""Exceptions for known failures of a study; `study/cli/app.py` prints them."""


class StudyError(Exception):
    """A failure that the user can mend; `hint` is the command or change that mends it."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class DashboardError(StudyError):
    """The dashboard cannot listen where it was told to, or would be open to everybody there."""
