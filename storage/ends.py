"""The reasons why a trial ended as FAIL: one table, used by every command.

A new reason is a row here, and the code that raises it.
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
    """Any process that looks at the study, or the worker's supervisor."""
    WORKER = auto()
    """The worker, in the transaction that ends the trial."""
    WORKER_ONCE = auto()
    """The worker, once; then a person: `study retry`."""
    PERSON = auto()
    """A person: `study retry`."""
    NOBODY = auto()
    """Nobody: the same params would end in the same way."""


@dataclass(frozen=True)
class End:
    """One reason.

    Attributes:
        reason: What stands in the trial's attribute `reason`.
        meaning: The reason in words, for the report.
        opener: Who opens the slot again.
        is_failure: Whether it counts as an attempt and is listed among the failures.
        stops_study: Whether the same error from the start stops the study.
    """

    reason: str
    meaning: str
    opener: Opener
    is_failure: bool = True
    stops_study: bool = False

    @property
    def is_final(self) -> bool:
        """Whether it is a fact of the params, for which no exit code reports a failure."""
        return self.opener is Opener.NOBODY

    @property
    def is_given_back(self) -> bool:
        """Whether the worker opens the slot again itself."""
        return self.opener in (Opener.WORKER, Opener.WORKER_ONCE)

    @property
    def is_retried_by_hand(self) -> bool:
        """Whether the slot waits for a person."""
        return self.opener in (Opener.PERSON, Opener.WORKER_ONCE)


ENDS = {
    end.reason: end
    for end in (
        End(LOST, "its worker was not heard of any more", Opener.ANYONE),
        End(CRASHED, "its worker died", Opener.ANYONE),
        End(
            RELEASED,
            "its worker was asked to leave, and gave it back",
            Opener.WORKER,
            is_failure=False,
        ),
        End(OUT_OF_MEMORY, "memory was not enough", Opener.WORKER_ONCE),
        End(INFEASIBLE, "the loss became no number: a fact of these params", Opener.NOBODY),
        End(ERROR, "the training raised an error", Opener.PERSON, stops_study=True),
        End(TIMEOUT, "it took longer than a trial may", Opener.PERSON),
    )
}


def end_of(reason: object) -> End:
    """Return the end of a stored reason; of an unknown one, an end that anyone may open again."""
    name = "unknown" if reason is None else str(reason)
    return ENDS.get(name) or End(name, "", Opener.ANYONE)
