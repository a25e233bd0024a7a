"""Train the default network on a few batches in a separate process, to test it.

The other process gets a job and returns an answer, both as JSON. Both processes read the data from
the folder.
"""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from objectives.base import FitOptions
from objectives.errors import ObjectiveError
from objectives.framework.backend import on_tensorflow
from objectives.framework.runtime import quiet_import, without_pandas
from objectives.network.cnn import KerasObjective, build_cnn
from objectives.space.space import SearchSpace


def job_of(
    objective: KerasObjective, data_dir: Path, environment: dict[str, str]
) -> dict[str, Any]:
    """Return the job that tries out an objective around `build_cnn`.

    `environment` holds variables that must be set before the framework looks for devices.
    """
    return {
        "fit_options": asdict(objective.fit_options),
        "space": objective.space.to_json(),
        "data": str(data_dir.resolve()),
        "environment": environment,
    }


def do(job: dict[str, Any]) -> dict[str, Any]:
    """Do a job, and return the answer for `read_answer`."""
    os.environ.update(job["environment"])
    space, options = SearchSpace.from_json(job["space"]), FitOptions(**job["fit_options"])
    objective = KerasObjective(build_cnn, space, options)
    try:
        return {"images_per_s": objective.trial_run(objective.load(Path(job["data"])))}
    except ObjectiveError as error:
        return {"error": str(error), "hint": error.hint}


def read_answer(answer: dict[str, Any]) -> float:
    """Return the images trained per second.

    Raises:
        ObjectiveError: The network does not work, or the data cannot be read.
    """
    if "error" in answer:
        raise ObjectiveError(answer["error"], answer["hint"])
    return float(answer["images_per_s"])


def load_framework() -> None:
    """Import TensorFlow, before options or devices are known."""
    if on_tensorflow():
        with quiet_import(), without_pandas():
            import keras  # noqa: F401
