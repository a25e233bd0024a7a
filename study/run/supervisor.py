"""The supervisor of N workers: starts them, restarts dead ones, passes signals on.

When a worker dies, its trials are requeued at once and the worker is restarted after a pause. A
worker that dies several times in a row without finishing a trial is given up. When the last worker
is given up, the run fails and shows the end of that worker's log.
"""

import logging
import math
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from objectives.files.atomic import make_folder
from storage import attrs
from storage.errors import StorageError
from storage.slots.slots import Slots
from study.machine.identity import how_it_ended
from study.run.launchers import Handle, Launcher, WorkerLog
from study.spec.open import OpenStudy, Say
from study.view.logs import last_lines
from study.worker.told import WorkerOptions

logger = logging.getLogger(__name__)

MOST_DEATHS = 3
MOST_BARREN = 6  # while others finish trials: a slot that kills workers costs each 3 at most
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
END_S = 1.5
PATIENCE_S = 5.0  # beyond the drain timeout, for workers that do not exit
REQUEUE_S = 5.0  # for an unreachable database; the grace period requeues as well


@dataclass(frozen=True)
class Look:
    """The state of the study that a supervisor acts on.

    Attributes:
        is_done: Whether all slots are final.
        is_away: Whether the database does not answer, so that `is_done` may be outdated.
    """

    is_done: bool
    is_away: bool = False


@dataclass(frozen=True)
class Stop:
    """Why a run is to end.

    Attributes:
        is_known: Whether the workers read the request themselves; a signal would be a second
            request, and end them at once.
    """

    why: str
    is_known: bool = False


@dataclass
class _Worker:
    """One worker; its process may be restarted several times.

    Attributes:
        handle: Its process; None before the first start and after each end.
        names: Names of its processes.
        n_ended: Number of trials that these processes had ended at the last count.
        n_deaths: Deaths since any worker of this run ended a trial.
        n_barren: Deaths since this worker ended a trial.
        start_at: The earliest `time.monotonic()` of its next start.
        is_done: Whether it is never started again.
    """

    index: int
    log: WorkerLog
    handle: Handle | None = None
    names: list[str] = field(default_factory=list)
    n_ended: int = 0
    n_deaths: int = 0
    n_barren: int = 0
    start_at: float = 0.0
    is_done: bool = False

    def send(self, number: int) -> None:
        handle = self.handle  # another thread may set it to None
        if handle is not None:
            handle.signal(number)

    def wait(self, timeout_s: float) -> None:
        handle = self.handle
        if handle is not None:
            handle.wait(timeout_s)


class Supervisor:
    """Starts workers for a study and restarts them until it is done or stopped.

    Args:
        options: Options of the workers; the work dir is created if needed.
        say: Called with lines for the user.

    Attributes:
        last_words: Why the last worker was given up, with the end of its log.
    """

    def __init__(
        self,
        opened: OpenStudy,
        n_workers: int,
        options: WorkerOptions,
        launcher: Launcher,
        say: Say,
    ) -> None:
        self._work = opened.work_dir(options.work_dir)
        make_folder(self._work.root, "--work-dir")
        self._opened, self._options, self._launcher, self._say = opened, options, launcher, say
        self._workers = [
            _Worker(i, WorkerLog(i, self._work.worker_log(i), say)) for i in range(n_workers)
        ]
        self._kill_at = math.inf
        self._n_ended = 0
        self._draining = False
        self.last_words = ""

    def run(self, look: Callable[[bool], Look], should_stop: Callable[[], Stop | None]) -> None:
        """Start, restart and stop workers until all have ended.

        Args:
            look: Returns the study's state: with True it is read now, with False it may be a moment
                old. Called several times a second.
            should_stop: Once it returns a `Stop`, no worker is started again.
        """
        try:
            while not all(worker.is_done for worker in self._workers):
                found = look(False)
                self._drain(should_stop(), is_done=found.is_done)
                for worker in self._workers:
                    self._look_after(worker, look, should_stop)
                    for line in worker.log.new_lines() if self._options.verbose else ():
                        self._say(f"worker {worker.index}: {line}")
                time.sleep(0.1)
        except BaseException:
            self._send(signal.SIGTERM)
            self._wait(timeout_s=self._options.drain_s + 2)
            raise

    def end_now(self) -> None:
        """End all workers within two seconds; each releases its slot first, if it still can."""
        # Two different signals, because two equal signals in a row may arrive as one.
        self._send(signal.SIGTERM)
        self._send(signal.SIGINT)
        self._wait(timeout_s=END_S)

    def _send(self, number: int) -> None:
        for worker in self._workers:
            worker.send(number)

    def _wait(self, *, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        for worker in self._workers:
            worker.wait(max(0.0, deadline - time.monotonic()))

    def _drain(self, stop: Stop | None, *, is_done: bool) -> None:
        if (stop is not None or is_done) and not self._draining:
            if stop is not None:
                self._say(f"{stop.why}: the epochs in progress end, their slots are released")
            if stop is None or not stop.is_known:
                self._send(signal.SIGTERM)  # if all slots are final, idle workers still wait
            self._draining = True
            self._kill_at = time.monotonic() + self._options.drain_s + PATIENCE_S
        if time.monotonic() > self._kill_at:  # frozen, or stuck in the kernel
            self._send(signal.SIGKILL)

    def _look_after(
        self, worker: _Worker, look: Callable[[bool], Look], should_stop: Callable[[], Stop | None]
    ) -> None:
        if worker.is_done:
            return
        if worker.handle is None:
            if self._draining:
                worker.is_done = True
            elif time.monotonic() >= worker.start_at:
                worker.handle = self._launcher.start(worker.log)
                worker.names.append(worker.handle.name)
            return
        code = worker.handle.poll()
        if code is None:
            return
        worker.handle = None
        self._requeue_trials_of(worker, code)
        now = look(True)  # the requeue may have given up the last slot
        self._drain(should_stop(), is_done=now.is_done)  # the worker may have read the order first
        if self._draining:
            worker.is_done = True
            return
        if code != 0 and not now.is_away:
            worker.n_deaths += 1
            worker.n_barren += 1
        self._restart(worker, code)

    def _requeue_trials_of(self, worker: _Worker, code: int) -> None:
        """Requeue the trials of a process that has ended, and report each."""
        name, reason = worker.names[-1], self._launcher.reason_of(code)
        how = how_it_ended(code)  # a process that was asked to stop holds no trial
        error = {"type": how, "message": f"worker {worker.index} ({name}) died: {how}"}
        slots, registry = self._opened.patient_slots(REQUEUE_S), self._opened.registry(REQUEUE_S)
        try:
            held = slots.running_of(name)
            tail = "\n".join(last_lines(self._work.attempt_log(n)) for n in held)
            why = {attrs.REASON: reason, attrs.ERROR: error, attrs.LOG: tail}
            for trial in slots.requeue_crashed(name, why, self._opened.spec.max_attempts):
                self._say(f"trial {trial} ended with its worker: {reason}")
            registry.leave(name, was_there=False)
            self._reset_deaths(worker, slots)
        except StorageError as failure:
            logger.warning("the trials of worker %s are requeued later: %s", name, failure)

    def _reset_deaths(self, worker: _Worker, slots: Slots) -> None:
        """Count deaths from 0 again once a worker of this run has ended a trial."""
        n_ended = slots.count_ended_by([name for one in self._workers for name in one.names])
        if n_ended != self._n_ended:
            self._n_ended = n_ended
            for one in self._workers:
                one.n_deaths = 0
        n_own = slots.count_ended_by(worker.names)
        if n_own != worker.n_ended:
            worker.n_ended, worker.n_barren = n_own, 0

    def _restart(self, worker: _Worker, code: int) -> None:
        """Start a worker again after a pause, or give it up."""
        how = how_it_ended(code)
        if worker.n_deaths >= MOST_DEATHS or worker.n_barren >= MOST_BARREN:
            worker.is_done = True
            self.last_words = (
                f"worker {worker.index} died {worker.n_barren} times without finishing a trial "
                f"({how}); the end of {worker.log.path}:\n{worker.log.tail()}"
            )
            if not all(other.is_done for other in self._workers):
                self._say(f"{self.last_words.partition(';')[0]}; the others go on")
        elif code == 0:
            self._say(f"worker {worker.index} was stopped from outside; starting another")
        else:
            pause_s = min(FIRST_PAUSE_S * 2 ** max(0, worker.n_barren - 1), LONGEST_PAUSE_S)
            worker.start_at = time.monotonic() + pause_s
            self._say(f"worker {worker.index} died ({how}); starting it again in {pause_s:g} s")
