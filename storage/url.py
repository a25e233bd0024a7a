"""Storage URLs: which driver they get, and how they are shown.

`postgres://` and `postgresql://` become psycopg 3, `mysql://` and `mariadb://` PyMySQL, which are
the drivers that are installed with the program. No password is ever printed.
"""

import re
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from storage.errors import StorageError

DRIVERS = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
}
DIALECTS = ("sqlite", "postgresql", "mysql")


def parse_url(text: str) -> URL:
    """Return the URL with the installed driver filled in.

    Raises:
        StorageError: `text` is no database URL, or of a database that is not supported.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # ValueError: of a port that is no number
        raise StorageError(
            f"storage '{redact(text)}' is not a database URL",
            "sqlite:///study.db, postgresql://user:password@host/name or mysql://...",
        ) from None
    url = url.set(drivername=DRIVERS.get(url.drivername, url.drivername))
    if url.get_backend_name() not in DIALECTS:
        raise StorageError(
            f"storage '{redact(text)}' is a {url.get_backend_name()} database, "
            "which is not supported",
            "use SQLite, PostgreSQL or MySQL/MariaDB",
        )
    if url.get_backend_name() == "sqlite" and _is_no_path(url):
        raise StorageError(
            f"storage '{text}' names no file; a database in memory cannot be shared by processes",
            "sqlite:///study.db",
        )
    return url


def _is_no_path(url: URL) -> bool:
    name = url.database or ""
    return name in ("", ":memory:") or name.startswith("file:")


def redact(text: str) -> str:
    """Return a URL, or what should have been one, without its password."""
    text = re.sub(r"(?i)([?&;\s][^=&;\s]*(?:password|passwd|pwd)=)[^&;\s]*", r"\1***", text)
    scheme, separator, rest = text.partition("://")
    if not separator and "@" in text:
        # Mistyped: what stands before the last @ may hold the password.
        return f"***@{text.rpartition('@')[2]}"
    if "@" not in rest:
        return text
    credentials, _, host = rest.rpartition("@")
    user, colon, _ = credentials.partition(":")
    return f"{scheme}://{user}{':***' if colon else ''}@{host}"


def sqlite_path(url: URL) -> Path | None:
    """Return the file of an SQLite URL, else None; `sqlite:///x` is relative."""
    if url.get_backend_name() != "sqlite" or not url.database:
        return None
    return Path(url.database)
