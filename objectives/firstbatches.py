"""The first batches of the default network in a process of their own, which ends with its answer.

`python -m objectives.firstbatches`: imports as little as it can before the framework, reads a job
as JSON from stdin, and prints how many images a second it trained on, or what is wrong.
"""

import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from objectives.backend import on_tensorflow
from objectives.base import FitOptions
from objectives.cnn import KerasObjective, build_cnn
from objectives.errors import ObjectiveError
from objectives.runtime import quiet_import
from objectives.space import SearchSpace

AT_ONCE = "--at-once"
"""Load TensorFlow before the job is there, as nothing in it changes how that starts."""


def job_of(objective: KerasObjective, data_dir: Path, environment: dict[str, str]) -> bytes:
    """Return the job of trying out an objective, as far as `build_cnn` is what it builds.

    Args:
        data_dir: As in `KerasObjective.load`.
        environment: Variables to set before the framework looks for devices.
    """
    job = {
        "fit_options": asdict(objective.fit_options),
        "space": objective.space.to_json(),
        "data": str(data_dir.resolve()),
        "environment": environment,
    }
    return json.dumps(job).encode()


def read_answer(said: bytes) -> float:
    """Return how many images a second were trained on.

    Raises:
        ObjectiveError: The network does not work, or the data cannot be read.
    """
    answer: dict[str, Any] = json.loads(said.splitlines()[-1])
    if "error" in answer:
        raise ObjectiveError(answer["error"], answer["hint"])
    return float(answer["images_per_s"])


def _answer(*, at_once: bool) -> dict[str, Any] | None:
    """Do the job that stands on stdin; None where nobody asks any more."""
    try:
        if at_once and on_tensorflow():
            with quiet_import():
                import keras  # noqa: F401
        asked = sys.stdin.read()
        if not asked:
            return None
        job = json.loads(asked)
        os.environ.update(job["environment"])
        space, options = SearchSpace.from_json(job["space"]), FitOptions(**job["fit_options"])
        objective = KerasObjective(build_cnn, space, options)
        return {"images_per_s": objective.trial_run(objective.load(Path(job["data"])))}
    except ObjectiveError as error:
        return {"error": str(error), "hint": error.hint}


def main() -> None:
    """Be that process."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # who asked may be gone
    answer = _answer(at_once=AT_ONCE in sys.argv)
    if answer is not None:
        print(json.dumps(answer), flush=True)
    os._exit(0)  # the framework takes its time to end, and somebody waits


if __name__ == "__main__":
    main()
