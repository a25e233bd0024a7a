"""N workers on this machine, and the process that looks after them.

A worker is a child process with a command line of its own and a log file in the work dir. One that
dies is started again after a pause; several deaths in a row without a finished trial end the run
with the tail of that worker's log. Signals reach the supervisor alone, which passes them on.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from study.atomic import make_folder
from study.errors import StudyError
from study.opening import OpenStudy, Say

MOST_DEATHS = 3
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
END_S = 1.5
TAIL_LINES = 15
SUPERVISED = "STUDY_SUPERVISED"
"""In a worker's environment, its supervisor's pid: the worker drains when that is gone."""


def n_cores() -> int:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def count_workers(wanted: str, threads: int, n_open: int) -> int:
    """Return how many workers to start.

    One worker a core and one thread a trial train about 1.5 times as many images as one process
    with all threads; hence `auto` is cores / threads, and never more than there are open slots.

    Raises:
        StudyError: `wanted` is neither "auto" nor a number above 0.
    """
    if wanted == "auto":
        return max(1, min(n_cores() // threads, n_open))
    if not wanted.isdigit() or int(wanted) < 1:
        raise StudyError(f"--workers {wanted!r} is neither 'auto' nor a number above 0")
    return int(wanted)


@dataclass
class _Child:
    index: int
    log: Path
    process: subprocess.Popen[bytes] | None = None
    n_deaths: int = 0
    start_at: float = 0.0
    is_done: bool = False
    tail_from: int = 0
    shown_to: int = 0


class Supervisor:
    """Starts workers for a study and looks after them until it is done or stopped.

    Args:
        opened: The study.
        n_workers: How many.
        work_dir: Where the logs go; made where it is missing.
        say: Called with one line for what a user should know.
        verbose: Whether to say what the workers write to their logs, too.
    """

    def __init__(
        self,
        opened: OpenStudy,
        n_workers: int,
        work_dir: Path,
        say: Say,
        *,
        verbose: bool = False,
    ) -> None:
        make_folder(work_dir, "--work-dir")
        self._opened, self._say, self._verbose = opened, say, verbose
        self._children = [_Child(i, work_dir / f"worker-{i}.log") for i in range(n_workers)]
        self._n_finished = -1
        self._draining = False

    def run(self, tick: Callable[[], int], should_stop: Callable[[], bool]) -> None:
        """Look after the workers until they have all left.

        Args:
            tick: Called several times a second; returns how many slots are final.
            should_stop: Once true, the workers are asked to drain.

        Raises:
            StudyError: Workers died again and again without finishing a trial.
        """
        try:
            while not all(child.is_done for child in self._children):
                n_final = tick()
                if n_final != self._n_finished:
                    self._n_finished = n_final
                    for child in self._children:
                        child.n_deaths = 0
                if should_stop() and not self._draining:
                    self._say("stopping: the epochs in progress end, their slots are released")
                    self.send(signal.SIGTERM)
                    self._draining = True
                for child in self._children:
                    self._look_after(child)
                    if self._verbose:
                        self._pass_on(child)
                time.sleep(0.1)
        except BaseException:
            self.send(signal.SIGTERM)
            self._wait(timeout_s=10)
            raise

    def send(self, number: int) -> None:
        """Send a signal to every worker that runs."""
        for child in self._children:
            if child.process is not None and child.process.poll() is None:
                child.process.send_signal(number)

    def end_now(self) -> None:
        """End every worker within two seconds; each gives its slot back first, if it still can."""
        # Two different signals: two of one kind, sent quickly, may arrive as one.
        self.send(signal.SIGTERM)
        self.send(signal.SIGINT)
        self._wait(timeout_s=END_S)

    def _wait(self, *, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        for child in self._children:
            if child.process is not None:
                try:
                    child.process.wait(max(0.1, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    child.process.kill()
                    child.process.wait()

    def _look_after(self, child: _Child) -> None:
        if child.is_done:
            return
        if child.process is None:
            if self._draining:
                child.is_done = True
            elif time.monotonic() >= child.start_at:
                self._start(child)
            return
        code = child.process.poll()
        if code is None:
            return
        child.process = None
        if code == 0 or self._draining:
            child.is_done = True
            return
        self._mourn(child, code)

    def _pass_on(self, child: _Child) -> None:
        if not child.log.exists():
            return
        with child.log.open("rb") as log:
            log.seek(child.shown_to)
            *lines, _unfinished = log.read().split(b"\n")
        for line in lines:
            self._say(f"worker {child.index}: {line.decode(errors='replace')}")
            child.shown_to += len(line) + 1

    def _mourn(self, child: _Child, code: int) -> None:
        child.n_deaths += 1
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        if child.n_deaths >= MOST_DEATHS:
            raise StudyError(
                f"worker {child.index} died {child.n_deaths} times without finishing a trial "
                f"({how}); the end of {child.log}:\n{_tail(child)}"
            )
        pause_s = min(FIRST_PAUSE_S * 2 ** (child.n_deaths - 1), LONGEST_PAUSE_S)
        child.start_at = time.monotonic() + pause_s
        self._say(f"worker {child.index} died ({how}); starting it again in {pause_s:g} s")

    def _start(self, child: _Child) -> None:
        environment = {
            **os.environ,
            SUPERVISED: str(os.getpid()),
            # By the environment, because a command line is readable by everybody on the machine.
            "STUDY_STORAGE": self._opened.storage.url,
        }
        # -P: a study.py in the current folder must not be taken for this program.
        command = [sys.executable, "-P", "-m", "study", "worker", "--workers", "1"]
        command += ["--study", self._opened.name]
        if self._opened.data_dir is not None:
            command += ["--data", str(self._opened.data_dir)]
        if self._opened.model is not None:
            command += ["--model", self._opened.model]
        else:
            command += ["--objective", self._opened.objective]
        with child.log.open("ab") as log:
            child.tail_from = log.tell()
            child.shown_to = child.shown_to or child.tail_from
            child.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                # A group of its own: Ctrl-C reaches the supervisor, which passes it on once.
                start_new_session=True,
            )


def _tail(child: _Child) -> str:
    with child.log.open("rb") as log:
        log.seek(child.tail_from)
        lines = log.read().decode(errors="replace").splitlines()
    return "\n".join(f"  {line}" for line in lines[-TAIL_LINES:])
