"""What the command line says by itself: its version, and what a database's driver raised."""

import sqlite3
from importlib.metadata import version

import pytest
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import OperationalError
from typer.testing import CliRunner

from storage.errors import StorageBrokenError, StorageUnavailableError
from study.cli.app import app, as_storage_error, is_known

GONE = OperationalError("COMMIT", {}, Exception("(2006) the server has gone away\nand more"))


def wrapped(cause: Exception | None) -> StorageInternalError:
    """What Optuna raises from an error of SQLAlchemy's."""
    error = StorageInternalError("An exception is raised during the commit.\nThis typically ...")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize("error", [GONE, wrapped(GONE)], ids=["bare", "by-optuna"])
def test_error_of_the_driver_is_a_known_failure(error: Exception) -> None:
    """The driver's first line and a hint, whether Optuna has wrapped it or not."""
    found = as_storage_error(error)
    assert isinstance(found, StorageUnavailableError)
    assert is_known(found)
    assert str(found) == "the database failed: (2006) the server has gone away"
    assert found.hint == "the same command, once the database is up"


def test_broken_database_comes_with_what_mends_it() -> None:
    """Not with the advice to wait for it."""
    full = sqlite3.OperationalError("database or disk is full")
    found = as_storage_error(OperationalError("COMMIT", {}, full))
    assert isinstance(found, StorageBrokenError)
    assert found.hint == "make space on its disk, then the same command"


@pytest.mark.parametrize(
    "error", [ValueError("a mistake of ours"), wrapped(None), wrapped(ValueError("another"))]
)
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    """A mistake of the program is not blamed on the database: it ends in its traceback."""
    assert as_storage_error(error) is None


def test_version_is_that_of_the_package() -> None:
    """And nothing else is said."""
    said = CliRunner().invoke(app, ["--version"])
    assert (said.exit_code, said.output) == (0, f"study {version('slot-study')}\n")


@pytest.mark.parametrize(
    "words",
    [
        ["status", "postgresql://ana:secret@127.0.0.1/db"],
        ["postgresql://ana:sec@ret@127.0.0.1/db"],
        ["run", "ana:secret@127.0.0.1/db", "mysql://u:secret@h/b"],
    ],
)
def test_url_in_the_wrong_place_shows_no_password(words: list[str]) -> None:
    """The usage error names the word, but nothing of the password in it."""
    said = CliRunner().invoke(app, words)
    assert said.exit_code == 2
    assert "***" in said.output
    assert "sec" not in said.output.replace("seconds", "")
    assert "ret" not in said.output
