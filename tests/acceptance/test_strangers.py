"""Plain Optuna workers and the dashboard in our study: our slots end as if they had not been."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import TrialState

from storage.rdb import SlotStorage, open_storage
from storage.reading import Attempt, read_attempts
from tests.acceptance import strangers
from tests.acceptance.processes import Place
from tests.acceptance.synthetic import expected, look
from tests.conftest import DATABASES

N_SLOTS = 20
OPTIONS = ["--study", "s", "--grace", "3s", "--heartbeat", "1s"]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, place: Place) -> str:
    """A database with a study of 20 slots, none of which was run."""
    found: str = request.getfixturevalue(DATABASES[request.param])
    sizes = ["--storage", found, "--n-trials", N_SLOTS]
    place.run("create", *OPTIONS, *sizes, *place.synthetic(sleep_s=0.5, n_steps=3))
    return found


@contextmanager
def opened(url: str) -> Iterator[tuple[SlotStorage, int]]:
    """Our storage, and the study's id."""
    storage = open_storage(url, create=False)
    try:
        yield storage, storage.get_study_id_from_name("s")
    finally:
        storage.close()


def attempts(url: str) -> list[Attempt]:
    """Return every row of the study, strangers' included."""
    with opened(url) as (storage, study_id):
        return read_attempts(storage.engine, study_id, details=True)


def age_heartbeats(url: str) -> None:
    """Set every heartbeat back by a minute, so that no test has to wait for it to grow old."""
    beats = models.TrialHeartbeatModel.__table__
    with opened(url) as (storage, _), storage.engine.begin() as connection:
        for trial_id, beat in connection.execute(
            sa.select(beats.c.trial_id, beats.c.heartbeat)
        ).all():
            aged = beats.update().where(beats.c.trial_id == trial_id)
            connection.execute(aged.values(heartbeat=beat - timedelta(minutes=1)))


def running_now(url: str) -> list[Attempt]:
    """Return the rows that are RUNNING."""
    return [a for a in attempts(url) if a.state == TrialState.RUNNING]


def tell_a_running_one(url: str) -> bool:
    """Do to one of our running trials what the dashboard's button does; return whether it was."""
    stock = RDBStorage(url)  # first, as opening it may take longer than a trial
    try:
        for trial_id in [a.trial_id for a in running_now(url) if "worker" in a.user_attrs]:
            stock.set_trial_state_values(trial_id, TrialState.COMPLETE, [0.125])
            return True
    except RuntimeError:  # it ended just now
        pass
    finally:
        stock.remove_session()
        stock.engine.dispose()
    return False


def results_of_ours(url: str) -> dict[int, tuple[dict[str, Any], float]]:
    """Return slot to params and value of the trials that we completed; a slot has one at most."""
    complete = [a for a in attempts(url) if a.state == TrialState.COMPLETE and a.is_final]
    ours = [a for a in complete if a.slot is not None]
    assert len({a.slot for a in ours}) == len(ours)
    return {a.slot: (a.params, a.value) for a in ours if a.slot is not None and a.value is not None}


def assert_exact(url: str) -> None:
    """Each slot has one final trial of ours, with params and value of an undisturbed run."""
    assert results_of_ours(url) == expected(N_SLOTS)
    status = look(url, "s")
    assert (status.complete, status.failed, status.done) == (N_SLOTS, 0, True)


def test_strangers_before_and_beside_our_workers_change_nothing(place: Place, url: str) -> None:
    """Three kinds of plain workers, killed and started again, and the dashboard's tell."""
    strangers.kill_in_a_trial(url)
    age_heartbeats(url)
    again = strangers.start(url, "retry", n_trials=1)
    again.join(120)
    assert again.exitcode == 0
    with opened(url) as (storage, study_id):
        found = storage.get_all_trials(study_id, deepcopy=False)
    assert any("failed_trial" in trial.system_attrs for trial in found)  # there are clones
    with place.start("run", "--storage", url, "--study", "s", "--workers", 2) as running:
        running.wait_until(lambda: tell_a_running_one(url))
        beside = [strangers.start(url, kind) for kind in strangers.KINDS]
        done = running.wait()
        for process in beside:
            process.join(120)
            assert process.exitcode == 0
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    assert "another program ended a slot" in done.err + worker_logs(place)
    place.run("run", "--storage", url, "--study", "s", "--workers", 2)  # what they ended since
    assert_exact(url)


def worker_logs(place: Place) -> str:
    """Return what the workers printed."""
    logs = [*place.folder.rglob("*.log"), *place.folder.parent.rglob("*.log")]
    return "".join(path.read_text() for path in logs)


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)  # both: the test above
def test_clones_of_our_lost_trials_make_no_slot_run_twice(place: Place, url: str) -> None:
    """Optuna's retry copies a row of ours with its slot and its claim: it is one more attempt."""
    with place.start("run", "--storage", url, "--study", "s", "--workers", 2) as running:
        for _ in range(2):
            running.wait_until(lambda: any("worker" in a.user_attrs for a in running_now(url)))
            age_heartbeats(url)
            again = strangers.start(url, "retry", n_trials=1)
            again.join(120)
        assert running.wait().code == 0
    assert_exact(url)


def test_study_whose_last_slots_a_stranger_ended_is_gone_on_with(
    place: Place, sqlite_url: str
) -> None:
    """No row is WAITING or RUNNING, and still the study is not done: a run looks before it ends."""
    sizes = ["--storage", sqlite_url, "--study", "s", "--n-trials", 2]
    place.run("create", *sizes, *place.synthetic())
    ended = strangers.start(sqlite_url, "plain", n_trials=2)
    ended.join(120)
    assert not look(sqlite_url, "s").done
    place.run("run", "--storage", sqlite_url, "--study", "s", "--workers", 1)
    assert results_of_ours(sqlite_url) == expected(2)
