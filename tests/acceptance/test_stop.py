"""`study stop` and `--timeout`: the study itself tells its workers, wherever they are, to leave."""

import signal

import pytest

from storage.rdb import open_storage
from storage.registry import StopOrder
from study.spec.open import open_study
from tests.acceptance.processes import Place, is_alive
from tests.acceptance.synthetic import expected, look, results, rows_of, slots

N_SLOTS = 4
QUICK = ["--grace", "6s", "--heartbeat", "1s"]


# Each trial stays at its reports, and hears of a stop, while the file `hold` is there.
HELD = """
import time
from pathlib import Path
from objectives.synthetic import SyntheticObjective

class make(SyntheticObjective):
    def fit(self, params, dataset, *, report, **rest):
        def held(step, value):
            report(step, value)
            while Path("hold").exists():
                time.sleep(0.05)
                report(step, value)
        return super().fit(params, dataset, report=held, **rest)
"""


def defining(place: Place, **options: object) -> list[str]:
    """A study of synthetic slots."""
    return ["--n-trials", str(N_SLOTS), *place.synthetic(**options), *QUICK]


def assert_released_and_goes_on(place: Place, url: str) -> None:
    """No trial is RUNNING, no worker is left, and a later run ends as if nothing had been."""
    rows = rows_of(url, "s")
    assert {row["reason"] for row in rows if row["state"] == "FAIL"} == {"released"}
    assert "RUNNING" not in {row["state"] for row in rows}
    assert look(url, "s").workers == []
    place.run("run", "--storage", url, "--study", "s", "--workers", 2)
    assert results(rows_of(url, "s")) == expected(N_SLOTS)
    assert look(url, "s").attempts == N_SLOTS


@pytest.mark.parametrize("now", [(), ("--now",)], ids=["drain", "now"])
def test_stop_ends_every_worker_and_the_study_goes_on_later(
    place: Place, sqlite_url: str, now: tuple[str, ...]
) -> None:
    """A run with two workers and a worker of its own leave with 0; the next run takes no notice."""
    where = ["--storage", sqlite_url, "--study", "s"]
    (place.folder / "mine.py").write_text(HELD)
    objective = [*defining(place, sleep_s=0.1), "--objective", "mine.py:make"]
    place.run("create", *where, *objective)
    (place.folder / "hold").touch()
    with place.start("run", *where, "--workers", 2) as run:
        run.wait_until(lambda: slots(place.ledger_lines(), "start").total() >= 2)
        with place.start("worker", *where, "--workers", 1) as worker:
            worker.wait_until(lambda: len(look(sqlite_url, "s").workers) == 3)
            worker.wait_until(lambda: look(sqlite_url, "s").running == 3)
            asked = place.run("stop", *where, *now)
            assert asked.err == "asked 3 workers of 's' to stop\n"
            assert worker.wait().code == 0
        assert run.wait().code == 0
    assert not any(is_alive(line["pid"]) for line in place.ledger_lines())
    (place.folder / "hold").unlink()
    assert_released_and_goes_on(place, sqlite_url)


def test_timeout_is_that_of_all_workers_and_survives_a_restart(
    place: Place, sqlite_url: str
) -> None:
    """Two runs share it; once it is over nothing is started, until it is raised."""
    where = ["--storage", sqlite_url, "--study", "s", "--workers", "2"]
    endless = defining(place, sleep_s=600, n_steps=6000)
    with place.start("run", *where, *endless, "--timeout", "8s") as first:
        first.wait_until(lambda: slots(place.ledger_lines(), "start").total() == 2)
        first.send(signal.SIGTERM)
        first.wait()
    used_s = look(sqlite_url, "s").seen.used_s
    assert 0 < used_s < 8
    second = place.run("run", *where)
    assert "the study's 8 s are over" in second.err
    assert look(sqlite_url, "s").seen.used_s >= 8
    n_started = len(place.ledger_lines())
    third = place.run("run", *where)
    assert "the study's 8 s are over" in third.err
    assert len(place.ledger_lines()) == n_started
    with place.start("run", *where, "--timeout", "600s") as raised:
        raised.wait_until(lambda: look(sqlite_url, "s").running == 2)


def test_worker_in_its_first_moments_leaves_at_once_when_it_is_asked_to(
    place: Place, sqlite_url: str
) -> None:
    """Python still imports: nothing is held, and leaving is success."""
    place.run("create", "--storage", sqlite_url, "--study", "s", *defining(place))
    with place.start("worker", "--storage", sqlite_url, "--workers", 1, anew=True) as worker:
        # Before its handler is there it would die of the signal: it is looked for in /proc.
        worker.wait_until(lambda: caught(worker.process.pid) & (1 << (signal.SIGTERM - 1)))
        worker.send(signal.SIGTERM)
        assert worker.wait().code == 0


def test_worker_hears_a_stop_from_before_it_has_joined(place: Place, sqlite_url: str) -> None:
    """Python still imports, and nobody can know of the worker yet: it leaves before it claims."""
    endless = defining(place, sleep_s=600, n_steps=6000)
    place.run("create", "--storage", sqlite_url, "--study", "s", *endless)
    with place.start("worker", "--storage", sqlite_url, "--workers", 1, anew=True) as worker:
        worker.wait_until(lambda: caught(worker.process.pid))
        worker.send(signal.SIGSTOP)
        try:
            storage = open_storage(sqlite_url)
            open_study(storage, "s").registry().order_stop(StopOrder.new())
            storage.close()
        finally:
            worker.send(signal.SIGCONT)
        assert worker.wait().code == 0
    assert place.ledger_lines() == []


def caught(pid: int) -> int:
    """The signals that a process has handlers for, as the kernel's mask."""
    with open(f"/proc/{pid}/status") as status:
        (line,) = [line for line in status if line.startswith("SigCgt:")]
    return int(line.split()[1], 16)
