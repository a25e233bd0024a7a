"""One worker process, from its start to its end: what `study worker --workers 1` does.

A supervisor starts it with the same command. It registers, takes its seat where it is for a GPU,
loads objective and data, and works until the study is done or it is stopped or replaced.
"""

import faulthandler
import os
import socket

from storage import ends
from storage.reading import count_unfinished
from study.errors import StudyError
from study.machine.environment import minor_differences, read_environment
from study.machine.locks import SeatFolder, device_name, kept_seat
from study.machine.pin import refuse_unseen, staff_of, take_seat
from study.machine.process import own_name, process_age_s
from study.machine.shares import this_machine
from study.spec.open import OpenStudy, keep_to_backend, load, stored_versions
from study.view.console import View
from study.view.status import StudyStatus, read_status
from study.worker.breaker import ERRORS
from study.worker.checkpoints import look_for_marker
from study.worker.ending import INTERRUPTED, Ending
from study.worker.presence import Presence
from study.worker.recycle import Recycling
from study.worker.signals import StopRequest
from study.worker.told import STOP_SEEN, SUPERVISED, Settings
from study.worker.worker import LONGEST_OUTAGE_S, Worker

SOME_FAILED = 3


def run_one(opened: OpenStudy, settings: Settings, view: View) -> int:
    """Be one worker: work until the study is done or it is stopped; return the exit code."""
    is_supervised = SUPERVISED in os.environ
    ending = Ending(settings.drain_s, is_supervised=is_supervised)
    stop = ending.stop
    if is_supervised:
        stop.watch_parent(int(os.environ[SUPERVISED]))
    faulthandler.enable()
    keep_to_backend(opened.name, opened.spec)
    view.hold_stderr()
    stop_seen = os.environ.get(STOP_SEEN) or opened.registry().stop_seen(process_age_s)
    os.environ[STOP_SEEN] = stop_seen  # for the process that replaces this one
    ending.presence = presence = _presence(opened, stop, stop_seen, view)
    with presence:
        if not is_supervised:  # else its supervisor has looked
            look_for_marker(opened, settings.work, view.say)
        _warn_of_versions(opened, view)
        if not stop.event.is_set() and _sit_down(opened, settings, view, presence, stop):
            _work(opened, settings, view, ending, presence)  # loading takes seconds
    if presence.stays:
        ending.replace()
    ending.is_over()
    if stop.by_interrupt:
        return INTERRUPTED
    if is_supervised:  # to its supervisor, leaving is success
        return 0
    last = read_status(opened)
    refuse_broken(last, stop_seen)
    return 0 if stop.event.is_set() else exit_code(last)


def _sit_down(
    opened: OpenStudy, settings: Settings, view: View, presence: Presence, stop: StopRequest
) -> bool:
    """Take a seat on a GPU, if this worker is for one; False where there is no work any more."""
    seat = kept_seat()
    if seat is not None:
        seat.keep()
        # Of this process before it replaced itself. All of it is set, and the other GPUs that it
        # might have taken are not visible any more.
        return True
    staff = staff_of(opened.spec, settings.placing, 1)
    if not staff.gpus:
        return True
    if SUPERVISED not in os.environ:  # else its supervisor has asked
        refuse_unseen(opened.spec, settings.placing)

    engine = opened.storage.engine

    def is_over(wait_s: float) -> bool:
        presence.state = "waiting"
        if stop.event.wait(wait_s):
            return True
        return count_unfinished(engine, opened.study_id, wait_s=LONGEST_OUTAGE_S) == 0

    folder = SeatFolder(settings.placing.gpu_locks)
    if not take_seat(opened, staff, this_machine(), folder, view.say, is_over):
        return False
    read_environment.cache_clear()
    presence.tell(device=device_name())
    return True


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


def refuse_broken(status: StudyStatus, stop_seen: str) -> None:
    order = status.seen.stop
    if order is not None and order.id != stop_seen and order.why == ERRORS:
        raise StudyError(
            f"stopped, because {order.detail}",
            "mend it, then the same command: the slots are open again",
        )


def exit_code(status: StudyStatus) -> int:
    return 0 if all(ends.end_of(reason).is_final for reason in status.reasons) else SOME_FAILED
