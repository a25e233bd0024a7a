"""The options that say where a study is worked on: how many workers, and on which devices.

They may differ from command to command, as nothing of the study's results depends on the number of
workers. What follows from them on a certain machine, `staff.py` decides.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from study.machine.gpus import Gpu
from study.machine.locks import DEFAULT_FOLDER
from study.options import ADVANCED, option

AUTO = "auto"


def _auto_or_number(value: str | None) -> str | None:
    if value not in (None, AUTO) and not (value.isdigit() and int(value) > 0):
        raise typer.BadParameter(f"{value!r} is neither 'auto' nor a number above 0")
    return value


@dataclass(frozen=True)
class Placing:
    """As given; None where nothing was said."""

    workers: Annotated[
        str,
        option(
            "--workers",
            "Worker processes here: a number, or auto = one a GPU, without GPUs cores / threads",
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
            "Workers that share a GPU, each with its part of the memory: a number, or auto = by "
            "cores and memory (1)",
            callback=_auto_or_number,
        ),
    ] = None
    cpu: Annotated[bool, option("--cpu", "Train on the CPU, also where there is a GPU")] = False
    gpu_locks: Annotated[
        Path,
        option(
            "--gpu-locks",
            "Folder that all users and containers of this machine share: who uses which GPU",
            ADVANCED,
        ),
    ] = DEFAULT_FOLDER

    def of_one(self, gpus: "Sequence[Gpu]", per_gpu: int) -> "Placing":
        """Return what each worker is told of a staff on these GPUs."""
        if not gpus:
            return replace(self, workers="1", devices=None, workers_per_gpu=None)
        devices = ",".join(gpu.visible_as for gpu in gpus)
        return replace(self, workers="1", devices=devices, workers_per_gpu=str(per_gpu))

    def arguments(self) -> list[str]:
        """Return the options as they are given to `study worker`."""
        given = ["--workers", self.workers]
        if self.devices is not None:
            given += ["--devices", self.devices, "--gpu-locks", str(self.gpu_locks)]
        if self.workers_per_gpu is not None:
            given += ["--workers-per-gpu", self.workers_per_gpu]
        return [*given, *(["--cpu"] if self.cpu else [])]
