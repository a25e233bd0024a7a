"""Train one claimed trial in this process, and store how it ended.

A trial ends complete, pruned, infeasible, failed, out of memory, overdue, released or lost.
`worker.py` decides which trial is next.
"""

import contextlib
import json
import logging
import math
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from optuna.trial import TrialState

from objectives.base import PRUNED, Fitted
from objectives.errors import CheckpointError, DivergedError, FileError, LeaseLost, Pruned
from objectives.framework.fitprocess import FitProcess
from objectives.load import as_fitted
from objectives.network.train.checkpoint import latest_epoch
from storage import attrs, ends
from storage.errors import ClaimLostError, StorageError, StorageUnavailableError
from storage.slots.lease import Lease
from storage.slots.slots import Claim, Slots
from study.errors import StudyError
from study.machine.locks import DeviceLock, device_name
from study.spec.open import Loaded, OpenStudy, Say
from study.spec.workdir import WorkDir
from study.view.cost import Speed, cost_of
from study.view.logs import last_lines
from study.worker.breaker import break_circuit, place_of
from study.worker.checkpoints import tidy
from study.worker.log import AttemptLog
from study.worker.suggest import Suggester

logger = logging.getLogger(__name__)

LONGEST_TRACEBACK = 32 * 1024  # bytes of JSON; MySQL's TEXT ends at 64 KB
SIGNALLED_S = 0.05
"""A signal that ended processes of the objective has arrived here by then."""

OUT_OF_MEMORY = ("MemoryError", "ResourceExhaustedError", "OutOfMemoryError")


class Drained(Exception):  # noqa: N818 - a request, not an error
    """Raised by a report to release the slot, because the worker was asked to stop."""


class Overdue(Exception):  # noqa: N818 - a limit, not an error
    """Raised by a report if the trial took longer than `--trial-timeout`."""


@dataclass(frozen=True)
class Workplace:
    """The objects and limits that all trials of a worker process share.

    Attributes:
        slots: The study's slots; calls wait long for an unreachable database.
        stop: Set to stop the worker: the epoch ends and the slot is released.
        say: Prints a line.
        drain_s: How long a trial may take to end after its timeout.
        stop_seen: Id of the latest stop order issued before this worker started.
        look: Reads the study's orders now.
        replace: Replaces this process if a trial does not end.
    """

    opened: OpenStudy
    loaded: Loaded
    slots: Slots
    suggester: Suggester
    work: WorkDir
    stop: threading.Event
    say: Say
    drain_s: float
    stop_seen: str
    look: Callable[[], None]
    replace: Callable[[], None]
    speed: Speed


class TrialRunner:
    """Runs claimed trials, one after another; `current` is the claim in progress."""

    def __init__(self, place: Workplace) -> None:
        self.current: Claim | None = None
        self._place = place

    def run(self, claim: Claim) -> bool:
        """Train a claimed trial and store its end; return whether this process finished it."""
        self.current = claim
        try:
            path = self._place.work.attempt_log(claim.slot.trial)
            with AttemptLog(path, self._place.say) as log:
                return self._run_logged(claim, log)
        finally:
            self.current = None

    def _run_logged(self, claim: Claim, log: AttemptLog) -> bool:
        slot, place = claim.slot, self._place
        log.write(f"trial {slot.trial}, slot {slot.slot}, attempt {slot.attempt}")
        try:
            with Lease(place.slots, claim, interval_s=place.opened.spec.heartbeat_s) as lease:
                _Attempt(place, claim, lease, log).run()
            return True
        except Drained:
            self._release(claim)
        except (LeaseLost, ClaimLostError, StorageUnavailableError) as error:
            place.say(f"{error}; claiming another")
            tidy(place.opened, place.work)
        except (CheckpointError, FileError, StorageError, StudyError):
            # Not caused by the trial, such as a full disk: release the slot and end this worker.
            self._release(claim)
            raise
        return False

    def _release(self, claim: Claim) -> None:
        trial = claim.slot.trial
        try:
            self._place.slots.release(claim)
            self._place.say(f"trial {trial} (slot {claim.slot.slot}) released")
        except ClaimLostError:
            self._place.say(f"trial {trial} was lost before its release")
        except StorageError as error:  # the grace period requeues it
            self._place.say(f"trial {trial} was not released: {error}")


class _Attempt:
    """The training of one claim, under its lease."""

    def __init__(self, place: Workplace, claim: Claim, lease: Lease, log: AttemptLog) -> None:
        self._place, self._claim, self._lease, self._log = place, claim, lease, log
        self._reported: dict[int, float] = {}
        self._here = FitProcess()
        self._should_prune: Callable[[], bool] = lambda: False
        self._overdue, self._ended = threading.Event(), threading.Event()
        self._handing_over, self._handed_back = False, threading.Event()
        self._ours: Exception | None = None

    def run(self) -> None:
        """Train and finish the trial; raise `Drained`, and errors that the trial did not cause.

        An error in a report or a checkpoint counts even if `fit` swallows or wraps it.
        """
        place, claim = self._place, self._claim
        CheckpointError.last = None
        try:
            with self._as_ours():
                params, self._should_prune = place.suggester.params_of(claim)
            self._log.write(f"params {params}")
            fitted = as_fitted(self._fit(params))
            if swallowed := self._ours or CheckpointError.last:
                raise swallowed
        except (Exception, SystemExit) as error:
            self._end_by(self._ours or CheckpointError.last or error)
        else:
            self._complete(fitted)
        finally:
            self._ours = CheckpointError.last = None  # frees the objects in their frames
            self._ended.set()
            if self._handing_over:  # claim no other trial, as the process may be replaced
                self._handed_back.wait()
        tidy(place.opened, place.work)

    @contextlib.contextmanager
    def _as_ours(self) -> Iterator[None]:
        """Note errors of this program's files and of the storage, which the trial did not cause."""
        try:
            yield
        except MemoryError:
            raise
        except Exception as error:
            self._ours = error
            raise

    def _end_by(self, error: BaseException) -> None:
        """Store how an incomplete trial ended; raise errors that the trial did not cause."""
        if isinstance(error, Drained | LeaseLost | StorageError | CheckpointError):
            raise error
        if isinstance(error, PRUNED):
            self._finish_pruned()
        elif isinstance(error, Overdue):
            self._fail(ends.TIMEOUT, error)
        elif error is self._ours:
            trial = self._claim.slot.trial
            raise StudyError(f"trial {trial} cannot go on here: {error}") from error
        elif isinstance(error, DivergedError):
            self._fail(ends.INFEASIBLE, error)
        elif self._place.stop.wait(SIGNALLED_S):
            # A signal to a terminal or a cluster job also ends the objective's processes.
            self._log.write("".join(traceback.format_exception(error)).rstrip())
            raise Drained from error
        else:  # includes sys.exit() in a user's code
            self._fail(_reason_of(error), error)

    def _fit(self, params: dict[str, Any]) -> Any:
        place, slot = self._place, self._claim.slot
        objective = place.loaded.on_rung(slot.rung)
        with contextlib.ExitStack() as held:
            with self._as_ours():
                lock = DeviceLock(device_name(), alone=slot.alone, look=self._look, say=place.say)
                held.enter_context(lock)
                timeout_s = place.opened.spec.trial_timeout_s
                if timeout_s is not None:
                    threading.Thread(target=self._watch, args=(timeout_s,), daemon=True).start()
            note = getattr(objective, "note", None)
            if note is not None:
                note(slot.slot, slot.attempt, slot.trial)
            place.speed.begin(latest_epoch(place.work.slot_dir(slot.slot)))
            with self._here:
                return objective.fit(
                    params,
                    place.loaded.dataset,
                    seed=self._claim.draw.user_attrs[attrs.SEED],
                    report=self._report,
                    resume_dir=place.work.attempt_dir(slot.slot, slot.trial),
                )

    def _report(self, step: int, value: float | None) -> None:
        self._here.refuse_child()
        step, value = int(step), None if value is None else float(value)
        if self._ours is not None:  # `fit` swallowed the error of an earlier report
            raise self._ours
        with self._as_ours():
            self._tell(step, value)

    def _tell(self, step: int, value: float | None) -> None:
        self._place.speed.epoch_ended(step)
        if value is None:  # a training without valid rows
            self._look()
            return
        self._refuse_lost()
        self._place.slots.report(self._claim, step, value)
        self._reported[step] = value
        self._log.write(f"step {step}: {value!r}")
        self._look()
        if self._should_prune():
            raise Pruned

    def _refuse_lost(self) -> None:
        if self._lease.lost.is_set():
            raise LeaseLost(f"trial {self._claim.slot.trial} is no longer this worker's")

    def _look(self) -> None:
        """Raise if the trial must end."""
        self._refuse_lost()
        if self._place.stop.is_set():
            raise Drained
        if self._overdue.is_set():
            raise self._overdue_error()

    def _overdue_error(self) -> Overdue:
        return Overdue(f"longer than --trial-timeout {self._place.opened.spec.trial_timeout_s:g}s")

    def _watch(self, timeout_s: float) -> None:
        """End a trial that takes too long, even if it does not report."""
        if self._ended.wait(timeout_s):
            return
        self._overdue.set()
        if self._ended.wait(self._place.drain_s):
            return
        self._handing_over = True
        try:
            self._fail(ends.TIMEOUT, self._overdue_error())
        except Exception as error:  # the grace period requeues it
            logger.warning("trial %d: %s", self._claim.slot.trial, error)
        if not self._ended.is_set():
            self._log.close()
            self._place.replace()
        self._handed_back.set()

    def _complete(self, fitted: Fitted) -> None:
        value, slot = fitted.value, self._claim.slot
        if value is None or not math.isfinite(value):
            self._fail(ends.INFEASIBLE, DivergedError(f"the value is {value}"))
            return
        info = {attrs.INFO: fitted.info} if fitted.info else {}
        self._log.write(f"complete: {value!r}")
        self._finish(TrialState.COMPLETE, value, info, fitted.kept)
        cost = cost_of(fitted.info)
        told = f"complete: {value:.5f}{f', {cost}' if cost else ''}"
        self._place.say(f"trial {slot.trial} (slot {slot.slot}) {told}")

    def _finish(
        self,
        state: TrialState,
        value: float | None,
        user_attrs: dict[str, Any],
        kept: bytes | None = None,
    ) -> None:
        reports = dict(self._reported)
        self._place.slots.finish(self._claim, state, value, user_attrs, reports, kept)

    def _finish_pruned(self) -> None:
        last = max(self._reported, default=None)
        self._finish(TrialState.PRUNED, None if last is None else self._reported[last], {})
        when = "before its first report" if last is None else f"at step {last}"
        self._place.say(f"trial {self._claim.slot.trial} pruned {when}")

    def _fail(self, reason: str, error: BaseException) -> None:
        place, slot, end = self._place, self._claim.slot, ends.end_of(reason)
        found: dict[str, Any] = {"type": type(error).__name__, "message": str(error)[:1000]}
        if not end.is_final:
            text = "".join(traceback.format_exception(error))
            self._log.write(text.rstrip())
            found |= {"place": place_of(error), "traceback": cut_middle(text)}
        tail = last_lines(place.work.attempt_log(slot.trial))
        user_attrs = {attrs.REASON: reason, attrs.ERROR: found, attrs.LOG: tail}
        is_tried_again = end.opener is ends.Opener.WORKER_ONCE and not slot.alone
        if is_tried_again:
            place.slots.retry_alone(self._claim, user_attrs)
        else:
            self._finish(TrialState.FAIL, None, user_attrs)
        message = (str(error).splitlines() or [""])[0]
        line = f"trial {slot.trial} (slot {slot.slot}) failed: {reason}: "
        place.say(f"{line}{type(error).__name__}: {message}")
        if is_tried_again:
            place.say(f"slot {slot.slot} is tried once more, with nothing else on its device")
        if end.stops_study and break_circuit(place.opened, slot.trial, place.stop_seen):
            place.look()


def _reason_of(error: BaseException) -> str:
    """Return the reason of a failure; frameworks have their own memory errors."""
    names = {kind.__name__ for kind in type(error).__mro__}
    is_memory = names.intersection(OUT_OF_MEMORY) or "CUDA_ERROR_OUT_OF_MEMORY" in str(error)
    return ends.OUT_OF_MEMORY if is_memory else ends.ERROR


def cut_middle(text: str) -> str:
    """Cut the middle out of a long traceback; its start and end are most useful."""
    half = LONGEST_TRACEBACK // 2
    cut = text
    while len(json.dumps(cut)) > LONGEST_TRACEBACK:  # some characters take six bytes in JSON
        cut = f"{text[:half]}\n[...]\n{text[-half:]}"
        half //= 2
    return cut
