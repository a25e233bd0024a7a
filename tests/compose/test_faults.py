"""Faults in a running stack: whatever happens, every slot ends once, with the value that it has."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.synthetic import expected, results
from tests.compose.stack import Stack, docker

N_TRIALS = 24
SYNTHETIC = {
    "STUDY_OBJECTIVE": "synthetic",
    "STUDY_OBJECTIVE_OPTION": "sleep_s=1",
    "STUDY_N_TRIALS": N_TRIALS,
    "STUDY_GRACE": "6s",
    "STUDY_HEARTBEAT": "2s",
}


def kill_a_worker(stack: Stack) -> None:
    """All its processes; the engine starts it again."""
    stack.kill_inside(stack.containers("worker")[0])


def kill_a_container(stack: Stack) -> None:
    """By the engine, which then leaves it; `up` starts it again."""
    docker("kill", stack.containers("worker")[0]["Id"])
    stack.up(workers=3)


def restart_db(stack: Stack) -> None:
    stack.compose("restart", "db")


def kill_db(stack: Stack) -> None:
    """Without a chance to close its files."""
    stack.compose("kill", "db")
    stack.compose("start", "db")


def all_stopped_and_started(stack: Stack) -> None:
    stack.compose("stop")
    stack.compose("start", "worker", "dashboard")
    stack.compose("start", "db")


FAULTS: list[Callable[[Stack], None]] = [
    kill_a_worker,
    restart_db,
    kill_a_container,
    kill_db,
    all_stopped_and_started,
]


def n_final(stack: Stack) -> int:
    return stack.status().n_final


def assert_exact(stack: Stack, n_slots: int, name: str | None = None) -> None:
    """Every slot has one COMPLETE trial, with the params and the value of its slot."""
    status = stack.wait_done(name)
    assert (status.n_slots, status.complete) == (n_slots, n_slots)
    found, wanted = results(stack.rows(name)), expected(n_slots)
    assert {slot: params for slot, (params, _) in found.items()} == {
        slot: params for slot, (params, _) in wanted.items()
    }
    # Not bit by bit: the libm of the image is not this machine's.
    for slot, (_, value) in wanted.items():
        assert found[slot][1] == pytest.approx(value)


def test_study_ends_exact_whatever_happens(folder: Path) -> None:
    """Workers and database killed, restarted, stopped and started in the wrong order."""
    with Stack(folder, folder, name="faults", **SYNTHETIC) as stack:
        stack.up(workers=3)
        for done, fault in enumerate(FAULTS):
            stack.wait_until(lambda: n_final(stack) >= 3 * done + 2, "a finished trial")  # noqa: B023
            fault(stack)
        assert_exact(stack, N_TRIALS)
        assert "lost" in {row["reason"] for row in stack.rows()}  # a kill has hit a trial
        stack.wait_left()
        assert set(stack.states("worker")) == {("exited", 0)}
