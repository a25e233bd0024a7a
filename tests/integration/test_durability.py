"""Writes on a database that fails: lost answers, deadlocks, busy databases, power cuts."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import optuna
import pytest
import sqlalchemy as sa
from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError, OperationalError

from storage.database.tables import TRIALS
from storage.database.transaction import write
from tests.integration.planned import (
    RUNGS,
    another,
    attempts,
    claimed,
    draw,
    in_threads,
    planned,
)


@pytest.fixture
def lost_answers(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """The next n commits get through, but their answers do not come back."""
    left = [0]
    commit = Connection.commit

    def lose(connection: Connection) -> None:
        commit(connection)
        if left[0] > 0:
            left[0] -= 1
            gone = Exception("the connection broke")
            raise OperationalError("COMMIT", {}, gone, connection_invalidated=True)

    def expect(n: int) -> None:
        left[0] = n

    monkeypatch.setattr(Connection, "commit", lose)
    return expect


def test_write_whose_answer_was_lost_is_not_done_twice(
    storage_url: str, lost_answers: Callable[[int], None]
) -> None:
    """Claim takes no second slot; report, finish, release and add know their own work."""
    slots = planned(storage_url, 3)
    lost_answers(2)
    claim = claimed(slots)
    assert claim.slot.trial == 0
    lost_answers(1)
    slots.report(claim, 0, 0.5)
    lost_answers(2)
    slots.finish(claim, TrialState.COMPLETE, 0.5)
    released = claimed(slots)
    lost_answers(1)
    slots.release(released)
    lost_answers(1)
    assert slots.add({"x": 0.5}) == 4
    lost_answers(1)
    slots.plan(5)
    failed = claimed(slots)
    lost_answers(1)
    slots.finish(failed, TrialState.FAIL)
    found = attempts(slots)
    assert [(a.trial, a.slot, a.state.name) for a in found] == [
        (0, 0, "COMPLETE"),
        (1, 1, "FAIL"),
        (2, 2, "FAIL"),
        (3, 1, "WAITING"),
        (4, 3, "WAITING"),
        (5, 4, "WAITING"),
    ]
    assert found[0].reports == {0: 0.5}


def test_promotion_whose_answer_was_lost_is_not_done_twice(
    storage_url: str, lost_answers: Callable[[int], None]
) -> None:
    """Slots of the rung that it has planned are open, so there is nothing to promote again."""
    slots = planned(storage_url, 3)
    for _ in range(3):
        slots.finish(claimed(slots), TrialState.COMPLETE, 0.5)
    lost_answers(1)
    slots.promote(RUNGS)
    assert [(a.slot, a.rung) for a in attempts(slots)] == [(0, 0), (1, 0), (2, 0), (3, 1)]


def test_finishing_commits_are_synced_on_sqlite(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finish survives power loss; a claim and a report need not."""
    slots = planned(sqlite_url, 1)
    levels: list[int] = []
    commit = Connection.commit

    def look(connection: Connection) -> None:
        levels.append(connection.exec_driver_sql("PRAGMA synchronous").scalar_one())
        commit(connection)

    monkeypatch.setattr(Connection, "commit", look)
    claim = claimed(slots)
    slots.report(claim, 0, 0.5)
    slots.finish(claim, TrialState.COMPLETE, 0.5)
    normal, full = 1, 2
    assert levels == [normal, normal, full]


def test_other_errors_are_not_retried(storage_url: str) -> None:
    """A statement that the database refuses fails at once."""
    slots = planned(storage_url, 1)
    n_tries = [0]

    def refuse(connection: Connection) -> None:
        n_tries[0] += 1
        twice = {"study_id": slots.study_id, "trial_id": 1, "state": TrialState.WAITING}
        connection.execute(TRIALS.insert(), [twice, twice])

    with pytest.raises(IntegrityError):
        write(slots.storage.engine, refuse)
    assert n_tries == [1]


@pytest.mark.parametrize("fixture", ["postgres_url", "mysql_url"])
def test_deadlock_is_retried(request: pytest.FixtureRequest, fixture: str) -> None:
    """Two transactions that lock two rows crosswise: the victim runs again and gets through."""
    slots = planned(request.getfixturevalue(fixture), 30)
    first, second = attempts(slots)[0].trial_id, attempts(slots)[1].trial_id
    theirs_hold, mine_hold = threading.Event(), threading.Event()
    n_tries = [0]

    def lock(connection: Connection, trial_id: int, state: TrialState) -> None:
        mine = TRIALS.c.trial_id == trial_id
        connection.execute(TRIALS.update().where(mine).values(state=state))

    def mine(connection: Connection) -> None:
        n_tries[0] += 1
        lock(connection, second, TrialState.RUNNING)
        mine_hold.set()
        theirs_hold.wait(60)
        lock(connection, first, TrialState.RUNNING)

    def theirs(connection: Connection) -> None:
        others = sa.and_(TRIALS.c.study_id == slots.study_id, TRIALS.c.trial_id != second)
        connection.execute(TRIALS.update().where(others).values(state=TrialState.PRUNED))
        theirs_hold.set()
        mine_hold.wait(60)
        lock(connection, second, TrialState.PRUNED)

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(write, another(slots).storage.engine, theirs)
        write(slots.storage.engine, mine)
        other.result()
    assert n_tries[0] >= 2 or attempts(slots)[0].state == TrialState.PRUNED
    assert {attempts(slots)[i].state for i in (0, 1)} in ({TrialState.RUNNING}, {TrialState.PRUNED})


def test_eight_writers_on_sqlite_never_see_a_locked_database(sqlite_url: str) -> None:
    """Write transactions take the lock at once and wait for it; Optuna's go on beside them."""
    slots = planned(sqlite_url, 40)
    each = [another(slots) for _ in range(8)]

    def work(i: int) -> None:
        if i == 0:
            study = optuna.load_study(study_name="study", storage=each[i].storage)
            for _ in range(10):
                study.set_user_attr("n", len(study.trials))
            return
        while (claim := each[i].claim(f"host:{i}", draw)) is not None:
            each[i].report(claim, 0, 0.5)
            each[i].finish(claim, TrialState.COMPLETE, 0.5)

    in_threads(8, work)
    assert {a.state for a in attempts(slots)} == {TrialState.COMPLETE}


def test_reports_that_a_server_lost_are_written_again_at_the_end(postgres_url: str) -> None:
    """A server that crashes may lose what was not flushed; the attempt goes on and finishes."""
    slots = planned(postgres_url, 2)
    claim, other = claimed(slots), claimed(slots)
    reports = {0: 0.25, 1: float("nan"), 2: float("inf"), 3: 0.5}
    for step, value in reports.items():
        slots.report(claim, step, value)
    lost = models.TrialIntermediateValueModel.__table__
    with slots.storage.engine.begin() as connection:
        connection.execute(lost.delete().where(lost.c.step < 3))
    slots.finish(claim, TrialState.COMPLETE, 0.5, reports=reports)
    slots.finish(other, TrialState.COMPLETE, 0.5)
    first, second = attempts(slots)
    assert str(first.reports) == str(reports)
    assert second.reports == {}
