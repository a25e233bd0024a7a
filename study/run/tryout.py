"""Whether a new study's objective works, seen in a few batches before its slots are planned.

Who creates a study or looks after workers needs the framework for nothing else: it takes seconds to
load, half a GB, and a part of a GPU, and nothing but the end of a process frees them. So the
default network is tried out by the processes of a crew; a file of the user's has loaded the
framework here already, and is tried out here.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from objectives.framework.fitprocess import FitProcess
from objectives.load import try_fit
from objectives.network.cnn import KerasObjective
from objectives.network.tryout.firstbatches import job_of, read_answer
from study.machine.gpus import VISIBLE, Gpu, seeing
from study.spec.open import Loaded
from study.spec.spec import StudySpec
from study.worker.warm import Ready


def expected_trial_s(
    ready: Sequence[Ready], loaded: Loaded, spec: StudySpec, data_dir: Path | None, gpu: Gpu | None
) -> float | None:
    """Push a few batches through the objective; return how long a trial may take, in s.

    All processes do so at once: they are as fast as they will be beside each other, and what a
    process's first training takes longer is behind them when they become workers.

    Args:
        ready: Of the crew.
        gpu: The one to do that on; None: whatever is visible.

    Raises:
        ObjectiveError: It does not work.
        StudyError: The process died of it.
    """
    objective = loaded.objective
    if ready and data_dir is not None and isinstance(objective, KerasObjective):
        environment = {} if gpu is None else {VISIBLE: gpu.visible_as}
        job = job_of(objective, data_dir, environment)
        for one in ready:
            one.ask(job)
        images_per_s: float | None = min(read_answer(one.answer()) for one in ready)
    else:
        with seeing(gpu):
            images_per_s = _try_here(loaded, spec)
    if not images_per_s:
        return None
    return float(spec.epochs * len(loaded.dataset.train) / images_per_s)


def warnings_of(loaded: Loaded) -> list[str]:
    """Return what the try-out would have the user know of a model of theirs, a line each."""
    objective = loaded.objective
    return objective.warnings if isinstance(objective, KerasObjective) else []


def _try_here(loaded: Loaded, spec: StudySpec) -> float | None:
    trial_run: Any = getattr(loaded.objective, "trial_run", None)
    if trial_run is None:
        try_fit(loaded.objective, loaded.dataset, spec.model or spec.objective)
        return None
    with FitProcess():
        found: float | None = trial_run(loaded.dataset)
    return found
