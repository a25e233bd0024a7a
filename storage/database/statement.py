"""Execute the statements that run for every epoch: built and compiled once for each database.

SQLAlchemy's own way from a statement to its text and arguments takes as long as SQLite's work.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy.engine import Connection, Dialect

from storage.database.base import Outcome
from storage.database.engine import DATABASES, database_of

Build = Callable[..., Any]
"""Returns a statement, given the database."""

_cache: dict[tuple[Any, ...], "_Compiled"] = {}


def run(connection: Connection, build: Build, values: Any, *how: Any) -> Outcome:
    """Execute a statement.

    Args:
        build: Returns the statement, given the database and `how`.
        values: The arguments of the statement, or a list of them to execute it for each.
    """
    compiled = _compiled(connection.dialect, build, *how)
    return database_of(connection).execute(connection, compiled.text, compiled.arguments(values))


class _Compiled:
    """A statement as text, and what makes the driver's arguments of a caller's."""

    def __init__(self, statement: Any, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        self.text: str = compiled.string
        self._order: list[str] | None = compiled.positiontup
        self._processors: dict[str, Any] = dict(compiled._bind_processors)
        constants = {n: bind.value for bind, n in compiled.bind_names.items() if not bind.required}
        self._constants = self._processed(constants)

    def arguments(self, values: Any) -> Any:
        """Return the arguments for one row, or a list of them for a list of rows."""
        if isinstance(values, Mapping):
            return self._arguments(values)
        return [self._arguments(row) for row in values]

    def _arguments(self, values: Mapping[str, Any]) -> Any:
        found = {**self._processed(values), **self._constants}
        return found if self._order is None else tuple([found[name] for name in self._order])

    def _processed(self, values: Mapping[str, Any]) -> dict[str, Any]:
        found = dict(values)
        for name in self._processors.keys() & found.keys():
            found[name] = self._processors[name](found[name])
        return found


def _compiled(dialect: Dialect, build: Build, *how: Any) -> _Compiled:
    key = (dialect.name, dialect.server_version_info, build, *how)
    found = _cache.get(key)
    if found is None:
        found = _cache[key] = _Compiled(build(DATABASES[dialect.name], *how), dialect)
    return found
