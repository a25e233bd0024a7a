"""The numbers of a study: each slot counted once, where its newest attempt of ours stands."""

import io
import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from optuna.distributions import FloatDistribution
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial
from rich.console import Console

import study.view.status
from storage import attrs, ends
from storage.database.tables import TRIALS
from storage.rdb import SlotStorage, open_storage
from storage.reading import newest_by_slot
from storage.slots.slots import Claim, Draw, Slot, Slots
from study.errors import StudyError
from study.spec.open import OpenStudy, open_study
from study.spec.spec import StudySpec
from study.text import duration, iso_utc, jsonable
from study.view.cost import Cost, eta_s
from study.view.status import (
    StudyStatus,
    by_value,
    costs_of,
    list_workers,
    read_status,
    read_trials,
    trials_json,
)
from study.view.watch import Watch, summary
from tests.integration.planned import age_heartbeat

N_SLOTS = 6


@pytest.fixture
def opened(sqlite_url: str) -> Iterator[OpenStudy]:
    """A study of six WAITING slots, to be maximized."""
    storage = open_storage(sqlite_url)
    yield study_in(storage, StudyDirection.MAXIMIZE)
    storage.close()


@pytest.mark.parametrize("reads", ["read_attempts", "expected_trial_s", "newest_by_slot"])
def test_study_that_is_deleted_while_it_is_read_is_called_so(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, reads: str
) -> None:
    """Between any two of the statements: nobody takes what is left for an empty study."""
    storage = open_storage(sqlite_url)
    opened = study_in(storage, StudyDirection.MAXIMIZE, token="a study's own")
    read = getattr(study.view.status, reads)

    def delete_and_read(*args: Any, **kwargs: Any) -> Any:
        storage.delete_study(opened.study_id)
        monkeypatch.setattr(study.view.status, reads, read)
        return read(*args, **kwargs)

    monkeypatch.setattr(study.view.status, reads, delete_and_read)
    with pytest.raises(StudyError, match="study 's' was deleted"):
        read_status(opened)
    storage.close()


def study_in(
    storage: SlotStorage, direction: StudyDirection, *, token: str | None = None
) -> OpenStudy:
    """Plan a study 's' in a storage."""
    spec = StudySpec(
        "synthetic", None, {}, "s", None, [], direction.name.lower(), 0, 1, "float32", 1
    )
    study_id = storage.create_new_study([direction], "s")
    define = {attrs.SPEC: spec.to_json(), attrs.TOKEN: token}
    Slots(storage, study_id).plan(N_SLOTS, define=define)
    return open_study(storage, "s")


def draw(slot: Slot) -> Draw:
    """Give every slot its own number as x."""
    x = float(slot.slot)
    return Draw({"x": x}, {"x": FloatDistribution(0, 10)}, {attrs.SEED: 100 + slot.slot})


def claim(opened: OpenStudy) -> Claim:
    """Claim the lowest slot."""
    found = opened.slots.claim("host:12", draw)
    assert found is not None
    return found


def finish(opened: OpenStudy, value: float, state: TrialState = TrialState.COMPLETE) -> None:
    """Claim the lowest slot and finish it."""
    opened.slots.finish(claim(opened), state, value)


def assert_sums_up(status: StudyStatus) -> None:
    """Every slot stands in one place."""
    n_open = status.waiting + status.running
    assert n_open + status.complete + status.pruned + status.failed == status.n_slots
    assert status.n_final == status.n_slots - n_open
    assert status.done == (n_open == 0)


def test_fresh_study_waits(opened: OpenStudy) -> None:
    """Nothing has been attempted, nothing is known."""
    status = read_status(opened)
    assert_sums_up(status)
    assert (status.n_slots, status.waiting, status.attempts, status.best) == (6, 6, 0, None)
    assert (status.eta_s, status.images_per_s, status.workers) == (None, None, [])


def test_each_end_is_counted_in_its_place(opened: OpenStudy) -> None:
    """One of each: complete, pruned, failed, infeasible, running, waiting."""
    finish(opened, 0.5)
    finish(opened, 0.9, TrialState.PRUNED)
    for reason in (ends.ERROR, ends.INFEASIBLE):
        opened.slots.finish(claim(opened), TrialState.FAIL, None, {attrs.REASON: reason})
    running = claim(opened)
    opened.slots.report(running, 0, 0.25)
    status = read_status(opened)
    assert_sums_up(status)
    counts = (status.complete, status.pruned, status.failed, status.running, status.waiting)
    assert counts == (1, 1, 2, 1, 1)
    assert (status.attempts, status.lost) == (5, 0)
    assert status.reasons == {"error": 1, "infeasible": 1}
    assert status.best is not None
    assert (status.best.slot, status.best.value, status.best.params) == (0, 0.5, {"x": 0.0})
    (worker,) = status.workers
    assert (worker.id, worker.host, worker.pid, worker.epoch) == ("host:12", "host", 12, 1)
    assert (worker.trial, worker.slot, worker.state) == (4, 4, "training")
    assert worker.seen_s is not None
    assert worker.seen_s >= 0


def test_released_attempt_is_none(opened: OpenStudy) -> None:
    """Its slot waits again, and nothing was attempted."""
    opened.slots.release(claim(opened))
    status = read_status(opened)
    assert_sums_up(status)
    assert (status.waiting, status.failed, status.attempts) == (6, 0, 0)
    assert status.reasons == {}


def test_lost_attempt_counts_and_its_slot_waits(opened: OpenStudy) -> None:
    """A loss is an attempt; the slot is not failed, because it runs again."""
    claim(opened)
    assert opened.slots.requeue_lost(-1.0) == [0]  # any heartbeat is older than that
    status = read_status(opened)
    assert_sums_up(status)
    assert (status.waiting, status.failed, status.attempts, status.lost) == (6, 0, 1, 1)


def test_slot_that_is_given_up_has_failed(opened: OpenStudy) -> None:
    """Its last loss is its end."""
    claim(opened)
    opened.slots.requeue_lost(-1.0, max_attempts=1)
    status = read_status(opened)
    assert_sums_up(status)
    assert (status.waiting, status.failed, status.reasons) == (5, 1, {"lost": 1})


def test_strangers_trials_count_in_nothing(opened: OpenStudy) -> None:
    """A trial of plain Optuna is listed with `slot: null`, however good its value."""
    finish(opened, 0.5)
    opened.storage.create_new_trial(
        opened.study_id, create_trial(state=TrialState.COMPLETE, value=99.0)
    )
    status = read_status(opened)
    assert_sums_up(status)
    assert (status.n_slots, status.complete, status.attempts) == (6, 1, 1)
    assert status.best is not None
    assert status.best.value == 0.5
    assert trials_json(read_trials(opened), opened.spec)[-1]["slot"] is None


def test_slot_that_a_stranger_ended_waits(opened: OpenStudy) -> None:
    """It is final by us alone: the next worker that looks runs it again."""
    trial_id = opened.storage.get_all_trials(opened.study_id)[0]._trial_id
    opened.storage.set_trial_state_values(trial_id, TrialState.RUNNING)
    opened.storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [99.0])
    status = read_status(opened)
    assert_sums_up(status)
    assert (status.waiting, status.complete, status.best) == (6, 0, None)


@pytest.mark.parametrize(
    ("direction", "values", "slot"),
    [
        (StudyDirection.MAXIMIZE, [0.1, 0.3, 0.3, -0.2], 1),
        (StudyDirection.MINIMIZE, [0.1, -0.3, -0.3, 0.0], 1),
        (StudyDirection.MAXIMIZE, [0.0, -1.0, -2.0, -3.0], 0),
        (StudyDirection.MINIMIZE, [math.inf, 2.0, 1.0, 3.0], 2),
    ],
)
def test_best_follows_the_direction_and_then_the_lowest_slot(
    sqlite_url: str, direction: StudyDirection, values: list[float], slot: int
) -> None:
    """Of equal values the first slot's, so that the best does not depend on timing."""
    storage = open_storage(sqlite_url)
    opened = study_in(storage, direction)
    for value in values:
        finish(opened, value)
    best = read_status(opened).best
    storage.close()
    assert best is not None
    assert (best.slot, best.value) == (slot, values[slot])


def on_rungs(opened: OpenStudy) -> OpenStudy:
    """The same study with the rungs 1, 3 and 9, as one that was created so."""
    spec = replace(opened.spec, rungs=[1, 3, 9], epochs=9)
    return replace(opened, spec=spec)


def promote(opened: OpenStudy) -> int:
    """Plan the next rung; return how many slots it has."""
    assert opened.spec.promotion is not None
    return opened.slots.promote(opened.spec.promotion)


def ranks(opened: OpenStudy) -> list[int | None]:
    """The slots of `by_value`, the best first."""
    attempts = newest_by_slot(read_trials(opened)).values()
    return [a.slot for a in by_value(attempts, opened.spec.direction)]


@pytest.mark.parametrize("direction", [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE])
def test_trial_on_a_higher_rung_is_better_and_stands_for_its_draw(
    sqlite_url: str, direction: StudyDirection
) -> None:
    """However bad its value, and whichever direction: a short training tells less than a long one.

    Those on one rung follow by value, then by slot.
    """
    storage = open_storage(sqlite_url)
    opened = on_rungs(study_in(storage, direction))
    sign = 1 if direction == StudyDirection.MAXIMIZE else -1
    for value in (1, 5, 3, 4, 2, 3):
        finish(opened, sign * value)
    assert ranks(opened) == [1, 3, 2, 5, 4, 0]
    assert promote(opened) == 2
    assert ranks(opened) == [1, 3, 2, 5, 4, 0]
    finish(opened, sign * -7.0)
    assert ranks(opened) == [6, 3, 2, 5, 4, 0]
    finish(opened, sign * -6.0)
    assert ranks(opened) == [7, 6, 2, 5, 4, 0]
    assert promote(opened) == 1
    finish(opened, sign * -9.0)
    assert ranks(opened) == [8, 6, 2, 5, 4, 0]
    best = read_status(opened).best
    storage.close()
    assert best is not None
    assert (best.slot, best.value) == (8, sign * -9.0)


def test_draw_stands_for_itself_where_its_longer_training_failed(opened: OpenStudy) -> None:
    """The value of the lower rung is what is known of it."""
    opened = on_rungs(opened)
    for value in range(N_SLOTS):
        finish(opened, float(value))
    assert promote(opened) == 2
    finish(opened, 0.5)
    opened.slots.finish(claim(opened), TrialState.FAIL)
    assert ranks(opened) == [6, 4, 3, 2, 1, 0]


def test_study_is_done_when_nobody_is_promoted_any_more(opened: OpenStudy) -> None:
    """Slots of higher rungs are counted before they are planned: as long as they may come."""
    opened = on_rungs(opened)

    def sizes() -> list[tuple[int, int, int, int]]:
        return [(r.rung, r.epochs, r.n_slots, r.n_final) for r in read_status(opened).rungs]

    assert sizes() == [(0, 1, 6, 0), (1, 3, 2, 0), (2, 9, 1, 0)]
    for value in range(N_SLOTS):
        finish(opened, float(value))
    status = read_status(opened)
    assert (status.done, status.n_slots, status.n_final, status.n_left) == (False, 6, 6, 3)
    assert status.work == pytest.approx((2 * 3 + 1 * 9) / 9)
    assert promote(opened) == 2
    assert sizes() == [(0, 1, 6, 6), (1, 3, 2, 0), (2, 9, 1, 0)]
    for _ in range(2):
        opened.slots.finish(claim(opened), TrialState.FAIL)
    status = read_status(opened)
    assert sizes() == [(0, 1, 6, 6), (1, 3, 2, 2), (2, 9, 0, 0)]
    assert (status.done, status.n_left, status.work, status.eta_s) == (True, 0, 0.0, 0.0)


def test_time_left_counts_epochs(opened: OpenStudy) -> None:
    """Of a trial on a lower rung its share, of one that runs a half."""
    opened = on_rungs(opened)
    claim(opened)
    assert read_status(opened).work == pytest.approx((5.5 * 1 + 2 * 3 + 1 * 9) / 9)


def test_only_studies_with_rungs_speak_of_them(opened: OpenStudy) -> None:
    """Scripts that know nothing of rungs read what they have read before."""
    words = {"rung", "epochs", "from_slot"}
    assert not words & set(trials_json(read_trials(opened), opened.spec)[0])
    assert "rungs" not in read_status(opened).to_json()
    assert "rungs" not in summary(read_status(opened))
    climbs = on_rungs(opened)
    assert words <= set(trials_json(read_trials(climbs), climbs.spec)[0])
    assert read_status(climbs).to_json()["rungs"][1] == {
        "rung": 1, "epochs": 3, "n_slots": 2, "n_final": 0,
    }  # fmt: skip
    assert "rungs 0/6 x 1, 0/2 x 3, 0/1 x 9" in summary(read_status(climbs))


def test_worker_that_was_not_heard_of_is_gone(opened: OpenStudy) -> None:
    """Neither itself nor its trial, for the grace period; one that was is listed as it says."""
    registry, grace_s = opened.registry(), opened.spec.grace_s
    registry.join("host:a:1", {"state": "waiting", "device": "cpu"})
    registry.join("host:b:2", {"state": "waiting"})
    assert {w.id: w.state for w in read_status(opened).workers} == {
        "host:a:1": "waiting",
        "host:b:2": "waiting",
    }
    here, gone = list_workers(
        [replace(r, seen_s=n * (grace_s + 1)) for n, r in enumerate(registry.workers())],
        [],
        grace_s,
    )
    assert (here.host, here.pid, here.device, here.state) == ("host", 1, "cpu", "waiting")
    assert (gone.id, gone.state) == ("host:b:2", "gone")


def test_whoever_watches_opens_the_slots_of_the_lost(opened: OpenStudy) -> None:
    """Where the last worker died there may be nobody else who looks."""
    lost = claim(opened)
    out = io.StringIO()
    Watch(opened, Console(file=out)).tick()
    assert "was lost" not in out.getvalue()
    age_heartbeat(opened.slots, lost, opened.spec.grace_s + 1)
    status = Watch(opened, Console(file=out)).tick()
    assert status is not None
    assert (status.lost, status.running, status.waiting) == (1, 0, N_SLOTS)
    assert f"trial {lost.slot.trial} was lost; its slot is open again" in out.getvalue()


def test_finished_study_is_done(opened: OpenStudy) -> None:
    """With no time to go."""
    for slot in range(N_SLOTS):
        finish(opened, float(slot))
    status = read_status(opened)
    assert_sums_up(status)
    assert (status.done, status.eta_s) == (True, 0.0)
    assert status.to_json()["best"] == {"slot": 5, "trial": 5, "value": 5.0, "params": {"x": 5.0}}


def test_cost_of_a_trial_is_what_it_told(opened: OpenStudy) -> None:
    """For each trial, and the mean over those that told; a trial that told nothing has none."""
    for images in (1000.0, 3000.0):
        info = {"images": images, "train_s": 2, "images_per_s": 500.0, "n_epochs": 3.0}
        opened.slots.finish(claim(opened), TrialState.COMPLETE, 0.5, {attrs.INFO: info})
    finish(opened, 0.5)
    rest = (None, 2.0, 500.0)
    assert costs_of(read_trials(opened)) == {0: Cost(1000.0, *rest), 1: Cost(3000.0, *rest)}
    assert read_status(opened).trial_cost == Cost(2000.0, None, 2.0, 500.0)


def test_trial_json_has_every_attempt(opened: OpenStudy) -> None:
    """The released one, with its reason, and the one that follows it."""
    running = claim(opened)
    for step, value in enumerate([0.5, math.nan, math.inf, -math.inf]):
        opened.slots.report(running, step, value)
    opened.slots.release(running)
    first, *others = trials_json(read_trials(opened), opened.spec)
    assert (first["state"], first["reason"], first["seed"]) == ("FAIL", "released", 100)
    assert first["intermediate"] == {"0": 0.5, "1": "nan", "2": "inf", "3": "-inf"}
    assert first["started_at"].endswith("Z")
    assert first["started_at"] <= first["finished_at"]
    assert [(row["slot"], row["attempt"], row["state"]) for row in others] == [
        *((slot, 1, "WAITING") for slot in range(1, N_SLOTS)),
        (0, 1, "WAITING"),
    ]


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ((None, 5.5, 1), None),
        ((10.0, 5.0, 0), None),
        ((10.0, 0.0, 2), 0.0),
        ((None, 0.0, 0), 0.0),
        ((10.0, 5.0, 2), 25.0),
        ((10.0, 0.5, 1), 5.0),
    ],
)
def test_eta(arguments: Any, wanted: float | None) -> None:
    """(seconds a trial, trials left, workers); unknown where nobody works."""
    assert eta_s(*arguments) == wanted


def test_json_holds_no_number_that_json_does_not_know() -> None:
    """At any depth; everything else is as it was."""
    odd = {"a": [math.nan, (math.inf, {"b": -math.inf})], "c": 1.5, "d": True, "e": None, "f": "x"}
    wanted = {"a": ["nan", ["inf", {"b": "-inf"}]], "c": 1.5, "d": True, "e": None, "f": "x"}
    assert jsonable(odd) == wanted


def test_times_are_utc_with_z() -> None:
    """To the millisecond; None where there is none."""
    assert iso_utc(datetime(2026, 1, 2, 3, 4, 5, 678900)) == "2026-01-02T03:04:05.678Z"
    assert iso_utc(None) is None


def test_clock_that_is_set_back_makes_no_negative_time(opened: OpenStudy) -> None:
    """A trial that ended before it began tells nothing of how long the next one takes."""
    for _ in range(2):
        opened.slots.finish(claim(opened), TrialState.COMPLETE, 1.0)
    claim(opened)
    for trial, hours in ((0, -2), (1, 0)):
        with opened.storage.engine.begin() as connection:
            mine = TRIALS.c.number == trial
            at = connection.execute(sa.select(TRIALS.c.datetime_start).where(mine)).scalar_one()
            ended = at + timedelta(hours=hours, seconds=4)
            connection.execute(TRIALS.update().where(mine).values(datetime_complete=ended))
    assert read_status(opened).trial_s == 4.0
    with opened.storage.engine.begin() as connection:
        ended = at - timedelta(days=1)
        connection.execute(TRIALS.update().values(datetime_complete=ended))
    found = read_status(opened)
    assert (found.trial_s, found.eta_s) == (None, None)
    assert "ETA -" in summary(found)
    opened.storage.set_study_user_attr(opened.study_id, attrs.TRIAL_S, -7.0)
    assert read_status(opened).eta_s is None


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-5.0, "0s"), (-7200.0, "0s"), (math.inf, "-"), (math.nan, "-"), (None, "-"), (61, "1m 01s")],
)
def test_duration_is_never_negative(seconds: float | None, said: str) -> None:
    """And what is no number is not known."""
    assert duration(seconds) == said
