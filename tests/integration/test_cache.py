"""What the caches over `SlotBackend` show: what is there; and what reading it costs."""

import contextlib
import random
import time
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
import sqlalchemy as sa
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from storage.database import rdbstorage
from storage.rdb import SlotStorage, open_storage
from storage.slots.slots import Draw, Slots
from tests.integration.planned import attempts, claimed, new_slots, objective

pytestmark = pytest.mark.usefixtures("engines")


@contextlib.contextmanager
def counted_rows() -> Iterator[list[int]]:
    """The ids of the trials that Optuna reads, each as often as it is read."""
    rows: list[int] = []

    def see(trial: object, _context: object) -> None:
        rows.append(trial.trial_id)  # type: ignore[attr-defined]

    sa.event.listen(rdbstorage.models.TrialModel, "load", see)
    try:
        yield rows
    finally:
        sa.event.remove(rdbstorage.models.TrialModel, "load", see)


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
