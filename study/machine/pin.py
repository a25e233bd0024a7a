"""Check the GPUs of this machine, and assign one to each worker.

A worker waits for a GPU lock and computes on that GPU only. CUDA_VISIBLE_DEVICES is set before a
framework is loaded, and is kept when the process replaces itself.
"""

import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress

from objectives.framework.backend import count_gpus, framework, how_to_mend
from objectives.framework.runtime import GPU_MEMORY
from study.errors import StudyError
from study.machine.gpus import VISIBLE, Gpu, gpus_of
from study.machine.locks import ANOTHER, GpuLock, GpuLocks, Holder
from study.machine.placing import (
    Allocation,
    Machine,
    Placing,
    allocate,
    memory_limit_mb,
    this_machine,
)
from study.spec.open import OpenStudy, Say
from study.spec.spec import StudySpec
from study.text import counted, harmless

SHORTEST_WAIT_S, LONGEST_WAIT_S = 0.05, 2.0
QUIET_S, LONGEST_CLOSED_S = 2.0, 60.0
"""When a lock held by a foreign process is reported, and when it is an error; most are short."""


def take_gpu(
    opened: OpenStudy,
    allocation: Allocation,
    machine: Machine,
    locks: GpuLocks,
    say: Say,
    wait: Callable[[float], bool],
) -> bool:
    """Wait for a lock on one of the GPUs, and let this process compute on that GPU only.

    Args:
        wait: Waits for the given seconds; returns True once no GPU is needed any more.

    Returns:
        Whether this process has a GPU.
    """
    holder = Holder.here(opened.token or f"{opened.name}-{opened.study_id}", opened.name)
    gpus, per_gpu = allocation.gpus, allocation.per_gpu
    said, pause_s, closed_s = "", SHORTEST_WAIT_S, 0.0
    while (lock := locks.take(gpus, per_gpu, holder)) is None:
        why = why_taken(gpus, locks)
        closed = "" if why else locks.in_the_way(gpus, per_gpu)
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
    _keep_to(lock, allocation, machine)
    return True


def allocation_of(spec: StudySpec, placing: Placing) -> Allocation:
    """Return the workers that this machine may run for a study."""
    uses_gpus = spec.trains_with_keras
    return allocate(placing, this_machine(), threads=spec.threads, uses_gpus=uses_gpus)


def refuse_unseen(spec: StudySpec, allocation: Allocation) -> None:
    """Refuse to train on the CPU while the machine has GPUs.

    Raises:
        StudyError: The driver sees GPUs, but the framework sees none.
    """
    gpus = allocation.gpus
    if gpus and spec.trains_with_keras and count_gpus() == 0:
        cards = counted(len(gpus), "GPU")
        raise StudyError(
            f"the driver sees {cards} ({gpus[0].name}), and {framework()} sees none",
            f"{how_to_mend()}; or --cpu",
        )


def own_gpu(allocation: Allocation, placing: Placing) -> Gpu | None:
    """Return the GPU with the fewest workers, for the few batches that a supervisor computes.

    The supervisor takes no lock on it.
    """
    locks = GpuLocks(placing.gpu_locks)
    return min(allocation.gpus, key=lambda gpu: len(locks.holders(gpu)), default=None)


def why_taken(gpus: Sequence[Gpu], locks: GpuLocks) -> str:
    """Return which studies hold which GPUs, on one line; "" if all are free."""
    taken = []
    for gpu in gpus:
        found = locks.holders(gpu)
        by = dict.fromkeys(harmless(f"study '{one.study}' ({one.who})")[:200] for one in found)
        if by:
            taken.append(f"{gpu.shown} is taken by {', '.join(by)}")
    return "; ".join(taken)


def _keep_to(lock: GpuLock, allocation: Allocation, machine: Machine) -> None:
    per_gpu = allocation.per_gpu
    gpu = next(one for one in allocation.gpus if one.uuid == lock.uuid)
    os.environ[VISIBLE] = gpu.visible_as
    limit_mb = memory_limit_mb(gpu, per_gpu)
    if limit_mb is not None and gpu.memory_mb:
        os.environ[GPU_MEMORY] = json.dumps([limit_mb, gpu.memory_mb])
    if hasattr(os, "sched_setaffinity"):
        there = [one.uuid for one in gpus_of(machine.driver)]
        position = there.index(lock.uuid) if lock.uuid in there else 0
        cores = sorted(os.sched_getaffinity(0))
        number = position * per_gpu + lock.number
        with suppress(OSError):  # a container may not allow it
            os.sched_setaffinity(0, share_of(cores, number, max(1, len(there)) * per_gpu))
    lock.keep()


def share_of(cores: Sequence[int], number: int, n_shares: int) -> list[int]:
    """Return the cores of one share; with fewer cores than shares, shares overlap."""
    n = len(cores)
    start, end = number * n // n_shares, (number + 1) * n // n_shares
    return list(cores[start:end]) or [cores[start % n]]
