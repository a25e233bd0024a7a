"""What `plan` and `add` promise, on each database: the budget as rows."""

import optuna
import pytest
from optuna.trial import TrialState

from storage import attrs
from storage.database import tables
from storage.errors import StorageError
from storage.reading import newest_by_slot
from tests.integration.planned import (
    another,
    attempts,
    claimed,
    in_threads,
    planned,
    rows_of_all_tables,
)


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

    monkeypatch.setattr(tables, "write_study_attrs", fail)
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
