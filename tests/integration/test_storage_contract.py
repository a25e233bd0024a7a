"""Our storage is an Optuna storage: Optuna's own suite, its dashboard, stock scripts.

Optuna's suite runs on each database, on what `open_storage` returns, and on its backend without a
cache.
"""

import contextlib
import json
import os
import pickle
import random
import time
from collections.abc import Iterator
from pathlib import Path
from wsgiref.util import setup_testing_defaults

import optuna
import optuna_dashboard
import pytest
import sqlalchemy as sa
from optuna.storages import BaseStorage, RDBStorage, get_storage
from optuna.testing.pytest_storages import StorageTestCase
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.engine import Engine

from storage import attrs, backend
from storage.rdb import SlotStorage, open_storage
from storage.schema import CLAIM_INDEX
from storage.slots import Draw, Slots
from tests.conftest import DATABASES, MYSQL_URL_VARIABLE
from tests.databases import PostgresServer, mysql_database
from tests.integration.planned import attempts, claimed, new_slots


@pytest.fixture(autouse=True)
def engines(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Engine]]:
    """Every engine that a test makes, also by unpickling; closed in the end."""
    made: list[Engine] = []

    def make(url: sa.URL) -> Engine:
        made.append(original(url))
        return made[-1]

    original = backend.make_engine
    monkeypatch.setattr(backend, "make_engine", make)
    yield made
    for engine in made:
        engine.dispose()


@pytest.fixture(scope="module", params=DATABASES)
def shared_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """One database of each kind for all of Optuna's tests: making the tables takes longest."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('contract')}/study.db"
    elif request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        with server.database() as url:
            yield url
    elif not os.environ.get(MYSQL_URL_VARIABLE):
        pytest.skip(f"{MYSQL_URL_VARIABLE} names no server")
    else:
        with mysql_database(os.environ[MYSQL_URL_VARIABLE]) as url:
            yield url


@pytest.fixture
def emptied(shared_url: str) -> SlotStorage:
    """A storage without a study."""
    storage = open_storage(shared_url)
    for study in storage.get_all_studies():
        storage.delete_study(study._study_id)
    return storage


class TestOpened(StorageTestCase):
    """What `open_storage` returns; `get_storage` returns it unchanged."""

    @pytest.fixture
    def storage(self, emptied: SlotStorage) -> BaseStorage:
        assert get_storage(emptied) is emptied
        return emptied


class TestBackend(StorageTestCase):
    """The backend as it is, without a cache."""

    @pytest.fixture
    def storage(self, emptied: SlotStorage) -> BaseStorage:
        return emptied._backend


def test_claimed_row_suggests_reports_and_tells_through_optuna(storage_url: str) -> None:
    """A row claimed behind Optuna's back is a live trial in a fresh `load_study`."""
    slots = new_slots(storage_url, 3)
    claim = slots.claim("host:1", lambda _: Draw(user_attrs={attrs.SEED: 1}))
    assert claim is not None
    study = optuna.load_study(
        study_name="study",
        storage=open_storage(storage_url),
        sampler=optuna.samplers.TPESampler(seed=1),
    )
    trial = optuna.trial.Trial(study, claim.trial_id)
    x = trial.suggest_float("x", 0, 1)
    kind = trial.suggest_categorical("kind", ["a", "b"])
    trial.report(0.5, step=0)
    assert not trial.should_prune()
    study.tell(trial, 0.25)
    done = attempts(slots)[0]
    assert done.params == {"x": x, "kind": kind}
    assert (done.state, done.value, done.reports) == (TrialState.COMPLETE, 0.25, {0: 0.5})
    assert slots.requeue_strangers() == []  # told under our claim: final


SAMPLERS = {
    "random": lambda: optuna.samplers.RandomSampler(seed=1),
    "tpe": lambda: optuna.samplers.TPESampler(seed=1, n_startup_trials=2),
    "qmc": lambda: optuna.samplers.QMCSampler(seed=1, warn_independent_sampling=False),
}


def objective(trial: optuna.Trial) -> float:
    """One float, one int, three reports."""
    x = trial.suggest_float("x", -1, 1) + trial.suggest_int("n", 0, 3)
    for step in range(3):
        trial.report(x + step, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return x


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_stock_optuna_works_on_our_database(storage_url: str, sampler: str) -> None:
    """A plain script that names the URL: optimize, prune, enqueue, and a table of the trials."""
    new_slots(storage_url, name="ours", n_slots=2).storage.close()
    stock = RDBStorage(open_storage(storage_url).url)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=1)
    if sampler == "tpe":
        pruner = optuna.pruners.HyperbandPruner(max_resource=3)
    study = optuna.create_study(
        storage=stock, study_name="theirs", sampler=SAMPLERS[sampler](), pruner=pruner
    )
    study.enqueue_trial({"x": 0.5, "n": 1})
    study.optimize(objective, n_trials=5)
    assert study.trials[0].params == {"x": 0.5, "n": 1}
    assert len(study.trials_dataframe()) == 5
    assert len(optuna.load_study(study_name="ours", storage=stock).trials) == 2
    stock.engine.dispose()


def test_database_of_stock_optuna_is_opened_and_gets_the_index(storage_url: str) -> None:
    """Their trials are read, slots can be planned beside them, and numbers go on."""
    url = backend.parse_url(storage_url).render_as_string(hide_password=False)
    stock = RDBStorage(url)
    study = optuna.create_study(storage=stock, study_name="theirs")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    storage = open_storage(storage_url)
    names = [index["name"] for index in sa.inspect(storage.engine).get_indexes("trials")]
    assert CLAIM_INDEX in names
    assert storage.get_all_trials(study._study_id) == study.get_trials()
    slots = Slots(storage, study._study_id)
    slots.plan(2)
    assert claimed(slots).slot.trial == 3
    assert [trial.number for trial in study.get_trials()] == [0, 1, 2, 3, 4]
    stock.engine.dispose()


def test_dashboard_lists_the_studies(storage_url: str) -> None:
    """optuna-dashboard is given our storage as it is."""
    slots = new_slots(storage_url, 3, name="digits")
    app = optuna_dashboard.wsgi(slots.storage)
    environ: dict[str, object] = {"PATH_INFO": "/api/studies", "REQUEST_METHOD": "GET"}
    setup_testing_defaults(environ)
    statuses: list[str] = []
    body = b"".join(app(environ, lambda status, *_: statuses.append(status)))
    assert statuses == ["200 OK"]
    assert [study["study_name"] for study in json.loads(body)["study_summaries"]] == ["digits"]


def test_unpickled_storage_claims(storage_url: str) -> None:
    """The engine is made anew, with its settings, and the cache goes along."""
    slots = new_slots(storage_url, 2)
    slots.storage.get_all_trials(slots.study_id)
    copy: SlotStorage = pickle.loads(pickle.dumps(slots.storage))
    assert claimed(Slots(copy, slots.study_id)).slot.trial == 0
    assert claimed(slots).slot.trial == 1
    assert copy.get_all_trials(slots.study_id) == slots.storage.get_all_trials(slots.study_id)


# The shortcut of `SlotBackend._get_trials`.


@contextlib.contextmanager
def counted_rows() -> Iterator[list[int]]:
    """The ids of the trials that Optuna reads, each as often as it is read."""
    rows: list[int] = []

    def see(trial: object, _context: object) -> None:
        rows.append(trial.trial_id)  # type: ignore[attr-defined]

    sa.event.listen(backend.models.TrialModel, "load", see)
    try:
        yield rows
    finally:
        sa.event.remove(backend.models.TrialModel, "load", see)


@pytest.mark.parametrize("n_slots", [20, 400])
def test_cost_of_a_trial_does_not_grow_with_the_plan(sqlite_url: str, n_slots: int) -> None:
    """TPE and the median pruner read the rows that moved, not the WAITING ones again."""
    slots = new_slots(sqlite_url, n_slots)
    study = optuna.load_study(
        study_name="study",
        storage=slots.storage,
        sampler=optuna.samplers.TPESampler(seed=1, n_startup_trials=2),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=2),
    )
    n_read, n_statements = [], [0]

    def count(*_: object) -> None:
        n_statements[-1] += 1

    sa.event.listen(slots.storage.engine, "before_cursor_execute", count)
    for _ in range(8):
        claim = slots.claim("host:1", lambda _: Draw())
        assert claim is not None
        trial = optuna.trial.Trial(study, claim.trial_id)
        n_statements.append(0)
        with counted_rows() as rows, contextlib.suppress(optuna.TrialPruned):
            objective(trial)
        study.tell(trial, 1.0)
        n_read.append(len(rows))
    assert max(n_read[4:]) <= 60
    assert max(n_statements[5:]) <= 400


def test_deleted_study_is_noticed_by_a_cache_that_knows_it(storage_url: str) -> None:
    """As Optuna's: KeyError, not the trials of yore."""
    slots = new_slots(storage_url, 2)
    other = open_storage(storage_url)
    other.get_all_trials(slots.study_id)
    slots.storage.delete_study(slots.study_id)
    with pytest.raises(KeyError):
        other.get_all_trials(slots.study_id)


def _interleave(slots: Slots, wrappers: list[SlotStorage], chance: random.Random) -> None:
    """Do one of all the things that change trials."""
    held = getattr(slots, "held", [])
    slots.held = held  # type: ignore[attr-defined]
    storage = chance.choice(wrappers)
    actor = Slots(storage, slots.study_id)
    study = optuna.load_study(study_name="study", storage=storage)
    action = chance.randrange(12)
    if action == 0:
        actor.plan(len(_slots_of(actor)) + 2)
    elif action == 1:
        actor.add({"x": 0.5})
    elif action in (2, 3, 4):
        claim = actor.claim("host:1", lambda _: Draw())
        held += [] if claim is None else [claim]
    elif action == 5 and held:
        claim = held.pop(chance.randrange(len(held)))
        actor.finish(claim, TrialState.COMPLETE, 1.0)
    elif action == 6 and held:
        actor.release(held.pop(chance.randrange(len(held))))
    elif action == 7 and held and chance.random() < 0.3:
        held.clear()
        time.sleep(0.002)  # heartbeats are older than no grace at all
        actor.requeue_lost(0.0)
    elif action == 8:
        study.add_trial(create_trial(value=1.0))
    elif action == 9:
        study.tell(study.ask(), 0.5)  # may pop a slot of ours
        actor.requeue_strangers()
    elif action == 10:
        study.enqueue_trial({"x": 0.1}, user_attrs={"by": "a stranger"})
    elif held:
        actor.report(held[0], chance.randrange(5), chance.random())


def _slots_of(slots: Slots) -> set[int]:
    return {a.slot for a in attempts(slots) if a.slot is not None}


@pytest.mark.parametrize("seed", range(4))
def test_cached_trials_equal_fresh_ones_whatever_happens(sqlite_url: str, seed: int) -> None:
    """After any interleaving every cache holds what a read without a cache returns."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    chance = random.Random(seed)
    slots = new_slots(sqlite_url, 5)
    wrappers: list[SlotStorage] = [
        slots.storage,
        open_storage(sqlite_url),
        open_storage(sqlite_url),
    ]
    for _ in range(40):
        for _ in range(chance.randrange(1, 4)):
            _interleave(slots, wrappers, chance)
        looking = chance.choice(wrappers)
        assert looking.get_all_trials(slots.study_id) == _fresh(sqlite_url, slots.study_id)


def _fresh(url: str, study_id: int) -> list[FrozenTrial]:
    stock = RDBStorage(url, skip_compatibility_check=True, skip_table_creation=True)
    try:
        return stock.get_all_trials(study_id)
    finally:
        stock.engine.dispose()


def test_attributes_given_to_a_waiting_trial_are_seen(storage_url: str, tmp_path: Path) -> None:
    """By this process at once; by another at the latest when the trial moves."""
    slots = new_slots(storage_url, 3)
    other = open_storage(storage_url)
    for storage in (slots.storage, other):
        storage.get_all_trials(slots.study_id)
    first = slots.storage.get_all_trials(slots.study_id)[0]
    slots.storage.set_trial_user_attr(first._trial_id, "note", "mine")
    assert slots.storage.get_all_trials(slots.study_id)[0].user_attrs["note"] == "mine"
    claimed(slots)
    assert other.get_all_trials(slots.study_id)[0].user_attrs["note"] == "mine"
