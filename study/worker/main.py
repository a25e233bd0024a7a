"""Main function of `study worker --workers 1`: one worker process, from its start to its end.

A supervisor starts the same command. The process registers, waits for a GPU if it needs one, loads
objective and data, and works until the study is done or the process is stopped or replaced.
"""

import faulthandler
import os

from storage import ends
from storage.reading import count_unfinished
from study.errors import StudyError
from study.machine.environment import minor_differences, read_environment
from study.machine.identity import own_name, process_age_s
from study.machine.locks import GpuLocks, device_name, kept_lock
from study.machine.pin import allocation_of, refuse_unseen, take_gpu
from study.machine.placing import this_machine
from study.spec.open import OpenStudy, keep_to_backend, load, stored_versions
from study.view.console import View
from study.view.status import StudyStatus, read_status
from study.worker.breaker import ERRORS
from study.worker.checkpoints import look_for_marker
from study.worker.ending import INTERRUPTED, Ending
from study.worker.presence import Presence
from study.worker.signals import StopRequest
from study.worker.told import STOP_SEEN, SUPERVISED, WorkerOptions
from study.worker.worker import LONGEST_OUTAGE_S, Worker

SOME_FAILED = 3


def run_one(opened: OpenStudy, options: WorkerOptions, view: View) -> int:
    """Run one worker until the study is done or the process is stopped; return the exit code."""
    is_supervised = SUPERVISED in os.environ
    ending = Ending(options.drain_s, is_supervised=is_supervised)
    stop = ending.stop
    if is_supervised:
        stop.watch_parent(int(os.environ[SUPERVISED]))
    faulthandler.enable()
    keep_to_backend(opened.name, opened.spec)
    view.hold_stderr()
    stop_seen = os.environ.get(STOP_SEEN) or opened.registry().stop_seen(process_age_s)
    os.environ[STOP_SEEN] = stop_seen  # for the process that replaces this one
    presence = Presence(opened, own_name(), stop=stop, stop_seen=stop_seen, say=view.say)
    ending.give_back.append(presence.leave)
    with presence:
        if not is_supervised:  # else its supervisor has checked
            look_for_marker(opened, opened.work_dir(options.work_dir), view.say)
        _warn_of_versions(opened, view)
        if not stop.event.is_set() and _take_gpu(opened, options, view, presence, stop):
            worker = Worker(opened, load(opened), options, view.say, presence, ending)
            ending.give_back.insert(0, worker.release_current)
            worker.run()
            presence.stays = worker.is_old and not stop.event.is_set()
    if presence.stays:
        ending.replace()
    ending.is_over()
    if stop.by_interrupt:
        return INTERRUPTED
    if is_supervised:  # the supervisor reports failed slots
        return 0
    last = read_status(opened)
    refuse_broken(last, stop_seen)
    return 0 if stop.event.is_set() else exit_code(last)


def _take_gpu(
    opened: OpenStudy, options: WorkerOptions, view: View, presence: Presence, stop: StopRequest
) -> bool:
    """Wait for a GPU if this worker needs one; return False once there is no more work."""
    gpu_lock = kept_lock()
    if gpu_lock is not None:
        # This process replaced itself: its environment already names its GPU and hides the others.
        gpu_lock.keep()
        return True
    allocation = allocation_of(opened.spec, options)
    if not allocation.gpus:
        return True
    if SUPERVISED not in os.environ:  # else its supervisor has checked
        refuse_unseen(opened.spec, allocation)

    engine = opened.storage.engine

    def is_over(wait_s: float) -> bool:
        presence.state = "waiting"
        if stop.event.wait(wait_s):
            return True
        return count_unfinished(engine, opened.study_id, wait_s=LONGEST_OUTAGE_S) == 0

    locks = GpuLocks(options.gpu_locks)
    if not take_gpu(opened, allocation, this_machine(), locks, view.say, is_over):
        return False
    read_environment.cache_clear()
    presence.tell(device=device_name())
    return True


def _warn_of_versions(opened: OpenStudy, view: View) -> None:
    stored = stored_versions(opened)
    found = minor_differences(stored, read_environment()) if stored else []
    if found:
        view.say(f"warning: results may differ in their last bits here: {', '.join(found)}")


def refuse_broken(status: StudyStatus, stop_seen: str) -> None:
    """Raise the error that stopped the study after the order `stop_seen`, if there is one.

    Raises:
        StudyError: Several slots failed alike.
    """
    order = status.seen.stop
    if order is not None and order.id != stop_seen and order.why == ERRORS:
        raise StudyError(
            f"stopped, because {order.detail}",
            "fix the cause, then the same command: the slots are open again",
        )


def exit_code(status: StudyStatus) -> int:
    """Return 3 if slots failed for reasons other than their params; else 0."""
    return 0 if all(ends.end_of(reason).is_final for reason in status.reasons) else SOME_FAILED
