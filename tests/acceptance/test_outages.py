"""A database that is away, frozen or full for a while: the study ends exact, and nobody dies of it.

A server that crashes and comes back at once is in `test_crashes.py`.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.processes import ROOT, Place, Running
from tests.acceptance.synthetic import expected, look, once_each, results, rows_of, slots
from tests.databases import PostgresServer

N_SLOTS = 4
SHORT = ["--grace", "3s", "--heartbeat", "1s"]
LONG = ["--grace", "15s", "--heartbeat", "2s"]


def start(place: Place, url: str, lease: list[str], **variables: str) -> Running:
    """Start a run of two workers, each trial of which lasts two seconds."""
    sizes = ["--storage", url, "--study", "s", "--n-trials", N_SLOTS, "--workers", 2, *lease]
    return place.start("run", *sizes, *place.synthetic(sleep_s=2, n_steps=10), **variables)


def both_at_work(place: Place) -> bool:
    """Whether two workers are in a trial."""
    lines = place.ledger_lines()
    return slots(lines, "start").total() >= slots(lines, "end").total() + 2


def let_pass(running: Running, for_s: float) -> None:
    """Wait until a time is over; fail where the process ends before."""
    until = time.monotonic() + for_s
    running.wait_until(lambda: time.monotonic() > until)


@contextmanager
def frozen(server: PostgresServer) -> Iterator[None]:
    """Stop every process of the server where it is: connections stay, and nothing answers."""
    assert server._process is not None
    pids = [server._process.pid]
    try:
        os.kill(pids[0], signal.SIGSTOP)  # first: from here on there are no new ones
        found = subprocess.run(["pgrep", "-P", str(pids[0])], capture_output=True, check=True)
        pids += [int(pid) for pid in found.stdout.split()]
        for pid in pids[1:]:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in reversed(pids):
            os.kill(pid, signal.SIGCONT)


@contextmanager
def crashed(server: PostgresServer) -> Iterator[None]:
    """Let the server be gone as after a crash, and come back."""
    server.stop(crash=True)
    try:
        yield
    finally:
        server.start()


def assert_exact(place: Place, running: Running, url: str) -> str:
    """The run ends well, with the same two workers, and every slot is complete once.

    Returns:
        What it printed.
    """
    done = running.wait()
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    assert "died" not in done.err
    assert results(rows_of(url, "s")) == expected(N_SLOTS)
    assert len({line["pid"] for line in place.ledger_lines()}) == 2
    status = look(url, "s")
    assert (status.complete, status.failed, status.done) == (N_SLOTS, 0, True)
    return done.err


def test_frozen_for_less_than_the_grace_period_costs_no_trial(
    place: Place, postgres_server: PostgresServer, postgres_url: str
) -> None:
    """Everybody waits, and goes on where it was."""
    with start(place, postgres_url, LONG) as running:
        running.wait_until(lambda: both_at_work(place))
        with frozen(postgres_server):
            let_pass(running, 4.0)
        assert_exact(place, running, postgres_url)
    assert look(postgres_url, "s").attempts == N_SLOTS
    assert slots(place.ledger_lines(), "start") == once_each(N_SLOTS)


@pytest.mark.parametrize("away", [frozen, crashed])
def test_away_for_longer_than_the_grace_period_ends_exact(
    place: Place, postgres_server: PostgresServer, postgres_url: str, away: object
) -> None:
    """Slots go on, or are run again where another worker was back first."""
    with start(place, postgres_url, SHORT) as running:
        running.wait_until(lambda: both_at_work(place))
        with away(postgres_server):  # type: ignore[operator]
            let_pass(running, 4.0)
        printed = assert_exact(place, running, postgres_url)
    if away is crashed:
        assert "the database does not answer; waiting for it" in printed


# Imported by every Python process with this folder on its path: a file may not grow beyond the
# number that a flag holds while it is there. It holds for root and on any file system.
FULL_DISK = """
import os, resource, threading, time

def watch():
    flag = os.environ["DISK_IS_FULL"]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    while True:
        try:
            limit = int(open(flag).read())
        except (OSError, ValueError):
            limit = soft
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        time.sleep(0.02)

if "DISK_IS_FULL" in os.environ:
    threading.Thread(target=watch, daemon=True).start()
"""


def test_full_disk_ends_the_run_and_the_same_command_goes_on(
    place: Place, tmp_path: Path, sqlite_url: str
) -> None:
    """The workers end with what mends it; no trial is failed for it, and none is lost."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(FULL_DISK)
    flag = tmp_path / "full"
    variables = {"PYTHONPATH": f"{tmp_path / 'site'}:{ROOT}", "DISK_IS_FULL": str(flag)}
    with start(place, sqlite_url, SHORT, **variables) as running:
        running.wait_until(lambda: both_at_work(place))
        flag.write_text(str(48 * 1024))  # the database has more, logs have less
        stopped = running.wait()
    assert stopped.code == 1
    assert "Traceback" not in stopped.err
    assert "study: error: the database failed: disk I/O error" in stopped.err
    assert "try: make space on its disk, then the same command" in stopped.err
    before = rows_of(sqlite_url, "s")
    assert {row["state"] for row in before} <= {"COMPLETE", "RUNNING", "WAITING"}
    flag.unlink()
    with start(place, sqlite_url, SHORT, **variables) as again:
        assert again.wait().code == 0
    rows = rows_of(sqlite_url, "s")
    assert results(rows) == expected(N_SLOTS)
    complete = [row for row in before if row["state"] == "COMPLETE"]
    assert [row for row in rows if row["trial"] in {row["trial"] for row in complete}] == complete
