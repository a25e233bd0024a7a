"""`open_storage(url)`: an Optuna storage on SQLite, PostgreSQL or MySQL/MariaDB.

The object works wherever Optuna takes a storage (`optuna.load_study(storage=...)`, samplers,
pruners, optuna-dashboard). `storage.slots.slots` adds the budget as rows. It is Optuna's own cache
over `SlotBackend`, so `optuna.storages.get_storage` does not wrap it a second time.
"""

import logging
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import sqlalchemy as sa
from optuna.distributions import BaseDistribution
from optuna.storages import _CachedStorage
from optuna.trial import TrialState
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from storage import attrs
from storage.database.base import LOGIN
from storage.database.engine import DATABASES
from storage.database.failures import first_line, how_to_mend, is_passing
from storage.database.password import redact, to_encode
from storage.database.rdbstorage import RETRY_S, SlotBackend
from storage.database.sqlite import sqlite_url
from storage.database.tables import TRIALS
from storage.database.transaction import retry
from storage.database.url import parse_url, sqlite_path
from storage.errors import (
    StorageBrokenError,
    StorageError,
    StorageMissingError,
    StorageUnavailableError,
)

logger = logging.getLogger(__name__)

WITH_VALUE = (TrialState.COMPLETE, TrialState.PRUNED)


class SlotStorage(_CachedStorage):
    """Optuna's cached storage, which also accepts trials that `Slots` claimed without it."""

    _backend: SlotBackend

    claimed: ClassVar[dict[tuple[str, int], str]] = {}
    """The claim tokens of trials that this process holds, by URL and trial id."""

    @property
    def engine(self) -> Engine:
        """The SQLAlchemy engine, with one pooled connection."""
        return self._backend.engine

    @property
    def url(self) -> str:
        """The full URL with its password, for child processes; must not be printed."""
        return self._backend.url

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        if trial_id not in self._trial_id_to_study_id_and_number:
            self._learn_trial(trial_id)
        super().set_trial_param(trial_id, param_name, param_value_internal, distribution)

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        token = self.claimed.pop((self.url, trial_id), None) if state in WITH_VALUE else None
        if token is not None:
            # This process claimed the trial and ends it through Optuna, as final as `Slots.finish`.
            self.set_trial_user_attr(trial_id, attrs.ENDED, token)
        return super().set_trial_state_values(trial_id, state, values)

    def _learn_trial(self, trial_id: int) -> None:
        trial = self._backend.get_trial(trial_id)
        with self.engine.connect() as connection:
            query = sa.select(TRIALS.c.study_id).where(TRIALS.c.trial_id == trial_id)
            study_id = connection.execute(query).scalar_one()
        self.get_study_directions(study_id)  # creates the cache's entry for the study
        with self._lock:
            self._add_trials_to_cache(study_id, [trial])

    def answers(self, wait_s: float = 0.0) -> bool:
        """Whether the database answers within `wait_s`."""

        try:
            self._echo(1, wait_s)
        except (SQLAlchemyError, StorageError) as error:
            logger.info("the database does not answer: %s", error)
            return False
        return True

    def refuse_unheld(self, *names: str) -> None:
        """Refuse names that the database's encoding cannot store, before anything is written.

        Attributes are JSON in ASCII, so only names may be a problem. MySQL would notice it only at
        a write.

        Raises:
            StorageError: Names the first such name.
        """
        for name in names:
            try:
                if not name.isascii():
                    self._echo(name, RETRY_S)
            except StorageBrokenError as error:
                raise StorageError(
                    f"this database cannot store the name '{name}': {first_line(error.__cause__)}",
                    f"{error.hint}; or another name",
                ) from error

    def _echo(self, value: Any, wait_s: float) -> None:
        def ask() -> None:
            with self.engine.connect() as connection:
                connection.execute(sa.select(sa.literal(value)))

        retry(ask, wait_s=wait_s)

    def close(self) -> None:
        """Close the connection."""
        self._backend.close()

    def __getattr__(self, name: str) -> Any:
        """Forward `upgrade`, `get_current_version` and the like to the backend."""
        if name.startswith("__") or "_backend" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self._backend, name)


def open_storage(url: str, *, create: bool = True, wait_s: float = 30.0) -> SlotStorage:
    """Open the database of a URL; create it if it is missing.

    Any number of processes may open a fresh database at once.

    Args:
        url: `sqlite:///file`, `postgresql://...`, `mysql://...`; the driver is added.
        create: False for read-only commands: nothing is created.
        wait_s: Time to wait for a server that is unreachable, starting or full.

    Returns:
        An Optuna storage.

    Raises:
        StorageMissingError: The database does not exist and `create` is False.
        StorageUnavailableError: The server did not answer within `wait_s`.
        UnsupportedDatabaseError: The server or the schema is too old or too new.
        StorageError: The URL is invalid, or the file is not a database.
    """
    path = sqlite_path(parse_url(url))
    try:
        if path is not None:
            _check_path(path, create=create)
    except OSError as error:  # a name that is too long, a folder without permission
        raise StorageError(f"cannot use storage {redact(url)}: {error.strerror}") from None
    try:
        return SlotStorage(SlotBackend(url, create=create, wait_s=wait_s))
    except (TypeError, ValueError, AttributeError, LookupError, OSError) as error:
        if not _is_of_driver(error):
            raise
        raise StorageError(
            f"cannot use storage {redact(url)}: its driver refuses an option of the URL: {error}",
            "check the options after the ? of the URL",
        ) from error
    except StorageBrokenError as error:
        raise _explain(url, error.__cause__, wait_s) from error
    except SQLAlchemyError as error:
        raise _explain(url, error, wait_s) from error


def _check_path(path: Path, *, create: bool) -> None:
    shown = sqlite_url(str(path))
    if not path.parent.is_dir():
        raise StorageError(
            f"the folder {path.parent} of storage {shown} does not exist",
            f"mkdir -p {shlex.quote(str(path.parent))}",
        )
    if path.is_dir():
        raise StorageError(f"storage {shown} is a folder", sqlite_url(str(path / "study.db")))
    if not create and not path.is_file():
        raise StorageMissingError(
            f"there is no storage at {shown}", "study run --data DIR   (or name another --storage)"
        )


def _is_of_driver(error: Exception) -> bool:
    """Whether the driver raised the error, as it does for bad options, and not this program."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    module = "" if frame is None else str(frame.tb_frame.f_globals.get("__name__"))
    return module.partition(".")[0] in {
        "sqlalchemy",
        "ssl",
        *(one.package for one in DATABASES.values()),
    }


def _explain(url: str, error: Any, wait_s: float) -> StorageError:
    is_drivers = isinstance(error, DBAPIError)
    reason = first_line(error) if is_drivers else str(error).strip().partition("\n")[0]
    encoded, fix = to_encode(url), how_to_mend(error)
    if fix is None and is_passing(error):
        hint = "start the database, or name another --storage"
        return StorageUnavailableError(
            f"cannot reach storage {redact(url)} within {wait_s:g} s: {reason}",
            hint if encoded is None else f"{hint}; {encoded}",
        )
    said = f"cannot use storage {redact(url)}: {reason}"
    if fix == LOGIN and encoded is not None:
        fix = f"check user and password of the URL, and {encoded}"
    return StorageError(said) if fix is None else StorageBrokenError(said, fix)
