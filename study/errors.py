"""Exceptions for known failures of a study; `study/cli/app.py` prints them."""


class StudyError(Exception):
    """A failure that the user can fix; `hint` is the command or change that fixes it."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class DashboardError(StudyError):
    """The dashboard cannot listen on its address, or its settings would give access to anybody."""
