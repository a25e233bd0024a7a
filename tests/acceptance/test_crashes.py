"""Killed, frozen or cut off: no slot is lost or counted twice, and no process stays behind."""

import os
import signal

import pytest

from tests.acceptance.processes import Place, Running, is_alive
from tests.acceptance.synthetic import expected, look, results, rows_of, slots
from tests.databases import PostgresServer

N_SLOTS = 6
QUICK = ["--grace", "3s", "--heartbeat", "1s"]


def busy_workers(place: Place, url: str) -> dict[int, int]:
    """Return pid to slot of the workers, once two of them are at work; else nothing."""
    if len({line["pid"] for line in place.ledger_lines()}) < 2:
        return {}
    status = look(url, "s")
    if len(status.workers) < 2:
        return {}
    return {w.pid: w.slot for w in status.workers if w.pid is not None}


def start(place: Place, url: str, **options: object) -> Running:
    """Start a run of two workers."""
    sizes = ["--n-trials", N_SLOTS, "--workers", 2, *QUICK]
    return place.start("run", "--storage", url, "--study", "s", *sizes, *place.synthetic(**options))


def assert_exact(place: Place, url: str, n_lost: int, n_crashed: int = 0) -> None:
    """Every slot is complete once, with the values of a study in which nothing happened."""
    assert results(rows_of(url, "s")) == expected(N_SLOTS)
    assert set(slots(place.ledger_lines(), "end", "complete")) == set(range(N_SLOTS))
    status = look(url, "s")
    assert (status.complete, status.lost, status.done) == (N_SLOTS, n_lost, True)
    assert status.attempts == N_SLOTS + n_lost + n_crashed


def test_killed_worker_loses_no_slot(place: Place, storage_url: str) -> None:
    """Its supervisor opens its slot at once, and starts it again."""
    with start(place, storage_url, sleep_s=1.5, n_steps=10) as running:
        workers = running.wait_until(lambda: busy_workers(place, storage_url))
        killed, slot = workers.popitem()
        os.kill(killed, signal.SIGKILL)
        done = running.wait()
    assert done.code == 0
    assert "died (signal SIGKILL); starting it again" in done.err
    assert "ended with its worker: crashed" in done.err
    assert_exact(place, storage_url, n_lost=0, n_crashed=1)
    (crashed,) = [row for row in rows_of(storage_url, "s") if row["state"] == "FAIL"]
    assert (crashed["slot"], crashed["attempt"], crashed["reason"]) == (slot, 1, "crashed")
    assert slots(place.ledger_lines(), "end", "complete").total() == N_SLOTS


def test_frozen_worker_writes_nothing_when_it_wakes_up(place: Place, sqlite_url: str) -> None:
    """While it was frozen its slot was run by another; it drops the trial and claims the next."""
    with start(place, sqlite_url, sleep_s=2, n_steps=10) as running:
        workers = running.wait_until(lambda: busy_workers(place, sqlite_url))
        frozen, slot = workers.popitem()
        os.kill(frozen, signal.SIGSTOP)
        try:
            running.wait_until(lambda: look(sqlite_url, "s").lost == 1)
        finally:
            os.kill(frozen, signal.SIGCONT)
        assert running.wait().code == 0
    assert_exact(place, sqlite_url, n_lost=1)
    ends = [x for x in place.ledger_lines() if x["event"] == "end" and x["slot"] == slot]
    outcomes = {x["attempt"]: x["outcome"] for x in ends}
    assert outcomes == {1: "ClaimLostError", 2: "complete"} or outcomes[1] == "LeaseLost"


def test_slot_of_a_study_that_always_loses_it_is_given_up(place: Place, sqlite_url: str) -> None:
    """A slot that is lost `--max-attempts` times is final; the study ends with exit code 3."""
    options = ["--storage", sqlite_url, "--study", "s", "--n-trials", 1, "--max-attempts", 1]
    defining = [*place.synthetic(sleep_s=600), *QUICK]
    with place.start("run", *options, *defining, "--workers", 1) as running:
        running.wait_until(lambda: slots(place.ledger_lines(), "start").total() == 1)
        os.kill(place.ledger_lines()[0]["pid"], signal.SIGKILL)
        done = running.wait()
    assert done.code == 3, done.err
    assert "failed slots: 1 crashed" in done.err


def test_workers_of_a_killed_supervisor_leave_by_themselves(place: Place, sqlite_url: str) -> None:
    """No orphan goes on; they give their slots back, and the same command goes on from there."""
    with start(place, sqlite_url, sleep_s=2, n_steps=20) as running:
        workers = running.wait_until(lambda: busy_workers(place, sqlite_url))
        running.send(signal.SIGKILL)
        running.process.wait()
        assert len(workers) == 2
        with place.start("watch", "--storage", sqlite_url) as patience:
            patience.wait_until(lambda: not any(is_alive(pid) for pid in workers))
    states = {row["state"] for row in rows_of(sqlite_url, "s")}
    assert "RUNNING" not in states
    place.run("run", "--storage", sqlite_url, "--study", "s")
    assert_exact(place, sqlite_url, n_lost=0)


def test_database_that_crashes_and_comes_back_costs_nothing(
    place: Place, postgres_server: PostgresServer, postgres_url: str
) -> None:
    """Neither a worker nor the supervisor ends; no slot is lost."""
    with start(place, postgres_url, sleep_s=1.5, n_steps=10) as running:
        running.wait_until(lambda: busy_workers(place, postgres_url))
        postgres_server.stop(crash=True)
        postgres_server.start()
        done = running.wait()
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    assert_exact(place, postgres_url, n_lost=0)
    assert slots(place.ledger_lines(), "start").total() == N_SLOTS


def test_frozen_worker_does_not_keep_a_finished_run(place: Place, sqlite_url: str) -> None:
    """Its slot is run by another; then it is ended, frozen as it is."""
    sizes = ["--n-trials", N_SLOTS, "--workers", 2, "--drain-timeout", "1s", *QUICK]
    defining = ["--storage", sqlite_url, "--study", "s", *place.synthetic(sleep_s=1, n_steps=10)]
    with place.start("run", *defining, *sizes) as running:
        workers = running.wait_until(lambda: busy_workers(place, sqlite_url))
        frozen, _ = workers.popitem()
        os.kill(frozen, signal.SIGSTOP)
        done = running.wait()
    assert done.code == 0
    assert not is_alive(frozen)
    assert_exact(place, sqlite_url, n_lost=1)


def test_worker_that_was_asked_to_leave_from_outside_is_replaced(
    place: Place, sqlite_url: str
) -> None:
    """By whoever saves memory or by a person: the run does not shrink in silence."""
    with start(place, sqlite_url, sleep_s=1.5, n_steps=10) as running:
        workers = running.wait_until(lambda: busy_workers(place, sqlite_url))
        asked, _ = workers.popitem()
        os.kill(asked, signal.SIGTERM)
        done = running.wait()
    assert done.code == 0
    assert "was stopped from outside; starting another" in done.err
    assert_exact(place, sqlite_url, n_lost=0)


def test_study_that_is_deleted_ends_its_run_with_one_line(place: Place, sqlite_url: str) -> None:
    """Nobody claims in another study that gets its id."""
    with start(place, sqlite_url, sleep_s=600, n_steps=6000) as running:
        workers = running.wait_until(lambda: busy_workers(place, sqlite_url))
        refused = place.run("delete", "--storage", sqlite_url, "--yes", code=1)
        assert refused.error == "study 's' has 2 workers at work"
        place.run("delete", "--storage", sqlite_url, "--yes", "--force")
        done = running.wait()
    assert done.code == 1
    assert "study: error: study 's' was deleted" in done.err
    assert "Traceback" not in done.err
    assert not any(is_alive(pid) for pid in workers)


PATIENT = """
import pathlib
import time
from objectives.synthetic import SyntheticObjective

class make(SyntheticObjective):
    def fit(self, params, dataset, **rest):
        while not pathlib.Path("go").exists():
            time.sleep(0.05)
        return super().fit(params, dataset, **rest)
"""


def test_killed_worker_without_a_supervisor_loses_no_slot(place: Place, sqlite_url: str) -> None:
    """Its heartbeat grows old, and a worker that waits for the last slot takes it up."""
    (place.folder / "mine.py").write_text(PATIENT)
    (place.folder / "go").touch()  # for the one batch of `create`
    options = ["--storage", sqlite_url, "--study", "s"]
    place.run("create", *options, "--n-trials", 1, "--objective", "mine.py:make", *QUICK)
    (place.folder / "go").unlink()
    with place.start("worker", *options, "--workers", 1) as killed:
        killed.wait_until(lambda: look(sqlite_url, "s").running == 1)
        with place.start("worker", *options, "--workers", 1) as waiting:
            waiting.wait_until(lambda: len(look(sqlite_url, "s").workers) == 2)
            killed.send(signal.SIGKILL)
            (place.folder / "go").touch()
            done = waiting.wait()
    assert done.code == 0
    assert "trial 0 was lost; its slot is open again" in done.err
    assert results(rows_of(sqlite_url, "s")) == expected(1)
    (lost,) = [row for row in rows_of(sqlite_url, "s") if row["state"] == "FAIL"]
    assert (lost["attempt"], lost["reason"]) == (1, "lost")


DYING = """
import os
from objectives.synthetic import SyntheticObjective as make

if "STUDY_SUPERVISED" in os.environ:
    print("about to die", flush=True)
    os._exit(7)
"""


def test_worker_that_dies_again_and_again_ends_the_run_with_its_log(place: Place) -> None:
    """The run does not start workers for ever; the error has the end of the log."""
    (place.folder / "mine.py").write_text(DYING)
    options = ["--objective", "mine.py:make", "--n-trials", 2, "--workers", 1]
    done = place.run("run", *options, code=1)
    assert "worker 0 died (exit code 7); starting it again in 1 s" in done.err
    assert "worker 0 died 3 times without finishing a trial (exit code 7)" in done.err
    assert done.err.splitlines()[-1] == "  about to die"
    assert "Traceback" not in done.err


def test_host_whose_workers_all_die_gives_up_while_another_finishes_trials(place: Place) -> None:
    """What a worker elsewhere ends says nothing of the workers here."""
    (place.folder / "mine.py").write_text(DYING)
    brisk = ["--objective-option", "sleep_s=0.1"]
    options = ["--objective", "mine.py:make", "--study", "s"]
    place.run("create", *options, *brisk, "--n-trials", 1000)
    url = f"sqlite:///{place.folder}/study.db"
    with place.start("worker", "--study", "s", "--workers", 1) as elsewhere:
        elsewhere.wait_until(lambda: look(url, "s").complete)
        done = place.run("run", *options, "--workers", 1, code=1)
        assert "worker 0 died 3 times without finishing a trial (exit code 7)" in done.err
        elsewhere.send(signal.SIGTERM)
        assert elsewhere.wait().code == 0
    status = look(url, "s")
    assert status.complete > 1
    assert status.running == status.failed == 0


ONE_DIES = """
import os

if os.readlink("/proc/self/fd/1").endswith("-0.log"):
    os._exit(7)
"""


def test_worker_that_cannot_start_does_not_end_the_others(place: Place) -> None:
    """They finish the study, and then nothing is wrong with it."""
    (place.folder / "mine.py").write_text(ONE_DIES + PATIENT)
    go = place.folder / "go"
    go.touch()  # for the one batch of `run`
    options = ["--objective", "mine.py:make", "--study", "s"]
    place.run("create", *options, "--n-trials", 2)
    go.unlink()
    with place.start("run", *options, "--workers", 2) as running:
        running.wait_until(lambda: "the others go on" in running.err())
        go.touch()
        done = running.wait()
    assert done.code == 0
    assert "worker 0 died 3 times without finishing a trial (exit code 7)" in done.err
    assert results(rows_of(f"sqlite:///{place.folder}/study.db", "s")) == expected(2)


@pytest.mark.parametrize("command", ["run", "worker"])
def test_missing_objective_file_is_one_line_before_a_worker_starts(
    place: Place, command: str
) -> None:
    """The file of an objective that was deleted is named, by whoever needs it."""
    objective = place.folder / "mine.py"
    objective.write_text("from objectives.synthetic import SyntheticObjective as make\n")
    place.run("create", "--study", "s", "--objective", "mine.py:make", "--n-trials", 2)
    objective.unlink()
    refused = place.run(command, "--study", "s", "--workers", 2, code=1)
    assert refused.error == f"no such file: {objective}"
