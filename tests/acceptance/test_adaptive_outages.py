"""Optuna's own sampler and pruner over an outage: what they ask the database for is asked again."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import LiteralString

import psycopg
import pytest
from sqlalchemy import make_url

from tests.acceptance.processes import Place, Running
from tests.acceptance.synthetic import look, once_each, rows_of, slots
from tests.acceptance.test_outages import LONG, crashed, frozen, let_pass
from tests.databases import PostgresServer

Away = Callable[[PostgresServer], AbstractContextManager[None]]

N_SLOTS, N_AT_RANDOM = 16, 11
"""`tpe` draws ten at random before it looks at the others."""

AWAY_S = 4.0
"""Less than the grace period of `LONG`, and longer than Optuna itself waits."""


def connect(url: str) -> psycopg.Connection:
    """A connection of the test's own to the database of a URL."""
    parts = make_url(url)
    return psycopg.connect(
        host=parts.host, port=parts.port, user=parts.username, dbname=parts.database
    )


@contextmanager
def params_locked(url: str) -> Iterator[psycopg.Connection]:
    """Let whoever asks for a trial's params, or writes them, wait; else everything goes on.

    A worker then stands still where its pruner or its sampler reads the other trials.
    """
    connection = connect(url)
    try:
        connection.execute("LOCK TABLE trial_params IN ACCESS EXCLUSIVE MODE")
        yield connection
    finally:
        connection.close()


def n_standing_still(url: str) -> int:
    """How many trials are claimed, once both workers wait for that lock, as the view does; else 0.

    Not by `look`, which would wait for it, too.
    """
    with connect(url) as connection:
        if count(connection, "pg_locks WHERE NOT granted") < 3:
            return 0
        return count(connection, "trials WHERE state = 'RUNNING'")


@contextmanager
def both_stand_still(running: Running, url: str) -> Iterator[None]:
    """Hold both workers in their trials; one that was caught before its claim goes on first."""
    while True:
        with params_locked(url):
            if running.wait_until(lambda: n_standing_still(url)) == 2:
                yield
                return


def count(connection: psycopg.Connection, rows: LiteralString) -> int:
    """How many rows there are."""
    found = connection.execute(f"SELECT count(*) FROM {rows}").fetchone()
    assert found is not None
    return int(found[0])


@pytest.mark.parametrize("away", [frozen, crashed])
def test_outage_while_optuna_reads_costs_no_trial(
    place: Place, postgres_server: PostgresServer, postgres_url: str, away: Away
) -> None:
    """Both workers wait for the answer to a question of theirs when the database goes away."""
    where = ["--storage", postgres_url, "--study", "s", "--n-trials", N_SLOTS, "--workers", 2]
    adaptive = ["--sampler", "tpe", "--pruner", "median", *LONG]
    defining = place.synthetic(sleep_s=0.5, n_steps=2)
    with place.start("run", *where, *adaptive, *defining) as running:
        running.wait_until(lambda: slots(place.ledger_lines(), "start").total() >= N_AT_RANDOM)
        with both_stand_still(running, postgres_url), away(postgres_server):
            let_pass(running, AWAY_S)
        done = running.wait()
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    assert "died" not in done.err
    rows = rows_of(postgres_url, "s")
    assert [row["slot"] for row in rows] == list(range(N_SLOTS))
    assert {row["state"] for row in rows} <= {"COMPLETE", "PRUNED"}
    assert all(row["params"] for row in rows)
    assert look(postgres_url, "s").attempts == N_SLOTS
    assert slots(place.ledger_lines(), "start") == once_each(N_SLOTS)
    assert len({line["pid"] for line in place.ledger_lines()}) == 2
