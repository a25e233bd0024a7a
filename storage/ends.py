"""The table of reasons why a trial ends as FAIL, and who opens its slot again.

A new reason is a row here and the code that raises it.
"""

from dataclasses import dataclass
from enum import Enum, auto

LOST = "lost"
RELEASED = "released"
CRASHED = "crashed"
OUT_OF_MEMORY = "out_of_memory"
INFEASIBLE = "infeasible"
ERROR = "error"
TIMEOUT = "timeout"


class Opener(Enum):
    """Who opens the slot of a failed trial again."""

    ANYONE = auto()
    """Any process that reads the study, or the worker's supervisor."""
    WORKER = auto()
    """The worker, in the transaction that ends the trial."""
    WORKER_ONCE = auto()
    """The worker, once; then a user, by `study retry`."""
    PERSON = auto()
    """A user, by `study retry`."""
    NOBODY = auto()
    """Nobody, because the same params would fail again."""


@dataclass(frozen=True)
class End:
    """One reason.

    Attributes:
        reason: Value of the trial's attribute `reason`.
        meaning: The reason in words, for the report.
        opener: Who opens the slot again.
        is_failure: Whether it counts as an attempt and is listed as a failure.
        stops_study: Whether repeated errors before any success stop the study.
    """

    reason: str
    meaning: str
    opener: Opener
    is_failure: bool = True
    stops_study: bool = False

    @property
    def is_final(self) -> bool:
        """Whether the params caused it, so that no exit code reports a failure."""
        return self.opener is Opener.NOBODY

    @property
    def is_given_back(self) -> bool:
        """Whether the worker itself opens the slot again."""
        return self.opener in (Opener.WORKER, Opener.WORKER_ONCE)

    @property
    def is_retried_by_hand(self) -> bool:
        """Whether the slot waits for `study retry`."""
        return self.opener in (Opener.PERSON, Opener.WORKER_ONCE)


ENDS = {
    end.reason: end
    for end in (
        End(LOST, "its worker sent no heartbeat for the grace period", Opener.ANYONE),
        End(CRASHED, "its worker died", Opener.ANYONE),
        End(
            RELEASED,
            "its worker was asked to stop, and gave the slot back",
            Opener.WORKER,
            is_failure=False,
        ),
        End(OUT_OF_MEMORY, "it ran out of memory", Opener.WORKER_ONCE),
        End(INFEASIBLE, "the loss became NaN or infinite with these params", Opener.NOBODY),
        End(ERROR, "the training raised an error", Opener.PERSON, stops_study=True),
        End(TIMEOUT, "it exceeded the trial timeout", Opener.PERSON),
    )
}


def end_of(reason: object) -> End:
    """Return the end of a stored reason; for an unknown reason, any process may open the slot."""
    name = "unknown" if reason is None else str(reason)
    return ENDS.get(name) or End(name, "", Opener.ANYONE)
