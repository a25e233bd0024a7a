"""Runs workers on this machine: supervisor, live view and signals together.

`study run` and `study worker --workers N` call `run_workers`. The first signal drains: workers
finish their epoch or are ended after the drain timeout, and their slots are released. The second
signal ends everything within two seconds.
"""

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from storage.registry import NO_STOP
from study.errors import StudyError
from study.machine.identity import process_age_s
from study.machine.locks import GpuLocks
from study.machine.pin import allocation_of, refuse_unseen, why_taken
from study.machine.placing import Allocation
from study.run.launchers import Local
from study.run.prewarm import Prewarm
from study.run.supervisor import PATIENCE_S, Look, Stop, Supervisor
from study.spec.open import OpenStudy, keep_to_backend, read_spec
from study.text import counted, duration
from study.view.console import View
from study.view.cost import eta_s
from study.view.status import StudyStatus, read_status
from study.view.watch import Watch, show_params
from study.worker.checkpoints import look_for_marker, resumable, tidy
from study.worker.ending import INTERRUPTED
from study.worker.main import exit_code, refuse_broken
from study.worker.signals import StopRequest
from study.worker.told import WorkerOptions

SECOND_S = 1.9
"""Time after a second signal until all processes have ended, whatever the database does."""

QUICK_TRIALS, QUICK_S = 1.5, 10.0
"""Time reserved for a quick finalize: a number of mean trials plus seconds."""

Reserve = Callable[[float, StudyStatus], float]
"""Returns how much of a study's timeout is kept for what follows the search, in s."""


def nothing(timeout_s: float, status: StudyStatus) -> float:
    """Keep nothing."""
    return 0.0


def half(timeout_s: float, status: StudyStatus) -> float:
    """Keep half of the timeout for a finalize: epochs there buy more than further draws."""
    return timeout_s / 2


def for_one_network(timeout_s: float, status: StudyStatus) -> float:
    """Keep what a quick finalize takes, at most half of the timeout."""
    return min(timeout_s / 2, QUICK_TRIALS * (status.trial_s or 0.0) + QUICK_S)


@dataclass(frozen=True)
class Ended:
    """How a run ended: its exit code, and whether a user stopped it."""

    code: int
    was_asked: bool = False


def run_workers(
    opened: OpenStudy,
    options: WorkerOptions,
    view: View,
    *,
    reserve: Reserve = nothing,
    deadline: float = math.inf,
    prewarm: Prewarm | None = None,
) -> Ended:
    """Work on a study with processes on this machine until it is done or stopped.

    The exit code is 0 if done or stopped in time, 3 if some slots failed, 130 after Ctrl-C.

    Args:
        reserve: How much of the study's timeout is kept for a finalize.
        deadline: The `time.monotonic()` at which the workers stop.
        prewarm: Processes that become workers.

    Raises:
        StudyError: Workers died repeatedly, or slots failed alike from the start.
    """
    spec, work, status = opened.spec, opened.work_dir(options.work_dir), read_status(opened)
    if status.done:
        view.say(f"'{opened.name}' is finished: {status.n_final} of {status.n_slots} done")
        _say_end(status, view, shown=False)
        return Ended(exit_code(status))
    keep_to_backend(opened.name, spec)
    allocation = allocation_of(spec, options)
    refuse_unseen(spec, allocation)
    n_workers = _say_start(opened, status, allocation, options, view)
    look_for_marker(opened, work, view.say)
    stop_seen = opened.registry().stop_seen(process_age_s)
    watch = Watch(opened, view.console, quiet=view.quiet)
    if prewarm is not None:
        prewarm.keep_workers(spec, n_workers)
    launcher = Local(opened, options.of_one(allocation), stop_seen, prewarm)
    supervisor = Supervisor(opened, n_workers, options, launcher, watch.say)
    stop = StopRequest(
        lambda: _end_late(supervisor, stop, options.drain_s), lambda: _end_now(supervisor, stop)
    )

    def look(now: bool) -> Look:
        found = watch.tick(now=now) or status
        return Look(found.done, watch.is_away)

    def should_stop() -> Stop | None:
        asked = Stop("stopping") if stop.event.is_set() else None
        return asked or _told_to_stop(opened, watch.status or status, stop_seen, reserve, deadline)

    with stop, watch:
        supervisor.run(look, should_stop)
        last = watch.tick(now=True) or read_status(opened)
    refuse_broken(last, stop_seen)
    if supervisor.last_words and not (last.done or stop.event.is_set()):
        raise StudyError(supervisor.last_words)
    tidy(opened, work)
    _say_end(last, view, shown=watch.is_live, is_over=_is_over(spec.timeout_s, last, reserve))
    was_asked = stop.event.is_set() or _stop_id(last) != stop_seen
    code = INTERRUPTED if stop.by_interrupt else exit_code(last) if last.done else 0
    return Ended(code, was_asked)


def _is_over(timeout_s: float | None, status: StudyStatus, reserve: Reserve) -> bool:
    """Whether a study's time is over, except for the part reserved for the finalize."""
    if timeout_s is None:
        return False
    return status.seen.used_s >= timeout_s - reserve(timeout_s, status)


def _end_late(supervisor: Supervisor, stop: StopRequest, drain_s: float) -> None:
    """End all processes some time after the first signal: the database may hang."""
    if not stop.ended.wait(drain_s + PATIENCE_S):
        _end_now(supervisor, stop)


def _end_now(supervisor: Supervisor, stop: StopRequest) -> None:
    deadline = time.monotonic() + SECOND_S
    supervisor.end_now()
    # This process's own read of the database may hang.
    if not stop.ended.wait(deadline - time.monotonic()):
        os._exit(INTERRUPTED if stop.by_interrupt else 0)


def _stop_id(status: StudyStatus) -> str:
    return status.seen.stop.id if status.seen.stop is not None else NO_STOP


def _told_to_stop(
    opened: OpenStudy,
    status: StudyStatus,
    stop_seen: str,
    reserve: Reserve,
    deadline: float = math.inf,
) -> Stop | None:
    """Return why a run ends without a signal: a stop order, the deadline, or the timeout."""
    if _stop_id(status) != stop_seen:
        return Stop("stopped", is_known=True)
    if time.monotonic() > deadline:
        return Stop("the time of the finalize is over")
    if not _is_over(opened.spec.timeout_s, status, reserve):
        return None
    # The timeout may have been raised since.
    timeout_s = read_spec(opened.storage, opened.study_id, opened.name).timeout_s or math.inf
    if not _is_over(timeout_s, status, reserve):
        return None
    reserve_s = reserve(timeout_s, status)
    kept = f" but for {reserve_s:.0f} s, which are for the finalize" if reserve_s else ""
    return Stop(f"the study's {timeout_s:g} s are over{kept}", is_known=not reserve_s)


def _say_start(
    opened: OpenStudy,
    status: StudyStatus,
    allocation: Allocation,
    options: WorkerOptions,
    view: View,
) -> int:
    """Say what is about to run; return the number of workers."""
    spec, gpus, work = opened.spec, allocation.gpus, opened.work_dir(options.work_dir)
    n_open = status.n_slots - status.n_final
    n_workers = allocation.n_workers(n_open or status.n_left)
    where = f" on {counted(len(gpus), 'GPU')}" if gpus else ""
    parts = [f"{status.n_final} of {status.n_slots} done", counted(n_workers, "worker") + where]
    if spec.data is not None:  # an objective without data trains nothing
        threads = counted(spec.threads, "thread")
        epochs = "epochs a trial"
        if spec.rungs:
            epochs = f"epochs on {len(spec.rungs)} rungs, {spec.keep} of each promoted"
        shown = ", ".join(map(str, spec.rungs or [spec.epochs]))
        parts.append(f"{shown} {epochs}, {spec.precision}, {threads}")
    view.say("; ".join([*parts, f"logs in {work.root}"]))
    going_on = [f"slot {s} from epoch {e}" for s, e in resumable(opened, work).items()]
    if going_on:
        view.say(f"interrupted: {', '.join(going_on)}")
    taken = why_taken(gpus, GpuLocks(options.gpu_locks)) if gpus else ""
    if taken:
        view.say(f"{taken}; workers wait until one is free")
    expected_s = eta_s(status.trial_s, status.work, n_workers)
    if expected_s is not None:
        view.say(f"expected to take about {duration(expected_s)}")
    return n_workers


def _say_end(status: StudyStatus, view: View, *, shown: bool, is_over: bool = False) -> None:
    if status.reasons:
        reasons = ", ".join(f"{n} {reason}" for reason, n in status.reasons.items())
        view.say(f"failed slots: {reasons}   (study trials shows why)")
    if status.best and not shown:
        best = status.best
        view.say(f"best trial {best.trial}: {best.value:.5f}  {show_params(best.params)}")
    if not status.done:
        left = status.n_left
        how = "a higher --timeout" if is_over else "the same command"
        view.say(f"stopped with {left} slots to go; {how} goes on from here")
