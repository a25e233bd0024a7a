"""How many workers a machine gets for a study, and on which devices.

The rule of `--workers auto`: one worker a GPU, else one a core and thread of a trial. Decides with
plain values, so that machines can be described; who gets which GPU in the end is `seat.py`'s.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from study.errors import StudyError
from study.machine.gpus import VISIBLE, Driver, Gpu, ask_driver, chosen_gpus, gpus_of, visible_gpus
from study.machine.placing import AUTO, Placing

CONTEXT_MB = 700
"""What a process takes of a card beside what its framework counts: context, libraries."""

SUPERVISOR_MB = 1000  # it tries a model of the user's out, and keeps a context
LEAST_MB = 1024  # of a worker; less is no room for a batch and cuDNN's workspace
AUTO_MB = 4096  # of a worker under `--workers-per-gpu auto`
MOST_PER_GPU = 8  # under `auto`


@dataclass(frozen=True)
class Machine:
    """What a machine has, as far as placing workers needs it.

    Attributes:
        cores: That this process may use.
        driver: What it says of its GPUs.
        visible: CUDA_VISIBLE_DEVICES, None where it is not set.
    """

    cores: int
    driver: Driver
    visible: str | None = None


@dataclass(frozen=True)
class Staff:
    """The workers of one command.

    Attributes:
        n_workers: How many.
        gpus: On which they sit; none: they compute wherever their framework does.
        per_gpu: Seats on each.
    """

    n_workers: int
    gpus: tuple[Gpu, ...] = ()
    per_gpu: int = 1


def this_machine() -> Machine:
    """Return the machine that this process runs on."""
    return Machine(n_cores(), ask_driver(), os.environ.get(VISIBLE))


def n_cores() -> int:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def staff_for(
    placing: Placing, machine: Machine, *, threads: int, n_open: int, uses_gpus: bool
) -> Staff:
    """Return the workers to start; never more than there are open slots, unless told to.

    Args:
        threads: Of a trial.
        uses_gpus: Whether the objective is known to; others do where `placing` names GPUs.

    Raises:
        StudyError: A GPU that is named is not there, or has no room for so many.
    """
    gpus: list[Gpu] = []
    if not placing.cpu and (uses_gpus or placing.devices or placing.workers_per_gpu):
        there = visible_gpus(gpus_of(machine.driver), machine.visible)
        gpus = chosen_gpus(there, placing.devices)
    if not gpus:
        return Staff(_count(placing.workers, max(1, machine.cores // threads), n_open))
    per_gpu = _per_gpu(placing, gpus, machine.cores // threads)
    n_seats = len(gpus) * per_gpu
    n_workers = _count(placing.workers, n_seats, n_open)
    if n_workers > n_seats:
        raise StudyError(
            f"--workers {n_workers}: there are {n_seats} seats, {per_gpu} on each GPU",
            f"--workers-per-gpu {-(-n_workers // len(gpus))}",
        )
    for gpu in gpus:
        memory_limit_mb(gpu, per_gpu)
    return Staff(n_workers, tuple(gpus), per_gpu)


def memory_limit_mb(gpu: Gpu, n_seats: int) -> int | None:
    """Return what one of several workers may take of a GPU, in MiB; None for one alone.

    Raises:
        StudyError: That would be too little, or the GPU's memory is unknown.
    """
    if n_seats == 1:
        return None
    if gpu.memory_mb is None:
        raise StudyError(
            f"--workers-per-gpu {n_seats}: the memory of {gpu.shown} is unknown, so it cannot be "
            "divided",
            "--workers-per-gpu 1",
        )
    for_workers_mb = gpu.memory_mb - SUPERVISOR_MB
    limit_mb = for_workers_mb // n_seats - CONTEXT_MB
    if limit_mb < LEAST_MB:
        most = max(1, for_workers_mb // (LEAST_MB + CONTEXT_MB))
        raise StudyError(
            f"--workers-per-gpu {n_seats}: {gpu.shown} has {gpu.memory_mb:,} MiB, which is too "
            "little for so many",
            f"--workers-per-gpu {most}",
        )
    return limit_mb


def _per_gpu(placing: Placing, gpus: Sequence[Gpu], most_workers: int) -> int:
    if placing.workers_per_gpu == AUTO:
        by_memory = min((gpu.memory_mb or 0) // AUTO_MB for gpu in gpus)
        return max(1, min(most_workers // len(gpus), by_memory, MOST_PER_GPU))
    if placing.workers_per_gpu is not None:
        return int(placing.workers_per_gpu)
    if placing.workers == AUTO:
        return 1
    return -(-int(placing.workers) // len(gpus))  # as many as are asked for, spread evenly


def _count(wanted: str, most: int, n_open: int) -> int:
    """Return how many workers; a number is taken at its word.

    One worker a core and one thread a trial train about 1.5 times as many images as one process
    with all threads.
    """
    return max(1, min(most, n_open)) if wanted == AUTO else int(wanted)
