"""Our storage is an Optuna storage: Optuna's own suite, its dashboard, stock scripts.

Optuna's suite runs on each database, on what `open_storage` returns, and on its backend without a
cache.
"""

import json
import pickle
from collections.abc import Iterator
from wsgiref.util import setup_testing_defaults

import optuna
import optuna_dashboard
import pytest
import sqlalchemy as sa
from optuna.storages import BaseStorage, RDBStorage, get_storage
from optuna.testing.pytest_storages import StorageTestCase
from optuna.trial import TrialState

from storage import attrs
from storage.database import rdbstorage
from storage.database.schema import CLAIM_INDEX
from storage.rdb import SlotStorage, open_storage
from storage.slots.slots import Draw, Slots
from tests.conftest import DATABASES, mysql_server_url
from tests.databases import PostgresServer, mysql_database
from tests.integration.planned import attempts, claimed, new_slots, objective

pytestmark = pytest.mark.usefixtures("engines")


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
    else:
        with mysql_database(mysql_server_url()) as url:
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
    url = rdbstorage.parse_url(storage_url).render_as_string(hide_password=False)
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
