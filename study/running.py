"""A run on this machine: supervisor, live view and signals together, and how it ended.

`run_workers` is what `study run` and `study worker --workers N` do; `run_one` is what each child
does. The first signal drains: the epoch ends or `DRAIN_S` passes, the slot is released, the worker
leaves; the second ends all within two seconds.
"""

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from storage.url import parse_url, sqlite_path
from study.launch import SUPERVISED, Supervisor, count_workers
from study.opening import OpenStudy, load
from study.signals import StopRequest
from study.status import StudyStatus, eta_s, read_status
from study.watch import Watch, duration, show_params
from study.worker import Worker, work_dir_of

DRAIN_S = 8.0
INTERRUPTED = 130
SOME_FAILED = 3
EXCUSED = ("infeasible",)
"""Reasons that do not count as failures: facts of the params."""


@dataclass(frozen=True)
class Ended:
    """How a run ended: its exit code, and whether a signal asked it to."""

    code: int
    by_signal: bool = False


class View:
    """The console of a command: says lines at the level that was asked for."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self.console = Console(stderr=True, highlight=False)
        self.quiet, self.verbose = quiet, verbose

    def say(self, line: str) -> None:
        """Print one line to stderr, unless quiet."""
        if not self.quiet:
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)


def default_work_dir(opened: OpenStudy, given: Path | None) -> Path:
    """Return the given work dir or `<study>.work` beside the SQLite file, else here."""
    return given or work_dir_of(sqlite_path(parse_url(opened.storage.url)), opened.name)


def run_workers(opened: OpenStudy, wanted: str, work_dir: Path | None, view: View) -> Ended:
    """Work on a study with processes on this machine until it is done or stopped.

    Returns:
        Its code is 0 done or stopped in time, 3 some slots failed, 130 after Ctrl-C.

    Raises:
        StudyError: Workers died again and again.
    """
    status = read_status(opened)
    if status.done:
        view.say(f"'{opened.name}' is finished: {status.n_final} of {status.n_slots} done")
        _say_end(status, view)
        return Ended(_exit_code(status))
    n_open = status.n_slots - status.n_final
    n_workers = count_workers(wanted, opened.spec.threads, n_open)
    folder = default_work_dir(opened, work_dir)
    _say_start(opened, status, n_workers, folder, view)
    watch = Watch(opened, view.console, quiet=view.quiet)
    supervisor = Supervisor(opened, n_workers, folder, watch.say, verbose=view.verbose)
    stop = StopRequest(lambda: None, supervisor.end_now)
    deadline = _deadline(opened)

    def tick() -> int:
        found = watch.tick()
        return found.n_final if found else 0

    def should_stop() -> bool:
        return stop.event.is_set() or time.monotonic() > deadline

    with stop, watch:
        supervisor.run(tick, should_stop)
        last = watch.tick(now=True)
    if last is None:
        last = read_status(opened)
    _say_end(last, view)
    if stop.by_interrupt:
        return Ended(INTERRUPTED, by_signal=True)
    return Ended(_exit_code(last) if last.done else 0, stop.event.is_set())


def run_one(opened: OpenStudy, view: View) -> int:
    """Be one worker: work until the study is done or a signal comes; return the exit code."""
    worker: Worker | None = None
    ended = threading.Event()

    def leave(after_s: float) -> None:
        if ended.wait(after_s):
            return
        if worker is not None:
            worker.release_current()
        os._exit(INTERRUPTED if stop.by_interrupt else 0)

    stop = StopRequest(lambda: leave(DRAIN_S), lambda: leave(0.0))
    stop.install()
    is_supervised = SUPERVISED in os.environ
    if is_supervised:
        stop.watch_parent(int(os.environ[SUPERVISED]))
    loaded = load(opened)
    worker = Worker(opened, loaded, stop=stop.event, say=view.say)
    worker.run()
    ended.set()
    if stop.by_interrupt:
        return INTERRUPTED
    if is_supervised or stop.event.is_set():  # to its supervisor, leaving is success
        return 0
    return _exit_code(read_status(opened))


def _deadline(opened: OpenStudy) -> float:
    timeout_s = opened.spec.timeout_s
    return float("inf") if timeout_s is None else time.monotonic() + timeout_s


def _exit_code(status: StudyStatus) -> int:
    return SOME_FAILED if set(status.reasons) - set(EXCUSED) else 0


def _say_start(
    opened: OpenStudy, status: StudyStatus, n_workers: int, folder: Path, view: View
) -> None:
    spec = opened.spec
    done = f"{status.n_final} of {status.n_slots} done"
    plural = "worker" if n_workers == 1 else "workers"
    view.say(
        f"{done}; {n_workers} {plural}, {spec.epochs} epochs a trial, {spec.precision}, "
        f"{spec.threads} thread(s) each; logs in {folder}"
    )
    expected_s = eta_s(status.trial_s, status.n_slots - status.n_final, 0, n_workers)
    if expected_s is not None:
        view.say(f"expected to take about {duration(expected_s)}")


def _say_end(status: StudyStatus, view: View) -> None:
    if status.reasons:
        reasons = ", ".join(f"{n} {reason}" for reason, n in status.reasons.items())
        view.say(f"failed slots: {reasons}   (study trials shows why)")
    if status.best:
        best = status.best
        view.say(f"best trial {best.trial}: {best.value:.5f}  {show_params(best.params)}")
    if not status.done:
        left = status.n_slots - status.n_final
        view.say(f"stopped with {left} slots to go; the same command goes on from here")
