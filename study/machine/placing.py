"""The number of workers that a command starts on this machine, and their GPUs.

`--workers auto` is one worker for each GPU; without GPUs, one for each `threads` cores. Results do
not depend on the number of workers, so these options may differ from command to command. `Machine`
is a plain value, so that tests can make one. `locks.py` decides which worker gets which GPU.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Self

import typer

from study.errors import StudyError
from study.machine.gpus import VISIBLE, Driver, Gpu, ask_driver, chosen_gpus, gpus_of, visible_gpus
from study.machine.locks import DEFAULT_FOLDER
from study.options import ADVANCED, option

AUTO = "auto"
CONTEXT_MB = 700
"""GPU memory that a process takes in addition to its framework's count: context, libraries."""

SUPERVISOR_MB = 1000  # a supervisor tries out a user's model, and keeps the GPU context
LEAST_MB = 1024  # for a worker: less has no room for a batch and cuDNN's workspace
AUTO_MB = 4096  # for a worker under `--workers-per-gpu auto`
MOST_PER_GPU = 8  # under `auto`


def _auto_or_number(value: str | None) -> str | None:
    if value not in (None, AUTO) and not (value.isdigit() and int(value) > 0):
        raise typer.BadParameter(f"{value!r} is neither 'auto' nor a number above 0")
    return value


@dataclass(frozen=True)
class Placing:
    """The options that place workers on this machine; None for an option not given."""

    workers: Annotated[
        str,
        option(
            "--workers",
            "Worker processes here: a number, or auto: one for each GPU, else cores / threads",
            callback=_auto_or_number,
        ),
    ] = AUTO
    devices: Annotated[
        str | None,
        option("--devices", "GPUs to use: numbers as in nvidia-smi, or UUIDs, such as 0,1"),
    ] = None
    workers_per_gpu: Annotated[
        str | None,
        option(
            "--workers-per-gpu",
            "Workers that share a GPU and divide its memory: a number, or auto: by "
            "cores and memory (1)",
            callback=_auto_or_number,
        ),
    ] = None
    cpu: Annotated[bool, option("--cpu", "Train on the CPU, even if there is a GPU")] = False
    gpu_locks: Annotated[
        Path,
        option(
            "--gpu-locks",
            "Folder for locks on GPUs, shared by all users and containers of this machine",
            ADVANCED,
        ),
    ] = DEFAULT_FOLDER

    def of_one(self, allocation: "Allocation") -> Self:
        """Return the options for a single worker of an allocation."""
        if not allocation.gpus:
            return replace(self, workers="1", devices=None, workers_per_gpu=None)
        devices = ",".join(gpu.visible_as for gpu in allocation.gpus)
        per_gpu = str(allocation.per_gpu)
        return replace(self, workers="1", devices=devices, workers_per_gpu=per_gpu)

    def arguments(self) -> list[str]:
        """Return the options as they are given to `study worker`."""
        given = ["--workers", self.workers]
        if self.devices is not None:
            given += ["--devices", self.devices, "--gpu-locks", str(self.gpu_locks)]
        if self.workers_per_gpu is not None:
            given += ["--workers-per-gpu", self.workers_per_gpu]
        return [*given, *(["--cpu"] if self.cpu else [])]


@dataclass(frozen=True)
class Machine:
    """The cores and GPUs of a machine.

    Attributes:
        cores: Number of cores that this process may use.
        driver: The driver's report of the GPUs.
        visible: CUDA_VISIBLE_DEVICES; None if not set.
    """

    cores: int
    driver: Driver
    visible: str | None = None


@dataclass(frozen=True)
class Allocation:
    """The workers that a command may start.

    Attributes:
        most: The number of workers.
        gpus: The GPUs that they share; if empty, the framework chooses the device.
        per_gpu: Workers on each GPU.
        is_fixed: Whether the user gave `most`; if so, fewer open slots do not reduce it.
    """

    most: int
    gpus: tuple[Gpu, ...] = ()
    per_gpu: int = 1
    is_fixed: bool = False

    def n_workers(self, n_open: int) -> int:
        """Return the number of workers to start for a study with `n_open` open slots."""
        return self.most if self.is_fixed else max(1, min(self.most, n_open))


def this_machine() -> Machine:
    """Return the machine that this process runs on."""
    return Machine(n_cores(), ask_driver(), os.environ.get(VISIBLE))


def n_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def allocate(placing: Placing, machine: Machine, *, threads: int, uses_gpus: bool) -> Allocation:
    """Return the workers that a machine may run for a study.

    One worker a core, with one thread a trial, trains about 1.5 times as many images as one process
    with all threads.

    Args:
        threads: Threads of a trial.
        uses_gpus: Whether the objective is known to use GPUs; other objectives get GPUs only where
            `placing` names them.

    Raises:
        StudyError: A named GPU does not exist, or has too little memory for so many workers.
    """
    gpus: list[Gpu] = []
    if not placing.cpu and (uses_gpus or placing.devices or placing.workers_per_gpu):
        there = visible_gpus(gpus_of(machine.driver), machine.visible)
        gpus = chosen_gpus(there, placing.devices)
    is_fixed = placing.workers != AUTO
    at_once = machine.cores // threads
    if not gpus:
        n_workers = int(placing.workers) if is_fixed else max(1, at_once)
        return Allocation(n_workers, is_fixed=is_fixed)
    per_gpu = _per_gpu(placing, gpus, at_once)
    most = len(gpus) * per_gpu
    n_workers = int(placing.workers) if is_fixed else most
    if n_workers > most:
        raise StudyError(
            f"--workers {n_workers}: there is room for {most}, {per_gpu} on each GPU",
            f"--workers-per-gpu {-(-n_workers // len(gpus))}",
        )
    for gpu in gpus:
        memory_limit_mb(gpu, per_gpu)
    return Allocation(n_workers, tuple(gpus), per_gpu, is_fixed)


def memory_limit_mb(gpu: Gpu, per_gpu: int) -> int | None:
    """Return the GPU memory of each worker in MiB; None (no limit) for a single worker.

    Raises:
        StudyError: The share would be too small, or the GPU's memory is unknown.
    """
    if per_gpu == 1:
        return None
    if gpu.memory_mb is None:
        raise StudyError(
            f"--workers-per-gpu {per_gpu}: the memory of {gpu.shown} is unknown, so it cannot be "
            "divided",
            "--workers-per-gpu 1",
        )
    for_workers_mb = gpu.memory_mb - SUPERVISOR_MB
    limit_mb = for_workers_mb // per_gpu - CONTEXT_MB
    if limit_mb < LEAST_MB:
        most = max(1, for_workers_mb // (LEAST_MB + CONTEXT_MB))
        raise StudyError(
            f"--workers-per-gpu {per_gpu}: {gpu.shown} has {gpu.memory_mb:,} MiB, which is too "
            "little for so many",
            f"--workers-per-gpu {most}",
        )
    return limit_mb


def _per_gpu(placing: Placing, gpus: Sequence[Gpu], at_once: int) -> int:
    if placing.workers_per_gpu == AUTO:
        by_memory = min((gpu.memory_mb or 0) // AUTO_MB for gpu in gpus)
        return max(1, min(at_once // len(gpus), by_memory, MOST_PER_GPU))
    if placing.workers_per_gpu is not None:
        return int(placing.workers_per_gpu)
    if placing.workers == AUTO:
        return 1
    return -(-int(placing.workers) // len(gpus))  # spread evenly
