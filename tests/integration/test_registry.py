"""Who works on a study, for how long, and the order to stop, on each database."""

import json
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from storage import attrs
from storage.errors import StorageError
from storage.registry import Registry, StopOrder
from tests.integration.planned import another, in_threads, planned

GRACE_S = 60.0


@pytest.fixture
def registry(storage_url: str) -> Registry:
    """That of a new study."""
    slots = planned(storage_url, 1)
    slots.storage.set_study_user_attr(slots.study_id, attrs.TOKEN, "token")
    registry = Registry(slots.storage, slots.study_id, grace_s=GRACE_S)
    registry.slots = slots  # type: ignore[attr-defined]
    return registry


def set_back(registry: Registry, key: str, field: str, by_s: float) -> None:
    """Make a time of an attribute older, so that no test has to wait."""
    slots = registry.slots  # type: ignore[attr-defined]
    storage, study_id = slots.storage, slots.study_id
    value = storage.get_study_user_attrs(study_id)[key]
    moment = datetime.fromisoformat(value[field]) - timedelta(seconds=by_s)
    storage.set_study_user_attr(study_id, key, {**value, field: moment.isoformat()})


def test_workers_are_listed_with_what_they_say_and_when_they_were_seen(registry: Registry) -> None:
    """Until they leave."""
    since = registry.join("a:1", {"host": "a", "state": "starting"})
    registry.join("b_%:2", {"host": "b"})
    assert datetime.fromisoformat(since)
    set_back(registry, "worker:a:1", "seen_at", 5)
    first, second = registry.workers()
    assert (first.id, first.facts["host"], first.facts["since"]) == ("a:1", "a", since)
    assert 5 <= first.seen_s < 60
    assert (second.id, second.facts["host"]) == ("b_%:2", "b")
    registry.beat("a:1", {"host": "a", "state": "training"})
    assert registry.workers()[0].seen_s < 5
    assert registry.workers()[0].facts["state"] == "training"
    registry.leave("a:1")
    registry.leave("b_%:2")
    assert registry.workers() == []


def test_workers_that_are_long_gone_are_forgotten_when_another_joins(registry: Registry) -> None:
    """Those that went lately stay listed, so that a person sees that they are gone."""
    for name, age_s in (("a:1", 2 * GRACE_S), ("b:2", 100 * GRACE_S)):
        registry.join(name, {})
        set_back(registry, f"worker:{name}", "seen_at", age_s)
    registry.join("c:3", {})
    assert [worker.id for worker in registry.workers()] == ["a:1", "c:3"]


def test_time_counts_while_anybody_is_there(registry: Registry) -> None:
    """For all together, not for each; the time in which nobody was there does not count."""
    assert registry.look().used_s == 0
    registry.join("a:1", {})
    registry.join("b:2", {})
    set_back(registry, "used", "at", 20)
    assert 20 <= registry.look().used_s < 30
    registry.beat("a:1", {})
    registry.beat("b:2", {})
    assert 20 <= registry.look().used_s < 30
    set_back(registry, "used", "at", 10)
    registry.leave("a:1")
    registry.leave("b:2")
    assert 30 <= registry.look().used_s < 40
    used_s = registry.look().used_s
    registry.join("c:3", {})
    assert registry.look().used_s - used_s < 5


def test_time_in_which_a_machine_slept_counts_a_grace_period_at_most(registry: Registry) -> None:
    """No worker ran; one that is seen again after an hour was not at work for it."""
    registry.join("a:1", {})
    set_back(registry, "used", "at", 3600)
    registry.beat("a:1", {})
    assert GRACE_S <= registry.look().used_s < GRACE_S + 30
    set_back(registry, "used", "at", 3600)
    set_back(registry, "worker:a:1", "seen_at", 3600)
    registry.join("b:2", {})
    assert registry.look().used_s < GRACE_S + 30


def test_dead_worker_adds_no_time(registry: Registry) -> None:
    """It is taken off by its supervisor, who does not know for how long it was at work."""
    registry.join("a:1", {})
    set_back(registry, "used", "at", 30)
    registry.leave("a:1", was_there=False)
    assert registry.look().used_s < 5


def test_death_of_one_takes_no_time_from_those_who_are_left(registry: Registry) -> None:
    """A machine on which workers die again and again would else stop the study's clock."""
    registry.join("a:1", {})
    registry.join("b:2", {})
    for _ in range(2):
        set_back(registry, "used", "at", 10)
        registry.leave("b:2", was_there=False)
    assert 20 <= registry.look().used_s < 30


def test_time_counts_while_a_process_replaces_itself(registry: Registry) -> None:
    """It comes again under its own name, seldom with a beat between: it was at work."""
    registry.join("a:1", {})
    for _ in range(3):
        set_back(registry, "used", "at", 10)
        set_back(registry, "worker:a:1", "seen_at", 10)
        registry.join("a:1", {})
    assert 30 <= registry.look().used_s < 40


def test_order_to_stop_is_seen_by_everybody(registry: Registry) -> None:
    """The newest one; it stays, and who joins later compares ids."""
    assert registry.look().stop is None
    registry.order_stop(StopOrder.new())
    newest = StopOrder.new(now=True, why="errors", detail="line\n  line")
    registry.order_stop(newest)
    seen = registry.look()
    assert seen.stop is not None
    assert replace(seen.stop, at=None) == newest
    assert seen.token == "token"


def test_order_is_minded_by_a_process_that_had_begun_before_it(registry: Registry) -> None:
    """Also by one that has not joined yet; one that begins after it does not mind it."""
    assert registry.stop_seen(lambda: 0.0) == "none"
    order = StopOrder.new()
    registry.order_stop(order)
    set_back(registry, "stop", "at", 10)
    assert registry.stop_seen(lambda: 5.0) == order.id
    assert registry.stop_seen(lambda: 100.0) == "none"


def test_many_beat_at_once(registry: Registry) -> None:
    """8 workers, each through a connection of its own."""
    slots = registry.slots  # type: ignore[attr-defined]
    each = [Registry(another(slots).storage, slots.study_id, grace_s=GRACE_S) for _ in range(8)]

    def work(i: int) -> None:
        each[i].join(f"w:{i}", {})
        for _ in range(5):
            each[i].beat(f"w:{i}", {"n": i})

    in_threads(8, work)
    assert len(registry.workers()) == 8
    assert registry.look().used_s < 60


def test_marker_is_made_up_by_one(registry: Registry) -> None:
    """All others learn it."""
    slots = registry.slots  # type: ignore[attr-defined]
    each = [Registry(another(slots).storage, slots.study_id, grace_s=GRACE_S) for _ in range(4)]
    found = in_threads(4, lambda i: each[i].claim_marker())
    assert len({marker for marker, _ in found}) == 1
    assert sorted(is_first for _, is_first in found) == [False, False, False, True]


def test_deleted_study_is_noticed(registry: Registry) -> None:
    """A beat is refused, a look shows no token."""
    registry.join("a:1", {})
    slots = registry.slots  # type: ignore[attr-defined]
    slots.storage.delete_study(slots.study_id)
    with pytest.raises(StorageError, match="the study was deleted"):
        registry.beat("a:1", {})
    assert registry.look().token is None


def test_records_are_plain_attributes(registry: Registry) -> None:
    """Anybody with Optuna can read them."""
    registry.join("a:1", {"host": "a"})
    slots = registry.slots  # type: ignore[attr-defined]
    found = slots.storage.get_study_user_attrs(slots.study_id)
    assert json.loads(json.dumps(found["worker:a:1"]))["host"] == "a"


def test_pause_is_seen_until_it_is_over(registry: Registry) -> None:
    """By every process that looks."""
    seen = [registry.look().paused]
    for paused in (True, True, False):
        registry.pause(paused)
        seen.append(registry.look().paused)
    assert seen == [False, True, True, False]
