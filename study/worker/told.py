"""The inputs of a worker process: its options, command line and environment.

Supervisor and worker share this file and the database, and nothing else.
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

# -P: a study.py in the current folder must not be taken for this program.
PROGRAM = (sys.executable, "-P", "-m", "study")

SUPERVISED = "STUDY_SUPERVISED"
"""In a worker's environment, its supervisor's pid: the worker drains when that process ends."""

STOP_SEEN = "STUDY_STOP_SEEN"
"""In its environment, the id of the last stop order before its supervisor started, or "none"."""

PREWARM = "STUDY_PREWARM"
"""In its environment, while its command is not known yet: when it loads the framework."""

AT_ONCE, WITH_A_JOB = "at once", "with a job"  # a job says which device the framework may see

LOG_ENCODING = {"PYTHONIOENCODING": "utf-8:backslashreplace"}
"""In its environment: it prints to a log, which is UTF-8 in any locale."""


@dataclass(frozen=True)
class WorkerOptions(Placing):
    """The options that workers are told, beside their study: given once, handed down unchanged."""

    work_dir: WorkDir = None
    recycle_after: RecycleAfter = DEFAULT_RECYCLE_AFTER
    drain_s: DrainTimeout = DEFAULT_DRAIN_S
    wait_s: Wait = DEFAULT_WAIT_S
    quiet: Quiet = False
    verbose: Verbose = False

    def command(self, opened: "OpenStudy") -> list[str]:
        """Return the command of one supervised worker; the storage is in its environment.

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
