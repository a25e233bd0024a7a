"""Whether a new study's objective works, seen in a few batches before its slots are planned.

The default network gets a process of its own for that, and on a machine without GPUs as many as
there will be workers, which they become. Who creates a study or looks after workers needs the
framework for nothing else: it takes seconds to load, which go by while the data are read, half a
GB, and a part of a GPU, and nothing but the end of a process frees them.
"""

import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from objectives.cnn import KerasObjective
from objectives.firstbatches import job_of, read_answer
from objectives.load import try_fit
from study.defining import DEFAULT_OBJECTIVE
from study.gpu import VISIBLE, Gpu, seeing
from study.opening import Loaded
from study.placing import Placing
from study.ready import AT_ONCE, WITH_A_JOB, Ready
from study.spec import Given, StudySpec
from study.staff import staff_for, this_machine


class TryOut:
    """Starts such processes at once, if a study of such a command line needs them.

    A file of the user's has loaded the framework here already, so it is tried out here. At the end
    of the context the processes are gone, but for those that were handed over.

    Args:
        name: Of the study.
        n_slots: Of the study.
        placing: Where it is to be worked on in this command; None: not here.
    """

    def __init__(self, name: str, given: Given, n_slots: int, placing: Placing | None) -> None:
        self.ready: list[Ready] = []
        self._stay = False
        is_built_in = given.model is None and given.objective in (None, DEFAULT_OBJECTIVE)
        if not is_built_in or "keras" in sys.modules:
            return
        machine, where, threads = this_machine(), placing or Placing(), given.threads or 1
        staff = staff_for(where, machine, threads=threads, n_open=n_slots, uses_gpus=True)
        self._stay = placing is not None and not staff.gpus
        n = min(staff.n_workers, machine.cores) if self._stay else 1
        how = WITH_A_JOB if staff.gpus else AT_ONCE
        self.ready = [Ready(name, how) for _ in range(n)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for one in self.ready:
            one.end()

    def trial_s(
        self, loaded: Loaded, spec: StudySpec, data_dir: Path | None, gpu: Gpu | None
    ) -> float | None:
        """Push a few batches through the objective; return how long a trial may take, in s.

        All processes do so at once: they are as fast as they will be beside each other, and what a
        process's first training takes longer is behind them when they become workers.

        Args:
            gpu: The one to do that on; None: whatever is visible.

        Raises:
            ObjectiveError: It does not work.
            StudyError: The process died of it.
        """
        objective = loaded.objective
        if self.ready and data_dir is not None and isinstance(objective, KerasObjective):
            environment = {} if gpu is None else {VISIBLE: gpu.visible_as}
            job = job_of(objective, data_dir, environment)
            for one in self.ready:
                one.ask(job)
            images_per_s: float | None = min(read_answer(one.answer()) for one in self.ready)
        else:
            with seeing(gpu):
                images_per_s = _try_here(loaded, spec)
        if not images_per_s:
            return None
        return float(spec.epochs * len(loaded.dataset.train) / images_per_s)

    def hand_over(self) -> list[Ready]:
        """Return the processes that may become workers of the study."""
        if not self._stay:
            return []
        handed, self.ready = self.ready, []
        return handed


def _try_here(loaded: Loaded, spec: StudySpec) -> float | None:
    trial_run: Any = getattr(loaded.objective, "trial_run", None)
    if trial_run is None:
        try_fit(loaded.objective, loaded.dataset, spec.model or spec.objective)
        return None
    found: float | None = trial_run(loaded.dataset)
    return found
