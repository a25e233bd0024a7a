"""Parse storage URLs; refuse an unsupported URL and suggest the correct one.

A URL with another known driver means the same database, and gets the installed driver.
`password.py` shows URLs without passwords.
"""

import re
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from storage.database.base import EXAMPLES
from storage.database.engine import DATABASES, database_of
from storage.database.password import is_misread, query_of, redact, to_encode
from storage.database.sqlite import sqlite_url
from storage.errors import StorageError

_SCHEME = re.compile(r"(?P<base>[A-Za-z]\w*)(?:\+(?P<driver>\w+))?://(?P<rest>.*)", re.DOTALL)


def parse_url(text: str) -> URL:
    """Return the URL with the installed driver.

    Raises:
        StorageError: `text` is not a database URL, names an unsupported database or driver, or is
            ambiguous.
    """
    given = text.strip()
    found = _SCHEME.fullmatch(given)
    if found is None:
        raise StorageError(f"storage '{redact(given)}' is not a database URL", _meant(given))
    base, driver = found["base"].lower(), (found["driver"] or "").lower()
    database = next((one for one in DATABASES.values() if base in one.schemes), None)
    if database is None:
        raise StorageError(
            f"storage '{redact(given)}' is of the database {base}, which is not supported",
            f"use SQLite, PostgreSQL or MySQL/MariaDB: {EXAMPLES}",
        )
    if driver and driver not in database.same_drivers:
        shown = redact(given)
        raise StorageError(
            f"storage '{shown}' names the driver {driver}, which this program does not use",
            database.hint_driver(base, shown),
        )
    if database.is_server:
        _refuse_misread(given)
    try:
        url = make_url(f"{database.driver}://{found['rest']}")
    except (ArgumentError, ValueError):  # ValueError: the port is not a number
        raise StorageError(
            f"storage '{redact(given)}' is not a database URL: its port is not a number",
            f"{base}://user:password@host:port/name",
        ) from None
    # SQLAlchemy silently ignores an option without a value.
    if not all("=" in piece for piece in query_of(given).split("&") if piece):
        raise StorageError(
            f"storage '{redact(given)}' has an option without a value", database.hint_valueless
        )
    return database.checked(given, url, driver)


def _meant(text: str) -> str:
    """Return the URL that was probably meant by an invalid text."""
    if text[:1] in ("'", '"') and text[-1:] == text[:1]:
        return "the same without quotes"
    if text.startswith("jdbc:"):
        return "postgresql://user:password@host/name, without jdbc:"
    path = re.sub(r"(?i)^sqlite3?:", "", text)
    if path and redact(text) == text and not re.search(r"[:@=?]", path):
        return sqlite_url(path)
    return EXAMPLES


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
            "some characters in it have a special meaning in a URL",
            to_encode(text) or "write @ as %40, except the one before the host",
        )


def shown(url: URL) -> str:
    """Return a URL as a user writes it, without password and driver."""
    plain = url.set(drivername=url.get_backend_name())
    return redact(plain.render_as_string(hide_password=True))


def sqlite_path(url: URL) -> Path | None:
    """Return the file of an SQLite URL, or None; `sqlite:///x` is relative."""
    return database_of(url).file(url)
