"""One process: claim, train, finish, until every slot is final.

Decides what becomes of a trial that ends in any way: complete, pruned, infeasible, failed,
released, lost. A worker that finds nothing to claim stays while others are running, so that a crash
of the last busy one is picked up. How many workers there are, and who restarts them, is decided in
`launch.py`.
"""

import json
import logging
import math
import os
import socket
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from optuna.trial import TrialState

from objectives.base import Fitted
from objectives.errors import DivergedError, LeaseLost, ModelError, Pruned
from storage import attrs
from storage.errors import ClaimLostError, StorageError, StorageUnavailableError
from storage.lease import Lease
from storage.reading import count_unfinished
from storage.slots import Claim, Draw, Slot
from storage.transaction import retry
from study.opening import Loaded, OpenStudy
from study.sampler import draw_params, training_seed
from study.suggesting import Suggester

logger = logging.getLogger(__name__)

LONGEST_TRACEBACK = 32 * 1024  # bytes of JSON; MySQL's TEXT ends at 64 KB
SHORTEST_WAIT_S, LONGEST_WAIT_S = 0.05, 1.0

LONGEST_OUTAGE_S = 60.0

T = TypeVar("T")
Progress = Callable[[str], None]


class Drained(Exception):  # noqa: N818 - a request, not an error
    """Raised out of a report: the worker was asked to stop; the slot is to be released."""


class Worker:
    """Works on one study until it is done or `stop` is set.

    Args:
        opened: The study.
        loaded: Its objective and data, in this process.
        stop: Set from a signal handler; the epoch ends and the slot is released.
        say: Called with one line a finished trial.
    """

    def __init__(
        self, opened: OpenStudy, loaded: Loaded, *, stop: threading.Event, say: Progress
    ) -> None:
        self.id = f"{socket.gethostname()}:{os.getpid()}"
        self.current: Claim | None = None
        self._opened, self._loaded, self._stop, self._say = opened, loaded, stop, say
        self._slots = opened.slots
        self._spec = opened.spec
        self._suggester = Suggester(opened, loaded.objective.space)
        self._looked_at = time.monotonic()

    def run(self) -> int:
        """Work until every slot is final or until stopped; return how many trials it finished."""
        n_finished = 0
        wait_s = SHORTEST_WAIT_S
        while not self._stop.is_set():
            self._requeue(every_s=self._spec.heartbeat_s)
            claim = self._slots.claim(self.id, self._draw)
            if claim is not None:
                n_finished += self._run_trial(claim)
                wait_s = SHORTEST_WAIT_S
            elif self._is_done():
                break
            else:
                self._stop.wait(wait_s)
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        return n_finished

    def release_current(self) -> None:
        """Give the trial in progress back, from another thread: the process must end now."""
        claim = self.current
        if claim is not None:
            try:
                self._slots.release(claim)
            except ClaimLostError:
                logger.info("trial %d was lost before its release", claim.slot.trial)

    def _is_done(self) -> bool:
        self._requeue(every_s=0.5)
        engine, study_id = self._opened.storage.engine, self._opened.study_id
        return _waiting_for_it(lambda: count_unfinished(engine, study_id)) == 0

    def _requeue(self, *, every_s: float) -> None:
        """Look for lost trials and strangers' ends; every worker does, so somebody always does."""
        now = time.monotonic()
        if now - self._looked_at < every_s:
            return
        self._looked_at = now
        grace_s, most = self._spec.grace_s, self._spec.max_attempts
        for trial in _waiting_for_it(lambda: self._slots.requeue_lost(grace_s, most)):
            self._say(f"trial {trial} was lost; its slot is open again")
        for trial in _waiting_for_it(self._slots.requeue_strangers):
            self._say(f"a slot was ended from outside; trial {trial} runs it again")

    def _draw(self, slot: Slot) -> Draw:
        seed = {attrs.SEED: training_seed(self._spec.seed, slot.slot)}
        if self._suggester.is_needed or slot.fixed_params:
            return Draw(user_attrs=seed)
        space = self._loaded.objective.space
        params = draw_params(space, self._spec.seed, slot.slot, slot.redraw)
        return Draw(params, space.distributions(params), seed)

    def _run_trial(self, claim: Claim) -> int:
        """Train one claimed trial and write how it ended; return 1 where it is finished by us."""
        self.current = claim
        lease = Lease(self._slots, claim, interval_s=self._spec.heartbeat_s)
        try:
            with lease:
                self._train(claim, lease)
            return 1
        except Drained:
            self.release_current()
            self._say(f"trial {claim.slot.trial} released")
        except (LeaseLost, ClaimLostError, StorageUnavailableError) as error:
            self._say(f"{error}; claiming another")
        finally:
            self.current = None
        return 0

    def _train(self, claim: Claim, lease: Lease) -> None:
        reported: list[float] = []
        try:
            params, should_prune = self._suggester.params_of(claim)
            fitted = checked(self._fit(claim, params, lease, reported, should_prune))
        except (Drained, LeaseLost, ClaimLostError, StorageError):
            raise
        except Pruned:
            self._slots.finish(claim, TrialState.PRUNED, reported[-1] if reported else None)
            self._say(f"trial {claim.slot.trial} pruned at step {len(reported) - 1}")
        except DivergedError as error:
            self._fail(claim, attrs.Reason.INFEASIBLE, error)
        except (Exception, SystemExit) as error:
            # A user's sys.exit() ends its trial and not this worker.
            self._fail(claim, _reason_of(error), error)
        else:
            self._complete(claim, fitted)

    def _fit(
        self,
        claim: Claim,
        params: dict[str, Any],
        lease: Lease,
        reported: list[float],
        should_prune: Callable[[], bool],
    ) -> Fitted:
        def report(step: int, value: float) -> None:
            if lease.lost.is_set():
                raise LeaseLost(f"trial {claim.slot.trial} is no longer this worker's")
            self._slots.report(claim, int(step), float(value))
            reported.append(float(value))
            if self._stop.is_set():
                raise Drained
            if should_prune():
                raise Pruned

        slot, objective = claim.slot, self._loaded.objective
        note = getattr(objective, "note", None)
        if note is not None:
            note(slot.slot, slot.attempt, slot.trial)
        seed = claim.draw.user_attrs[attrs.SEED]
        dataset = self._loaded.dataset
        return objective.fit(params, dataset, seed=seed, report=report, resume_dir=None)

    def _complete(self, claim: Claim, fitted: Fitted) -> None:
        value = fitted.value
        if value is None or not math.isfinite(value):
            self._fail(claim, attrs.Reason.INFEASIBLE, DivergedError(f"the value is {value}"))
            return
        info = {attrs.INFO: fitted.info} if fitted.info else {}
        self._slots.finish(claim, TrialState.COMPLETE, value, info)
        self._say(f"trial {claim.slot.trial} (slot {claim.slot.slot}) complete: {value:.5f}")

    def _fail(self, claim: Claim, reason: str, error: BaseException) -> None:
        error_attrs = {"type": type(error).__name__, "message": str(error)[:1000]}
        if reason != attrs.Reason.INFEASIBLE:
            error_attrs["traceback"] = _cut(traceback.format_exc())
        user_attrs = {attrs.REASON: reason, attrs.ERROR: error_attrs}
        self._slots.finish(claim, TrialState.FAIL, None, user_attrs)
        message = (str(error).splitlines() or [""])[0]
        self._say(
            f"trial {claim.slot.trial} (slot {claim.slot.slot}) failed: {reason}: "
            f"{type(error).__name__}: {message}"
        )


def checked(fitted: Any) -> Fitted:
    """Return what a user's `fit` returned as plain numbers, which any database can store.

    Raises:
        ModelError: It returned something else than a `Fitted`.
    """
    if not isinstance(fitted, Fitted):
        raise ModelError(f"fit returned {type(fitted).__name__}, not objectives.base.Fitted")
    value = None if fitted.value is None else float(fitted.value)
    return Fitted(value, fitted.model, {name: float(n) for name, n in fitted.info.items()})


def _waiting_for_it(call: Callable[[], T]) -> T:
    """Call, and again while the database is away; writes do that by themselves."""
    return retry(call, wait_s=LONGEST_OUTAGE_S)


def _reason_of(error: BaseException) -> str:
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return attrs.Reason.OUT_OF_MEMORY
    return attrs.Reason.ERROR


def _cut(text: str) -> str:
    """Cut the middle out of a long traceback: its ends say where it began and what it was."""
    limit = LONGEST_TRACEBACK
    while len(json.dumps(cut := _ends(text, limit))) > LONGEST_TRACEBACK:
        limit //= 2  # JSON writes one character of many languages as six bytes
    return cut


def _ends(text: str, limit: int) -> str:
    half = limit // 2
    return text if len(text) <= limit else f"{text[:half]}\n[...]\n{text[-half:]}"


def work_dir_of(storage_path: Path | None, name: str) -> Path:
    """Return the default work dir: `<name>.work` beside the SQLite file, else here."""
    return (storage_path.parent if storage_path else Path()) / f"{name}.work"
