"""Leaving a live view."""

import contextlib
import signal

import pytest

from study.view.keys import Keys


def test_interrupt_that_nobody_heard_is_not_lost() -> None:
    """Python drops one that is raised while an object is freed; the next wait raises it again."""
    before = signal.getsignal(signal.SIGINT)
    with Keys() as keys:
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            keys.wait(60)
    assert signal.getsignal(signal.SIGINT) is before


def test_sigterm_ends_the_wait() -> None:
    """And is no failure."""
    with Keys() as keys:
        signal.raise_signal(signal.SIGTERM)
        assert keys.wait(60)
