"""SQLite: which file a URL means, connections, and what its errors mean.

`~` is the home folder, `%20` a space. A path of another system, options of SQLite and a database in
memory are refused, with the URL to write.
"""

import os
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.exc import DBAPIError

from storage.database.base import DAMAGED, SPACE, Database, Outcome
from storage.database.cells import odd_cell
from storage.database.password import redact
from storage.errors import StorageError

BUSY_TIMEOUT_S = 60.0
EXAMPLE = "sqlite:///study.db"
OPTIONS = frozenset({"timeout", "check_same_thread", "cached_statements"})
"""Options of Python's driver that a URL may have: they change nothing here."""
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")

LOCKED = ("database is locked", "database schema is locked", "database table is locked")
WRITABLE = "make its file and folder writable, then the same command"
REMEDIES = {
    "database or disk is full": SPACE,
    "disk i/o error": SPACE,
    "readonly database": WRITABLE,
    "unable to open database file": WRITABLE,
    "could not decode to utf-8": "put the text back, or restore the database from a backup",
    "file is not a database": "name another --storage",
    "malformed": (
        f"{DAMAGED}; of a study that runs, only this makes a whole copy: "
        "study copy --to sqlite:///copy.db"
    ),
}


def _checked(base: type[Any], kinds: tuple[type, ...], wanted: str) -> type[Any]:
    """Return the type with a check of what it reads: any column may hold any type."""

    def result_processor(self: Any, dialect: Any, coltype: object) -> Any:
        read = base.result_processor(self, dialect, coltype)

        def process(value: Any) -> Any:
            try:
                found = value if value is None or read is None else read(value)
            except (LookupError, TypeError, ValueError):
                raise odd_cell(value, wanted) from None
            if found is not None and not isinstance(found, kinds):
                raise odd_cell(value, wanted)
            return found

        return process

    return type(base.__name__, (base,), {"result_processor": result_processor, "cache_ok": True})


CHECKED = {
    sa.Integer: _checked(sa.Integer, (int,), "a whole number"),
    sa.Float: _checked(sa.Float, (float, int), "a number"),
    sa.String: _checked(sa.String, (str,), "text"),
    sa.Text: _checked(sa.Text, (str,), "text"),
    sa.DateTime: _checked(sqlite.DATETIME, (object,), "a time"),
    sa.Enum: _checked(sa.Enum, (object,), "a state or another of Optuna's names"),
}


class SQLite(Database):
    """SQLite from version 3.24, the first with upserts."""

    name = "sqlite"
    driver = "sqlite"
    schemes = ("sqlite", "sqlite3")
    same_drivers = ("pysqlite", "aiosqlite")
    package = "sqlite3"
    oldest = ("SQLite", (3, 24))
    insert = staticmethod(sqlite.insert)
    clock = sa.literal_column("strftime('%Y-%m-%d %H:%M:%f000', 'now')", sa.DateTime())
    is_server = False
    hint_valueless = "write a ? of the file's name as %3F"

    def checked(self, text: str, url: URL, driver: str) -> URL:
        """Return the URL with the path that is meant.

        Raises:
            StorageError: It names no file, or names it in a way that is not supported.
        """
        return _with_path(text, url)

    def file(self, url: URL) -> Path | None:
        return Path(url.database) if url.database else None

    def hint_driver(self, scheme: str, shown: str) -> str:
        return f"{EXAMPLE}, which is not encrypted"

    def hint_other(self, url: URL, name: str, show: Any) -> str:
        path = Path(url.database or "").with_name(f"{name}.db")
        return f"another file: --storage {sqlite_url(str(path))}"

    def engine_options(self, url: URL) -> dict[str, Any]:
        connect_args = {"timeout": BUSY_TIMEOUT_S, "check_same_thread": False}
        return {"connect_args": connect_args, "poolclass": sa.pool.QueuePool}

    def listen(self, engine: Engine) -> None:
        engine.dialect.colspecs = {**engine.dialect.colspecs, **CHECKED}
        event.listen(engine, "connect", _set_synchronous)

    def begin_write(self, connection: Connection, *, durable: bool, single: bool) -> None:
        """Take the write lock at once, so that no row can change after it was read.

        Only our own transactions do: Optuna opens a second connection inside a session and would
        wait for itself.
        """
        connection.begin()
        durability = f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}"
        self.execute(connection, durability, ())
        self.execute(connection, "BEGIN IMMEDIATE", ())

    def begin_snapshot(self, connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    def prepare(self, engine: Engine) -> None:
        """Switch to WAL, in which readers read while a worker writes. The file keeps the mode."""
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")

    def execute(self, connection: Connection, text: str, arguments: Any) -> Outcome:
        """Call the driver, which takes less time for the work than SQLAlchemy for the call."""
        raw: Any = connection.connection.driver_connection
        cursor = raw.cursor()
        try:
            if isinstance(arguments, list):
                cursor.executemany(text, arguments)
            else:
                cursor.execute(text, arguments)
            return Outcome(cursor.fetchall(), cursor.rowcount)
        except sqlite3.Error as error:
            raise DBAPIError.instance(text, None, error, sqlite3.Error) from error

    def is_passing(self, original: Any) -> bool:
        return any(said in str(original).lower() for said in LOCKED)

    def remedy(self, original: Any) -> str | None:
        text = str(original).lower()
        return next((hint for said, hint in REMEDIES.items() if said in text), None)

    def is_missing(self, what: str, original: Any) -> bool:
        return f"no such {what}" in str(original)


def _set_synchronous(connection: Any, _record: Any) -> None:
    """With WAL, NORMAL keeps the file whole; `begin_write` asks for more where it is needed."""
    connection.execute("PRAGMA synchronous=NORMAL").close()


def sqlite_url(path: str) -> str:
    """Return the URL of a path, so that it can be copied from a message."""
    return f"sqlite:///{quote(path, safe=' +/~')}"


def _with_path(text: str, url: URL) -> URL:
    path = text.partition("?")[0].partition("://")[2]
    if url.host or url.username is not None or url.port:
        raise StorageError(
            f"storage '{redact(text)}' has two slashes; a file on this machine needs three",
            EXAMPLE if "@" in text else sqlite_url(path),
        )
    name = url.database or ""
    for why, hint in _refusals(url, name, path.removeprefix("/")):
        raise StorageError(f"storage '{text}' {why}", hint)
    first, slash, rest = name.partition("/")
    if not first.startswith("~") or not (slash or first == "~"):
        return url  # `~study.db` is a file's name
    try:
        home = Path(first).expanduser()
    except RuntimeError:
        raise StorageError(
            f"storage '{text}' names the home of {first[1:] or 'nobody'}, which is not known",
            f"write the whole path, or {sqlite_url(f'./{name}')} for a folder of that name",
        ) from None
    return url.set(database=str(home / rest))


def _refusals(url: URL, name: str, written: str) -> Iterator[tuple[str, str]]:
    """Yield why a URL's path is refused, and the hint.

    Args:
        name: The path as SQLAlchemy reads it.
        written: The path as it stands in the URL.
    """
    uri = name.removeprefix("file:")
    is_uri = uri != name
    in_memory = is_uri and url.query.get("mode") == "memory"
    if in_memory or uri in ("", ":memory:"):
        yield "names no file; a database in memory cannot be shared by processes", EXAMPLE
    if is_uri:
        yield "is a URI of SQLite, which is not taken", sqlite_url(uri)
    for option in sorted(set(url.query) - OPTIONS):
        why = (
            f"has the option '{option}', which is not taken: commands that only look write nothing"
        )
        yield why, sqlite_url(name)
    if os.name != "nt" and _DRIVE.match(name.lstrip("/")):
        hint = f"the path as it is here, such as {EXAMPLE} or sqlite:////folder/study.db"
        yield "is a path of Windows; this system has no drives", hint
    if written != name and _is_literal(Path(name), Path(written)):
        why = f"names {name}; the file or folder that is there has a % in its name"
        yield why, f"write % as %25: {sqlite_url(written)}"
    if name.startswith("/~/") and not Path("/~").exists():
        hint = f"the home folder has three slashes: {sqlite_url(name[1:])}"
        yield "names the folder /~, which does not exist", hint


def _is_literal(asked: Path, literal: Path) -> bool:
    """Whether `%41` was meant literally: such a file or folder exists, and not the decoded one."""
    is_file = literal.is_file() and not asked.exists()
    return is_file or (literal.parent.is_dir() and not asked.parent.is_dir())
