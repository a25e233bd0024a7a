"""A copied study is the same study in another database, trial by trial, and goes on there."""

import math
from datetime import datetime, timedelta
from typing import Any

import optuna
import pytest
import sqlalchemy as sa
from optuna.distributions import FloatDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from storage import attrs, copying
from storage.copying import copy_study
from storage.database import tables
from storage.database.tables import HEARTBEATS, TRIALS
from storage.rdb import SlotStorage
from storage.slots.slots import Slots
from tests.integration.copies import MAXIMIZE, content, draw, make_study, trials


def is_near(one: datetime | None, other: datetime | None) -> bool:
    """Whether two times are the same to MySQL's second."""
    if one is None or other is None:
        return one is other
    return abs(one - other) <= timedelta(seconds=1)


def heartbeats(storage: SlotStorage, name: str) -> dict[int, datetime]:
    """Return the heartbeat of each trial that has one, by number."""
    query = (
        sa.select(TRIALS.c.number, HEARTBEATS.c.heartbeat)
        .join(HEARTBEATS, HEARTBEATS.c.trial_id == TRIALS.c.trial_id)
        .where(TRIALS.c.study_id == storage.get_study_id_from_name(name))
    )
    with storage.engine.connect() as connection:
        return {row.number: row.heartbeat for row in connection.execute(query)}


def is_running(trial: FrozenTrial) -> bool:
    """Whether a worker has the trial."""
    return trial.state == TrialState.RUNNING


def test_copy_has_every_trial_as_it_was(source: SlotStorage, target: SlotStorage) -> None:
    """States, times, params, values, reports, attributes and heartbeats, number by number."""
    make_study(source)
    before = trials(source)
    assert copy_study(source, target, "digits") == len(before) == 8
    after = trials(target)
    for was, now in zip(before, after, strict=True):
        if not is_running(was):
            assert content(now) == content(was)
            assert is_near(now.datetime_start, was.datetime_start)
            assert is_near(now.datetime_complete, was.datetime_complete)
    beats, copied = heartbeats(source, "digits"), heartbeats(target, "digits")
    del beats[next(t.number for t in before if is_running(t))]
    assert beats.keys() == copied.keys()
    assert all(is_near(beats[number], copied[number]) for number in beats)


def test_running_trial_waits_in_the_copy(source: SlotStorage, target: SlotStorage) -> None:
    """Its worker cannot follow: slot, attempt and given params go along, and nothing else."""
    study_id = source.create_new_study(MAXIMIZE, "digits")
    slots = Slots(source, study_id)
    slots.plan(1, {0: 4})
    slots.add({"n_blocks": 3})
    for _ in range(2):
        claim = slots.claim("host:1", draw)
        assert claim is not None
        slots.report(claim, 0, 0.5)
    assert copy_study(source, target, "digits") == 2
    drawn, given = trials(target)
    for trial in (drawn, given):
        assert trial.state == TrialState.WAITING
        assert trial.datetime_start is None
        assert not trial.params
        assert not trial.intermediate_values
    assert drawn.user_attrs == {attrs.SLOT: 0, attrs.ATTEMPT: 1, attrs.REDRAW: 4}
    assert given.user_attrs == {attrs.SLOT: 1, attrs.ATTEMPT: 1}
    assert given.system_attrs == {attrs.FIXED_PARAMS: {"n_blocks": 3}}
    assert not heartbeats(target, "digits")


def test_copied_study_is_finished_in_the_target(source: SlotStorage, target: SlotStorage) -> None:
    """Finished slots stay final, open ones are claimed, and each slot is finished once."""
    make_study(source)
    copy_study(source, target, "digits")
    slots = Slots(target, target.get_study_id_from_name("digits"))
    assert slots.requeue_strangers() == []
    claimed = []
    while (claim := slots.claim("host:9", draw)) is not None:
        slots.finish(claim, TrialState.COMPLETE, 0.5)
        claimed.append(claim.slot.slot)
    assert claimed == [5, 6, 4]  # the released slot has the highest number
    assert slots.plan(7) == 0


def test_study_itself_is_copied(source: SlotStorage, target: SlotStorage) -> None:
    """Directions, budget, spec and system attributes are the study's."""
    study_id = source.create_new_study([StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE], "two")
    source.set_study_user_attr(study_id, attrs.SPEC, {"seed": 1, "text": "ü" * 10_000})
    source.set_study_system_attr(study_id, "study:metric_names", ["loss", "accuracy"])
    source.create_new_trial(study_id, create_trial(values=[1.0, -math.inf]))
    assert copy_study(source, target, "two") == 1
    copied = target.get_study_id_from_name("two")
    assert target.get_study_directions(copied) == source.get_study_directions(study_id)
    assert target.get_study_user_attrs(copied) == source.get_study_user_attrs(study_id)
    assert target.get_study_system_attrs(copied) == source.get_study_system_attrs(study_id)
    assert trials(target, "two")[0].values == [1.0, -math.inf]


def test_attributes_that_name_trial_ids_name_those_of_the_copy(
    source: SlotStorage, target: SlotStorage
) -> None:
    """A note of the dashboard stays with its trial, a generation with its parents."""
    make_study(target, "other")  # so that the ids differ
    study_id = source.create_new_study(MAXIMIZE, "digits")
    ids = [source.create_new_trial(study_id, create_trial(value=0.5)) for _ in range(2)]
    source.set_study_system_attr(study_id, f"dashboard:{ids[1]}:note_str:0", "the best")
    source.set_study_system_attr(study_id, "NSGAIISampler:parent:1", ids)
    copy_study(source, target, "digits")
    new_ids = [trial._trial_id for trial in trials(target)]
    assert new_ids != ids
    assert target.get_study_system_attrs(target.get_study_id_from_name("digits")) == {
        f"dashboard:{new_ids[1]}:note_str:0": "the best",
        "NSGAIISampler:parent:1": new_ids,
    }


def test_ids_rise_with_numbers_over_many_batches(
    source: SlotStorage, target: SlotStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Optuna's cache never reads an id below its last one."""
    monkeypatch.setattr(copying, "MOST_IDS_A_QUERY", 7)
    monkeypatch.setattr(copying, "ROWS_A_BATCH", 3)
    Slots(source, source.create_new_study(MAXIMIZE, "digits")).plan(100)
    assert copy_study(source, target, "digits") == 100
    found = trials(target)
    assert [trial.number for trial in found] == list(range(100))
    assert [trial.user_attrs[attrs.SLOT] for trial in found] == list(range(100))
    ids = [trial._trial_id for trial in found]
    assert ids == sorted(ids)


def test_copy_has_a_work_dir_of_its_own(source: SlotStorage, target: SlotStorage) -> None:
    """Its token names the folder: with one, each would delete the other's checkpoints."""
    study_id = make_study(source)
    for key, value in {attrs.TOKEN: "t", attrs.MARKER: "m"}.items():
        source.set_study_user_attr(study_id, key, value)
    copy_study(source, target, "digits")
    copied = target.get_study_user_attrs(target.get_study_id_from_name("digits"))
    assert copied[attrs.TOKEN] != "t"
    assert copied[attrs.COPIED_FROM] == ["t"]
    assert attrs.MARKER not in copied
    copy_study(target, source, "digits", "back")
    back = source.get_study_user_attrs(source.get_study_id_from_name("back"))
    assert back[attrs.TOKEN] not in ("t", copied[attrs.TOKEN])
    assert back[attrs.COPIED_FROM] == [copied[attrs.TOKEN], "t"]
    assert source.get_study_user_attrs(study_id)[attrs.TOKEN] == "t"


def test_study_goes_there_and_back_again(source: SlotStorage, target: SlotStorage) -> None:
    """Any database can be the source too."""
    study_id = make_study(source)
    copy_study(source, target, "digits")
    copy_study(target, source, "digits", "back")
    there, back = trials(target), trials(source, "back")
    assert [content(trial) for trial in back] == [content(trial) for trial in there]
    assert source.get_study_id_from_name("back") != study_id


def test_study_is_copied_within_its_storage(target: SlotStorage) -> None:
    """Source and target may be one database: reading does not wait for the writing."""
    make_study(target)
    assert copy_study(target, target, "digits", "digits 2") == 8
    assert len(trials(target, "digits 2")) == 8


def test_plain_optuna_study_is_copied(source: SlotStorage, target: SlotStorage) -> None:
    """A study without slots goes too, and goes on with plain Optuna."""
    plain = optuna.create_study(storage=source, study_name="plain")
    plain.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    assert copy_study(source, target, "plain") == 3
    copied = optuna.load_study(storage=target, study_name="plain")
    copied.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    after = [content(trial) for trial in copied.trials]
    assert after[:3] == [content(trial) for trial in plain.trials]
    assert [trial["number"] for trial in after] == [0, 1, 2, 3]


def test_empty_study_is_copied(source: SlotStorage, target: SlotStorage) -> None:
    """No trial is no failure."""
    source.create_new_study(MAXIMIZE, "empty")
    assert copy_study(source, target, "empty") == 0
    assert trials(target, "empty") == []


def test_thousands_of_trials_are_copied_in_batches(
    source: SlotStorage, target: SlotStorage
) -> None:
    """Not a statement a row: 2,000 finished trials with 10,000 params."""
    study_id = source.create_new_study(MAXIMIZE, "digits")
    Slots(source, study_id).plan(2_000)
    with source.engine.begin() as connection:
        ids = connection.execute(sa.select(TRIALS.c.trial_id)).scalars().all()
        connection.execute(TRIALS.update().values(state=TrialState.COMPLETE))
        json = optuna.distributions.distribution_to_json(FloatDistribution(0, 1))
        params = [
            {"trial_id": i, "param_name": f"p{n}", "param_value": 0.5, "distribution_json": json}
            for i in ids
            for n in range(5)
        ]
        connection.execute(tables.PARAMS.insert(), params)
    statements: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *others: Any) -> None:
        statements.append(statement)

    for storage in (source, target):
        sa.event.listen(storage.engine, "before_cursor_execute", note)
    assert copy_study(source, target, "digits") == 2_000
    assert len(statements) < 200
