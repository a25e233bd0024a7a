"""Storage URLs: the driver they get, what is refused, and which URL is named instead."""

from pathlib import Path

import pytest

from storage.database.url import parse_url, shown, sqlite_path
from storage.errors import StorageError


@pytest.mark.parametrize(
    ("text", "driver"),
    [
        ("sqlite:///study.db", "sqlite"),
        ("sqlite+pysqlite:///study.db", "sqlite"),
        ("sqlite+aiosqlite:///study.db", "sqlite"),
        ("postgres://me@host/name", "postgresql+psycopg"),
        ("postgresql://me@host/name", "postgresql+psycopg"),
        ("PostgreSQL://me@host/name", "postgresql+psycopg"),
        ("postgresql+psycopg2://me@host/name", "postgresql+psycopg"),
        ("postgresql+asyncpg://me@host/name", "postgresql+psycopg"),
        ("postgresql+pg8000://me@host/name", "postgresql+psycopg"),
        ("mysql://me@host/name", "mysql+pymysql"),
        ("mysql+mysqldb://me@host/name", "mysql+pymysql"),
        ("mysql+mysqlconnector://me@host/name", "mysql+pymysql"),
        ("mysql+aiomysql://me@host/name", "mysql+pymysql"),
        ("mariadb://me@host/name", "mysql+pymysql"),
        ("mariadb+mariadbconnector://me@host/name", "mysql+pymysql"),
    ],
)
def test_url_gets_the_installed_driver(text: str, driver: str) -> None:
    """Whichever it names: the database is the same."""
    assert parse_url(text).drivername == driver


def test_driver_that_is_not_known_is_refused() -> None:
    """With the URL that does without it, and without the password."""
    with pytest.raises(StorageError, match="names the driver psycopgx") as caught:
        parse_url("postgresql+psycopgx://me:s3cret@host/name")
    assert caught.value.hint == "postgresql://me:***@host/name"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("study.db", "'study.db' is not a database URL"),
        ("", "'' is not a database URL"),
        (
            "postgresql://me:s3cret@host:port/name",
            r"'postgresql://me:\*\*\*@host:port/name' is not",
        ),
        ("postgresql://me:s3cret", r"'postgresql://me:\*\*\*' is not a database URL"),
        ("oracle://me:s3cret@host/name", "is of the database oracle, which is not supported"),
        ("postgresql:///me:s3cret@host/name", "three slashes before its user"),
        ("sqlite+pysqlcipher://:s3cret@/study.db", "names the driver pysqlcipher"),
        ("postgresql://me:s3cret@host/name?colour=1", "psycopg does not know: colour"),
        ("mysql://me:s3cret@host/name?colour=1", "pymysql does not know: colour"),
        ("mysql://me:s3cret@host/name?autocommit=true", "pymysql does not know: autocommit"),
        ("mysql://me:s3cret@host/name?defer_connect=1", "pymysql does not know: defer_connect"),
        ("postgresql://host/name?password=a&s3cret", "option without a value"),
    ],
)
def test_what_is_no_usable_url_is_refused(text: str, says: str) -> None:
    """By value, without its password, with a URL that works."""
    with pytest.raises(StorageError, match=says) as caught:
        parse_url(text)
    assert "s3cret" not in str(caught.value)
    assert caught.value.hint
    assert "s3cret" not in caught.value.hint


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("study.db", "sqlite:///study.db"),
        ("./data/my study.db", "sqlite:///./data/my study.db"),
        ("/data/study.db", "sqlite:////data/study.db"),
        ("sqlite:study.db", "sqlite:///study.db"),
        ("sqlite:/data/study.db", "sqlite:////data/study.db"),
        ("'sqlite:///study.db'", "the same without quotes"),
        ("jdbc:postgresql://host/name", "postgresql://user:password@host/name, without jdbc:"),
    ],
)
def test_url_that_was_meant_is_named(text: str, hint: str) -> None:
    """A path gets the right number of slashes."""
    with pytest.raises(StorageError, match="is not a database URL") as caught:
        parse_url(text)
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("text", "encode"),
    [
        ("postgresql://ana:my@s3cret@host/name", "@ as %40"),
        ("postgresql://ana:p@ss/s3cret@host:5432", "@ as %40, / as %2F"),
        ("postgresql://ana:p@ss?s3cret@host/name", "@ as %40, ? as %3F"),
        ("postgresql://ana:p@ss#%s3cret:@host/name", "@ as %40, # as %23, : as %3A, % as %25"),
        ("mysql+mysqldb://ana:p@ss/s3cret@host/name", "@ as %40, / as %2F"),
        ("postgresql://an/a:s3cret@host/name", "/ as %2F"),
        ("postgresql://ana/s3cret@host/name", "/ as %2F"),
    ],
)
def test_characters_that_must_be_encoded_are_named(text: str, encode: str) -> None:
    """The ones that are there, and how they are written; nothing of the password."""
    with pytest.raises(StorageError, match="characters in it have a special meaning") as caught:
        parse_url(text)
    assert caught.value.hint == f"write {encode} in its user and password"
    assert "s3cret" not in str(caught.value)
    assert "ss" not in str(caught.value).replace("password", "")


def test_at_sign_in_the_options_of_a_url_with_a_port_is_refused() -> None:
    """SQLAlchemy would take the port for a password."""
    with pytest.raises(StorageError) as caught:
        parse_url("postgresql://host:5432/name?user=ana@corp")
    assert caught.value.hint == "write @ as %40 in its options"


PROPER = {
    "postgresql:///name?host=/var/run/postgresql": (None, None, None, "name"),
    "postgresql://ana@/name?host=/run/pg": ("ana", None, None, "name"),
    "postgresql://ana@host/name": ("ana", None, "host", "name"),
    "postgresql://ana:pw@[::1]:5432/name": ("ana", "pw", "::1", "name"),
    "postgresql://ana:p%40%2F%23%25%3F%3Aw@host/name": ("ana", "p@/#%?:w", "host", "name"),
    "postgresql://ana@corp:pw@host/name": ("ana@corp", "pw", "host", "name"),
    "postgresql://ana:pw@host/my%40name": ("ana", "pw", "host", "my@name"),
    "postgresql://ana:pw@host/name?options=-csearch_path%3Dhpo": ("ana", "pw", "host", "name"),
    "postgresql://ana:pw@host/name?application_name=a@b": ("ana", "pw", "host", "name"),
    "postgresql://ana:pw@/name?host=a:1&host=b:2": ("ana", "pw", None, "name"),
    "postgresql://host:5432/name": (None, None, "host", "name"),
    "mysql://ana:pw@host/name?charset=utf8mb4&ssl_ca=/ca.pem": ("ana", "pw", "host", "name"),
    # Not as a URL should be, but read without doubt.
    "postgresql://ana:p#?/:%zzw@host/name": ("ana", "p#?/:%zzw", "host", "name"),
}


@pytest.mark.parametrize("text", PROPER)
def test_proper_url_is_taken(text: str) -> None:
    """And is the same after it was rendered for a child process."""
    url = parse_url(text)
    assert (url.username, url.password, url.host, url.database) == PROPER[text]
    assert parse_url(url.render_as_string(hide_password=False)) == url


def test_ssl_of_another_driver_becomes_ours() -> None:
    """What asyncpg calls `ssl` is `sslmode` of psycopg; what has no such name is refused."""
    assert parse_url("postgresql+asyncpg://me@host/x?ssl=true").query == {"sslmode": "require"}
    assert parse_url("postgresql+asyncpg://me@host/x?ssl=prefer").query == {"sslmode": "prefer"}
    with pytest.raises(StorageError, match="does not know: command_timeout"):
        parse_url("postgresql+asyncpg://me@host/x?command_timeout=3")


def test_blanks_around_a_url_are_nothing() -> None:
    """As the end of a file has them."""
    assert parse_url(" postgresql://me@host/name\n").database == "name"


def test_url_is_shown_as_a_person_writes_it() -> None:
    """Without the driver that we fill in, and without the password."""
    assert shown(parse_url("mariadb://me:s3cret@host/x")) == "mysql://me:***@host/x"


def test_file_of_an_sqlite_url() -> None:
    """Relative to the current folder with three slashes, absolute with four."""
    assert sqlite_path(parse_url("sqlite:///study.db")) == Path("study.db")
    assert sqlite_path(parse_url("sqlite:////data/study.db")) == Path("/data/study.db")
    assert sqlite_path(parse_url("postgresql://host/name")) is None
