"""What a worker process sets once it has its seat, and how it waits for one."""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from objectives.errors import ModelError
from objectives.framework import backend as backends
from objectives.framework import runtime
from objectives.framework.backend import backend_name
from study.errors import StudyError
from study.machine import pin
from study.machine.gpus import Driver, Gpu
from study.machine.locks import KEPT, GpuLocks, Holder, kept_lock
from study.machine.pin import allocation_of, own_gpu, refuse_unseen, take_gpu
from study.machine.placing import Allocation, Machine, Placing
from study.spec.open import OpenStudy
from study.spec.spec import StudySpec
from study.worker import main
from study.worker.told import WorkerOptions

GPUS = (Gpu("GPU-0", 0, "Card", 80000), Gpu("GPU-1", 1, "Card", 80000))
MACHINE = Machine(4, Driver("0, GPU-0, Card, 80000\n1, GPU-1, Card, 80000\n"), None)
STUDY = cast(OpenStudy, SimpleNamespace(token="t", name="digits", study_id=1))
SET = ("CUDA_VISIBLE_DEVICES", runtime.GPU_MEMORY, KEPT)


@pytest.fixture(autouse=True)
def cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[set[int]]]:
    """The cores that this process was kept to; the environment is put back, the seat given up."""
    kept: list[set[int]] = []
    monkeypatch.setattr(pin.os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(
        pin.os, "sched_setaffinity", lambda pid, wanted: kept.append(set(wanted)), raising=False
    )
    for name in SET:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    yield kept
    seat = kept_lock()
    if seat is not None:
        os.close(seat.handle)
    for name in SET:
        os.environ.pop(name, None)


def sit(folder: GpuLocks, n_waits: int, *, per_gpu: int = 1) -> tuple[bool, list[str]]:
    """Try to take a seat, waiting so often; return whether there was one, and what was said."""
    said: list[str] = []
    waits = iter([False] * n_waits)
    allocation = Allocation(1, GPUS, per_gpu)
    sits = take_gpu(STUDY, allocation, MACHINE, folder, said.append, lambda s: next(waits, True))
    return sits, said


def test_worker_keeps_to_its_gpu(tmp_path: Path, cores: list[set[int]]) -> None:
    """Alone on it, with its share of the cores."""
    folder = GpuLocks(tmp_path)
    assert sit(folder, 0) == (True, [])
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-0"
    assert runtime.GPU_MEMORY not in os.environ
    assert cores == [{0, 1}]


def test_process_that_replaced_itself_keeps_its_card(
    tmp_path: Path, cores: list[set[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others that it was told of are not visible any more, which is no mistake of anybody's."""
    sit(GpuLocks(tmp_path), 0)
    where = {"devices": "GPU-0,GPU-1", "workers_per_gpu": "1", "gpu_locks": tmp_path}
    options = WorkerOptions(workers="1", **where)  # type: ignore[arg-type]
    visible = os.environ["CUDA_VISIBLE_DEVICES"]
    monkeypatch.setattr(pin, "this_machine", lambda: replace(MACHINE, visible=visible))
    spec = StudySpec("digits-cnn", None, {}, "s", None, [], "maximize", 0, 1, "float32", 1)
    study = cast(OpenStudy, SimpleNamespace(spec=spec))
    assert main._take_gpu(study, options, *cast(Any, (None, None, None)))
    assert (os.environ["CUDA_VISIBLE_DEVICES"], cores) == ("GPU-0", [{0, 1}])


def test_one_of_several_has_its_part_of_the_memory(tmp_path: Path, cores: list[set[int]]) -> None:
    """Two seats a card, four in all, on four cores."""
    sit(GpuLocks(tmp_path), 0, per_gpu=2)
    assert os.environ[runtime.GPU_MEMORY] == "[38800, 80000]"
    assert cores == [{0}]


def test_worker_waits_for_a_card_and_says_so_once(tmp_path: Path) -> None:
    """Until it is told that the waiting is over."""
    folder = GpuLocks(tmp_path)
    other = Holder("other", "fashion", "ben@host, pid 2")
    taken = [folder.take([gpu], 1, other) for gpu in GPUS]
    sits, said = sit(folder, 5)
    assert not sits
    assert said == [
        "waiting for a GPU: GPU 0 is taken by study 'fashion' (ben@host, pid 2); "
        "GPU 1 is taken by study 'fashion' (ben@host, pid 2)"
    ]
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    for seat in taken:
        assert seat is not None
        os.close(seat.handle)
    assert sit(folder, 0) == (True, [])


@pytest.mark.parametrize(
    ("backend", "installed", "hint"),
    [
        ("tensorflow", False, 'pip install "tensorflow[and-cuda]'),
        ("tensorflow", True, "nvidia-smi, which shows whether the driver is new enough"),
        ("jax", False, 'pip install "jax[cuda12]'),
        ("torch", True, "pip install --force-reinstall torch"),
    ],
)
def test_framework_that_sees_no_gpu_is_refused(
    monkeypatch: pytest.MonkeyPatch, backend: str, installed: bool, hint: str
) -> None:
    """With the command that mends it; where there is no GPU, or it sees one, nothing is."""
    monkeypatch.setenv("KERAS_BACKEND", backend)
    monkeypatch.setattr(backends.importlib.util, "find_spec", lambda name: installed or None)
    monkeypatch.setattr(pin, "count_gpus", lambda: 0)
    spec = StudySpec("digits-cnn", None, {}, "s", None, [], "maximize", 0, 1, "float32", 1)
    machine = [Machine(4, Driver(), None)]
    monkeypatch.setattr(pin, "this_machine", lambda: machine[-1])

    def refuse(spec: StudySpec, placing: Placing) -> None:
        refuse_unseen(spec, allocation_of(spec, placing))

    refuse(spec, Placing())
    machine.append(MACHINE)
    refuse(replace(spec, objective="synthetic"), Placing())
    refuse(spec, Placing(cpu=True))
    with pytest.raises(StudyError, match=r"the driver sees 2 GPUs \(Card\), and ") as refused:
        refuse(spec, Placing())
    assert str(refused.value.hint).startswith(hint)
    assert str(refused.value.hint).endswith("; or --cpu")
    monkeypatch.setattr(pin, "count_gpus", lambda: 2)
    refuse(spec, Placing())


@pytest.mark.parametrize(
    ("out", "code", "n_gpus"), [("noise\nGPUs 2\n", 0, 2), ("", 0, 0), ("GPUs 2\n", 1, 0)]
)
def test_framework_is_asked_in_a_process_of_its_own(
    monkeypatch: pytest.MonkeyPatch, out: str, code: int, n_gpus: int
) -> None:
    """One that fails to load sees none; what it prints besides does not matter."""
    done = SimpleNamespace(stdout=out, returncode=code)
    monkeypatch.setattr(backends.subprocess, "run", lambda command, **how: done)
    backends.count_gpus.cache_clear()
    assert backends.count_gpus() == n_gpus
    backends.count_gpus.cache_clear()


def test_other_backends_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """By name; an empty variable is TensorFlow."""
    monkeypatch.setenv("KERAS_BACKEND", "")
    assert backend_name() == "tensorflow"
    monkeypatch.setenv("KERAS_BACKEND", "openvino")
    with pytest.raises(ModelError, match="KERAS_BACKEND=openvino"):
        backend_name()


class Config:
    """Stands in for `tf.config` of a machine with one GPU; `set` counts what was set."""

    def __init__(self) -> None:
        self.parts: dict[str, list[int]] = {}
        self.n_set = 0

    def LogicalDeviceConfiguration(self, memory_limit: int) -> int:  # noqa: N802 - its name there
        return memory_limit

    def list_physical_devices(self, kind: str) -> list[str]:
        return [kind]

    def get_logical_device_configuration(self, gpu: str) -> list[int] | None:
        return self.parts.get(gpu)

    def set_logical_device_configuration(self, gpu: str, parts: list[int]) -> None:
        self.parts[gpu] = parts
        self.n_set += 1


def test_memory_of_a_gpu_is_bounded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow takes no second limit after its start; without one nothing is set."""
    config = Config()
    runtime._bound_memory(config)
    assert config.n_set == 0
    monkeypatch.setenv(runtime.GPU_MEMORY, "[39300, 80000]")
    runtime._bound_memory(config)
    runtime._bound_memory(config)
    assert (config.parts, config.n_set) == ({"GPU": [39300]}, 1)


def test_process_without_a_seat_takes_the_emptiest_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the few batches that show that an objective works; none where there is none."""
    monkeypatch.setattr(pin, "this_machine", lambda: MACHINE)
    spec = StudySpec("digits-cnn", None, {}, "s", None, [], "maximize", 0, 1, "float32", 1)
    placing = Placing(gpu_locks=tmp_path)
    allocation = allocation_of(spec, placing)
    assert own_gpu(allocation, placing) == GPUS[0]
    seat = GpuLocks(tmp_path).take(GPUS, 1, Holder("other"))
    assert own_gpu(allocation, placing) == GPUS[1]
    on_cpu = replace(placing, cpu=True)
    assert own_gpu(allocation_of(spec, on_cpu), on_cpu) is None
    assert seat is not None
    os.close(seat.handle)


@pytest.mark.parametrize("what", ["gate", "seat-0"])
def test_lock_that_is_held_for_ever_is_said_and_refused(tmp_path: Path, what: str) -> None:
    """As no worker holds it: by one that keeps looking. Who waits hears of it, and then ends."""
    folder = GpuLocks(tmp_path)
    with ExitStack() as files:
        for gpu in GPUS:
            file = files.enter_context((tmp_path / f"{gpu.uuid}.{what}").open("a+b"))
            fcntl.flock(file, fcntl.LOCK_SH)
        sits, said = sit(folder, 10)
        assert not sits
        assert re.fullmatch(rf"waiting for a GPU: the lock .*{what} is held by pid .*", said[0])
        with pytest.raises(StudyError, match=f"{what} is held by pid"):
            sit(folder, 100)
