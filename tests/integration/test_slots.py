"""What `Slots` promises, on each database, from plan to requeue; and the lease that beats."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any

import optuna
import pytest
import sqlalchemy as sa
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError, OperationalError

from storage import attempt, attrs, rows
from storage.backend import TRIALS
from storage.errors import ClaimLostError, StorageError
from storage.lease import Lease
from storage.rdb import open_storage
from storage.reading import newest_by_slot
from storage.slots import Claim, Draw, Slot, Slots
from storage.transaction import write
from tests.integration.planned import (
    LONG_S,
    age_heartbeat,
    attempts,
    claimed,
    draw,
    new_slots,
    rows_of_all_tables,
)

OPENED: list[Slots] = []


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Connections of a test end with it."""
    OPENED.clear()
    yield
    for slots in OPENED:
        slots.storage.close()


def planned(url: str, n_slots: int = 0) -> Slots:
    """Slots of a new study, closed after the test."""
    slots = new_slots(url, n_slots)
    OPENED.append(slots)
    return slots


def another(slots: Slots, **options: Any) -> Slots:
    """The same slots through a storage of its own, as another process has them."""
    OPENED.append(Slots(open_storage(slots.storage.url), slots.study_id, **options))
    return OPENED[-1]


def in_threads(n: int, call: Callable[[int], Any]) -> list[Any]:
    """Call in `n` threads that start together; errors are raised."""
    barrier = threading.Barrier(n, timeout=60)

    def run(i: int) -> Any:
        barrier.wait()
        return call(i)

    with ThreadPoolExecutor(n) as pool:
        return [future.result() for future in [pool.submit(run, i) for i in range(n)]]


# Plan and add.


def test_plan_writes_waiting_trials_and_raising_adds(storage_url: str) -> None:
    """Slots stand in the table as WAITING trials; the same budget again adds nothing."""
    slots = planned(storage_url)
    assert slots.plan(3, {1: 2}) == 3
    assert slots.plan(3) == 0
    assert slots.plan(5) == 2
    found = attempts(slots)
    assert [(a.trial, a.slot, a.user_attrs[attrs.ATTEMPT]) for a in found] == [
        (i, i, 1) for i in range(5)
    ]
    assert [a.user_attrs.get(attrs.REDRAW) for a in found] == [None, 2, None, None, None]
    assert {a.state for a in found} == {TrialState.WAITING}
    assert slots.storage.get_study_user_attrs(slots.study_id)[attrs.N_SLOTS] == 5


def test_lowering_the_budget_is_refused(storage_url: str) -> None:
    """The error says how many there are, and nothing changes."""
    slots = planned(storage_url, 3)
    before = rows_of_all_tables(slots.storage)
    with pytest.raises(StorageError, match="3 slots already; 2 would lower"):
        slots.plan(2)
    assert rows_of_all_tables(slots.storage) == before


def test_plan_is_all_or_none(storage_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error after the rows were inserted leaves none of them."""
    slots = planned(storage_url, 2)
    before = rows_of_all_tables(slots.storage)

    def fail(*_: object) -> None:
        raise RuntimeError("the last statement")

    monkeypatch.setattr(rows, "write_study_attrs", fail)
    with pytest.raises(RuntimeError, match="the last statement"):
        slots.plan(10)
    assert rows_of_all_tables(slots.storage) == before


def test_added_slot_carries_its_params_to_every_attempt(storage_url: str) -> None:
    """`add` appends a slot; a claim of it, and of what follows a loss, has the params."""
    slots = planned(storage_url, 1)
    assert slots.add({"x": 0.25, "kind": "a"}) == 1
    claimed(slots)
    claim = claimed(slots)
    assert (claim.slot.slot, claim.slot.fixed_params) == (1, {"x": 0.25, "kind": "a"})
    slots.release(claim)
    assert claimed(slots).slot.fixed_params == {"x": 0.25, "kind": "a"}
    assert slots.plan(3) == 1


def test_numbers_and_ids_rise_together_under_concurrent_inserts(storage_url: str) -> None:
    """Plan, add, stock trials and requeues at once: no number twice, ids in their order."""
    slots = planned(storage_url, 8)
    each = [another(slots) for _ in range(8)]

    def insert(i: int) -> None:
        mine = each[i]
        if i % 4 == 0:
            mine.add({"x": 0.5})
            mine.add({"x": 0.6})
        elif i % 4 == 1:
            for _ in range(3):
                mine.storage.create_new_trial(slots.study_id)
        elif i % 4 == 2:
            mine.release(claimed(mine))
        else:
            study = optuna.load_study(study_name="study", storage=mine.storage)
            study.enqueue_trial({"x": 0.1})

    in_threads(8, insert)
    found = sorted(attempts(slots), key=lambda a: a.trial_id)
    assert [a.trial for a in found] == list(range(8 + 4 + 6 + 2 + 2))
    assert sorted(newest_by_slot(found)) == list(range(12))


# Claim.


def test_claim_takes_the_lowest_number_and_writes_all_at_once(storage_url: str) -> None:
    """State, heartbeat, worker, token, params and attributes are there when it returns."""
    slots = planned(storage_url, 2)
    optuna.load_study(study_name="study", storage=slots.storage).enqueue_trial({"x": 0.1})
    claim = claimed(slots)
    assert (claim.slot.trial, claim.slot.slot, claim.slot.attempt) == (0, 0, 1)
    row = attempts(slots)[0]
    assert row.state == TrialState.RUNNING
    assert row.started_at is not None
    assert row.seen_s is not None
    assert row.seen_s < 60
    assert row.params == {"x": 0.0, "kind": "b"}
    assert row.user_attrs == {
        attrs.SLOT: 0,
        attrs.ATTEMPT: 1,
        attrs.WORKER: "host:1",
        attrs.CLAIM: claim.token,
        attrs.SEED: 0,
    }
    assert claimed(slots).slot.trial == 1
    assert slots.claim("host:1", draw) is None  # what a stranger enqueued is no slot


def test_failing_draw_leaves_the_slot_waiting(storage_url: str) -> None:
    """`draw` runs inside the transaction, which is rolled back."""
    slots = planned(storage_url, 1)
    before = rows_of_all_tables(slots.storage)

    def fail(_: Slot) -> Draw:
        raise ValueError("no params")

    with pytest.raises(ValueError, match="no params"):
        slots.claim("host:1", fail)
    assert rows_of_all_tables(slots.storage) == before


def test_no_two_claims_share_a_slot(storage_url: str) -> None:
    """8 workers at once take every slot once."""
    slots = planned(storage_url, 24)
    each = [another(slots) for _ in range(8)]

    def work(i: int) -> list[int]:
        taken = []
        while (claim := each[i].claim(f"host:{i}", draw)) is not None:
            taken.append(claim.slot.trial)
        assert taken == sorted(taken)
        return taken

    assert sorted(chain.from_iterable(in_threads(8, work))) == list(range(24))


# Report, beat, finish.


def test_report_of_a_step_is_replaced(storage_url: str) -> None:
    """And values that are no number are kept as Optuna keeps them."""
    slots = planned(storage_url, 1)
    claim = claimed(slots)
    reports = [(0, 0.5), (0, 0.75), (1, float("inf")), (2, float("-inf"))]
    for step, value in reports:
        slots.report(claim, step, value)
    assert attempts(slots)[0].reports == dict(reports)


def test_finish_writes_state_value_and_attributes(storage_url: str) -> None:
    """Also over an attribute of the same key that the objective has set by Optuna."""
    slots = planned(storage_url, 3)
    first, second, third = claimed(slots), claimed(slots), claimed(slots)
    slots.storage.set_trial_user_attr(first.trial_id, attrs.INFO, {"theirs": 1})
    slots.finish(first, TrialState.COMPLETE, 0.5, {attrs.INFO: {"train_s": 1.5}})
    slots.finish(second, TrialState.PRUNED)
    slots.finish(third, TrialState.FAIL, None, {attrs.REASON: attrs.Reason.INFEASIBLE})
    found = attempts(slots)
    assert [(a.state, a.value) for a in found] == [
        (TrialState.COMPLETE, 0.5),
        (TrialState.PRUNED, None),
        (TrialState.FAIL, None),
    ]
    assert found[0].user_attrs[attrs.INFO] == {"train_s": 1.5}
    assert found[2].user_attrs[attrs.REASON] == attrs.Reason.INFEASIBLE
    assert all(a.is_final and a.finished_at is not None for a in found)


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


# The fence.


def _released(slots: Slots, claim: Claim) -> None:
    slots.release(claim)


def _lost(slots: Slots, claim: Claim) -> None:
    age_heartbeat(slots, claim, 100)
    assert slots.requeue_lost(50) == [claim.slot.trial]


def _failed_by_a_stranger(slots: Slots, claim: Claim) -> None:
    slots.storage.set_trial_state_values(claim.trial_id, TrialState.FAIL)


def _told_by_a_stranger(slots: Slots, claim: Claim) -> None:
    slots.storage.set_trial_state_values(claim.trial_id, TrialState.COMPLETE, [0.125])


def _finished(slots: Slots, claim: Claim) -> None:
    slots.finish(claim, TrialState.COMPLETE, 0.5)


def _stolen(slots: Slots, claim: Claim) -> None:
    """The row is RUNNING, under another token."""
    slots.storage.set_trial_user_attr(claim.trial_id, attrs.CLAIM, "another")


ENDS = [_released, _lost, _failed_by_a_stranger, _told_by_a_stranger, _finished, _stolen]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__.strip("_"))
def test_fence_lets_nothing_through_after(
    storage_url: str, end: Callable[[Slots, Claim], None]
) -> None:
    """Every write of the old claim raises, and nothing in the database changes."""
    slots = planned(storage_url, 2)
    claim = claimed(slots)
    slots.report(claim, 0, 0.5)
    end(slots, claim)
    before = rows_of_all_tables(slots.storage)
    late: list[Callable[[], None]] = [
        lambda: slots.report(claim, 0, 0.75),
        lambda: slots.report(claim, 1, 0.75),
        lambda: slots.beat(claim),
        lambda: slots.finish(claim, TrialState.COMPLETE, 0.125, {attrs.INFO: {}}),
        lambda: slots.finish(claim, TrialState.FAIL),
        lambda: slots.release(claim),
    ]
    for write_late in late:
        with pytest.raises(ClaimLostError, match=r"trial 0 \(slot 0\) is no longer"):
            write_late()
    assert rows_of_all_tables(slots.storage) == before


def test_report_waits_for_who_fails_the_trial(storage_url: str) -> None:
    """A report that comes while the trial is being failed is refused, not slipped in."""
    slots = planned(storage_url, 1)
    claim = claimed(slots)
    failing, fenced = threading.Event(), threading.Event()

    def fail(connection: Connection) -> None:
        assert rows.fail(connection, claim.trial_id)
        failing.set()
        fenced.wait(0.3)  # the report stands at the row's lock by now, or comes after it

    def report() -> None:
        failing.wait(60)
        another(slots).report(claim, 0, 0.5)
        fenced.set()

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(report)
        write(slots.storage.engine, fail)
        with pytest.raises(ClaimLostError):
            future.result()
    assert attempts(slots)[0].reports == {}


# Release, requeue.


def test_release_opens_the_slot_with_the_same_attempt(storage_url: str) -> None:
    """This row FAILs as `released`, with a new WAITING row, at the end of the queue."""
    slots = planned(storage_url)
    slots.plan(2, {0: 4})
    slots.release(claimed(slots))
    found = attempts(slots)
    assert [(a.trial, a.slot, a.state) for a in found] == [
        (0, 0, TrialState.FAIL),
        (1, 1, TrialState.WAITING),
        (2, 0, TrialState.WAITING),
    ]
    assert found[0].user_attrs[attrs.REASON] == attrs.Reason.RELEASED
    assert found[2].user_attrs == {attrs.SLOT: 0, attrs.ATTEMPT: 1, attrs.REDRAW: 4}


def test_lost_trial_is_requeued_with_the_next_attempt(storage_url: str) -> None:
    """One that has been heard of is left alone; a beat makes an old one young."""
    slots = planned(storage_url, 3)
    fresh, old, beaten = claimed(slots), claimed(slots), claimed(slots)
    age_heartbeat(slots, old, 100)
    age_heartbeat(slots, beaten, 100)
    slots.beat(beaten)
    assert slots.requeue_lost(50) == [old.slot.trial]
    assert slots.requeue_lost(50) == []
    found = attempts(slots)
    assert found[1].user_attrs[attrs.REASON] == attrs.Reason.LOST
    assert (found[3].slot, found[3].user_attrs[attrs.ATTEMPT]) == (1, 2)
    assert claimed(slots).slot.attempt == 2
    slots.report(fresh, 0, 0.5)


def test_slot_is_given_up_after_max_attempts(storage_url: str) -> None:
    """The last attempt gets no successor, and strangers are not blamed for it."""
    slots = planned(storage_url, 1)
    for n_attempt in (1, 2):
        claim = claimed(slots)
        assert claim.slot.attempt == n_attempt
        age_heartbeat(slots, claim, 100)
        assert slots.requeue_lost(50, max_attempts=2) == [claim.slot.trial]
    assert slots.claim("host:1", draw) is None
    assert slots.requeue_strangers() == []


def test_lost_trial_gets_one_successor_however_many_notice(storage_url: str) -> None:
    """8 workers look at once."""
    slots = planned(storage_url, 2)
    lost = [claimed(slots), claimed(slots)]
    for claim in lost:
        age_heartbeat(slots, claim, 100)
    each = [another(slots) for _ in range(8)]
    requeued = in_threads(8, lambda i: each[i].requeue_lost(50))
    assert sorted(chain.from_iterable(requeued)) == [0, 1]
    assert sorted(a.slot for a in attempts(slots)[2:] if a.slot is not None) == [0, 1]


def test_row_that_a_stranger_popped_is_stale_from_its_start(storage_url: str) -> None:
    """A plain Optuna worker takes a slot without a heartbeat, and dies."""
    slots = planned(storage_url, 1)
    study = optuna.load_study(study_name="study", storage=slots.storage)
    assert study.ask().number == 0
    assert slots.requeue_lost(LONG_S) == []
    assert slots.requeue_lost(-LONG_S) == [0]
    assert claimed(slots).slot.attempt == 2


@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.FAIL])
@pytest.mark.parametrize("was_claimed", [False, True])
def test_slot_that_a_stranger_ended_is_opened_again(
    storage_url: str, state: TrialState, was_claimed: bool
) -> None:
    """Popped and told by plain Optuna, or a claimed one told by it. Once, by whoever looks."""
    slots = planned(storage_url, 3)
    slots.finish(claimed(slots), TrialState.COMPLETE, 1.0)
    slots.finish(claimed(slots), TrialState.FAIL)
    study = optuna.load_study(study_name="study", storage=slots.storage)
    trial_id = claimed(slots).trial_id if was_claimed else study.ask()._trial_id
    values = [0.5] if state == TrialState.COMPLETE else None
    stranger = optuna.storages.RDBStorage(slots.storage.url)
    stranger.set_trial_state_values(trial_id, state, values)
    stranger.remove_session()
    stranger.engine.dispose()
    each = [another(slots) for _ in range(4)]
    requeued = list(chain(*in_threads(4, lambda i: each[i].requeue_strangers())))
    assert requeued == [3]
    again = claimed(slots)
    assert (again.slot.slot, again.slot.attempt) == (2, 1)
    slots.finish(again, TrialState.COMPLETE, 1.0)
    assert slots.requeue_strangers() == []
    assert all(a.is_final for a in newest_by_slot(attempts(slots)).values())


def test_strangers_are_seen_by_one_that_looked_before(storage_url: str) -> None:
    """Finished rows are looked at once; what ends later, below or above, is not missed."""
    slots = planned(storage_url, 4)
    running = claimed(slots)
    slots.finish(claimed(slots), TrialState.COMPLETE, 1.0)
    assert slots.requeue_strangers() == []
    slots.storage.set_trial_state_values(running.trial_id, TrialState.FAIL)
    assert slots.requeue_strangers() == [4]
    study = optuna.load_study(study_name="study", storage=slots.storage)
    study.tell(study.ask(), 0.5)
    assert slots.requeue_strangers() == [5]


# Lost answers, deadlocks, busy databases.


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


# The lease.


def test_lease_keeps_a_trial_alive_and_notices_its_loss(storage_url: str) -> None:
    """It beats while it is held, survives errors, and says when the trial is somebody else's."""
    slots = planned(storage_url, 1)
    claim = claimed(slots)
    beaten = threading.Event()
    beat = slots.beat
    n_beats = [0]

    def flaky(held: Claim) -> None:
        n_beats[0] += 1
        if n_beats[0] == 1:
            raise OperationalError("UPDATE", {}, Exception("the server is away"))
        beat(held)
        beaten.set()

    slots.beat = flaky  # type: ignore[method-assign]
    age_heartbeat(slots, claim, 100)
    with Lease(slots, claim, interval_s=0.01) as lease:
        assert beaten.wait(30)
        assert slots.requeue_lost(50) == []
        assert not lease.lost.is_set()
        slots.storage.set_trial_state_values(claim.trial_id, TrialState.FAIL)
        assert lease.lost.wait(30)


def test_attributes_are_plain_json(storage_url: str) -> None:
    """What we write is what `json` makes of it: other tools read it."""
    slots = planned(storage_url, 1)
    claim = slots.claim(
        "häst:1", lambda _: Draw({"x": 1.0}, {"x": FloatDistribution(0, 1)}, {"seed": 2**63})
    )
    assert claim is not None
    with slots.storage.engine.connect() as connection:
        found = attempt.read_attrs(connection, claim.trial_id)
        texts = connection.execute(sa.select(rows.USER_ATTRS.c.value_json)).scalars().all()
    assert found["worker"] == "häst:1"
    assert found["seed"] == 2**63
    assert all(json.dumps(json.loads(text)) == text for text in texts)
