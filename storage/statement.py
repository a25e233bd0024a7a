"""Statements of the hot path: built with SQLAlchemy, compiled once, run as text.

SQLAlchemy needs more time to build and look up a statement than SQLite needs to run it. Errors and
broken connections are still SQLAlchemy's, and so is what is different from database to database.
What the statements say is decided in `attempt.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.sql.expression import ClauseElement


class Statement:
    """One statement, for every dialect; its arguments are the `bindparam`s without a value.

    Args:
        build: Given the dialect's name, returns the statement. Called once a dialect.
    """

    def __init__(self, build: Callable[[str], ClauseElement]) -> None:
        self._build = build
        self._compiled: dict[str, tuple[str, Sequence[str] | None, dict[str, Any]]] = {}

    def run(self, connection: Connection, **values: Any) -> Any:
        """Run with these values, passed to the driver as they are; return the cursor's result."""
        text, order, constants = self._for(connection.dialect)
        if constants:
            values.update(constants)
        if order is None:
            return connection.exec_driver_sql(text, values)
        return connection.exec_driver_sql(text, tuple([values[name] for name in order]))

    def run_many(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run once for each of `rows`, if there are any."""
        if not rows:
            return
        text, order, constants = self._for(connection.dialect)
        filled = [{**row, **constants} for row in rows]
        if order is None:
            connection.exec_driver_sql(text, filled)
        else:
            connection.exec_driver_sql(
                text, [tuple([row[name] for name in order]) for row in filled]
            )

    def _for(self, dialect: Dialect) -> tuple[str, Sequence[str] | None, dict[str, Any]]:
        found = self._compiled.get(dialect.name)
        if found is None:
            found = self._compiled[dialect.name] = _compile(self._build(dialect.name), dialect)
        return found


def _compile(
    statement: ClauseElement, dialect: Dialect
) -> tuple[str, Sequence[str] | None, dict[str, Any]]:
    compiled: Any = statement.compile(dialect=dialect)
    processors = compiled._bind_processors
    constants = {}
    for bind, name in compiled.bind_names.items():
        if not bind.required:
            process = processors.get(name)
            constants[name] = process(bind.value) if process else bind.value
    return compiled.string, compiled.positiontup, constants
