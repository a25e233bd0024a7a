"""Zones and clocks that differ: age is measured by the database's clock in UTC, by nobody's own.

SQLite has no clock of its own. There it is that of the host, which all its processes share; see the
last test for what a step of that clock costs.
"""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import optuna
import pytest
import sqlalchemy as sa
from optuna.storages._rdb import models
from optuna.storages._rdb import storage as optuna_storage
from optuna.trial import TrialState
from sqlalchemy.engine import make_url

from storage.database.engine import DATABASES
from storage.errors import ClaimLostError
from storage.rdb import open_storage
from storage.reading import newest_by_slot
from storage.registry import Registry
from storage.slots.slots import Slots
from tests.integration.planned import age_heartbeat, another, attempts, claimed, planned

GRACE_S, AGED_S = 600.0, 700.0  # of a test; far from zero and from the hours that clocks differ by
SET_ZONE = {
    "postgresql": "SET TIME ZONE 'Asia/Tokyo'",
    "mysql": "SET time_zone = '+09:00'",  # names need tables that a server may lack
}
READ_ZONE = {
    "postgresql": ("SHOW timezone", "Asia/Tokyo"),
    "mysql": ("SELECT @@session.time_zone", "+09:00"),
}


def in_tokyo(slots: Slots) -> Slots:
    """The same slots through a storage whose sessions are in Tokyo."""
    mine = another(slots)
    name, engine = mine.storage.engine.dialect.name, mine.storage.engine

    def move(connection: object, _record: object) -> None:
        with connection.cursor() as cursor:  # type: ignore[attr-defined]
            cursor.execute(SET_ZONE[name])
        connection.commit()  # type: ignore[attr-defined]

    if name == "sqlite":  # its zone is the process's: see the fixture below
        return mine
    engine.dispose()
    sa.event.listen(engine, "connect", move)
    query, zone = READ_ZONE[name]
    with engine.connect() as connection:
        assert connection.exec_driver_sql(query).scalar_one() == zone
    return mine


@pytest.fixture
def host_in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This host's zone is Tokyo's, also for what SQLite calls local."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    assert datetime.now().astimezone().utcoffset() == timedelta(hours=9)
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(params=[timedelta(hours=-1), timedelta(hours=1)], ids=["behind", "ahead"])
def host_clock_is_off(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process takes its own time for another one, where Python asks for it."""
    shift: timedelta = request.param
    now = time.time

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + shift  # type: ignore[arg-type]

    monkeypatch.setattr(time, "time", lambda: now() + shift.total_seconds())
    for module in (models, optuna_storage):
        monkeypatch.setattr(module, "datetime", Shifted, raising=False)


def check_age(claimer: Slots, looker: Slots) -> None:
    """Only what is old is lost, whoever claimed and whoever looks."""
    fresh, old, beaten = claimed(claimer), claimed(claimer), claimed(claimer)
    age_heartbeat(looker, old, AGED_S)
    age_heartbeat(looker, beaten, AGED_S)
    claimer.beat(beaten)
    seen = {a.trial: a.seen_s for a in attempts(looker) if a.state == TrialState.RUNNING}
    assert seen[old.slot.trial] == pytest.approx(AGED_S, abs=60)
    assert seen[fresh.slot.trial] == pytest.approx(0, abs=60)
    assert looker.requeue_lost(GRACE_S) == [old.slot.trial]
    assert looker.requeue_lost(GRACE_S) == claimer.requeue_lost(GRACE_S) == []
    claimer.finish(fresh, TrialState.COMPLETE, 1.0)
    claimer.finish(beaten, TrialState.COMPLETE, 1.0)
    again = claimed(looker)
    assert (again.slot.slot, again.slot.attempt) == (old.slot.slot, 2)


@pytest.mark.parametrize("who", ["claimer", "looker"])
@pytest.mark.usefixtures("host_in_tokyo")
def test_session_in_tokyo_beside_one_in_utc(storage_url: str, who: str) -> None:
    """Neither finds lost what the other one holds; both find what is old."""
    utc = planned(storage_url, 3)
    tokyo = in_tokyo(utc)
    check_age(tokyo, utc) if who == "claimer" else check_age(utc, tokyo)


@pytest.mark.usefixtures("host_in_tokyo")
def test_zones_of_the_server_and_of_the_users_do_not_matter(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database's own zone, the one of the URL, and the one of libpq's variable."""
    first = planned(postgres_url, 3)
    name = make_url(postgres_url).database
    with first.storage.engine.connect() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET timezone = 'America/New_York'")
        connection.commit()
    monkeypatch.setenv("PGTZ", "Asia/Tokyo")
    url = make_url(postgres_url).update_query_dict({"options": "-c timezone=Asia/Kathmandu"})
    storage = open_storage(url.render_as_string(hide_password=False))
    check_age(Slots(storage, first.study_id), first)
    storage.close()


def test_options_of_the_users_url_are_kept(postgres_url: str) -> None:
    """Ours are added to them: a search path is still that of the URL."""
    url = make_url(postgres_url).update_query_dict({"options": "-csearch_path=public,extra"})
    slots = planned(url.render_as_string(hide_password=False), 1)
    with slots.storage.engine.connect() as connection:
        assert connection.exec_driver_sql("SHOW search_path").scalar_one() == "public,extra"
        assert connection.exec_driver_sql("SHOW timezone").scalar_one() == "UTC"


def test_init_command_of_the_users_url_is_kept(mysql_url: str) -> None:
    """It comes before what is ours, and gives up no transaction; characters are never fewer."""
    command = "SET autocommit = 1, time_zone = '+05:00', lock_wait_timeout = 77"
    url = make_url(mysql_url).update_query_dict({"init_command": command, "charset": "latin1"})
    slots = planned(url.render_as_string(hide_password=False), 1)
    with slots.storage.engine.connect() as connection:
        query = "SELECT @@autocommit, @@time_zone, @@lock_wait_timeout, @@character_set_client"
        assert connection.exec_driver_sql(query).one() == (0, "+00:00", 77, "utf8mb4")


@pytest.mark.usefixtures("host_clock_is_off")
def test_host_clock_that_is_an_hour_off(storage_url: str) -> None:
    """Nothing that the process thinks about the time is written or compared."""
    first = planned(storage_url, 3)
    assert abs(time.time() - datetime.now(UTC).timestamp()) > 3000
    check_age(first, another(first))
    for attempt in attempts(first)[:3]:
        assert attempt.started_at is not None
        off = attempt.started_at - datetime.now(UTC).replace(tzinfo=None)
        assert abs(off) < timedelta(minutes=5)


@pytest.mark.usefixtures("host_in_tokyo")
def test_workers_are_seen_alike_from_every_zone(storage_url: str) -> None:
    """The list of workers has ages by the same clock."""
    utc = planned(storage_url, 1)
    tokyo = in_tokyo(utc)
    for joins, looks in ((utc, tokyo), (tokyo, utc)):
        Registry(joins.storage, joins.study_id, grace_s=GRACE_S).join("host:1", {})
        (found,) = Registry(looks.storage, looks.study_id, grace_s=GRACE_S).workers()
        assert found.seen_s < GRACE_S / 2


@pytest.fixture
def step_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Step the clock that SQLite has from its host, as `+1 hour`."""
    sqlite = DATABASES["sqlite"]
    clock = str(sqlite.clock)

    def step(by: str) -> None:
        stepped = clock.replace("'now'", f"'now', '{by}'")
        monkeypatch.setattr(sqlite, "clock", sa.literal_column(stepped, sa.DateTime()))

    return step


def test_step_of_sqlites_clock_costs_an_attempt_and_no_slot(
    sqlite_url: str, step_clock: Callable[[str], None]
) -> None:
    """A host clock that jumps ahead makes beats look old; who lost a trial writes nothing of it."""
    slots = planned(sqlite_url, 2)
    claim = claimed(slots)
    step_clock("+1 hour")
    looker = another(slots)
    assert looker.requeue_lost(GRACE_S) == [0]
    with pytest.raises(ClaimLostError):
        slots.finish(claim, TrialState.COMPLETE, 0.0)
    step_clock("-2 hours")
    for _ in range(2):
        again = claimed(looker)
        assert looker.requeue_lost(GRACE_S) == []
        looker.finish(again, TrialState.COMPLETE, 1.0)
    newest = newest_by_slot(attempts(slots))
    assert {s: (a.state, a.value) for s, a in newest.items()} == {
        0: (TrialState.COMPLETE, 1.0),
        1: (TrialState.COMPLETE, 1.0),
    }


@pytest.mark.usefixtures("host_in_tokyo")
def test_row_of_a_plain_worker_is_not_kept_longer_than_its_zone_is_ahead(storage_url: str) -> None:
    """Optuna writes the start of a trial in its host's own zone; the slot comes back at last."""
    slots = planned(storage_url, 1)
    optuna.load_study(study_name="study", storage=slots.storage).ask()
    assert slots.requeue_lost(GRACE_S) == []
    assert slots.requeue_lost(GRACE_S - 9 * 3600 - AGED_S) == [0]
