"""From a study to its GPUs: whether they can be used, and how a worker takes its seat on one.

It waits for one and keeps to it. Everything is set in the environment of the process before a
framework is loaded, and is still there when the process replaces itself. Who may sit where is
decided in `seat.py`.
"""

import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress

from objectives.framework.backend import count_gpus, framework, how_to_mend
from objectives.framework.runtime import GPU_MEMORY
from study.errors import StudyError
from study.machine.gpus import VISIBLE, Gpu, gpus_of
from study.machine.locks import ANOTHER, Holder, Seat, SeatFolder
from study.machine.placing import Placing
from study.machine.shares import Machine, Staff, memory_limit_mb, staff_for, this_machine
from study.spec.open import OpenStudy, Say
from study.spec.spec import StudySpec
from study.text import counted, harmless

SHORTEST_WAIT_S, LONGEST_WAIT_S = 0.05, 2.0
QUIET_S, LONGEST_CLOSED_S = 2.0, 60.0
"""A lock in the way is held for a moment: how long nothing is said, and until it is refused."""


def take_seat(
    opened: OpenStudy,
    staff: Staff,
    machine: Machine,
    folder: SeatFolder,
    say: Say,
    wait: Callable[[float], bool],
) -> bool:
    """Take a seat on one of the staff's GPUs; wait for it.

    Args:
        wait: Waits so many seconds; whether the waiting is over without a seat.

    Returns:
        Whether it has one.
    """
    holder = Holder.here(opened.token or f"{opened.name}-{opened.study_id}", opened.name)
    said, pause_s, closed_s = "", SHORTEST_WAIT_S, 0.0
    while (seat := folder.take(staff.gpus, staff.per_gpu, holder)) is None:
        why = why_taken(staff.gpus, folder)
        closed = "" if why else folder.in_the_way(staff.gpus, staff.per_gpu)
        closed_s = closed_s + pause_s if closed else 0.0
        if closed_s > LONGEST_CLOSED_S:
            raise StudyError(closed, ANOTHER)
        if closed_s > QUIET_S:
            why = closed
        if why and not said:
            say(f"waiting for a GPU: {why}")
            said = why
        if wait(pause_s):
            return False
        pause_s = min(2 * pause_s, LONGEST_WAIT_S)
    _keep_to(seat, staff, machine)
    return True


def staff_of(spec: StudySpec, placing: Placing, n_open: int) -> Staff:
    """Return the workers that this machine gets for a study with so many open slots."""
    is_ours, machine = spec.trains_with_keras, this_machine()
    return staff_for(placing, machine, threads=spec.threads, n_open=n_open, uses_gpus=is_ours)


def refuse_unseen(spec: StudySpec, placing: Placing) -> None:
    """Refuse to train on the CPU by mistake: where there are GPUs, the framework must see one.

    Raises:
        StudyError: The driver sees them and the framework sees none; or one is named that is not
            there.
    """
    gpus = staff_of(spec, placing, 1).gpus
    if gpus and spec.trains_with_keras and count_gpus() == 0:
        cards = counted(len(gpus), "GPU")
        raise StudyError(
            f"the driver sees {cards} ({gpus[0].name}), and {framework()} sees none",
            f"{how_to_mend()}; or --cpu",
        )


def own_gpu(spec: StudySpec, placing: Placing) -> Gpu | None:
    """Return the GPU of a process that looks after workers; without a seat, for a few batches.

    One that nobody sits on, if there is one.
    """
    gpus, folder = staff_of(spec, placing, 1).gpus, SeatFolder(placing.gpu_locks)
    return min(gpus, key=lambda gpu: len(folder.holders(gpu)), default=None)


def why_taken(gpus: Sequence[Gpu], folder: SeatFolder) -> str:
    """Return who has which of the GPUs, on one line; "" where nobody has one."""
    taken = []
    for gpu in gpus:
        found = folder.holders(gpu)
        by = dict.fromkeys(harmless(f"study '{one.study}' ({one.who})")[:200] for one in found)
        if by:
            taken.append(f"{gpu.shown} is taken by {', '.join(by)}")
    return "; ".join(taken)


def _keep_to(seat: Seat, staff: Staff, machine: Machine) -> None:
    gpu = next(one for one in staff.gpus if one.uuid == seat.uuid)
    os.environ[VISIBLE] = gpu.visible_as
    limit_mb = memory_limit_mb(gpu, staff.per_gpu)
    if limit_mb is not None and gpu.memory_mb:
        os.environ[GPU_MEMORY] = json.dumps([limit_mb, gpu.memory_mb])
    if hasattr(os, "sched_setaffinity"):
        there = [one.uuid for one in gpus_of(machine.driver)]
        position = there.index(seat.uuid) if seat.uuid in there else 0
        cores = share_of(
            sorted(os.sched_getaffinity(0)),
            position * staff.per_gpu + seat.number,
            max(1, len(there)) * staff.per_gpu,
        )
        with suppress(OSError):  # a container may not allow it
            os.sched_setaffinity(0, cores)
    seat.keep()


def share_of(cores: Sequence[int], number: int, n_shares: int) -> list[int]:
    """Return the cores of one of so many shares; where cores are few, some are in several."""
    n = len(cores)
    start, end = number * n // n_shares, (number + 1) * n // n_shares
    return list(cores[start:end]) or [cores[start % n]]
