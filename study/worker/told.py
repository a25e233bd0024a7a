"""What a worker is told beside its study."""

from dataclasses import dataclass, field

from study.machine.placing import Placing
from study.spec.workdir import WorkDir

SUPERVISED = "STUDY_SUPERVISED"
"""In a worker's environment, its supervisor's pid: the worker drains when that is gone."""
STOP_SEEN = "STUDY_STOP_SEEN"
"""In its environment, the id of the stop order that is older than its supervisor, or "none"."""


@dataclass(frozen=True)
class Settings:
    """What a worker is told beside its study.

    Attributes:
        work: The work dir.
        recycle_after: Trials after which it replaces itself.
        drain_s: How long it may take to end its epoch when it is stopped.
        wait_s: How long it waits for a database that does not answer, when it opens it.
        placing: Where it may compute; how many there are is the supervisor's.
    """

    work: WorkDir
    recycle_after: int
    drain_s: float
    wait_s: float
    placing: Placing = field(default_factory=Placing)

    def arguments(self) -> list[str]:
        """Return them as options of `study worker`."""
        return [
            *("--work-dir", str(self.work.root), "--recycle-after", str(self.recycle_after)),
            *("--drain-timeout", f"{self.drain_s}s", "--wait", f"{self.wait_s}s"),
            *self.placing.arguments(),
        ]
