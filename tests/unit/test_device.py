"""The lock of a device: shared by everybody, or held by one alone."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from study.device import DeviceLock

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
