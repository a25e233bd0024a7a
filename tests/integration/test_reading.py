"""What is read of a study without Optuna's cache, whoever wrote it."""

import math
from collections.abc import Iterator
from contextlib import closing

import optuna
import pytest
import sqlalchemy as sa
from optuna.trial import TrialState, create_trial

from storage import attrs
from storage.rdb import open_storage
from storage.reading import count_unfinished, failed_numbers, newest_by_slot, read_attempts
from storage.slots.slots import Slots
from tests.integration.ourstudies import claim, complete, fail, make_study
from tests.integration.planned import claimed, new_slots


@pytest.fixture
def slots(storage_url: str) -> Iterator[Slots]:
    """Six slots: complete, infinite, pruned, failed, released and open again, running; one open."""
    made = new_slots(storage_url, 7)
    for state, value in (
        (TrialState.COMPLETE, 0.5),
        (TrialState.COMPLETE, math.inf),
        (TrialState.PRUNED, None),
        (TrialState.FAIL, None),
    ):
        held = claimed(made)
        made.report(held, 0, 0.25)
        made.finish(held, state, value)
    made.release(claimed(made))
    claimed(made)
    yield made
    made.storage.close()


def test_attempts_come_by_number_with_what_they_are(slots: Slots) -> None:
    """State, slot, value, whether final; params and reports only where they are asked for."""
    found = read_attempts(slots.storage.engine, slots.study_id)
    assert [a.trial for a in found] == list(range(8))
    assert [a.slot for a in found] == [0, 1, 2, 3, 4, 5, 6, 4]
    assert [a.state.name for a in found] == [
        *("COMPLETE", "COMPLETE", "PRUNED", "FAIL", "FAIL"),
        *("RUNNING", "WAITING", "WAITING"),
    ]
    assert [a.value for a in found] == [0.5, math.inf, None, None, None, None, None, None]
    assert [a.is_final for a in found] == [True] * 5 + [False] * 3
    assert [a.started_at is not None for a in found] == [True] * 6 + [False] * 2
    assert [a.finished_at is not None for a in found] == [True] * 5 + [False] * 3
    assert [a.seen_s is not None for a in found] == [False] * 5 + [True] + [False] * 2
    assert all(not a.params and not a.reports and attrs.SEED not in a.user_attrs for a in found)


def test_details_are_read_on_request(slots: Slots) -> None:
    """Params in their external form and order, reports, every user attribute."""
    first = read_attempts(slots.storage.engine, slots.study_id, details=True)[0]
    assert list(first.params.items()) == [("x", 0.0), ("kind", "b")]
    assert first.reports == {0: 0.25}
    assert first.user_attrs[attrs.SEED] == 0


def test_some_trials_are_read_by_number(slots: Slots) -> None:
    """Those that are there; a number that is not is left out."""
    engine = slots.storage.engine
    found = read_attempts(engine, slots.study_id, details=True, trials=[1, 7, 99])
    assert [(a.trial, a.slot) for a in found] == [(1, 1), (7, 4)]
    assert read_attempts(engine, slots.study_id, trials=[]) == []


def test_newest_attempt_of_each_slot(slots: Slots) -> None:
    """By slot; trials that are no slot of ours are left out."""
    slots.storage.create_new_trial(slots.study_id)
    newest = newest_by_slot(read_attempts(slots.storage.engine, slots.study_id))
    assert {slot: a.trial for slot, a in newest.items()} == {
        **{0: 0, 1: 1, 2: 2, 3: 3},
        **{4: 7, 5: 5, 6: 6},
    }
    assert list(newest) == sorted(newest)


def test_unfinished_trials_are_counted(slots: Slots) -> None:
    """WAITING and RUNNING, of this study alone."""
    other = slots.storage.create_new_study([optuna.study.StudyDirection.MINIMIZE], "other")
    Slots(slots.storage, other).plan(2)
    assert count_unfinished(slots.storage.engine, slots.study_id) == 3
    assert count_unfinished(slots.storage.engine, other) == 2


def test_trials_of_strangers_are_read_too(slots: Slots) -> None:
    """Without a slot, never final; NaN reports are kept."""
    study = optuna.load_study(study_name="study", storage=slots.storage)
    study.add_trial(
        create_trial(
            value=1.0,
            params={"n": 3},
            distributions={"n": optuna.distributions.IntDistribution(1, 5)},
            intermediate_values={0: math.nan},
            user_attrs={attrs.SLOT: "not a number"},
        )
    )
    last = read_attempts(slots.storage.engine, slots.study_id, details=True)[-1]
    assert (last.slot, last.value, last.is_final, last.params) == (None, 1.0, False, {"n": 3})
    assert math.isnan(last.reports[0])


def test_age_of_a_heartbeat_is_the_databases(slots: Slots) -> None:
    """In s since the last beat, or since the start where there was none."""
    running = read_attempts(slots.storage.engine, slots.study_id, trials=[5])[0]
    assert running.seen_s is not None
    assert 0 <= running.seen_s < 60
    study = optuna.load_study(study_name="study", storage=slots.storage)
    popped = study.ask().number
    stranger = read_attempts(slots.storage.engine, slots.study_id, trials=[popped])[0]
    assert stranger.seen_s is not None
    assert 0 <= stranger.seen_s < 60


def test_number_of_statements_is_independent_of_the_size(sqlite_url: str) -> None:
    """However many trials there are."""
    slots = new_slots(sqlite_url, 3)
    counts = []
    for n_slots in (3, 300):
        slots.plan(n_slots)
        statements: list[str] = []
        sa.event.listen(
            slots.storage.engine,
            "before_cursor_execute",
            lambda *args, seen=statements: seen.append(args[2]),
        )
        read_attempts(slots.storage.engine, slots.study_id, details=True)
        counts.append(len(statements))
    assert counts[0] == counts[1] <= 4
    slots.storage.close()


def test_newest_failures_are_found(storage_url: str) -> None:
    """The newest first, those that were given back left out."""
    with closing(open_storage(storage_url)) as storage:
        opened = make_study(storage)
        fail(opened)
        opened.slots.release(claim(opened))
        complete(opened, 0.5)
        newest = fail(opened)
        assert failed_numbers(storage.engine, opened.study_id, 5) == [newest, 0]
        assert failed_numbers(storage.engine, opened.study_id, 1) == [newest]
