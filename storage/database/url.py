"""Storage URLs: which database they name, which driver they get, which options they may have.

PostgreSQL is spoken to with psycopg 3 and MySQL/MariaDB with PyMySQL, which are installed with the
program. A URL that names another known driver means the same database, and gets ours. How a URL is
shown without its password is decided in `password.py`.
"""

import inspect
import re
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from storage.database.password import is_misread, query_of, redact, to_encode
from storage.database.sqlitepath import sqlite_url, with_path
from storage.errors import StorageError

BACKENDS = {
    "sqlite": "sqlite",
    "sqlite3": "sqlite",
    "postgres": "postgresql",
    "postgresql": "postgresql",
    "mysql": "mysql",
    "mariadb": "mysql",
}
DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}
# Of these the URL means the same database, whichever of them reads it.
TAKEN_FOR_OURS = {
    "sqlite": ("pysqlite", "aiosqlite"),
    "postgresql": ("psycopg", "psycopg_async", "psycopg2", "psycopg2cffi", "pg8000", "asyncpg"),
    "mysql": (
        *("pymysql", "mysqldb", "mysqlclient", "mysqlconnector", "mariadbconnector"),
        *("aiomysql", "asyncmy", "cymysql"),
    ),
}
NOT_IN_URL = frozenset(
    (
        *("self", "autocommit", "auth_plugin_map", "compress", "conv", "cursorclass", "db"),
        *("defer_connect", "named_pipe", "use_unicode"),
    )
)
"""What PyMySQL takes from a program and no URL can say, or what would end what is promised."""

EXAMPLES = "sqlite:///study.db, postgresql://user:password@host/name or mysql://..."
_SCHEME = re.compile(r"(?P<base>[A-Za-z]\w*)(?:\+(?P<driver>\w+))?://(?P<rest>.*)", re.DOTALL)
_ASYNCPG_SSL = {"true": "require", "1": "require", "false": "disable", "0": "disable"}


def parse_url(text: str) -> URL:
    """Return the URL with the installed driver filled in.

    Raises:
        StorageError: `text` is no database URL, of a database or a driver that is not supported,
            or cannot be read without doubt.
    """
    given = text.strip()
    found = _SCHEME.fullmatch(given)
    if found is None:
        raise StorageError(f"storage '{redact(given)}' is not a database URL", _meant(given))
    base, driver = found["base"].lower(), (found["driver"] or "").lower()
    backend = BACKENDS.get(base)
    if backend is None:
        raise StorageError(
            f"storage '{redact(given)}' is of the database {base}, which is not supported",
            f"use SQLite, PostgreSQL or MySQL/MariaDB: {EXAMPLES}",
        )
    _refuse_driver(given, backend, base, driver)
    if backend != "sqlite":
        _refuse_misread(given)
    try:
        url = make_url(f"{DRIVERS[backend]}://{found['rest']}")
    except (ArgumentError, ValueError):  # ValueError: of a port that is no number
        raise StorageError(
            f"storage '{redact(given)}' is not a database URL: its port is no number",
            f"{base}://user:password@host:port/name",
        ) from None
    _refuse_valueless(given, backend)
    if backend == "sqlite":
        return with_path(given, url)
    return _with_options(given, url, driver)


def _meant(text: str) -> str:
    """Return the URL that was meant by what is none."""
    if text[:1] in ("'", '"') and text[-1:] == text[:1]:
        return "the same without quotes"
    if text.startswith("jdbc:"):
        return "postgresql://user:password@host/name, without jdbc:"
    path = re.sub(r"(?i)^sqlite3?:", "", text)
    if path and redact(text) == text and not re.search(r"[:@=?]", path):
        return sqlite_url(path)
    return EXAMPLES


def _refuse_driver(text: str, backend: str, base: str, driver: str) -> None:
    if driver and driver not in TAKEN_FOR_OURS[backend]:
        shown = redact(text)
        if backend == "sqlite":
            hint = "sqlite:///study.db, which is not encrypted"
        else:
            hint = f"{base}://{shown.partition('://')[2]}"
        raise StorageError(
            f"storage '{shown}' names the driver {driver}, which this program does not use", hint
        )


def _refuse_misread(text: str) -> None:
    rest = text.partition("://")[2]
    if rest.startswith("/") and "@" in rest.partition("?")[0]:
        raise StorageError(
            f"storage '{redact(text)}' has three slashes before its user",
            f"two of them: {text.partition('://')[0]}://user:password@host/name",
        )
    if is_misread(text):
        raise StorageError(
            f"storage '{redact(text)}' cannot be read: "
            "characters in it have a meaning of their own in a URL",
            to_encode(text) or "write @ as %40 but for the one before the host",
        )


def _refuse_valueless(text: str, backend: str) -> None:
    """Refuse what stands behind a ? without a value: SQLAlchemy leaves it out and says nothing."""
    if all("=" in piece for piece in query_of(text).split("&") if piece):
        return
    if backend == "sqlite":
        hint = "write a ? of the file's name as %3F"
    else:
        hint = "leave it out; in a password write & as %26"
    raise StorageError(f"storage '{redact(text)}' has an option without a value", hint)


def _with_options(text: str, url: URL, driver: str) -> URL:
    """Return the URL with options that our driver knows."""
    if driver == "asyncpg" and isinstance(url.query.get("ssl"), str):
        ssl = str(url.query["ssl"])
        url = url.difference_update_query(["ssl"])
        url = url.update_query_dict({"sslmode": _ASYNCPG_SSL.get(ssl.lower(), ssl)})
    known = _postgres_options() if url.get_backend_name() == "postgresql" else _mysql_options()
    unknown = sorted(set(url.query) - known)
    if unknown:
        shown = redact(text)
        # The name may be the rest of a password in which there is an unencoded &.
        told = {piece.partition("=")[0] for piece in shown.partition("?")[2].split("&")}
        named = [name for name in unknown if name and name in told]
        raise StorageError(
            f"storage '{shown}' has an option that {url.get_driver_name()} does not know"
            + "".join(f": {name}" for name in named[:1]),
            "leave it out" if named else "leave it out; in a password write & as %26",
        )
    return url


def _postgres_options() -> frozenset[str]:
    from psycopg.pq import Conninfo

    return frozenset(option.keyword.decode() for option in Conninfo.get_defaults())


def _mysql_options() -> frozenset[str]:
    from pymysql.connections import Connection

    known = frozenset(inspect.signature(Connection.__init__).parameters) - NOT_IN_URL
    # SQLAlchemy puts these into PyMySQL's `ssl`.
    return known | {"ssl_capath", "ssl_cipher", "ssl_check_hostname"}


def shown(url: URL) -> str:
    """Return a URL as a person writes it, without its password and our driver."""
    plain = url.set(drivername=url.get_backend_name())
    return redact(plain.render_as_string(hide_password=True))


def sqlite_path(url: URL) -> Path | None:
    """Return the file of an SQLite URL, else None; `sqlite:///x` is relative."""
    if url.get_backend_name() != "sqlite" or not url.database:
        return None
    return Path(url.database)
