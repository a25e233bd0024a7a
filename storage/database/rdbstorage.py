"""Optuna's RDBStorage on this package's engine, with retries and fewer reads.

All public methods behave as Optuna documents them. Temporary errors of the database are retried,
heartbeats are in UTC, and `_get_trials` does not read a WAITING row twice.
"""

import functools
import weakref
from collections.abc import Callable, Container
from typing import Any, TypeVar

import sqlalchemy as sa
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _VersionManager
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import orm
from sqlalchemy.engine import Connection

from storage.database import cells  # noqa: F401 (checks what Optuna reads)
from storage.database.engine import make_engine
from storage.database.schema import ensure_schema
from storage.database.tables import TRIALS, write_heartbeat
from storage.database.transaction import retry, write
from storage.database.url import parse_url

T = TypeVar("T")


MOST_IDS_A_QUERY = 500
HIGHEST_ID = 2**31 - 1  # of Optuna's integer columns
RETRY_S = 60.0
READ_RETRY_S = 3.0  # a web page that reads must not wait long for an unreachable database
# Each of Optuna's writes is one transaction, so it can be retried.
WRITES = (
    *("create_new_study", "set_study_user_attr", "set_study_system_attr"),
    *("_create_new_trial", "set_trial_state_values"),
)
WRITES_OF_TRIAL = (
    *("_set_trial_param", "set_trial_intermediate_value"),
    *("set_trial_user_attr", "set_trial_system_attr"),
)
READS = (
    *("get_study_id_from_name", "get_study_name_from_id", "get_study_directions"),
    *("get_study_user_attrs", "get_study_system_attrs", "get_all_studies", "get_trial"),
    *("get_trial_user_attrs", "get_trial_system_attrs", "get_trial_param", "_get_trials"),
    *("get_trial_id_from_study_id_trial_number", "get_best_trial"),
)
MOVED = (TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


def _close(session: orm.scoped_session[orm.Session], engine: sa.Engine) -> None:
    session.remove()
    engine.dispose()


class SlotBackend(RDBStorage):
    """An RDBStorage on this package's engine; see the module's docstring for differences."""

    def __init__(self, url: str, *, create: bool, wait_s: float) -> None:
        """Open the database; arguments as in `storage.rdb.open_storage`."""
        self.url = parse_url(url).render_as_string(hide_password=False)
        self.engine_kwargs = {}
        self.skip_compatibility_check = False
        self.heartbeat_interval = None
        self.grace_period = None
        self.heartbeat_stale_trial_callback = None
        self.failed_trial_callback = None
        self._touched: set[int] = set()
        self._connect(create=create, wait_s=wait_s)

    def _connect(self, *, create: bool, wait_s: float) -> None:
        self.engine = make_engine(parse_url(self.url))
        self.scoped_session = orm.scoped_session(orm.sessionmaker(bind=self.engine))
        try:
            ensure_schema(self.engine, create=create, wait_s=wait_s)
        except BaseException:
            self.engine.dispose()
            raise
        # Also at the end of the process, which writes SQLite's log into the file.
        weakref.finalize(self, _close, self.scoped_session, self.engine)

    def close(self) -> None:
        """Close the connections that are not in use."""
        _close(self.scoped_session, self.engine)

    def __getstate__(self) -> dict[Any, Any]:
        state = self.__dict__.copy()
        for name in ("engine", "scoped_session", "_version_manager"):
            state.pop(name, None)
        return state

    def __setstate__(self, state: dict[Any, Any]) -> None:
        self.__dict__.update(state)
        self._connect(create=False, wait_s=RETRY_S)

    @functools.cached_property
    def _version_manager(self) -> _VersionManager:  # type: ignore[override]
        """Created on demand, because it loads Alembic."""
        return _VersionManager(self.url, self.engine, self.scoped_session)

    def delete_study(self, study_id: int) -> None:
        """Delete with one statement per table: the ORM takes minutes for 10,000 trials."""
        self.get_study_name_from_id(study_id)

        def body(connection: Connection) -> None:
            trials = sa.select(TRIALS.c.trial_id).where(TRIALS.c.study_id == study_id)
            for table in reversed(models.BaseModel.metadata.sorted_tables):
                if "trial_id" in table.c and table is not TRIALS:
                    connection.execute(table.delete().where(table.c.trial_id.in_(trials)))
            for table in reversed(models.BaseModel.metadata.sorted_tables):
                if "study_id" in table.c:
                    connection.execute(table.delete().where(table.c.study_id == study_id))

        write(self.engine, body, wait_s=RETRY_S)

    def record_heartbeat(self, trial_id: int) -> None:
        body = functools.partial(write_heartbeat, trial_id=trial_id)
        write(self.engine, body, wait_s=RETRY_S)

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        """Do as Optuna, but reread only those unfinished trials of the cache that have moved.

        `included_trial_ids` are the unfinished rows in Optuna's cache. Ids and numbers rise
        together, and a row never goes back to WAITING. So the cache has every WAITING row that is
        not above the highest of those ids. Attributes that another process writes to a WAITING
        trial become visible once the trial moves, those of this process at once.
        """
        if states is not None or not included_trial_ids:
            return super()._get_trials(study_id, states, included_trial_ids, trial_id_greater_than)
        moved = self._moved_trial_ids(study_id, included_trial_ids, trial_id_greater_than)
        trials: list[FrozenTrial] = []
        for start in range(0, len(moved), MOST_IDS_A_QUERY):
            chunk = set(moved[start : start + MOST_IDS_A_QUERY])
            # Optuna also reads rows above the last argument: there are none.
            trials += super()._get_trials(study_id, None, chunk, HIGHEST_ID)
        return trials

    def _moved_trial_ids(self, study_id: int, known: set[int], above: int) -> list[int]:
        seen = max(max(known), above)
        mine = TRIALS.c.study_id == study_id
        number = sa.select(TRIALS.c.number).where(TRIALS.c.trial_id == above).scalar_subquery()
        moved = sa.select(TRIALS.c.trial_id).where(mine, TRIALS.c.state.in_(MOVED))
        if above >= 0:
            moved = moved.where(TRIALS.c.number > number)  # by the index; ids rise with numbers
        waiting = sa.select(TRIALS.c.trial_id).where(mine, TRIALS.c.state == TrialState.WAITING)
        fresh = moved.union_all(waiting.where(TRIALS.c.trial_id > seen))
        with self.engine.connect() as connection:
            ids = set(connection.execute(fresh).scalars())
            below = {trial_id for trial_id in known if trial_id <= above}
            if below:
                still = waiting.where(TRIALS.c.trial_id <= above)
                ids |= below - set(connection.execute(still).scalars())
        if not ids:
            self.get_study_name_from_id(study_id)  # raises if the study was deleted
        return sorted(ids | (self._touched & known))


def _retry_of(call: Callable[..., T], wait_s: Callable[[], float]) -> Callable[..., T]:
    @functools.wraps(call)
    def retried(*args: Any, **kwargs: Any) -> T:
        return retry(functools.partial(call, *args, **kwargs), wait_s=wait_s())

    return retried


def _noting_trial(write_trial: Callable[..., T]) -> Callable[..., T]:
    @functools.wraps(write_trial)
    def noting(self: SlotBackend, trial_id: int, *args: Any, **kwargs: Any) -> T:
        self._touched.add(trial_id)
        return write_trial(self, trial_id, *args, **kwargs)

    return noting


for _name in (*WRITES, *WRITES_OF_TRIAL):
    setattr(SlotBackend, _name, _retry_of(getattr(SlotBackend, _name), lambda: RETRY_S))
for _name in WRITES_OF_TRIAL:
    setattr(SlotBackend, _name, _noting_trial(getattr(SlotBackend, _name)))
for _name in READS:
    setattr(SlotBackend, _name, _retry_of(getattr(SlotBackend, _name), lambda: READ_RETRY_S))
