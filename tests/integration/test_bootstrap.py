"""Opening a database: fresh, by many at once, missing, refused, unreachable."""

import re
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy.dialects.mysql.pymysql import MySQLDialect_pymysql
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import make_url

from storage.database import schema
from storage.database.engine import database_of
from storage.database.url import parse_url
from storage.errors import (
    StorageError,
    StorageMissingError,
    StorageUnavailableError,
    UnsupportedDatabaseError,
)
from storage.rdb import open_storage
from storage.slots.slots import Slots
from tests.integration.crowd import crowd, open_and_claim
from tests.integration.planned import attempts, new_slots


def test_sixty_four_processes_open_a_fresh_database_at_once(storage_url: str) -> None:
    """All of them get through, to one study with one budget, and each takes a slot of it."""
    crowd(64, open_and_claim, storage_url, 64)
    storage = open_storage(storage_url, create=False)
    slots = Slots(storage, storage.get_study_id_from_name("study"))
    assert [(a.slot, a.state) for a in attempts(slots)] == [
        (i, TrialState.COMPLETE) for i in range(64)
    ]
    storage.close()


def test_tables_are_optunas_and_one_index(storage_url: str) -> None:
    """Optuna's own check of the schema passes, and nothing else of ours is there."""
    storage = open_storage(storage_url)
    inspector = sa.inspect(storage.engine)
    assert set(inspector.get_table_names()) == {
        *models.BaseModel.metadata.tables,
        "alembic_version",
    }
    assert schema.CLAIM_INDEX in [i["name"] for i in inspector.get_indexes("trials")]
    stock = RDBStorage(storage.url)
    assert stock.get_current_version() == stock.get_head_version() == schema.REVISION
    stock.engine.dispose()
    storage.close()


def test_opening_again_writes_nothing(storage_url: str) -> None:
    """No table, no index, no row is made a second time."""
    new_slots(storage_url, 1).storage.close()
    storage = open_storage(storage_url)
    with storage.engine.connect() as connection:
        versions = connection.execute(sa.select(models.VersionInfoModel.__table__)).all()
    assert len(versions) == 1
    storage.close()


def test_creator_that_died_half_way_is_continued(storage_url: str) -> None:
    """On MySQL tables are there one by one; who comes next makes the others."""
    engine = sa.create_engine(parse_url(storage_url))
    with engine.begin() as connection:
        database_of(engine).tables.tables["studies"].create(connection)
    engine.dispose()
    slots = new_slots(storage_url, 1)
    assert len(attempts(slots)) == 1
    slots.storage.close()


def test_reading_commands_create_nothing(storage_url: str) -> None:
    """No file, no table: a name that was mistyped stays a mistake."""
    with pytest.raises(StorageMissingError, match=r"no storage at|holds no studies"):
        open_storage(storage_url, create=False)
    url = parse_url(storage_url)
    if url.get_backend_name() == "sqlite":
        assert not Path(str(url.database)).exists()
        return
    engine = sa.create_engine(url)
    assert sa.inspect(engine).get_table_names() == []
    engine.dispose()


def test_empty_sqlite_file_holds_no_studies(tmp_path: Path) -> None:
    """As an interrupted creation leaves it; reading commands do not fill it."""
    path = tmp_path / "study.db"
    path.touch()
    with pytest.raises(StorageMissingError, match="holds no studies"):
        open_storage(f"sqlite:///{path}", create=False)
    assert path.stat().st_size == 0


OLD = {
    "sqlite": (SQLiteDialect_pysqlite, "_get_server_version_info", (3, 8, 3), "SQLite 3.8.3; 3.24"),
    "postgresql": (PGDialect_psycopg, "_get_server_version_info", (9, 6), "PostgreSQL 9.6; 10"),
}


@pytest.mark.parametrize("name", OLD)
def test_old_version_is_refused_by_name(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says which version there is and which is needed; nothing is created."""
    fixture = {"sqlite": "sqlite_url", "postgresql": "postgres_url"}[name]
    dialect, method, version, says = OLD[name]
    monkeypatch.setattr(dialect, method, lambda *_: version)
    with pytest.raises(UnsupportedDatabaseError, match=f"the server is {re.escape(says)}"):
        open_storage(request.getfixturevalue(fixture))


def test_old_mariadb_is_refused_by_name(mysql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it calls itself MySQL or MariaDB, the version is MariaDB's."""
    parse = MySQLDialect_pymysql._parse_server_version

    def pretend(dialect: Any, _: str) -> Any:
        return parse(dialect, "5.5.5-10.5.29-MariaDB-1")

    monkeypatch.setattr(MySQLDialect_pymysql, "_parse_server_version", pretend)
    with pytest.raises(UnsupportedDatabaseError, match=r"MariaDB 10\.5\.29.*; 10\.6 or newer"):
        open_storage(mysql_url)


@pytest.mark.parametrize("version", [(5, 7, 44), (8, 0, 0)])
def test_old_mysql_is_refused_by_name(version: tuple[int, ...]) -> None:
    """Of which no server is at hand."""
    dialect = SimpleNamespace(name="mysql", is_mariadb=False, server_version_info=version)
    with pytest.raises(UnsupportedDatabaseError, match=r"the server is MySQL .*; 8\.0\.1 or newer"):
        schema._refuse_old_server(SimpleNamespace(dialect=dialect))  # type: ignore[arg-type]


def test_schema_of_another_revision_is_refused(storage_url: str) -> None:
    """It is named, and left as it is for `optuna storage upgrade`."""
    storage = open_storage(storage_url)
    with storage.engine.begin() as connection:
        connection.execute(schema.ALEMBIC_VERSION.update().values(version_num="v9.9.9.z"))
    storage.close()
    for create in (True, False):
        with pytest.raises(UnsupportedDatabaseError, match=r"v9\.9\.9\.z.*v3\.2\.0\.a") as caught:
            open_storage(storage_url, create=create)
        assert "optuna storage upgrade" in str(caught.value.hint)


def test_file_that_is_no_database(tmp_path: Path) -> None:
    """One line, and the file is not touched."""
    path = tmp_path / "notes.txt"
    path.write_text("these are notes\n" * 100)
    with pytest.raises(StorageError, match=r"cannot use storage sqlite.*not a database"):
        open_storage(f"sqlite:///{path}", wait_s=0.2)
    assert path.read_text() == "these are notes\n" * 100


def test_missing_folder(tmp_path: Path) -> None:
    """The error names the folder and how to make it."""
    with pytest.raises(StorageError, match=r"the folder .*nowhere .*does not exist") as caught:
        open_storage(f"sqlite:///{tmp_path}/nowhere/study.db")
    assert caught.value.hint == f"mkdir -p {tmp_path}/nowhere"


SERVERS = {
    "unknown host": ("postgresql://me:s3cret@no-such-host.invalid/name", StorageUnavailableError),
    "unknown host, MySQL": ("mysql://me:s3cret@no-such-host.invalid/name", StorageUnavailableError),
    "nobody listens": ("postgresql://me:s3cret@127.0.0.1:1/name", StorageUnavailableError),
    "nobody listens, MySQL": ("mysql://me:s3cret@127.0.0.1:1/name", StorageUnavailableError),
}


@pytest.mark.parametrize("what", SERVERS)
def test_server_that_cannot_be_reached(what: str) -> None:
    """Waited for, no longer than asked for; one line without the password."""
    url, error = SERVERS[what]
    started = time.monotonic()
    with pytest.raises(
        error, match=r"cannot reach storage .*me:\*\*\*@.* within 0.2 s: "
    ) as caught:
        open_storage(url, wait_s=0.2)
    assert time.monotonic() - started < 20
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_wrong_password_is_refused_at_once(mysql_url: str) -> None:
    """No waiting for a server that has answered."""
    url = make_url(mysql_url).set(password="s3cret").render_as_string(hide_password=False)
    _refused(url, "Access denied")


def test_unknown_database_is_refused_at_once(postgres_url: str) -> None:
    """No waiting for a server that has answered."""
    url = make_url(postgres_url).set(database="nowhere", password="s3cret")
    _refused(url.render_as_string(hide_password=False), "does not exist")


def test_unknown_user_is_refused_at_once(postgres_url: str) -> None:
    """No waiting for a server that has answered."""
    url = make_url(postgres_url).set(username="nobody", password="s3cret")
    _refused(url.render_as_string(hide_password=False), "does not exist")


def _refused(url: str, why: str) -> None:
    started = time.monotonic()
    with pytest.raises(StorageError, match=f"cannot use storage .*{why}") as caught:
        open_storage(url, wait_s=60)
    assert time.monotonic() - started < 20
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)
