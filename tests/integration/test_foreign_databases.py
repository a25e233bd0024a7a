"""Databases of other programs: refused before anything is written, with another one to use."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from storage.database.url import parse_url, shown
from tests.integration.refused import CREATE, STATUS, command, error_of

pytestmark = pytest.mark.usefixtures("engines")  # closes those of the commands

ALEMBIC = "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"
FOREIGN = {
    "another program's revision": (
        [ALEMBIC, "INSERT INTO alembic_version VALUES ('686269002441')"],
        "alembic_version '686269002441'",
    ),
    "two heads": (
        [ALEMBIC, "INSERT INTO alembic_version VALUES ('a1'), ('b2')"],
        "alembic_version 'a1', 'b2'",
    ),
    "ours and another's": (
        [ALEMBIC, "INSERT INTO alembic_version VALUES ('v3.2.0.a'), ('b2')"],
        "alembic_version 'v3.2.0.a', 'b2'",
    ),
    "no revision yet": ([ALEMBIC], "an empty table alembic_version"),
    "other columns": (
        ["CREATE TABLE alembic_version (revision INTEGER)"],
        "a table alembic_version that is not Alembic's",
    ),
    "trials of medicine": (
        ["CREATE TABLE trials (id INTEGER, drug TEXT)"],
        "a table trials with other columns",
    ),
    "studies of art": (
        ["CREATE TABLE studies (id INTEGER, title TEXT)"],
        "a table studies with other columns",
    ),
    "a view": (["CREATE VIEW trials AS SELECT 1 AS x"], "a table trials with other columns"),
}


def execute(url: str, statements: Sequence[str]) -> None:
    """Run statements as another program would have."""
    engine = sa.create_engine(parse_url(url))
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def tables(url: str) -> list[str]:
    """The names of tables and views."""
    engine = sa.create_engine(parse_url(url))
    inspector = sa.inspect(engine)
    found = [*inspector.get_table_names(), *inspector.get_view_names()]
    engine.dispose()
    return sorted(found)


@pytest.mark.parametrize("what", FOREIGN)
def test_database_of_another_program_is_refused(storage_url: str, what: str) -> None:
    """By what it has; also for who only looks, and nothing is written."""
    statements, has = FOREIGN[what]
    execute(storage_url, statements)
    before = tables(storage_url)
    for given in (CREATE, STATUS):
        error, hint = error_of(*given, url=storage_url)
        where = shown(parse_url(storage_url))
        assert error == f"storage {where} is the database of another program: it has {has}"
        if storage_url.startswith("sqlite"):
            other = storage_url.replace("study.db", "studies.db")
            assert hint == f"another file: --storage {other}"
        else:
            other = shown(parse_url(storage_url).set(database="studies"))
            assert hint == f"CREATE DATABASE studies, and its name in the URL: --storage {other}"
    assert tables(storage_url) == before


def test_tables_of_other_names_are_no_hindrance(storage_url: str) -> None:
    """Ours are made beside them, and they stay."""
    execute(storage_url, ["CREATE TABLE runs (id INTEGER)"])
    done = command(*CREATE, url=storage_url)
    assert done.exit_code == 0, done.output
    assert command(*STATUS, url=storage_url).exit_code == 0
    assert "runs" in tables(storage_url)


def test_schema_of_ones_own_stands_beside_another_program(postgres_url: str) -> None:
    """On PostgreSQL one database serves both, where the URL has a search_path."""
    execute(postgres_url, [*FOREIGN["another program's revision"][0], "CREATE SCHEMA hpo"])
    url = f"{postgres_url}?options=-csearch_path%3Dhpo"
    done = command(*CREATE, url=url)
    assert done.exit_code == 0, done.output
    assert command(*STATUS, url=url).exit_code == 0
    plain = make_url(postgres_url).set(drivername="postgresql").render_as_string(False)
    with psycopg.connect(plain) as connection:
        found = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        assert found.fetchone() == (1,)


def test_file_of_another_program_stays_as_it_was(tmp_path: Path, sqlite_url: str) -> None:
    """To the byte: not even its journal is switched."""
    with sqlite3.connect(tmp_path / "study.db") as connection:
        connection.execute("CREATE TABLE trials (id INTEGER)")
    connection.close()
    before = (tmp_path / "study.db").read_bytes()
    error_of(*CREATE, url=sqlite_url)
    assert (tmp_path / "study.db").read_bytes() == before
