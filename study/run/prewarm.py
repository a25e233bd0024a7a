"""Starts processes that load the framework while a study is opened, and that later become workers.

This is the parent's side; `worker/prewarmed.py` runs in the processes. They start before the
command knows whether the study exists, so importing this file must be fast. Only studies of the
default network use them: a user's file loads the framework in the process that reads it.
"""

import json
import os
import subprocess
import sys
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from objectives.framework.backend import backend_name
from study.errors import StudyError
from study.machine.identity import how_it_ended
from study.machine.placing import Placing, allocate, this_machine
from study.spec.spec import DEFAULT_N_TRIALS, Given, StudySpec, is_for_default_network
from study.worker.told import AT_ONCE, LOG_ENCODING, PREWARM, PROGRAM, WITH_A_JOB


class Prewarmed:
    """A handle on one pre-warmed process.

    Args:
        study: The study's name if known, shown in lists of processes.
        how: `AT_ONCE`, or `WITH_A_JOB` if a job names the device that the framework may see.
    """

    def __init__(self, study: str | None, how: str) -> None:
        named = [] if study is None else ["--study", study]
        self.process = subprocess.Popen(
            [*PROGRAM, "worker", *named],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, PREWARM: how, **LOG_ENCODING},
            start_new_session=True,  # Ctrl-C must not reach it
        )

    def ask(self, job: dict[str, Any]) -> None:
        """Send a job of `objectives.network.tryout.firstbatches`; do not wait for the answer."""
        with suppress(BrokenPipeError):  # `answer` will report it
            self._tell(job=job)

    def answer(self) -> dict[str, Any]:
        """Return the answer of `firstbatches.do` to the job.

        Raises:
            StudyError: The process died during the job.
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
        """Turn the process into the worker of a command line; return None if it has died.

        Args:
            environment: Additional environment variables.
            log: The file to print to.
        """
        words = command[len(PROGRAM) :]
        try:
            self._tell(words=words, environment=environment, log=str(log))
        except BrokenPipeError:
            self.end()
            return None
        self._close()
        return self.process

    def end(self) -> None:
        """Kill the process."""
        self.process.kill()
        self.process.wait()
        self._close()

    def _tell(self, **order: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()

    def _close(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()


class Prewarm(AbstractContextManager["Prewarm"]):
    """The pre-warmed processes: one for each future worker; with GPUs, one for the try-out.

    Processes that have not become workers are killed at the end of the block.

    Args:
        study: The study's name, if known.
        asked: Options of the command.
        n_slots: The study's budget; None: the default one.
        placing: Where this command runs workers; None: it only creates the study, and needs one
            process for the try-out.

    Attributes:
        ready: The processes; empty if the study cannot use them.
    """

    def __init__(
        self, study: str | None, asked: Given, n_slots: int | None, placing: Placing | None = None
    ) -> None:
        self.ready: list[Prewarmed] = []
        self._become_workers = False
        if not is_for_default_network(asked) or "keras" in sys.modules:
            return
        machine, threads = this_machine(), asked.threads or 1
        try:
            found = allocate(placing or Placing(), machine, threads=threads, uses_gpus=True)
        except StudyError:  # reported later, if it holds for this study
            return
        self._become_workers = placing is not None and not found.gpus
        n_workers = min(found.n_workers(n_slots or DEFAULT_N_TRIALS), machine.cores)
        how = WITH_A_JOB if found.gpus else AT_ONCE
        n = n_workers if self._become_workers else 1
        self.ready = [Prewarmed(study, how) for _ in range(n)]

    def __exit__(self, *error: object) -> None:
        self._keep(0)

    def keep_workers(self, spec: StudySpec, n_workers: int) -> None:
        """Kill those that cannot become one of the workers of this study."""
        fits = is_for_default_network(spec) and spec.backend == backend_name()
        self._keep(n_workers if fits and self._become_workers else 0)

    def _keep(self, n: int) -> None:
        while len(self.ready) > n:
            self.ready.pop().end()
