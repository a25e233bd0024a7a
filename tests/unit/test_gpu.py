"""Which GPUs a machine has and a command may use; the machines are described, not present."""

import os

import pytest

from study.errors import StudyError
from study.machine import gpus
from study.machine.gpus import Driver, Gpu, chosen_gpus, gpus_of, seeing, visible_gpus

TWO = Driver(
    "0, GPU-aa11, NVIDIA H100 80GB HBM3, 81559\n1, GPU-bb22, NVIDIA GB10, Rev 2, [N/A]\n",
    ["nvidia0", "nvidia1"],
)
FIRST = Gpu("GPU-aa11", 0, "NVIDIA H100 80GB HBM3", 81559)
SECOND = Gpu("GPU-bb22", 1, "NVIDIA GB10, Rev 2", None)
PART = Gpu("MIG-cc33", None, "part of a GPU")


def test_gpus_are_read_from_the_drivers_answer() -> None:
    """A memory that is shared with the CPU is unknown."""
    assert gpus_of(TWO) == [FIRST, SECOND]
    assert (FIRST.visible_as, FIRST.shown) == ("GPU-aa11", "GPU 0")


def test_without_an_answer_device_files_count() -> None:
    """Containers without the driver's tools, or a driver that is broken: the cards are there."""
    found = gpus_of(Driver(None, ["nvidia10", "nvidia2"]))
    assert [(one.uuid, one.visible_as) for one in found] == [("nvidia2", "2"), ("nvidia10", "10")]
    assert gpus_of(Driver()) == []
    assert gpus_of(Driver("No devices were found\n")) == []


@pytest.mark.parametrize(
    ("variable", "wanted"),
    [
        (None, [FIRST, SECOND]),
        ("", []),
        ("-1", []),
        ("1,0", [SECOND, FIRST]),
        ("GPU-b", [SECOND]),
        ("0,7,1", [FIRST]),
        ("0,0", [FIRST]),
        ("GPU-", []),
        ("MIG-cc33", [PART]),
    ],
)
def test_variable_of_cuda_is_honoured(variable: str | None, wanted: list[Gpu]) -> None:
    """As CUDA does: in its order, and what names nothing ends the list."""
    assert visible_gpus([FIRST, SECOND], variable) == wanted


def test_no_part_is_seen_where_there_is_no_gpu() -> None:
    """A variable that was left over makes no card."""
    assert visible_gpus([], "MIG-cc33") == []


def test_devices_choose_among_the_visible() -> None:
    """By number or UUID; in the order that was given."""
    assert chosen_gpus([FIRST, SECOND], None) == [FIRST, SECOND]
    assert chosen_gpus([FIRST, SECOND], "1, GPU-aa") == [SECOND, FIRST]


@pytest.mark.parametrize(
    ("there", "devices", "why"),
    [
        ([FIRST], "1", "there is no GPU 1 here; there are 0"),
        ([], "0", "there is no GPU 0 here; there is none at all"),
        ([FIRST], " ,", "names no GPU"),
        ([FIRST], "-1", "there is no GPU -1 here"),
    ],
)
def test_device_that_is_not_there_is_refused(there: list[Gpu], devices: str, why: str) -> None:
    """With those that are."""
    with pytest.raises(StudyError, match=why):
        chosen_gpus(there, devices)


def test_machine_without_a_driver_is_asked_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process is started where there is no nvidia-smi."""
    gpus.ask_driver.cache_clear()
    monkeypatch.setattr(gpus.shutil, "which", lambda program: None)
    monkeypatch.setattr(gpus.subprocess, "run", None)
    assert gpus.ask_driver().answer is None
    gpus.ask_driver.cache_clear()


@pytest.mark.parametrize("before", [None, "0,1"])
def test_process_sees_one_gpu_for_a_while(
    monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    """Workers that are started later see what there was; without a GPU nothing changes."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if before is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", before)
    with seeing(SECOND):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-bb22"
    with seeing(None):
        assert os.environ.get("CUDA_VISIBLE_DEVICES") == before
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == before
