"""What a claim writes, on each database, and its reports and its finish."""

import json
import re
from itertools import chain, count
from typing import Any

import optuna
import pytest
import sqlalchemy as sa
from optuna.distributions import FloatDistribution
from optuna.storages._rdb import models
from optuna.trial import TrialState

from storage import attrs, ends
from storage.database import tables
from storage.errors import ClaimLostError, StorageError
from storage.slots import attempt
from storage.slots.slots import Draw, Slot
from tests.integration.planned import (
    LONG_S,
    age_heartbeat,
    another,
    attempts,
    claimed,
    draw,
    in_threads,
    planned,
    rows_of_all_tables,
)


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


@pytest.mark.parametrize(("key", "value"), [(attrs.SLOT, "x"), (attrs.FIXED_PARAMS, [1])])
def test_trial_that_nobody_can_run_says_so(storage_url: str, key: str, value: Any) -> None:
    """Somebody has written to it: passed over, its slot would be left out unseen."""
    slots = planned(storage_url, 1)
    trial_id = slots.storage.get_all_trials(slots.study_id)[0]._trial_id
    slots.storage.set_trial_user_attr(trial_id, attrs.ATTEMPT, "odd too")
    if key == attrs.SLOT:
        slots.storage.set_trial_user_attr(trial_id, key, value)
    else:
        slots.storage.set_trial_system_attr(trial_id, key, value)
    said = re.escape(f"its attribute '{key}' is {json.dumps(value)}")
    with pytest.raises(StorageError, match=said) as caught:
        claimed(slots)
    assert caught.value.hint
    slots.storage.set_trial_user_attr(trial_id, attrs.SLOT, 0)
    slots.storage.set_trial_system_attr(trial_id, attrs.FIXED_PARAMS, {})
    assert claimed(slots).slot.attempt == 1


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
    slots.finish(third, TrialState.FAIL, None, {attrs.REASON: ends.INFEASIBLE})
    found = attempts(slots)
    assert [(a.state, a.value) for a in found] == [
        (TrialState.COMPLETE, 0.5),
        (TrialState.PRUNED, None),
        (TrialState.FAIL, None),
    ]
    assert found[0].user_attrs[attrs.INFO] == {"train_s": 1.5}
    assert found[2].user_attrs[attrs.REASON] == ends.INFEASIBLE
    assert all(a.is_final and a.finished_at is not None for a in found)


def test_attributes_are_plain_json(storage_url: str) -> None:
    """What we write is what `json` makes of it: other tools read it."""
    slots = planned(storage_url, 1)
    claim = slots.claim(
        "häst:1", lambda _: Draw({"x": 1.0}, {"x": FloatDistribution(0, 1)}, {"seed": 2**63})
    )
    assert claim is not None
    with slots.storage.engine.connect() as connection:
        found = attempt.read_attrs(connection, claim.trial_id)
        texts = connection.execute(sa.select(tables.USER_ATTRS.c.value_json)).scalars().all()
    assert found["worker"] == "häst:1"
    assert found["seed"] == 2**63
    assert all(json.dumps(json.loads(text)) == text for text in texts)


@pytest.mark.parametrize("database", ["postgres_url", "mysql_url"])
def test_attempts_leave_the_rows_that_they_leave_on_sqlite(
    database: str,
    sqlite_url: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The statements of the hot path have one form a database and one meaning."""

    def rows_left(url: str) -> dict[str, list[str]]:
        numbers = count()
        monkeypatch.setattr("secrets.token_hex", lambda _: f"token {next(numbers)}")
        return facts_after_attempts(url)

    found, wanted = rows_left(request.getfixturevalue(database)), rows_left(sqlite_url)
    assert found == wanted
    assert all(found[table] for table in ("trial_values", "trial_intermediate_values"))


def facts_after_attempts(url: str) -> dict[str, list[str]]:
    """Let attempts end in every way; return all rows without times and ids of their own."""
    slots = planned(url, 4)
    slots.add({"x": 0.75, "kind": "a"})
    slots.storage.set_trial_user_attr(1, attrs.INFO, {"theirs": 1})
    first, second, third, fourth = (claimed(slots) for _ in range(4))
    for step, value in ((0, 0.5), (0, 0.25), (1, float("inf")), (2, -1e-9)):
        slots.report(first, step, value)
    slots.beat(first)
    slots.finish(first, TrialState.COMPLETE, 1 / 3, {attrs.INFO: {"ours": "ü"}}, {0: 0.25})
    slots.finish(second, TrialState.FAIL, None, {attrs.REASON: ends.INFEASIBLE})
    slots.release(third)
    slots.retry_alone(fourth, {attrs.ERROR: {"type": "MemoryError"}})
    claimed(slots)
    return {
        table.name: sorted(map(repr, facts_of(table, slots.storage.engine)))
        for table in models.BaseModel.metadata.sorted_tables
    }


def facts_of(table: sa.Table, engine: sa.Engine) -> list[Any]:
    """Return a table's rows; numbers that the database gives to rows are its own affair."""
    own = {"trials", "studies"}
    columns = [
        column
        for column in table.columns
        if not isinstance(column.type, sa.DateTime)
        and not (column.primary_key and table.name not in own)
    ]
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.select(*columns))]


def test_nothing_is_remembered_of_a_claim_that_is_over(storage_url: str) -> None:
    """Finished, released or lost: a worker that lives for months holds what it works on."""
    slots = planned(storage_url, 3)
    finished, released, lost = (claimed(slots) for _ in range(3))
    held = {key for key in slots.storage.claimed if key[0] == slots.storage.url}
    assert {trial_id for _, trial_id in held} == {
        claim.trial_id for claim in (finished, released, lost)
    }
    slots.finish(finished, TrialState.COMPLETE, 0.5)
    slots.release(released)
    age_heartbeat(slots, lost, 2 * LONG_S)
    slots.requeue_lost(LONG_S)
    with pytest.raises(ClaimLostError):
        slots.beat(lost)
    assert held.isdisjoint(slots.storage.claimed)
