"""Base class of `sqlite.py`, `postgresql.py` and `mysql.py`: all that differs between them.

The defaults are those of a server. `engine.py` has the table that finds the class of a URL.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import sqlalchemy as sa
from optuna.storages._rdb import models
from sqlalchemy.engine import URL, Connection, Engine

from storage.database.password import redact
from storage.errors import StorageError

EXAMPLES = "sqlite:///study.db, postgresql://user:password@host/name or mysql://..."

SPACE = "make space on its disk, then the same command"
DAMAGED = "restore it from a backup, or name another --storage"
WRITES = "name the server that takes writes"
LOGIN = (
    "check user and password of the URL; @ : / # ? and % are written %40 %3A %2F %23 %3F and %25"
)


class Outcome(NamedTuple):
    """What a statement returned, as the driver has it, and how many rows it changed."""

    rows: Sequence[Any]
    n_changed: int


class Database:
    """One kind of database.

    Attributes:
        name: SQLAlchemy's name of its dialect.
        driver: Scheme of a URL with the driver that is installed with this program.
        schemes: Schemes that name this database in a URL.
        same_drivers: Drivers that a URL may name; the URL then gets ours.
        package: The package whose exceptions the driver raises.
        oldest: Name and version of the oldest release that is supported.
        insert: The dialect's INSERT, which can replace a row.
        clock: SQL for the current time in UTC, without a zone.
        joins_writes: Whether INSERTs can be common table expressions of an UPDATE, with `unnest`.
        may_lose_reports: Whether a crash of the server may lose reports that were committed.
        hint_valueless: What to do about an option of a URL that has no value.
    """

    name: ClassVar[str]
    driver: ClassVar[str]
    schemes: ClassVar[tuple[str, ...]]
    same_drivers: ClassVar[tuple[str, ...]]
    package: ClassVar[str]
    oldest: tuple[str, tuple[int, ...]]
    insert: Callable[..., Any]
    clock: sa.ColumnElement[Any]
    joins_writes = False
    may_lose_reports = False
    is_server = True
    hint_valueless = "leave it out; in a password write & as %26"
    tables: sa.MetaData = models.BaseModel.metadata

    # URLs

    def checked(self, text: str, url: URL, driver: str) -> URL:
        """Return the URL with options that our driver knows.

        Args:
            text: The URL as the user wrote it, for messages.
            url: The same, parsed, with our driver.
            driver: The driver that `text` names, or "".

        Raises:
            StorageError: It has another option.
        """
        unknown = sorted(set(url.query) - self.options())
        if unknown:
            shown = redact(text)
            # The name may be the rest of a password in which there is an unencoded &.
            told = {piece.partition("=")[0] for piece in shown.partition("?")[2].split("&")}
            named = [name for name in unknown if name and name in told]
            raise StorageError(
                f"storage '{shown}' has an option that {url.get_driver_name()} does not know"
                + "".join(f": {name}" for name in named[:1]),
                "leave it out" if named else self.hint_valueless,
            )
        return url

    def options(self) -> frozenset[str]:
        """Return the options that a URL may have."""
        raise NotImplementedError

    def file(self, url: URL) -> Path | None:
        """Return the database's file, None on a server."""
        return None

    def hint_driver(self, scheme: str, shown: str) -> str:
        """Return the URL to use in place of one whose driver is unknown."""
        return f"{scheme}://{shown.partition('://')[2]}"

    def hint_other(self, url: URL, name: str, show: Callable[[URL], str]) -> str:
        """Return how to make a database of this name beside that of a URL."""
        other = show(url.set(database=name))
        return f"CREATE DATABASE {name}, and its name in the URL: --storage {other}"

    # Connections

    def engine_options(self, url: URL) -> dict[str, Any]:
        """Return the arguments of `sa.create_engine`."""
        raise NotImplementedError

    def listen(self, engine: Engine) -> None:
        """Attach this database's listeners to a new engine."""

    def connect(self, dialect: Any, args: Any, params: dict[str, Any], timeout_s: int) -> Any:
        """Connect to a server and return the driver's connection."""
        raise NotImplementedError

    def descriptor(self, connection: Any) -> int:
        """Return the file descriptor of the socket of a driver's connection."""
        raise NotImplementedError

    def begin_write(self, connection: Connection, *, durable: bool, single: bool) -> None:
        """Begin a write transaction; see `storage.database.transaction.write`."""

    def begin_snapshot(self, connection: Connection) -> None:
        """Begin a transaction whose statements all see the database at one moment."""
        connection.execution_options(isolation_level="REPEATABLE READ")

    # The schema

    def version(self, dialect: Any) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
        """Return the server's name, its version and the oldest version that is supported."""
        parts = tuple(part for part in dialect.server_version_info if isinstance(part, int))
        name, oldest = self.oldest
        return name, parts, oldest

    def prepare(self, engine: Engine) -> None:
        """Set up a new database before its tables are made."""

    @contextlib.contextmanager
    def bootstrap_lock(self, connection: Connection) -> Iterator[None]:
        """Let one process at a time create the tables."""
        yield

    def refresh_statistics(self, engine: Engine) -> None:
        """Tell the query planner of rows that were inserted in bulk."""

    # Statements

    def execute(self, connection: Connection, text: str, arguments: Any) -> Outcome:
        """Execute a text with the driver's arguments, or once for each of a list of them."""
        result = connection.exec_driver_sql(text, arguments)
        return Outcome(result.fetchall() if result.returns_rows else (), result.rowcount)

    def lock(self, query: Any, table: sa.Table, **how: bool) -> Any:
        """Return the query with a lock of the rows of `table`; see `Select.with_for_update`."""
        return query.with_for_update(of=table, **how)

    def replace(self, statement: Any, keys: Sequence[str], columns: Sequence[str]) -> Any:
        """Return an insert that overwrites `columns` of a row with the same `keys`."""
        return statement.on_conflict_do_update(
            index_elements=list(keys), set_={name: statement.excluded[name] for name in columns}
        )

    def unnest(self, columns: Mapping[str, sa.Column[Any]]) -> Any:
        """Return a table of the arrays that a statement is given under these names."""
        raise NotImplementedError

    def unflushed(self, query: Any) -> Any:
        """Return the source of an INSERT that need not survive a loss of power."""
        return query

    # Errors; `original` is the driver's

    def is_passing(self, original: Any) -> bool:
        """Whether the same call may succeed in a moment."""
        raise NotImplementedError

    def remedy(self, original: Any) -> str | None:
        """Return how to fix a broken database; None for other errors."""
        raise NotImplementedError

    def is_missing(self, what: str, original: Any) -> bool:
        """Whether the error says that there is no such "table" or "column"."""
        raise NotImplementedError
