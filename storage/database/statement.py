"""Statements of the hot path: built with SQLAlchemy, compiled once, run as text.

SQLAlchemy needs more time to build, look up and run a statement than SQLite does, so there the
driver is called directly: a file has no connection that breaks and must be thrown away. Errors are
SQLAlchemy's everywhere. What the statements say is decided in `attempt.py`.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.expression import ClauseElement

Compiled = tuple[str, Sequence[str] | None, dict[str, Any]]


class Statement:
    """One statement, for every dialect; its arguments are the `bindparam`s without a value.

    Args:
        build: Given the dialect's name, returns the statement. Called once a dialect.
    """

    def __init__(self, build: Callable[[str], ClauseElement]) -> None:
        self._build = build
        self._compiled: dict[str, Compiled] = {}

    def run(self, connection: Connection, **values: Any) -> Any:
        """Run with these values, passed to the driver as they are.

        Returns:
            A cursor: `fetchall` and `rowcount` are there for every driver.
        """
        text, order, constants = self._for(connection.dialect)
        values.update(constants)
        if order is None:
            return connection.exec_driver_sql(text, values)
        cursor = _sqlite_cursor(connection)
        try:
            return cursor.execute(text, [values[name] for name in order])
        except sqlite3.Error as error:
            raise _wrapped(text, error) from error

    def rows(self, connection: Connection, **values: Any) -> list[Any]:
        """Run with these values, and return all rows: SQLite decodes text only as it is read."""
        found = self.run(connection, **values)
        try:
            rows: list[Any] = found.fetchall()
        except sqlite3.Error as error:
            raise _wrapped(self._for(connection.dialect)[0], error) from error
        return rows

    def run_many(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run once for each of `rows`, if there are any."""
        if not rows:
            return
        text, order, constants = self._for(connection.dialect)
        filled = [{**row, **constants} for row in rows]
        if order is None:
            connection.exec_driver_sql(text, filled)
            return
        cursor = _sqlite_cursor(connection)
        try:
            cursor.executemany(text, [[row[name] for name in order] for row in filled])
        except sqlite3.Error as error:
            raise _wrapped(text, error) from error

    def _for(self, dialect: Dialect) -> Compiled:
        found = self._compiled.get(dialect.name)
        if found is None:
            found = self._compiled[dialect.name] = _compile(self._build(dialect.name), dialect)
        return found


def _sqlite_cursor(connection: Connection) -> sqlite3.Cursor:
    raw: Any = connection.connection.driver_connection
    cursor: sqlite3.Cursor = raw.cursor()
    return cursor


def _wrapped(text: str, error: sqlite3.Error) -> BaseException:
    return DBAPIError.instance(text, None, error, sqlite3.Error)


def _compile(statement: ClauseElement, dialect: Dialect) -> Compiled:
    """Return the text, the order of its arguments where they are positional, and its constants."""
    compiled: Any = statement.compile(dialect=dialect)
    processors = compiled._bind_processors
    constants = {}
    for bind, name in compiled.bind_names.items():
        if not bind.required:
            process = processors.get(name)
            constants[name] = process(bind.value) if process else bind.value
    return compiled.string, compiled.positiontup, constants
