"""Somebody cancels every statement of a study, again and again: no trial is charged for it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg
import pymysql
import pytest
from sqlalchemy.engine import make_url

from tests.acceptance.processes import Place
from tests.acceptance.synthetic import expected, look, once_each, results, rows_of, slots

N_SLOTS = 60
PAUSE_S = 0.01  # at which statements that are quick get through, now and then


@contextmanager
def postgres_canceller(url: str) -> Iterator[Callable[[], int]]:
    """Yield what cancels each statement that runs on a database, and counts them."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    query = (
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid()"
    )
    with psycopg.connect(plain, autocommit=True) as connection:
        yield lambda: len(connection.execute(query).fetchall())


@contextmanager
def mysql_canceller(url: str) -> Iterator[Callable[[], int]]:
    """As `postgres_canceller`, by KILL QUERY."""
    parts = make_url(url)
    connection = pymysql.connect(
        host=parts.host,
        port=parts.port or 3306,
        user=parts.username,
        password=parts.password or "",
        autocommit=True,
    )
    query = "SELECT id FROM information_schema.processlist WHERE db = %s AND info IS NOT NULL"

    def cancel() -> int:
        with connection.cursor() as cursor:
            n_found = cursor.execute(query, (parts.database,))
            for (number,) in cursor.fetchall():
                with suppress(pymysql.Error):  # it has gone by itself
                    cursor.execute(f"KILL QUERY {number}")
        return n_found

    with connection:
        yield cancel


CANCELLERS = {"postgres_url": postgres_canceller, "mysql_url": mysql_canceller}


@contextmanager
def storm(cancel: Callable[[], int]) -> Iterator[list[int]]:
    """Cancel all the time, from another thread; yields how many statements each time."""
    counts: list[int] = []
    over = threading.Event()

    def run() -> None:
        while not over.wait(PAUSE_S):
            counts.append(cancel())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield counts
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("server", CANCELLERS)
def test_statements_that_are_cancelled_cost_no_trial(
    place: Place, server: str, request: pytest.FixtureRequest
) -> None:
    """Each transaction is tried again as a whole: every slot is complete once, and exact."""
    url: str = request.getfixturevalue(server)
    place.run("create", "--storage", url, "--study", "s", "--n-trials", N_SLOTS, *place.synthetic())
    with CANCELLERS[server](url) as cancel, storm(cancel) as counts:
        done = place.run("run", "--storage", url, "--study", "s", "--workers", 4)
    assert sum(counts) > 0
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    assert results(rows_of(url, "s")) == expected(N_SLOTS)
    assert slots(place.ledger_lines(), "start") == once_each(N_SLOTS)
    status = look(url, "s")
    assert (status.complete, status.failed, status.lost) == (N_SLOTS, 0, 0)
