"""Processes that load the framework while a study is created or opened, and become its workers.

They are started before it is known whether the study is there already: what creating takes is
imported meanwhile. So importing this file loads next to nothing. The default network alone gets
them: a user's own file loads the framework where it is read.
"""

import sys
from types import TracebackType
from typing import Self

from study.errors import StudyError
from study.machine.placing import Placing
from study.machine.shares import staff_for, this_machine
from study.spec.spec import DEFAULT_N_TRIALS, Given, is_for_default_network
from study.worker.warm import AT_ONCE, WITH_A_JOB, Ready


class Crew:
    """On a machine without GPUs as many processes as there will be workers, else one.

    At the end of the context they are gone, but for those that have become workers.

    Args:
        study: Its name, for those who look at the processes of the machine.
        asked: Options of the command.
        n_slots: Its budget; None: the default one.
        placing: Where the study is to be worked on in this command; None: not here, and one process
            is for trying its network out.

    Attributes:
        ready: Those of now; empty where the study has no use for them.
    """

    def __init__(
        self, study: str | None, asked: Given, n_slots: int | None, placing: Placing | None = None
    ) -> None:
        self.ready: list[Ready] = []
        self._stay = False
        if not is_for_default_network(asked) or "keras" in sys.modules:
            return
        machine, where, threads = this_machine(), placing or Placing(), asked.threads or 1
        n_open = n_slots or DEFAULT_N_TRIALS
        try:
            staff = staff_for(where, machine, threads=threads, n_open=n_open, uses_gpus=True)
        except StudyError:  # is said later, if it is true of the study
            return
        self._stay = placing is not None and not staff.gpus
        n = min(staff.n_workers, machine.cores) if self._stay else 1
        how = WITH_A_JOB if staff.gpus else AT_ONCE
        self.ready = [Ready(study, how) for _ in range(n)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.keep(0)

    def keep(self, n: int) -> None:
        """End all but `n` of those that may become workers."""
        n_kept = n if self._stay else 0
        for one in self.ready[n_kept:]:
            one.end()
        del self.ready[n_kept:]
