"""A drain that comes just while a hung trial is ended and its worker's process is replaced."""

import signal
import time
from collections.abc import Callable

import pytest

from tests.acceptance.processes import Place, is_alive
from tests.acceptance.synthetic import look, rows_of

TRIAL_TIMEOUT_S, DRAIN_S = 1, 3
BOUND_S = 30.0
"""Beyond the drain, for a machine that is busy with other tests."""

TERM = 1 << (signal.SIGTERM - 1)


def pids(place: Place) -> set[int]:
    """The processes that have begun a trial; one that is replaced keeps its id."""
    return {line["pid"] for line in place.ledger_lines()}


def is_overdue(place: Place, url: str) -> bool:
    """Whether two trials are half way from their time to the end of their processes."""
    started = [line["time"] for line in place.ledger_lines()]
    return time.time() > max(started) + TRIAL_TIMEOUT_S + DRAIN_S / 2


def is_ended(place: Place, url: str) -> bool:
    """Whether a hung trial was ended just now: its process is about to be replaced."""
    return look(url, "s").failed > 0


def is_replaced(place: Place, url: str) -> bool:
    """Whether a worker's new process still starts, its signals held back: a short moment."""
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        if any(held_back(pid) & TERM for pid in pids(place)):
            return True
        time.sleep(0.002)
    return False


def held_back(pid: int) -> int:
    """The signals that the main thread of a process does not let through, as the kernel's mask."""
    with open(f"/proc/{pid}/status") as status:
        (line,) = [line for line in status if line.startswith("SigBlk:")]
    return int(line.split()[1], 16)


@pytest.mark.parametrize("moment", [is_overdue, is_ended, is_replaced])
def test_drain_while_a_hung_trial_is_ended_leaves_nothing_running(
    place: Place, sqlite_url: str, moment: Callable[[Place, str], bool]
) -> None:
    """Within the drain time; a hung trial is `timeout` or released, and never a crash."""
    where = ["--storage", sqlite_url, "--study", "s", "--n-trials", 60, "--workers", 2]
    limits = ["--trial-timeout", f"{TRIAL_TIMEOUT_S}s", "--drain-timeout", f"{DRAIN_S}s"]
    deaf = place.synthetic(sleep_s=600, n_steps=1)
    with place.start("run", *where, *limits, *deaf, anew=True) as running:
        running.wait_until(lambda: len(pids(place)) == 2)
        workers = pids(place)
        running.wait_until(lambda: moment(place, sqlite_url))
        running.send(signal.SIGTERM)
        done = running.wait(DRAIN_S + BOUND_S)
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    assert "crashed" not in done.err
    assert pids(place) == workers
    assert not any(is_alive(pid) for pid in workers)
    rows = rows_of(sqlite_url, "s")
    assert {row["state"] for row in rows} == {"FAIL", "WAITING"}
    assert {row["reason"] for row in rows} <= {None, "timeout", "released"}
    status = look(sqlite_url, "s")
    assert (status.n_slots, status.running, status.workers) == (60, 0, [])
