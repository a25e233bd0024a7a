"""A run that is asked to stop leaves a study that goes on as if nothing had been."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.acceptance.processes import Place, Running, is_alive
from tests.acceptance.synthetic import expected, look, results, rows_of, slots

N_SLOTS = 8
BOUND_S = 20.0
"""For what is promised within 2 s or 8 s: the machine may be busy with other tests."""


def ended(place: Place) -> int:
    """How many trials have ended by now."""
    return slots(place.ledger_lines(), "end").total()


def in_the_middle(place: Place) -> bool:
    """Whether trials have ended and two are in progress."""
    started = slots(place.ledger_lines(), "start").total()
    return ended(place) >= 2 and started - ended(place) == 2


def assert_released(url: str, n_released: int | None = None) -> None:
    """No trial is RUNNING; those that were are FAIL and released, and their slots are WAITING."""
    rows = rows_of(url, "s")
    assert {row["state"] for row in rows} <= {"COMPLETE", "FAIL", "WAITING"}
    failed = [row for row in rows if row["state"] == "FAIL"]
    assert {row["reason"] for row in failed} <= {"released"}
    assert n_released is None or len(failed) == n_released
    waiting = {row["slot"]: row["attempt"] for row in rows if row["state"] == "WAITING"}
    for row in failed:
        assert waiting[row["slot"]] == row["attempt"] == 1  # a release is no further attempt


def assert_goes_on(place: Place, url: str, n_slots: int) -> None:
    """The same command finishes the study, with the values of one that was never stopped."""
    place.run("run", "--storage", url, "--study", "s", "--workers", 2)
    rows = rows_of(url, "s")
    assert results(rows) == expected(n_slots)
    assert slots(place.ledger_lines(), "end", "complete").total() == n_slots
    status = look(url, "s")
    assert (status.complete, status.attempts) == (n_slots, n_slots)


def workers_of(place: Place) -> set[int]:
    """The processes that ran a trial."""
    return {line["pid"] for line in place.ledger_lines()}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_first_signal_drains_and_the_study_goes_on_later(
    place: Place, sqlite_url: str, number: int, code: int
) -> None:
    """The trials in progress are released, and nothing is RUNNING."""
    options = ["--storage", sqlite_url, "--study", "s", "--n-trials", N_SLOTS, "--workers", 2]
    defining = place.synthetic(sleep_s=2, n_steps=20)
    with place.start("run", *options, *defining, anew=True) as running:
        running.wait_until(lambda: in_the_middle(place))
        running.send(number)
        done = running.wait()
    assert done.code == code, done.err
    assert "the same command goes on from here" in done.err
    assert "Traceback" not in done.err
    assert not any(is_alive(pid) for pid in workers_of(place))
    assert_released(sqlite_url, n_released=2)
    assert slots(place.ledger_lines(), "end", "Drained").total() == 2
    assert_goes_on(place, sqlite_url, N_SLOTS)


@pytest.fixture
def deaf(place: Place, sqlite_url: str) -> Iterator[Running]:
    """A run whose two trials report nothing for ten minutes, and so do not hear of a drain."""
    with running_deaf(place, sqlite_url) as running:
        yield running


@contextmanager
def running_deaf(place: Place, url: str, *more: object) -> Iterator[Running]:
    """Start such a run, with more options, and wait until it is in both trials."""
    options = ["--storage", url, "--study", "s", "--n-trials", 2, "--workers", 2, *more]
    with place.start("run", *options, *place.synthetic(sleep_s=600, n_steps=1)) as running:
        running.wait_until(lambda: slots(place.ledger_lines(), "start").total() == 2)
        yield running


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_second_signal_ends_all_at_once_and_leaves_no_trial_running(
    place: Place, sqlite_url: str, deaf: Running, number: int, code: int
) -> None:
    """Its workers are gone, and their slots are open again without waiting for a grace period."""
    deaf.send(number)
    deaf.wait_until(lambda: "stopping: " in deaf.err())
    sent_at = time.monotonic()
    deaf.send(number)
    done = deaf.wait(BOUND_S)
    assert time.monotonic() - sent_at < 6  # less than the 8 s that a first signal may take
    assert done.code == code, done.err
    assert not any(is_alive(pid) for pid in workers_of(place))
    assert_released(sqlite_url, n_released=2)


def test_deaf_trial_is_released_after_the_drain_timeout(place: Place, sqlite_url: str) -> None:
    """A trial that does not report does not hold the machine's shutdown up."""
    with running_deaf(place, sqlite_url, "--drain-timeout", "2s") as deaf:
        deaf.send(signal.SIGTERM)
        assert deaf.wait(2 + BOUND_S).code == 0
    assert_released(sqlite_url, n_released=2)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_single_worker_drains_too(place: Place, sqlite_url: str, number: int, code: int) -> None:
    """What compose and clusters start has the same exit codes, without a supervisor."""
    options = ["--storage", sqlite_url, "--study", "s"]
    place.run("create", *options, "--n-trials", 3, *place.synthetic(sleep_s=1, n_steps=10))
    with place.start("worker", *options, "--workers", 1) as worker:
        worker.wait_until(lambda: slots(place.ledger_lines(), "start").total() == 2)
        worker.send(number)
        done = worker.wait()
    assert done.code == code, done.err
    assert_released(sqlite_url, n_released=1)
