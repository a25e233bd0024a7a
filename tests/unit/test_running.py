"""When the study's own state ends a run, and how much of its timeout is kept for a finalize."""

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import pytest
from optuna.study import StudyDirection

from storage import attrs
from storage.rdb import open_storage
from storage.registry import Seen, StopOrder
from storage.slots.slots import Slots
from study.run import run
from study.run.run import Reserve, _told_to_stop, for_one_network, half, nothing
from study.run.supervisor import Stop, Supervisor
from study.spec.open import OpenStudy, open_study
from study.spec.spec import StudySpec
from study.view.status import StudyStatus, read_status
from study.worker.signals import StopRequest

JUST_S = 0.01
SPEC = StudySpec("synthetic", None, {}, "s", None, [], "maximize", 0, 1, "float32", 1)


@pytest.fixture
def opened(sqlite_url: str) -> Iterator[OpenStudy]:
    """A study of two slots without a timeout."""
    storage = open_storage(sqlite_url)
    study_id = storage.create_new_study([StudyDirection.MAXIMIZE], "s")
    Slots(storage, study_id).plan(2, define={attrs.SPEC: SPEC.to_json(), attrs.TOKEN: "t"})
    yield open_study(storage, "s")
    storage.close()


def limited(opened: OpenStudy, timeout_s: float | None) -> OpenStudy:
    """Give the study a timeout, as `create` or a later command does; return it opened with that."""
    spec = replace(SPEC, timeout_s=timeout_s)
    opened.storage.set_study_user_attr(opened.study_id, attrs.SPEC, spec.to_json())
    return replace(opened, spec=spec)


def used(opened: OpenStudy, used_s: float, trial_s: float | None = None) -> StudyStatus:
    """The study as it is after so much of its time, with trials of that mean duration."""
    return replace(read_status(opened), seen=Seen("t", None, used_s), trial_s=trial_s)


def ends_at(opened: OpenStudy, at_s: float, trial_s: float | None, reserve: Reserve) -> Stop:
    """The stop that is due at `at_s`, and not a moment before."""
    before = used(opened, at_s - JUST_S, trial_s)
    assert _told_to_stop(opened, before, "none", reserve) is None
    stop = _told_to_stop(opened, used(opened, at_s, trial_s), "none", reserve)
    assert stop is not None
    return stop


@pytest.mark.parametrize(
    ("timeout_s", "trial_s", "at_s"),
    [
        (100.0, None, 90.0),  # nothing is known of a trial: 10 s
        (100.0, 10.0, 75.0),  # a trial and a half, and 10 s
        (3600.0, 600.0, 2690.0),
        (100.0, 60.0, 50.0),  # never more than half
        (8.0, None, 4.0),
    ],
)
def test_time_is_kept_for_a_quick_finalize(
    opened: OpenStudy, timeout_s: float, trial_s: float | None, at_s: float
) -> None:
    """The workers do not know of it: they hear the timeout alone, so they are to be told."""
    stop = ends_at(limited(opened, timeout_s), at_s, trial_s, for_one_network)
    assert not stop.is_known


@pytest.mark.parametrize("trial_s", [None, 0.1, 600.0])
@pytest.mark.parametrize("timeout_s", [8.0, 100.0, 3600.0])
def test_time_is_kept_for_a_finalize(
    opened: OpenStudy, timeout_s: float, trial_s: float | None
) -> None:
    """Half of it, however long a trial takes; the workers are to be told."""
    stop = ends_at(limited(opened, timeout_s), timeout_s / 2, trial_s, half)
    assert stop == Stop(
        f"the study's {timeout_s:g} s are over but for {timeout_s / 2:.0f} s, "
        "which are for the finalize"
    )


@pytest.mark.parametrize("timeout_s", [None, 1000.0])
def test_workers_stop_at_the_deadline_of_a_finalize(
    opened: OpenStudy, timeout_s: float | None
) -> None:
    """Not a moment before; they do not know of it, so they are to be told."""
    now = time.monotonic()
    study, status = limited(opened, timeout_s), used(opened, 1.0)
    assert _told_to_stop(study, status, "none", nothing, now + 60) is None
    stop = _told_to_stop(study, status, "none", nothing, now - JUST_S)
    assert stop == Stop("the time of the finalize is over")
    assert not stop.is_known


def test_without_a_finalize_all_of_the_time_is_searched(opened: OpenStudy) -> None:
    """The workers hear that it is over by themselves; a second request would end them at once."""
    stop = ends_at(limited(opened, 100.0), 100.0, 10.0, nothing)
    assert stop == Stop("the study's 100 s are over", is_known=True)


@pytest.mark.parametrize("reserve", [nothing, half, for_one_network])
def test_study_without_a_timeout_is_not_told_to_stop(opened: OpenStudy, reserve: Reserve) -> None:
    """However long it has been worked on."""
    assert _told_to_stop(opened, used(opened, 1e6, 600.0), "none", reserve) is None


def test_timeout_that_was_raised_since_is_the_one_that_counts(opened: OpenStudy) -> None:
    """Another command may raise it while this one runs; the reserve is then that of the new one."""
    early = limited(opened, 100.0)
    limited(opened, 1000.0)
    ends_at(early, 500.0, None, half)
    ends_at(early, 990.0, None, for_one_network)
    ends_at(early, 1000.0, None, nothing)
    limited(opened, None)
    assert _told_to_stop(early, used(opened, 1e6), "none", half) is None


def test_timeout_that_was_raised_is_heard_before_time_is_kept_of_the_old_one(
    opened: OpenStudy,
) -> None:
    """What is kept of the old timeout begins before it is over: it is looked up by then."""
    early = limited(opened, 100.0)
    limited(opened, 1000.0)
    assert _told_to_stop(early, used(opened, 95.0), "none", half) is None


class Hangs:
    """A supervisor whose workers are gone at once, and which hears nothing of its database."""

    def end_now(self) -> None:
        """End nothing."""


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("is_second", [False, True])
def test_run_whose_database_hangs_ends_all_the_same(
    ends: bool, is_second: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Soon after a second signal, and some time after a first; one that ends itself is left to."""
    exits: list[int] = []
    monkeypatch.setattr(os, "_exit", exits.append)
    monkeypatch.setattr(run, "SECOND_S", 0.05)
    monkeypatch.setattr(run, "PATIENCE_S", 0.05)
    stop = StopRequest(lambda: None, lambda: None)
    stop.by_interrupt = True
    if ends:
        stop.ended.set()
    if is_second:
        run._end_now(cast(Supervisor, Hangs()), stop)
    else:
        run._end_late(cast(Supervisor, Hangs()), stop, 0.05)
    assert exits == ([] if ends else [130])


def test_order_to_stop_is_heard_before_the_time(opened: OpenStudy) -> None:
    """One that is older than the run is not; the workers hear it by themselves."""
    order = StopOrder.new()
    status = replace(used(opened, 1e6), seen=Seen("t", order, 1e6))
    asked = Stop("stopped", is_known=True)
    assert _told_to_stop(limited(opened, 100.0), status, "none", half) == asked
    assert _told_to_stop(opened, status, order.id, half) is None
