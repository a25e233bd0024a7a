"""What a person tells the workers of a study, wherever they are: stop, pause, go on.

A finalize's trainings are a study of their own, which is told the same.
"""

from collections.abc import Iterator

from storage.registry import StopOrder
from study.companion import companion_of
from study.opening import OpenStudy


def stop(opened: OpenStudy, *, now: bool = False) -> int:
    """Ask all workers to save, release and leave; return how many there are.

    Args:
        now: Whether their epochs are not to end first.
    """
    grace_s, n_workers, order = opened.spec.grace_s, 0, StopOrder.new(now=now)
    for one in _both(opened):
        registry = one.registry()
        n_workers += sum(worker.seen_s <= grace_s for worker in registry.workers())
        registry.order_stop(order)
    return n_workers


def pause(opened: OpenStudy, *, paused: bool) -> None:
    """Let all workers claim nothing, or let them claim again; they stay, and end what they have."""
    for one in _both(opened):
        one.registry().pause(paused)


def _both(opened: OpenStudy) -> Iterator[OpenStudy]:
    yield opened
    companion = companion_of(opened)
    if companion is not None:
        yield companion
