"""The databases of the chaos, each with the faults that it can have, and plain Optuna as a witness.

SQLite is a file: it can be locked, not crash. PostgreSQL is a server of our own: it can crash, and
all of its processes can be stopped for a while.
"""

import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import optuna
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError

from tests.chaos.processes import with_children
from tests.databases import PostgresServer

LOCK_WAIT_S = 30.0
READ_LIMIT_S = 60.0
POLL_S = 0.1


class Database(Protocol):
    """Where the studies of a chaos lie."""

    name: str

    @property
    def crash(self) -> Callable[[], None] | None:
        """Ends the database without warning and starts it again; None where there is no server."""

    def fresh(self, folder: Path) -> Any:
        """A context manager that yields the URL of an empty database."""

    def pause(self, url: str, seconds: float) -> None:
        """Let nobody write for a while."""

    def remove(self) -> None:
        """Stop and delete what is there."""


class Sqlite:
    """A file a study."""

    name = "SQLite"
    crash = None

    @contextmanager
    def fresh(self, folder: Path) -> Iterator[str]:
        """Yield the URL of a file that is not there yet."""
        yield f"sqlite:///{folder}/study.db"

    def pause(self, url: str, seconds: float) -> None:
        """Hold the file's write lock."""
        path = url.removeprefix("sqlite:///")
        connection = sqlite3.connect(path, timeout=LOCK_WAIT_S, isolation_level=None)
        try:
            connection.execute("BEGIN EXCLUSIVE")
            time.sleep(seconds)
            connection.execute("ROLLBACK")
        finally:
            connection.close()

    def remove(self) -> None:
        """Nothing: the file goes with its folder."""


class Postgres(PostgresServer):
    """A server for all studies, a database each."""

    name = "PostgreSQL"

    @contextmanager
    def fresh(self, folder: Path) -> Iterator[str]:
        """Yield the URL of an empty database; it is dropped in the end."""
        with self.database() as url:
            yield url

    def crash(self) -> None:
        """End the server without a checkpoint; its next start recovers from its log."""
        self.stop(crash=True)
        self.start()

    def pause(self, url: str, seconds: float) -> None:
        """Stop every process of the server, whatever it is doing."""
        assert self._process is not None
        stopped = with_children(self._process.pid)
        try:
            for process in stopped:
                process.send(signal.SIGSTOP)
            time.sleep(seconds)
        finally:
            for process in stopped:
                process.send(signal.SIGCONT)


def make_database(name: str) -> Database:
    """Return the database of a name of the command line, ready to use."""
    if name == "sqlite":
        return Sqlite()
    server = Postgres()
    server.start()
    return server


DATABASES = ("sqlite", "postgresql")


@dataclass(frozen=True)
class Row:
    """A trial, as plain Optuna reads it."""

    trial: int
    state: str
    value: float | None
    params: dict[str, Any]
    curve: dict[int, float]
    attrs: dict[str, Any]
    started: datetime | None = None
    finished: datetime | None = None

    @property
    def slot(self) -> int:
        """Of which slot it is an attempt; -1 for a trial of somebody else."""
        return int(self.attrs.get("slot", -1))

    @property
    def rung(self) -> int:
        """The rung of its slot, from 0."""
        return int(self.attrs.get("rung", 0))

    @property
    def from_slot(self) -> int | None:
        """The slot from which its slot was promoted; None on rung 0."""
        return self.attrs.get("from_slot")

    @property
    def attempt(self) -> int:
        """Which attempt, from 1."""
        return int(self.attrs.get("attempt", 0))

    @property
    def pid(self) -> int | None:
        """The process that claimed it."""
        text = str(self.attrs.get("worker", "")).rpartition(":")[2]
        return int(text) if text.isdigit() else None

    @property
    def losses(self) -> int:
        """How often in a row the slot was lost before without a new report."""
        if "reached" in self.attrs:
            return int(self.attrs.get("losses", 0))
        return int(self.attrs.get("losses", max(0, self.attempt - 1)))


class Witness:
    """Reads a study through stock Optuna, which knows nothing of slots."""

    def __init__(self, url: str, name: str) -> None:
        storage = optuna.storages.RDBStorage(url, skip_table_creation=True)
        self._engine = storage.engine
        self._study = optuna.load_study(study_name=name, storage=storage)

    def rows(self) -> list[Row]:
        """Return every trial; wait for a database that is away."""
        deadline = time.monotonic() + READ_LIMIT_S
        while True:
            try:
                return [_row(trial) for trial in self._study.get_trials(deepcopy=False)]
            except (DBAPIError, StorageInternalError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_S)

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()


def _row(trial: optuna.trial.FrozenTrial) -> Row:
    value = trial.values[0] if trial.values else None
    return Row(
        trial=trial.number,
        state=trial.state.name,
        value=value,
        params=trial.params,
        curve=dict(trial.intermediate_values),
        attrs=trial.user_attrs,
        started=trial.datetime_start,
        finished=trial.datetime_complete,
    )
