"""A process that loads the framework before it is known what it is to work on.

It is started while a study is still being created or opened, in time that would go by unused; tries
out the first batches of the objective, if it is asked to; and becomes a worker when it is told the
rest of its command line. Where nobody can tell it anything any more, it leaves.
"""

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from objectives.errors import ObjectiveError
from objectives.files.ownfile import APPEND, open_file
from study.errors import StudyError

READY = "STUDY_READY"
"""In its environment: whether to load the framework at once, or with the first job."""

LOG_ENCODING = "PYTHONIOENCODING"
"""In the environment of a worker: it prints to a log, which is UTF-8 in any locale."""

AT_ONCE, WITH_A_JOB = "at once", "with a job"
# -P: a study.py in the current folder must not be taken for this program.
PROGRAM = (sys.executable, "-P", "-m", "study")


class Ready:
    """Such a process, as whoever has started it sees it.

    Args:
        study: What it is to work on, for those who look at the processes of the machine, if known.
        how: `AT_ONCE`, or `WITH_A_JOB` where a job says what the framework may see.
    """

    def __init__(self, study: str | None, how: str) -> None:
        pipe = subprocess.PIPE
        named = [] if study is None else ["--study", study]
        self._is_worker = False
        self.process = subprocess.Popen(
            [*PROGRAM, "worker", *named],
            stdin=pipe,
            stdout=pipe,
            env={**os.environ, READY: how, LOG_ENCODING: "utf-8:backslashreplace"},
            # A session of its own: who started it ends it, also on Ctrl-C.
            start_new_session=True,
        )

    def ask(self, job: dict[str, Any]) -> None:
        """Let it do a job of `objectives.network.tryout.firstbatches`, and do not wait for that."""
        with contextlib.suppress(BrokenPipeError):  # its answer will tell
            self._tell({"job": job})

    def answer(self) -> dict[str, Any]:
        """Return the answer of `firstbatches.do` to the job that it was asked for.

        Raises:
            StudyError: The process died of it.
        """
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        if not said:
            how = how_it_ended(self.process.wait())
            raise StudyError(f"a first batch ended its process: {how}")
        found: dict[str, Any] = json.loads(said)
        return found

    def become(
        self, command: list[str], environment: dict[str, str], log: Path
    ) -> subprocess.Popen[bytes] | None:
        """Return the process, which from now on is what the command would have started.

        Args:
            command: Of a worker, as for `subprocess`.
            environment: Variables beside those that it has.
            log: The file that it prints to.

        Returns:
            None if it has died meanwhile.
        """
        try:
            self._tell({"command": command, "environment": environment, "log": str(log)})
        except BrokenPipeError:
            self.end()
            return None
        self._close()
        self._is_worker = True
        return self.process

    def end(self) -> None:
        """End the process, unless it has become a worker; again changes nothing."""
        if self._is_worker:
            return
        self.process.kill()
        self.process.wait()
        self._close()

    def _tell(self, order: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()

    def _close(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def is_ready() -> bool:
    """Whether this process was started to be told later what to do."""
    return READY in os.environ


def await_orders() -> None:
    """Be such a process; return once it is a worker, with its own command line in place."""
    from objectives.network.tryout.firstbatches import do, load_framework

    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what else is printed is no answer
    if os.environ.pop(READY) == AT_ONCE:
        with contextlib.suppress(ObjectiveError):  # the job will find it as well
            load_framework()
    # Before a first training, which takes what is there for what stays.
    importlib.import_module("study.worker.process")
    for line in sys.stdin.buffer:
        order = json.loads(line)
        if "job" not in order:
            answers.close()
            _become(order)
            return
        answers.write(json.dumps(do(order["job"])) + "\n")
    os._exit(0)


def _become(order: dict[str, Any]) -> None:
    os.environ.update(order["environment"])
    try:
        log = open_file(Path(order["log"]), 1, APPEND)
    except OSError:  # who started it has said so
        log = os.open(os.devnull, os.O_WRONLY)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for here, standard in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(here, standard)
    os.close(log)
    os.close(nothing)
    # Also what a worker that replaces itself starts anew.
    sys.orig_argv[:] = order["command"]
    sys.argv[1:] = order["command"][len(PROGRAM) :]


def how_it_ended(code: int) -> str:
    """Return an exit code as a person reads it."""
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
