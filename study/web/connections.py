"""Which connections of the web server stay open: no address can take the places of the others.

None is refused. A request that takes too long to arrive is ended, and so is an answer that nobody
reads. Where there are too many connections, one goes of the address that has the most: the one that
rests longest. A trusted proxy speaks for many: each of its connections counts as an address.
"""

import resource
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from study.web.doorkeeper import network_of

MOST = 256
FILES_EACH = 3
"""A connection may hold so many files: its socket, and a body and an answer too long for memory."""
FILES_LEFT = 100
"""So many files are left to the rest of the process."""
REQUEST_S = 20.0
IDLE_S = 60.0


@dataclass
class _Open:
    """An open connection.

    Attributes:
        whose: Address, or network, that it counts for.
        doing: The request that arrives, bytes of an answer to send, whether one is being made.
        since: When that was seen to change, by the clock.
    """

    whose: object
    doing: tuple[object, int, bool]
    since: float


class Connections:
    """Closes connections of waitress; to be called in the thread that runs its loop.

    Args:
        channels: Those of waitress' server, by file descriptor.
        is_proxy: Whether an address is a trusted proxy's.
        most: So many are kept open; None for as many as this process has files for.
        request_s: For how long a request may arrive, or an answer go without progress, in s.
        idle_s: For how long a connection may be open between two requests, in s.
        clock: Monotonic time in s.
    """

    def __init__(
        self,
        channels: dict[int, Any],
        is_proxy: Callable[[str], bool],
        *,
        most: int | None = None,
        request_s: float = REQUEST_S,
        idle_s: float = IDLE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._channels, self._is_proxy, self._clock = channels, is_proxy, clock
        self._most = most_open() if most is None else most
        self._request_s, self._idle_s = request_s, idle_s
        self._open: dict[Any, _Open] = {}

    def tidy(self) -> None:
        """Close what is overdue, and what is too many."""
        now = self._clock()
        known, self._open = self._open, {}
        for channel in list(self._channels.values()):
            # While a request arrives byte by byte nothing of this changes.
            doing = (channel.request, channel.total_outbufs_len, bool(channel.requests))
            one = known.get(channel) or _Open(self._whose(channel), doing, now)
            if one.doing != doing:
                one.doing, one.since = doing, now
            self._open[channel] = one
        for channel, one in list(self._open.items()):
            request, n_unsent, is_answered = one.doing
            if is_answered and not n_unsent:
                continue  # the application is at it
            limit_s = self._request_s if request is not None or n_unsent else self._idle_s
            if now - one.since > limit_s:
                self._close(channel)
        while len(self._open) > self._most:
            self._close(self._least_needed())

    def _whose(self, channel: Any) -> object:
        address = str(channel.addr[0])
        return channel if self._is_proxy(address) else network_of(address)

    def _least_needed(self) -> Any:
        """Return the one of the address that has the most for which nothing was done longest."""
        counts = Counter(one.whose for one in self._open.values())

        def rank(channel: Any) -> tuple[int, float]:
            one = self._open[channel]
            return -counts[one.whose], one.since

        return min(self._open, key=rank)

    def _close(self, channel: Any) -> None:
        # At once: one that is not read could not be told to close when it has been written.
        del self._open[channel]
        if channel.request is not None:
            channel.request.close()  # a body that is in a file
        channel.handle_close()


def most_open() -> int:
    """Return how many connections this process has files for."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files == resource.RLIM_INFINITY:
        return MOST
    return max(16, min(MOST, (files - FILES_LEFT) // FILES_EACH))
