"""Storage URLs: the driver they get, what is refused, and that no password is shown."""

from pathlib import Path

import pytest

from storage.errors import StorageError
from storage.url import parse_url, redact, sqlite_path


@pytest.mark.parametrize(
    ("text", "driver"),
    [
        ("sqlite:///study.db", "sqlite"),
        ("postgres://me@host/name", "postgresql+psycopg"),
        ("postgresql://me@host/name", "postgresql+psycopg"),
        ("postgresql+psycopg2://me@host/name", "postgresql+psycopg2"),
        ("mysql://me@host/name", "mysql+pymysql"),
        ("mariadb://me@host/name", "mysql+pymysql"),
    ],
)
def test_url_gets_the_installed_driver(text: str, driver: str) -> None:
    """Unless it names one."""
    assert parse_url(text).drivername == driver


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("study.db", "'study.db' is not a database URL"),
        ("", "'' is not a database URL"),
        (
            "postgresql://me:s3cret@host:port/name",
            r"'postgresql://me:\*\*\*@host:port/name' is not",
        ),
        ("oracle://me:s3cret@host/name", "is a oracle database, which is not supported"),
        ("sqlite://", "names no file; a database in memory"),
        ("sqlite:///:memory:", "names no file; a database in memory"),
        ("sqlite:///file::memory:?uri=true", "names no file; a database in memory"),
        ("sqlite:///file:study?mode=memory&uri=true", "names no file; a database in memory"),
    ],
)
def test_what_is_no_usable_url_is_refused(text: str, says: str) -> None:
    """By value, without its password, with a URL that works."""
    with pytest.raises(StorageError, match=says) as caught:
        parse_url(text)
    assert "s3cret" not in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:s3cret@host/name", "postgresql://me:***@host/name"),
        ("postgresql://me:s3:c@r/et@host/name", "postgresql://me:***@host/name"),
        ("postgresql://me@host/name", "postgresql://me@host/name"),
        ("postgresql://:s3cret@host/name", "postgresql://:***@host/name"),
        ("postgresql:///name?host=/run&password=s3cret&user=me", "?host=/run&password=***&user=me"),
        ("postgresql:///name?sslpassword=s3cret", "postgresql:///name?sslpassword=***"),
        ("mysql://me@host/name?passwd=s3cret", "mysql://me@host/name?passwd=***"),
        ("sqlite:///study.db", "sqlite:///study.db"),
        ("study.db", "study.db"),
    ],
)
def test_password_is_never_shown(text: str, shown: str) -> None:
    """Wherever in the URL it stands; the rest is shown as it was given."""
    assert redact(text).endswith(shown)
    assert "s3" not in redact(text)


def test_file_of_an_sqlite_url() -> None:
    """Relative to the current folder with three slashes, absolute with four."""
    assert sqlite_path(parse_url("sqlite:///study.db")) == Path("study.db")
    assert sqlite_path(parse_url("sqlite:////data/study.db")) == Path("/data/study.db")
    assert sqlite_path(parse_url("postgresql://host/name")) is None
