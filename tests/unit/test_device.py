"""The lock of a device: shared by everybody, or held by one alone."""

import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from objectives.files.userfolder import lock_folder
from study.machine import locks
from study.machine.locks import DeviceLock

LIMIT_S = 20.0
said: list[str] = []


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks of this test's own."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def lock(*, alone: bool, look: Callable[[], None] = lambda: None) -> DeviceLock:
    """A lock of the one device there is."""
    return DeviceLock("cpu", alone=alone, look=look, say=said.append)


class Waiting:
    """A thread that asks for the lock; `look` tells that it waits."""

    def __init__(self, *, alone: bool) -> None:
        self.waits, self.has, self.may_go = (threading.Event() for _ in range(3))
        self._thread = threading.Thread(target=self._hold, args=(alone,), daemon=True)
        self._thread.start()

    def _hold(self, alone: bool) -> None:
        with lock(alone=alone, look=self.waits.set):
            self.has.set()
            self.may_go.wait(LIMIT_S)

    def leave(self) -> None:
        self.may_go.set()
        self._thread.join(LIMIT_S)


@pytest.fixture
def alone() -> Iterator[Waiting]:
    """One that wants to be alone while another trial is in progress."""
    with lock(alone=False):
        waiting = Waiting(alone=True)
        assert waiting.waits.wait(LIMIT_S)
        assert not waiting.has.is_set()
        yield waiting
        waiting.may_go.set()


def test_many_share_a_device() -> None:
    """Trials run beside each other."""
    with lock(alone=False), lock(alone=False):
        other = Waiting(alone=False)
        assert other.has.wait(LIMIT_S)
        other.leave()


def test_one_that_must_be_alone_waits_and_keeps_new_ones_out(alone: Waiting) -> None:
    """Else it would wait for ever where trials follow each other."""
    late = Waiting(alone=False)
    assert late.waits.wait(LIMIT_S)
    assert not late.has.is_set()


def test_one_that_is_alone_holds_others_up_until_it_ends() -> None:
    """However it ends."""
    first = Waiting(alone=True)
    assert first.has.wait(LIMIT_S)
    second = Waiting(alone=False)
    assert second.waits.wait(LIMIT_S)
    first.leave()
    assert second.has.wait(LIMIT_S)
    second.leave()


def test_waiting_ends_by_what_look_raises(alone: Waiting) -> None:
    """A drain or a lost lease; nothing stays locked by who gave up."""

    def refuse() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError), lock(alone=False, look=refuse):
        pass


def test_who_waits_says_for_what(alone: Waiting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits to be alone, and who waits for that one; the holder is this process here."""
    monkeypatch.setattr(locks, "QUIET_S", 0.0)
    by = rf"it is used by .*pid {os.getpid()} of user \d+"
    wanted = [rf"waiting for cpu, {why}: {by}" for why in ("to have it alone", "until .* ends")]
    said.clear()

    def look() -> None:
        if all(any(re.fullmatch(one, line) for line in said) for one in wanted):
            raise InterruptedError

    with pytest.raises(InterruptedError), lock(alone=False, look=look):
        pass


def test_trial_goes_on_without_a_lock_that_cannot_be_had(tmp_path: Path) -> None:
    """It is said once a process; the trial is not to blame."""
    folder = lock_folder()
    os.mkfifo(folder / "odd-place.lock")
    said.clear()
    for _ in range(2):
        with DeviceLock("odd-place", alone=True, look=lambda: None, say=said.append):
            pass
    assert len(said) == 1
    assert "odd-place.lock: not a file of its own" in said[0]


def test_name_of_a_device_may_be_long() -> None:
    """As with many GPUs by their long names; two that differ at the end are two."""
    said.clear()
    with (
        DeviceLock("GPU-" * 100 + "1", alone=True, look=refuse, say=said.append),
        DeviceLock("GPU-" * 100 + "2", alone=True, look=refuse, say=said.append),
    ):
        assert not said


def refuse() -> None:
    raise AssertionError("the device is taken")
