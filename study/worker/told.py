"""The options, command line and environment that a supervisor passes to a worker process.

Supervisor and worker share this file and the database only.
"""

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from study.errors import StudyError
from study.machine.placing import Placing
from study.options import (
    DEFAULT_DRAIN_S,
    DEFAULT_RECYCLE_AFTER,
    DEFAULT_WAIT_S,
    DrainTimeout,
    Quiet,
    RecycleAfter,
    Verbose,
    Wait,
    WorkDir,
)

if TYPE_CHECKING:  # it loads Optuna
    from study.spec.open import OpenStudy

# -P: do not import a study.py in the current folder instead of this program.
PROGRAM = (sys.executable, "-P", "-m", "study")

SUPERVISED = "STUDY_SUPERVISED"
"""Environment variable: the supervisor's pid; the worker drains when that process ends."""

STOP_SEEN = "STUDY_STOP_SEEN"
"""Environment variable: id of the last stop order before the supervisor started, or "none"."""

PREWARM = "STUDY_PREWARM"
"""Environment variable of a process that awaits its command: when it loads the framework."""

AT_ONCE, WITH_A_JOB = "at once", "with a job"  # a job says which device the framework may see

LOG_ENCODING = {"PYTHONIOENCODING": "utf-8:backslashreplace"}
"""Environment of a process that prints to a log, which is UTF-8 in any locale."""


@dataclass(frozen=True)
class WorkerOptions(Placing):
    """The options of a command that are passed on to its workers unchanged."""

    work_dir: WorkDir = None
    recycle_after: RecycleAfter = DEFAULT_RECYCLE_AFTER
    drain_s: DrainTimeout = DEFAULT_DRAIN_S
    wait_s: Wait = DEFAULT_WAIT_S
    quiet: Quiet = False
    verbose: Verbose = False

    def command(self, opened: "OpenStudy") -> list[str]:
        """Return the command line of one supervised worker; its environment names the storage.

        Raises:
            StudyError: The study was renamed to a name that no command line can hold.
        """
        if "\0" in opened.name:
            raise StudyError(
                f"study {opened.name!r} has a name that no worker's command line can hold",
                "rename it in the dashboard: study dashboard --allow-writes",
            )
        data = [] if opened.data_dir is None else ["--data", str(opened.data_dir)]
        return [
            *(*PROGRAM, "worker", "--study", opened.name, *data),
            *("--work-dir", str(opened.work_dir(self.work_dir).root)),
            *("--recycle-after", str(self.recycle_after)),
            *("--drain-timeout", f"{self.drain_s}s", "--wait", f"{self.wait_s}s"),
            *self.arguments(),
        ]
