"""N workers on this machine, and the process that looks after them.

A worker is a child process with a command line of its own and a log file in the work dir. What one
that dies held is open again at once, and it is started again after a pause; several deaths in a row
without a finished trial give it up, and the last one ends the run with the tail of its log. Signals
reach the supervisor alone, which passes them on.
"""

import logging
import math
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from objectives.files.atomic import make_folder
from storage import attrs, ends
from storage.errors import StorageError
from storage.slots.slots import Slots
from study.run.child import Child, KernelKills
from study.spec.open import OpenStudy, Say
from study.view.logs import last_lines
from study.worker.told import Settings
from study.worker.warm import Ready, how_it_ended

logger = logging.getLogger(__name__)

MOST_DEATHS = 3
MOST_BARREN = 6  # of one whose fellows finish trials: a slot that kills costs each three at most
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
END_S = 1.5
PATIENCE_S = 5.0  # beyond the drain timeout, for workers that do not leave
MOURNING_S = 5.0  # for a database that is away; the grace period opens the slot as well


@dataclass(frozen=True)
class Look:
    """What a supervisor needs to know of its study.

    Attributes:
        is_done: Whether all slots are final.
        is_away: Whether the database does not answer, and this is old.
    """

    is_done: bool
    is_away: bool = False


@dataclass(frozen=True)
class Stop:
    """Why a run is to end, and whether the workers know it by themselves.

    A second request would end them at once.
    """

    why: str
    is_known: bool = False


class Supervisor:
    """Starts workers for a study and looks after them until it is done or stopped.

    Args:
        opened: The study.
        n_workers: How many.
        settings: What they are told; the work dir is made where it is missing.
        stop_seen: Id of the newest stop order that is older than this run, or "none".
        say: Called with one line for what a user should know.
        verbose: Whether to say what the workers write to their logs, too.
        ready: Processes that become workers when these are first started; more of them are ended.

    Attributes:
        last_words: Of the newest worker that died again and again without finishing a trial.
    """

    def __init__(
        self,
        opened: OpenStudy,
        n_workers: int,
        settings: Settings,
        stop_seen: str,
        say: Say,
        *,
        verbose: bool = False,
        ready: Sequence[Ready] = (),
    ) -> None:
        make_folder(settings.work.root, "--work-dir")
        self._opened, self._say, self._verbose = opened, say, verbose
        self._work, self._drain_s = settings.work, settings.drain_s
        self._kill_at = math.inf
        firsts = [*ready[:n_workers], *[None] * (n_workers - len(ready))]
        self._children = [
            Child(opened, i, settings, stop_seen, say, r) for i, r in enumerate(firsts)
        ]
        for one in ready[n_workers:]:
            one.end()
        self._kills = KernelKills()
        self._n_ended = 0
        self._draining = False
        self.last_words = ""

    def run(self, look: Callable[[bool], Look], should_stop: Callable[[], Stop | None]) -> None:
        """Look after the workers until they have all left.

        Args:
            look: Called several times a second with False: how the study stood a moment ago; with
                True: how it stands now.
            should_stop: Once it returns something, no worker is started again.
        """
        try:
            while not all(child.is_done for child in self._children):
                found = look(False)
                self._drain(should_stop(), is_done=found.is_done)
                for child in self._children:
                    self._look_after(child, look, should_stop)
                    if self._verbose:
                        self._pass_on(child)
                time.sleep(0.1)
        except BaseException:
            self.send(signal.SIGTERM)
            self._wait(timeout_s=self._drain_s + 2)
            raise

    def send(self, number: int) -> None:
        """Send a signal to every worker that runs."""
        for child in self._children:
            child.send(number)

    def end_now(self) -> None:
        """End every worker within two seconds; each gives its slot back first, if it still can."""
        # Two different signals: two of one kind, sent quickly, may arrive as one.
        self.send(signal.SIGTERM)
        self.send(signal.SIGINT)
        self._wait(timeout_s=END_S)

    def _wait(self, *, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        for child in self._children:
            child.wait(max(0.0, deadline - time.monotonic()))

    def _forgive(self, child: Child, slots: Slots) -> None:
        """Count deaths anew once a worker of this run, not of another, has ended a trial."""
        n_ended = slots.count_ended_by([name for one in self._children for name in one.names])
        if n_ended != self._n_ended:
            self._n_ended = n_ended
            for one in self._children:
                one.n_deaths = 0
        n_own = slots.count_ended_by(child.names)
        if n_own != child.n_ended:
            child.n_ended, child.n_barren = n_own, 0

    def _drain(self, stop: Stop | None, *, is_done: bool) -> None:
        if (stop is not None or is_done) and not self._draining:
            if stop is not None:
                self._say(f"{stop.why}: the epochs in progress end, their slots are released")
            if stop is None or not stop.is_known:
                self.send(signal.SIGTERM)  # where all is done, to those that wait for more
            self._draining = True
            self._kill_at = time.monotonic() + self._drain_s + PATIENCE_S
        if time.monotonic() > self._kill_at:  # frozen, or stuck in the kernel
            self.send(signal.SIGKILL)

    def _look_after(
        self, child: Child, look: Callable[[bool], Look], should_stop: Callable[[], Stop | None]
    ) -> None:
        if child.is_done:
            return
        if not child.is_started:
            if self._draining:
                child.is_done = True
            elif time.monotonic() >= child.start_at:
                child.start()
            return
        end = child.take_end()
        if end is None:
            return
        worker, code = end
        self._mourn(child, worker, code)
        now = look(True)  # a slot that was given up just now is an end, too
        self._drain(should_stop(), is_done=now.is_done)  # the worker may have heard of it first
        if self._draining:
            child.is_done = True
            return
        if code != 0 and not now.is_away:
            child.n_deaths += 1
            child.n_barren += 1
        self._start_again(child, code)

    def _mourn(self, child: Child, worker: str, code: int) -> None:
        """Open what a dead worker held again, and say so."""
        reason = ends.CRASHED
        if self._kills.was_one(code):
            reason = ends.OUT_OF_MEMORY
        how = how_it_ended(code)  # one that was asked to leave from outside may hold nothing
        error = {"type": how, "message": f"worker {child.index} ({worker}) died: {how}"}
        slots, registry = self._opened.patient_slots(MOURNING_S), self._opened.registry(MOURNING_S)
        try:
            held = slots.running_of(worker)
            tail = "\n".join(last_lines(self._work.attempt_log(n)) for n in held)
            why = {attrs.REASON: reason, attrs.ERROR: error, attrs.LOG: tail}
            for trial in slots.requeue_crashed(worker, why, self._opened.spec.max_attempts):
                self._say(f"trial {trial} ended with its worker: {reason}")
            registry.leave(worker, was_there=False)
            self._forgive(child, slots)
        except StorageError as failure:
            logger.warning("what worker %s held is found stale later: %s", worker, failure)

    def _start_again(self, child: Child, code: int) -> None:
        how = how_it_ended(code)
        if child.n_deaths >= MOST_DEATHS or child.n_barren >= MOST_BARREN:
            child.is_done = True
            self.last_words = (
                f"worker {child.index} died {child.n_barren} times without finishing a trial "
                f"({how}); the end of {child.log}:\n{child.tail()}"
            )
            if not all(other.is_done for other in self._children):
                self._say(f"{self.last_words.partition(';')[0]}; the others go on")
            return
        if code == 0:
            self._say(f"worker {child.index} was asked to leave from outside; starting another")
            return
        pause_s = min(FIRST_PAUSE_S * 2 ** max(0, child.n_barren - 1), LONGEST_PAUSE_S)
        child.start_at = time.monotonic() + pause_s
        self._say(f"worker {child.index} died ({how}); starting it again in {pause_s:g} s")

    def _pass_on(self, child: Child) -> None:
        for line in child.new_lines():
            self._say(f"worker {child.index}: {line}")
