"""How many workers a described machine gets, and on which of its GPUs."""

import pytest

from study.errors import StudyError
from study.machine.gpus import Driver
from study.machine.pin import share_of
from study.machine.placing import Allocation, Machine, Placing, allocate, memory_limit_mb


def machine(n_gpus: int = 2, memory: str = "81559", cores: int = 16) -> Machine:
    """One with so many equal cards."""
    lines = [f"{number}, GPU-{number}, Card, {memory}\n" for number in range(n_gpus)]
    return Machine(cores, Driver("".join(lines) if lines else None), None)


def workers(
    placing: Placing, on: Machine, *, threads: int = 1, uses_gpus: bool = True
) -> Allocation:
    return allocate(placing, on, threads=threads, uses_gpus=uses_gpus)


@pytest.mark.parametrize(
    ("placing", "n_workers", "indexes", "per_gpu"),
    [
        (Placing(), 2, [0, 1], 1),
        (Placing(devices="1"), 1, [1], 1),
        (Placing(workers="1"), 1, [0, 1], 1),
        (Placing(workers="3"), 3, [0, 1], 2),
        (Placing(workers_per_gpu="3"), 6, [0, 1], 3),
        (Placing(workers_per_gpu="auto"), 16, [0, 1], 8),
        (Placing(workers="2", workers_per_gpu="4"), 2, [0, 1], 4),
        (Placing(cpu=True), 16, [], 1),
        (Placing(cpu=True, devices="0"), 16, [], 1),
    ],
)
def test_workers_of_a_machine_with_two_gpus(
    placing: Placing, n_workers: int, indexes: list[int], per_gpu: int
) -> None:
    """One a GPU, unless it was told otherwise."""
    found = workers(placing, machine())
    assert (found.n_workers(100), [gpu.index for gpu in found.gpus]) == (n_workers, indexes)
    assert found.per_gpu == per_gpu


@pytest.mark.parametrize(
    ("threads", "n_open", "n_workers"), [(1, 100, 16), (4, 100, 4), (32, 100, 1), (1, 3, 3)]
)
def test_workers_of_a_machine_without_a_gpu(threads: int, n_open: int, n_workers: int) -> None:
    """One a core and thread of a trial, and no more than there are open slots."""
    for placing, n in ((Placing(), n_workers), (Placing(workers="7"), 7)):
        found = workers(placing, machine(0), threads=threads)
        assert (found.n_workers(n_open), found.gpus) == (n, ())


def test_cores_and_memory_bound_the_workers_of_a_gpu() -> None:
    """Under `auto`; a memory that is unknown is not divided."""
    auto = Placing(workers_per_gpu="auto")
    assert workers(auto, machine(1, cores=3)).n_workers(100) == 3
    assert workers(auto, machine(1, cores=3), threads=2).n_workers(100) == 1
    assert workers(auto, machine(1, memory="16384")).n_workers(100) == 4
    assert workers(auto, machine(1, memory="[N/A]")).n_workers(100) == 1


def test_objective_that_may_not_use_gpus_gets_them_where_they_are_named() -> None:
    """One of the user's own may compute on the CPU."""
    assert workers(Placing(), machine(), uses_gpus=False) == Allocation(16)
    assert len(workers(Placing(devices="0,1"), machine(), uses_gpus=False).gpus) == 2


def test_hidden_gpus_are_none() -> None:
    """CUDA_VISIBLE_DEVICES is honoured, and is no mistake that one would have to mend."""
    on = machine()
    assert workers(Placing(), Machine(on.cores, on.driver, "")).gpus == ()
    assert [gpu.index for gpu in workers(Placing(), Machine(16, on.driver, "1")).gpus] == [1]


@pytest.mark.parametrize(
    ("placing", "memory", "why", "hint"),
    [
        (Placing(workers="9", workers_per_gpu="4"), "81559", "there is room for 8", "5"),
        (Placing(workers_per_gpu="8"), "8192", "too little for so many", "4"),
        (Placing(workers="2", devices="0"), "[N/A]", "is unknown", "1"),
    ],
)
def test_what_has_no_room_is_refused(placing: Placing, memory: str, why: str, hint: str) -> None:
    """With a number that has."""
    with pytest.raises(StudyError, match=why) as refused:
        workers(placing, machine(memory=memory))
    assert refused.value.hint == f"--workers-per-gpu {hint}"


def test_memory_of_a_gpu_is_enough_for_all_its_workers() -> None:
    """One alone has no limit; several have less than the whole, with their contexts."""
    (gpu,) = workers(Placing(), machine(1)).gpus
    assert memory_limit_mb(gpu, 1) is None
    for n_workers in (2, 5, 16):
        limit_mb = memory_limit_mb(gpu, n_workers)
        assert limit_mb is not None
        assert n_workers * limit_mb < 81559 - 500 * n_workers


def test_worker_is_told_where_it_may_sit() -> None:
    """By the names that mean the same in its own process."""
    placing = Placing(workers="2", workers_per_gpu="auto")
    found = workers(placing, machine())
    words = placing.of_one(found).arguments()
    assert words[:4] == ["--workers", "1", "--devices", "GPU-0,GPU-1"]
    assert words[-2:] == ["--workers-per-gpu", "8"]
    assert Placing(cpu=True).of_one(Allocation(1)).arguments() == ["--workers", "1", "--cpu"]


@pytest.mark.parametrize("n_cores", [1, 2, 7, 16])
@pytest.mark.parametrize("n_shares", [1, 2, 3, 8])
def test_cores_are_divided(n_cores: int, n_shares: int) -> None:
    """Each share has one at least; all are used, none twice where there are enough."""
    cores = list(range(100, 100 + n_cores))
    shares = [share_of(cores, number, n_shares) for number in range(n_shares)]
    assert all(shares)
    together = [core for share in shares for core in share]
    if n_cores >= n_shares:
        assert together == cores
    else:
        assert set(together) <= set(cores)
