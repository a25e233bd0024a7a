"""Tries out a new study's objective on a few batches, before its slots are planned.

Loading the framework takes seconds, half a GB and a part of a GPU, which are freed only when the
process ends. So pre-warmed processes try out the default network. A user's file has already loaded
the framework in this process, and is tried out here.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from objectives.framework.fitprocess import FitProcess
from objectives.load import try_fit
from objectives.network.cnn import KerasObjective
from objectives.network.tryout.firstbatches import job_of, read_answer
from study.machine.gpus import VISIBLE, Gpu, seeing
from study.run.prewarm import Prewarmed
from study.spec.open import Loaded
from study.spec.spec import StudySpec


def expected_trial_s(
    ready: Sequence[Prewarmed],
    loaded: Loaded,
    spec: StudySpec,
    data_dir: Path | None,
    gpu: Gpu | None,
) -> float | None:
    """Push a few batches through the objective; return the expected duration of a trial, in s.

    All pre-warmed processes do so at once. This measures their speed under load, and does the extra
    work of each process's first training.

    Args:
        ready: Pre-warmed processes; if empty, this process tries the objective out.
        gpu: The GPU to use; None: any visible device.

    Raises:
        ObjectiveError: The objective does not work.
        StudyError: The process died during the try-out.
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
    """Return the warnings of the try-out about a user's model, a line each."""
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
