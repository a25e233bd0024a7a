"""A run on this machine: supervisor, live view and signals together, and how it ended.

`run_workers` is what `study run` and `study worker --workers N` do; `run_one` is what each child
does. The first signal drains: the epoch ends or the drain timeout passes, the slot is released, the
worker leaves; the second ends all within two seconds.
"""

import faulthandler
import math
import os
import socket
import time
from dataclasses import dataclass

from rich.console import Console

from storage.registry import NO_STOP
from study.age import process_age_s
from study.breaker import ERRORS
from study.checkpoints import look_for_marker, resumable, tidy
from study.child import STOP_SEEN, SUPERVISED, Settings
from study.ending import INTERRUPTED, Ending
from study.environment import minor_differences, read_environment
from study.errors import StudyError
from study.launch import PATIENCE_S, Look, Stop, Supervisor, count_workers
from study.opening import OpenStudy, load, read_spec, stored_versions
from study.plaintext import plain
from study.presence import Presence
from study.recycle import Recycling
from study.signals import StopRequest
from study.status import StudyStatus, eta_s, read_status
from study.watch import Watch, duration, show_params
from study.worker import Worker
from study.workername import own_name

SOME_FAILED = 3
EXCUSED = ("infeasible",)
"""Reasons that do not count as failures: facts of the params."""

SECOND_S = 1.9
"""Within what a second signal has ended all, whatever the database does."""

FINALIZE_TRIALS, FINALIZE_S = 1.5, 10.0
"""What a finalize may take: so many mean trials, and so many seconds."""


@dataclass(frozen=True)
class Ended:
    """How a run ended: its exit code, and whether somebody asked it to."""

    code: int
    was_asked: bool = False


class View:
    """The console of a command: says lines at the level that was asked for."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self.console = Console(stderr=True, highlight=False)
        self.quiet, self.verbose = quiet, verbose

    def say(self, line: str) -> None:
        """Print one line to stderr, unless quiet."""
        if not self.quiet:
            self.console.print(plain(line), markup=False, highlight=False, soft_wrap=True)

    def hold_stderr(self) -> None:
        """Go on printing to where stderr goes now, wherever a trial's log turns it."""
        self.console.file = os.fdopen(os.dup(2), "w", buffering=1)


def run_workers(
    opened: OpenStudy, wanted: str, settings: Settings, view: View, *, finalizes: bool = False
) -> Ended:
    """Work on a study with processes on this machine until it is done or stopped.

    Args:
        finalizes: Whether a finalize follows, for which time of the study's timeout is kept.

    Returns:
        Its code is 0 done or stopped in time, 3 some slots failed, 130 after Ctrl-C.

    Raises:
        StudyError: Workers died again and again, or slots failed alike from the start.
    """
    status = read_status(opened)
    if status.done:
        view.say(f"'{opened.name}' is finished: {status.n_final} of {status.n_slots} done")
        _say_end(status, view, shown=False)
        return Ended(_exit_code(status))
    n_open = status.n_slots - status.n_final
    n_workers = count_workers(wanted, opened.spec.threads, n_open)
    _say_start(opened, status, n_workers, settings, view)
    look_for_marker(opened, settings.work, view.say)
    stop_seen = opened.registry().stop_seen(process_age_s)
    watch = Watch(opened, view.console, quiet=view.quiet)
    supervisor = Supervisor(opened, n_workers, settings, stop_seen, watch.say, verbose=view.verbose)
    stop = StopRequest(
        lambda: _end_late(supervisor, stop, settings.drain_s), lambda: _end_now(supervisor, stop)
    )

    def look(now: bool) -> Look:
        found = watch.tick(now=now) or status
        return Look(found.done, watch.is_away)

    def should_stop() -> Stop | None:
        if stop.event.is_set():
            return Stop("stopping")
        return _told_to_stop(opened, watch.status or status, stop_seen, finalizes)

    with stop, watch:
        supervisor.run(look, should_stop)
        last = watch.tick(now=True) or read_status(opened)
    _refuse_broken(last, stop_seen)
    if supervisor.last_words and not (last.done or stop.event.is_set()):
        raise StudyError(supervisor.last_words)
    tidy(opened, settings.work)
    timeout_s = opened.spec.timeout_s
    reserve_s = 0.0 if timeout_s is None else _reserve_s(timeout_s, last, finalizes)
    is_over = timeout_s is not None and last.seen.used_s >= timeout_s - reserve_s
    _say_end(last, view, shown=watch.is_live, is_over=is_over)
    if stop.by_interrupt:
        return Ended(INTERRUPTED, was_asked=True)
    was_asked = stop.event.is_set() or _stop_id(last) != stop_seen
    return Ended(_exit_code(last) if last.done else 0, was_asked)


def run_one(opened: OpenStudy, settings: Settings, view: View) -> int:
    """Be one worker: work until the study is done or it is stopped; return the exit code."""
    is_supervised = SUPERVISED in os.environ
    ending = Ending(settings.drain_s, is_supervised=is_supervised)
    stop = ending.stop
    if is_supervised:
        stop.watch_parent(int(os.environ[SUPERVISED]))
    faulthandler.enable()
    view.hold_stderr()
    stop_seen = os.environ.get(STOP_SEEN) or opened.registry().stop_seen(process_age_s)
    os.environ[STOP_SEEN] = stop_seen  # for the process that replaces this one
    ending.presence = presence = _presence(opened, stop, stop_seen, view)
    with presence:
        if not is_supervised:  # else its supervisor has looked
            look_for_marker(opened, settings.work, view.say)
        _warn_of_versions(opened, view)
        if not stop.event.is_set():  # loading takes seconds
            _work(opened, settings, view, ending, presence)
    if presence.stays:
        ending.replace()
    ending.is_over()
    if stop.by_interrupt:
        return INTERRUPTED
    if is_supervised:  # to its supervisor, leaving is success
        return 0
    last = read_status(opened)
    _refuse_broken(last, stop_seen)
    return 0 if stop.event.is_set() else _exit_code(last)


def _work(
    opened: OpenStudy, settings: Settings, view: View, ending: Ending, presence: Presence
) -> None:
    """Load objective and data, and run trials until the process is to end or to be replaced."""
    stop = ending.stop
    ending.worker = worker = Worker(
        opened,
        load(opened),
        settings.work,
        stop=stop.event,
        say=view.say,
        drain_s=settings.drain_s,
        recycling=Recycling(settings.recycle_after),
        presence=presence,
        replace=ending.replace,
    )
    worker.run()
    presence.stays = worker.is_old and not stop.event.is_set()


def _presence(opened: OpenStudy, stop: StopRequest, stop_seen: str, view: View) -> Presence:
    environment = read_environment()
    facts = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "device": environment.get("device"),
        "threads": opened.spec.threads,
        "versions": environment,
    }
    return Presence(opened, own_name(), facts, stop=stop, stop_seen=stop_seen, say=view.say)


def _warn_of_versions(opened: OpenStudy, view: View) -> None:
    stored = stored_versions(opened)
    found = minor_differences(stored, read_environment()) if stored else []
    if found:
        view.say(f"warning: results may differ in their last bits here: {', '.join(found)}")


def _end_late(supervisor: Supervisor, stop: StopRequest, drain_s: float) -> None:
    """End all some time after the first signal, where a database that hangs keeps this process."""
    if not stop.ended.wait(drain_s + PATIENCE_S):
        _end_now(supervisor, stop)


def _end_now(supervisor: Supervisor, stop: StopRequest) -> None:
    deadline = time.monotonic() + SECOND_S
    supervisor.end_now()
    # This process's own look at the database may hang.
    if not stop.ended.wait(deadline - time.monotonic()):
        os._exit(INTERRUPTED if stop.by_interrupt else 0)


def _stop_id(status: StudyStatus) -> str:
    return status.seen.stop.id if status.seen.stop is not None else NO_STOP


def _told_to_stop(
    opened: OpenStudy, status: StudyStatus, stop_seen: str, finalizes: bool
) -> Stop | None:
    """Return why the study's own state ends a run: a stop order, or its timeout."""
    if _stop_id(status) != stop_seen:
        return Stop("stopped", is_known=True)
    used_s, timeout_s = status.seen.used_s, opened.spec.timeout_s
    if timeout_s is None or used_s < timeout_s - _reserve_s(timeout_s, status, finalizes):
        return None
    # It may have been raised since.
    timeout_s = read_spec(opened.storage, opened.study_id, opened.name).timeout_s or math.inf
    reserve_s = _reserve_s(timeout_s, status, finalizes)
    if used_s < timeout_s - reserve_s:
        return None
    kept = f" but for {reserve_s:.0f} s, which are the finalize's" if finalizes else ""
    return Stop(f"the study's {timeout_s:g} s are over{kept}", is_known=not finalizes)


def _reserve_s(timeout_s: float, status: StudyStatus, finalizes: bool) -> float:
    if not finalizes:
        return 0.0
    return min(timeout_s / 2, FINALIZE_TRIALS * (status.trial_s or 0.0) + FINALIZE_S)


def _refuse_broken(status: StudyStatus, stop_seen: str) -> None:
    order = status.seen.stop
    if order is not None and order.id != stop_seen and order.why == ERRORS:
        raise StudyError(
            f"stopped, because {order.detail}",
            "mend it, then the same command: the slots are open again",
        )


def _exit_code(status: StudyStatus) -> int:
    return SOME_FAILED if set(status.reasons) - set(EXCUSED) else 0


def _say_start(
    opened: OpenStudy, status: StudyStatus, n_workers: int, settings: Settings, view: View
) -> None:
    spec = opened.spec
    parts = [f"{status.n_final} of {status.n_slots} done", _counted(n_workers, "worker")]
    if spec.data is not None:  # what trains nothing has no use for the rest
        threads = _counted(spec.threads, "thread")
        parts.append(f"{spec.epochs} epochs a trial, {spec.precision}, {threads}")
    view.say("; ".join([*parts, f"logs in {settings.work.root}"]))
    going_on = [f"slot {s} from epoch {e}" for s, e in resumable(opened, settings.work).items()]
    if going_on:
        view.say(f"interrupted: {', '.join(going_on)}")
    expected_s = eta_s(status.trial_s, status.n_slots - status.n_final, 0, n_workers)
    if expected_s is not None:
        view.say(f"expected to take about {duration(expected_s)}")


def _counted(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _say_end(status: StudyStatus, view: View, *, shown: bool, is_over: bool = False) -> None:
    if status.reasons:
        reasons = ", ".join(f"{n} {reason}" for reason, n in status.reasons.items())
        view.say(f"failed slots: {reasons}   (study trials shows why)")
    if status.best and not shown:
        best = status.best
        view.say(f"best trial {best.trial}: {best.value:.5f}  {show_params(best.params)}")
    if not status.done:
        left = status.n_slots - status.n_final
        how = "a higher --timeout" if is_over else "the same command"
        view.say(f"stopped with {left} slots to go; {how} goes on from here")
