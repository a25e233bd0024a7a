"""Lists this machine's GPUs as its driver reports them, and picks those a command may use.

Costs nothing without a driver, and loads no framework. `objectives/framework/backend.py` finds out
whether the framework can compute on the GPUs.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from study.errors import StudyError

VISIBLE = "CUDA_VISIBLE_DEVICES"
NONE_VISIBLE = "-1"
NODES = Path("/dev")
QUERY = ("--query-gpu=index,uuid,name,memory.total", "--format=csv,noheader,nounits")
TIMEOUT_S = 30.0  # the first query after a boot initializes the cards, one after another


@dataclass(frozen=True)
class Gpu:
    """One GPU, or a part of one.

    Attributes:
        uuid: From the driver, the same in all containers; if unknown, the device file's name.
        index: Its number in nvidia-smi; None for a part.
        name: Of the model.
        memory_mb: In MiB; None if unknown.
    """

    uuid: str
    index: int | None
    name: str
    memory_mb: int | None = None

    @property
    def visible_as(self) -> str:
        """Its name in CUDA_VISIBLE_DEVICES."""
        return self.uuid if self.uuid.startswith(("GPU-", "MIG-")) else str(self.index)

    @property
    def shown(self) -> str:
        """Its name in messages."""
        return self.uuid if self.index is None else f"GPU {self.index}"


@dataclass(frozen=True)
class Driver:
    """The driver's report of its GPUs.

    Attributes:
        answer: Output of nvidia-smi for `QUERY`; None if the program is missing or failed.
        nodes: Names of the GPUs' device files.
    """

    answer: str | None = None
    nodes: Sequence[str] = ()


@lru_cache(maxsize=1)
def ask_driver() -> Driver:
    """Ask the driver of this machine, once in each process."""
    nodes = sorted(node.name for node in NODES.glob("nvidia[0-9]*"))
    program = shutil.which("nvidia-smi")
    if program is None:
        return Driver(None, nodes)
    try:
        done = subprocess.run(
            [program, *QUERY], capture_output=True, text=True, timeout=TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return Driver(None, nodes)
    return Driver(done.stdout, nodes)


def gpus_of(driver: Driver) -> list[Gpu]:
    """Return all GPUs, in the order of nvidia-smi."""
    if driver.answer is None:
        numbers = sorted(int(node.removeprefix("nvidia")) for node in driver.nodes)
        return [Gpu(f"nvidia{number}", number, "NVIDIA GPU") for number in numbers]
    found = []
    for line in driver.answer.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) >= 4 and cells[0].isdigit():
            index, uuid, *name, memory = cells
            size = int(memory) if memory.isdigit() else None  # shared with the CPU: "[N/A]"
            found.append(Gpu(uuid, int(index), ", ".join(name), size))
    return found


def visible_gpus(gpus: Sequence[Gpu], variable: str | None) -> list[Gpu]:
    """Return the GPUs that CUDA_VISIBLE_DEVICES names, in its order; all if it is not set.

    As in CUDA, the first entry that names nothing ends the list. Numbers are nvidia-smi's.
    """
    if variable is None:
        return list(gpus)
    found: list[Gpu] = []
    for entry in variable.split(","):
        gpu = _named(gpus, entry.strip()) if gpus else None
        if gpu is None:
            break
        found.append(gpu)
    return list(dict.fromkeys(found))


def chosen_gpus(gpus: Sequence[Gpu], devices: str | None) -> list[Gpu]:
    """Return the GPUs that `--devices` names; all if it is not given.

    Raises:
        StudyError: A named GPU does not exist, or is not visible.
    """
    if devices is None:
        return list(gpus)
    found = []
    for entry in filter(None, map(str.strip, devices.split(","))):
        gpu = _named(gpus, entry)
        if gpu is None:
            names = [one.visible_as if one.index is None else str(one.index) for one in gpus]
            there = ", ".join(names)
            raise StudyError(
                f"--devices {devices}: there is no GPU {entry} here; "
                + (f"there are {there}" if gpus else "there is none at all"),
                "nvidia-smi lists them" if gpus else "drop --devices",
            )
        found.append(gpu)
    if not found:
        raise StudyError(f"--devices {devices!r} names no GPU", "--devices 0, or --cpu for none")
    return list(dict.fromkeys(found))


def _named(gpus: Sequence[Gpu], entry: str) -> Gpu | None:
    if entry.isdigit():
        return next((gpu for gpu in gpus if gpu.index == int(entry)), None)
    if entry.startswith("MIG-"):  # nvidia-smi's table lists whole cards only
        return Gpu(entry, None, "part of a GPU")
    fitting = [gpu for gpu in gpus if entry and gpu.uuid.startswith(entry)]
    return fitting[0] if len(fitting) == 1 else None


def hide_gpus() -> None:
    """Make this process and its children compute on the CPU."""
    os.environ[VISIBLE] = NONE_VISIBLE


@contextmanager
def seeing(gpu: Gpu | None) -> Iterator[None]:
    """Let a framework that is loaded in the block use one GPU only, also after the block.

    A supervisor needs this: otherwise it would take memory of every GPU and keep it.
    """
    before = os.environ.get(VISIBLE)
    if gpu is not None:
        os.environ[VISIBLE] = gpu.visible_as
    try:
        yield
    finally:
        os.environ.pop(VISIBLE, None)
        if before is not None:
            os.environ[VISIBLE] = before
