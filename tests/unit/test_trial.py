"""What a report of a trial does before and instead of writing."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from objectives.errors import LeaseLost
from study.speed import Speed
from study.trial import Drained, _Attempt


def attempt() -> Any:
    """Return an attempt at a slot of a study that takes no writes."""
    place = SimpleNamespace(stop=threading.Event(), slots=None, speed=Speed(None))
    claim = SimpleNamespace(slot=SimpleNamespace(trial=7))
    lease = SimpleNamespace(lost=threading.Event())
    return _Attempt(place, claim, lease, None)  # type: ignore[arg-type]


def test_report_without_a_value_writes_nothing_and_goes_on() -> None:
    """A training without valid rows has nothing to say but that an epoch is over."""
    attempt()._report(0, None)


def test_report_without_a_value_hears_the_stop() -> None:
    """The slot is released after the epoch, as with a value."""
    stopped = attempt()
    stopped._place.stop.set()
    with pytest.raises(Drained):
        stopped._report(0, None)


def test_report_without_a_value_hears_that_the_lease_is_lost() -> None:
    """Another worker trains this slot by now."""
    lost = attempt()
    lost._lease.lost.set()
    with pytest.raises(LeaseLost, match="trial 7 is no longer this worker's"):
        lost._report(0, None)
