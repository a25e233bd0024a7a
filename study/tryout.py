"""Whether a new study's objective works, seen in a few batches before its slots are planned.

The default network gets a process of its own for that. Who creates a study or looks after workers
needs the framework for nothing else: it takes seconds to load, which go by while the data are read,
half a GB, and a part of a GPU, and nothing but the end of a process frees them.
"""

import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from objectives.cnn import KerasObjective
from objectives.firstbatches import AT_ONCE, job_of, read_answer
from objectives.load import try_fit
from study.child import how_it_ended
from study.defining import DEFAULT_OBJECTIVE
from study.errors import StudyError
from study.gpu import VISIBLE, Gpu, ask_driver, gpus_of, seeing
from study.opening import Loaded
from study.spec import Given, StudySpec


class TryOut:
    """Starts that process at once, if a study of such a command line needs it.

    A file of the user's has loaded the framework here already, so it is tried out here. At the end
    of the context the process is gone.

    Attributes:
        process: It; None where there is none.
    """

    def __init__(self, given: Given) -> None:
        is_built_in = given.model is None and given.objective in (None, DEFAULT_OBJECTIVE)
        self.process = _start() if is_built_in and "keras" not in sys.modules else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()

    def trial_s(
        self, loaded: Loaded, spec: StudySpec, data_dir: Path | None, gpu: Gpu | None
    ) -> float | None:
        """Push a few batches through the objective; return how long a trial may take, in s.

        Args:
            gpu: The one to do that on; None: whatever is visible.

        Raises:
            ObjectiveError: It does not work.
            StudyError: The process died of it.
        """
        process, objective = self.process, loaded.objective
        if process is not None and data_dir is not None and isinstance(objective, KerasObjective):
            environment = {} if gpu is None else {VISIBLE: gpu.visible_as}
            images_per_s = _ask(process, job_of(objective, data_dir, environment))
        else:
            with seeing(gpu):
                images_per_s = _try_here(loaded, spec)
        if not images_per_s:
            return None
        return float(spec.epochs * len(loaded.dataset.train) / images_per_s)


def _start() -> subprocess.Popen[bytes]:
    # -P: a study.py in the current folder must not be taken for this program.
    command = [sys.executable, "-P", "-m", "objectives.firstbatches"]
    if not gpus_of(ask_driver()):
        command.append(AT_ONCE)
    pipe = subprocess.PIPE
    # A session of its own: who started it ends it, also on Ctrl-C.
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, start_new_session=True)


def _ask(process: subprocess.Popen[bytes], job: bytes) -> float | None:
    said, _ = process.communicate(job)
    if process.returncode:
        raise StudyError(f"a first batch ended its process: {how_it_ended(process.returncode)}")
    return read_answer(said)


def _try_here(loaded: Loaded, spec: StudySpec) -> float | None:
    trial_run: Any = getattr(loaded.objective, "trial_run", None)
    if trial_run is None:
        try_fit(loaded.objective, loaded.dataset, spec.model or spec.objective)
        return None
    found: float | None = trial_run(loaded.dataset)
    return found
