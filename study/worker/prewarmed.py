"""Main function of the process that `run/prewarm.py` starts: load the framework, await a command.

The process starts while a study is still being created or opened. On request it tries out the first
batches of the objective. Then it gets the command line of a worker, and becomes that worker. It
exits if its parent ends before that.
"""

import contextlib
import json
import os
import sys
from pathlib import Path

from objectives.errors import ObjectiveError
from objectives.files.ownfile import APPEND, open_file
from study.worker.told import AT_ONCE, PREWARM


def await_command() -> list[str]:
    """Wait for the command of this process; return the words after `study`."""
    from objectives.network.tryout.firstbatches import do, load_framework

    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # keep stdout for answers
    if os.environ.pop(PREWARM) == AT_ONCE:
        with contextlib.suppress(ObjectiveError):  # a job will fail with the same error
            load_framework()
    # Imported before the first training, which freezes the garbage collector on what is loaded.
    import study.worker.main  # noqa: F401

    for line in sys.stdin.buffer:
        order = json.loads(line)
        if "job" not in order:
            answers.close()
            os.environ.update(order["environment"])
            _print_to(Path(order["log"]))
            words: list[str] = order["words"]
            return words
        answers.write(json.dumps(do(order["job"])) + "\n")
    os._exit(0)


def _print_to(path: Path) -> None:
    """Print to a log from now on, and read from /dev/null."""
    try:
        log = open_file(path, 1, APPEND)
    except OSError:  # the supervisor has reported it
        log = os.open(os.devnull, os.O_WRONLY)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for here, standard in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(here, standard)
    os.close(log)
    os.close(nothing)
