"""The known failures of the dashboard."""

from study.errors import StudyError


class DashboardError(StudyError):
    """The dashboard cannot listen where it was told to, or would be open to everybody there."""
