"""Files that cannot be used as a database: each is one line and what mends it."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from optuna.trial import TrialState
from sqlalchemy.engine import Engine

from storage.database import schema
from storage.errors import StorageBrokenError
from storage.rdb import open_storage
from storage.slots.slots import Slots
from tests.integration.planned import another, attempts, claimed, planned
from tests.integration.refused import CREATE, STATUS, command, error_of, mode

pytestmark = pytest.mark.usefixtures("engines")  # closes those of the commands


def test_permissions_apply_in_these_tests(tmp_path: Path) -> None:
    """Else the tests of read-only files would show nothing where root runs them."""
    path = tmp_path / "file"
    path.write_text("text")
    with mode(path, 0o444), pytest.raises(PermissionError):
        path.open("a")
    with mode(tmp_path, 0o555), pytest.raises(PermissionError):
        (tmp_path / "new").touch()
    path.open("a").close()


@pytest.fixture
def sqlite_study(tmp_path: Path, sqlite_url: str, engines: list[Engine]) -> Path:
    """The file of a database with the study 's', which nobody has open."""
    assert command(*CREATE, url=sqlite_url).exit_code == 0
    for engine in engines:
        engine.dispose()
    return tmp_path / "study.db"


def test_read_only_file_is_read_and_not_written(sqlite_study: Path, sqlite_url: str) -> None:
    """Looking works; what would write says why it cannot, and what mends it."""
    with mode(sqlite_study, 0o444):
        looked = command(*STATUS, url=sqlite_url)
        assert looked.exit_code == 0, looked.output
        more = ("create", "--study", "s", "--n-trials", "9", "--wait", "2s")
        error, hint = error_of(*more, url=sqlite_url)
    assert error == "the database failed: attempt to write a readonly database"
    assert hint == "make its file and folder writable, then the same command"


@pytest.mark.parametrize("given", [CREATE, STATUS], ids=["create", "status"])
def test_read_only_folder(sqlite_study: Path, sqlite_url: str, given: tuple[str, ...]) -> None:
    """Of a database that is there: SQLite needs its log beside it, also to read."""
    with mode(sqlite_study.parent, 0o555):
        error, hint = error_of(*given, url=sqlite_url)
    assert error.startswith(f"cannot use storage {sqlite_url}: ")
    assert "file and folder writable" in hint


def test_no_database_is_made_in_a_read_only_folder(tmp_path: Path, sqlite_url: str) -> None:
    """One line, and no file."""
    with mode(tmp_path, 0o555):
        error, hint = error_of(*CREATE, url=sqlite_url)
    assert error == f"cannot use storage {sqlite_url}: unable to open database file"
    assert "file and folder writable" in hint
    assert list(tmp_path.iterdir()) == []


def test_file_that_nobody_may_read(sqlite_study: Path, sqlite_url: str) -> None:
    """The same line for who looks."""
    with mode(sqlite_study, 0o000):
        error, _ = error_of(*STATUS, url=sqlite_url)
    assert error == f"cannot use storage {sqlite_url}: unable to open database file"


NO_DATABASE = "cannot use storage {url}: file is not a database"
FILES = {
    "no database": ("notes.txt", NO_DATABASE, "name another --storage"),
    "no folder": (
        "nowhere/study.db",
        "the folder {folder}/nowhere of storage {url} does not exist",
        "mkdir -p {folder}/nowhere",
    ),
    "a folder": (
        ".",
        "storage sqlite:///{folder} is a folder",
        "sqlite:///{folder}/study.db",
    ),
}


@pytest.mark.parametrize("what", FILES)
def test_path_that_is_no_database(tmp_path: Path, what: str) -> None:
    """The path is named, and what is there stays as it was."""
    name, message, hint = FILES[what]
    (tmp_path / "notes.txt").write_text("these are notes\n" * 100)
    names = {"folder": tmp_path, "url": f"sqlite:///{tmp_path}/{name}"}
    found = error_of(*CREATE, url=names["url"])
    assert found == (message.format(**names), hint.format(**names))
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_damaged_file_is_named(sqlite_study: Path, sqlite_url: str) -> None:
    """Its first page is whole, the others are not: found out while it is at work."""
    with sqlite3.connect(sqlite_study) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    whole = sqlite_study.read_bytes()
    sqlite_study.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    error, hint = error_of(*STATUS, url=sqlite_url)
    assert error.endswith("database disk image is malformed")
    assert hint is not None
    assert hint.startswith("restore it from a backup, or name another --storage; ")
    assert hint.endswith("study copy --to sqlite:///copy.db")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_file_that_was_copied_in_part_says_how_to_copy(
    sqlite_study: Path, sqlite_url: str, share: float
) -> None:
    """As by `cp` of a study that runs, or by one that was interrupted."""
    whole = sqlite_study.read_bytes()
    sqlite_study.write_bytes(whole[: int(len(whole) * share)])
    for given in (STATUS, ("list",), CREATE, ("copy", "--to", "sqlite:///other.db")):
        error, hint = error_of(*given, url=sqlite_url)
        assert "malformed" in error
        assert "study copy --to sqlite:///copy.db" in str(hint)


def test_name_of_a_file_that_is_too_long_is_one_line(sqlite_study: Path, sqlite_url: str) -> None:
    """It is the system's limit; so is a name of the copy that could be no folder's."""
    error, _ = error_of("copy", "--to", f"sqlite:///{'a' * 300}.db", url=sqlite_url)
    assert error.endswith(": File name too long")
    long = ("copy", "--to", "sqlite:///other.db", "--to-study", "学" * 84)
    error, hint = error_of(*long, url=sqlite_url)
    assert "it has 252 bytes" in error
    assert hint == "--to-study NAME, at most 191 bytes"


def test_schema_of_another_optuna_is_one_line(storage_url: str) -> None:
    """With Optuna's own command that upgrades it."""
    storage = open_storage(storage_url)
    with storage.engine.begin() as connection:
        connection.execute(schema.ALEMBIC_VERSION.update().values(version_num="v2.6.0.a"))
    storage.close()
    for given in (CREATE, STATUS):
        error, hint = error_of(*given, url=storage_url)
        assert error == "the storage has Optuna's schema v2.6.0.a, this program needs v3.2.0.a"
        assert hint == "optuna storage upgrade --storage URL"


@contextmanager
def full_disk(slots: Slots) -> Iterator[None]:
    """Let the file of a database grow no further, as a full disk does."""
    engine = slots.storage.engine

    def limit(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA max_page_count = 1")  # no less than what it has

    engine.dispose()
    sa.event.listen(engine, "connect", limit)
    try:
        yield
    finally:
        sa.event.remove(engine, "connect", limit)
        engine.dispose()


def test_full_disk_is_an_error_of_the_database_and_of_no_trial(sqlite_url: str) -> None:
    """What was written stays, the claim is kept, and once there is space it goes on."""
    slots = planned(sqlite_url, 2)
    claim = claimed(slots)
    long = {"note": "x" * 20_000}
    with full_disk(slots):
        with pytest.raises(StorageBrokenError, match="disk is full") as caught:
            slots.finish(claim, TrialState.COMPLETE, 0.5, long)
        assert caught.value.hint == "make space on its disk, then the same command"
        with pytest.raises(StorageBrokenError, match="disk is full"):
            slots.storage.set_study_user_attr(slots.study_id, "note", "x" * 20_000)
    assert [a.state.name for a in attempts(another(slots))] == ["RUNNING", "WAITING"]
    slots.finish(claim, TrialState.COMPLETE, 0.5, long)
    assert [a.state.name for a in attempts(slots)] == ["COMPLETE", "WAITING"]


def test_disk_that_is_full_from_the_start() -> None:
    """The device that is always full."""
    if not Path("/dev/full").exists():  # not Linux; the test above is for any system
        return
    error, hint = error_of(*CREATE, url="sqlite:////dev/full")
    assert error == "cannot use storage sqlite:////dev/full: database or disk is full"
    assert hint == "make space on its disk, then the same command"
