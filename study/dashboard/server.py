"""The web server: waitress on a socket of ours, ended from a signal or from another thread."""

import errno
import logging
import resource
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import waitress
from waitress import wasyncore

from study.dashboard.door import network_of
from study.dashboard.exchange import App
from study.errors import DashboardError

MOST = 256
FILES_EACH = 3
"""A connection may hold so many files: its socket, and a body and an answer too long for memory."""
FILES_LEFT = 100
"""So many files are left to the rest of the process."""
REQUEST_S = 20.0
IDLE_S = 60.0


MAX_PORT = 65535
BACKLOG = 128


N_THREADS = 8
MOST_BODY_BYTES = 1 << 20
MOST_HEADER_BYTES = 32 * 1024
IN_MEMORY_BYTES = 128 * 1024
"""Of a body or an answer; what is longer is in a temporary file."""
POLL_S = 0.5


class Server:
    """Serves an application from its construction until `stop`.

    Args:
        app: May be replaced while it serves.
        listening: A socket that listens; this object closes it.
        is_proxy: Whether an address is a trusted proxy's, which speaks for many.
        limits: Arguments of `Connections` that differ from what it has by default.
    """

    def __init__(
        self,
        app: App,
        listening: socket.socket,
        is_proxy: Callable[[str], bool] = lambda address: False,
        **limits: Any,
    ) -> None:
        self.app = app
        self.port: int = listening.getsockname()[1]
        self._stopped = threading.Event()
        self._is_closed = False
        # One that a signal handler may take again in the thread that it has interrupted.
        self._closing = threading.RLock()
        self._sockets: dict[int, Any] = {}
        # Its warnings of a long queue are of no use to who looks at a dashboard.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        self._server = waitress.create_server(
            lambda environ, start_response: self.app(environ, start_response),
            map=self._sockets,
            sockets=[listening],
            threads=N_THREADS,
            ident=None,
            max_request_body_size=MOST_BODY_BYTES,
            max_request_header_size=MOST_HEADER_BYTES,
            inbuf_overflow=IN_MEMORY_BYTES,
            outbuf_overflow=IN_MEMORY_BYTES,
            connection_limit=sys.maxsize,  # `connections.py` decides that
            log_socket_errors=False,
            # What proxies say is read by `door.py`, which knows whom to believe.
            clear_untrusted_proxy_headers=False,
        )
        self._connections = Connections(self._server.active_channels, is_proxy, **limits)
        # Waitress wakes its loop from other threads, too: of a request that outlives the loop.
        self._pull, self._server.pull_trigger = self._server.pull_trigger, self._wake

    def serve(self) -> None:
        """Answer until `stop`, then close everything."""
        try:
            while not self._stopped.is_set():
                # By `poll`: `select` has no room for a file descriptor above 1,023.
                wasyncore.loop(timeout=POLL_S, use_poll=True, map=self._sockets, count=1)
                self._connections.tidy()
        finally:
            self._server.task_dispatcher.shutdown()
            with self._closing:
                self._is_closed = True
            wasyncore.close_all(self._sockets)

    def stop(self) -> None:
        """Let `serve` come back; from a signal handler too, and when it has come back already."""
        self._stopped.set()
        self._wake()

    def _wake(self) -> None:
        """Wake the loop, unless it has ended: its pipe is closed, and the number another's."""
        with self._closing:
            if not self._is_closed:
                self._pull()


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: A name or an address of this machine; `0.0.0.0` for all.
        port: 0 for any free one.

    Raises:
        DashboardError: It cannot be had.
    """
    if not 0 <= port <= MAX_PORT:
        raise DashboardError(f"port {port} is not within 0..{MAX_PORT}", "--port 8080")
    address = "127.0.0.1" if host == "localhost" else host
    try:
        family, kind, proto, _, place = socket.getaddrinfo(
            address or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, proto)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(place)
            found.listen(BACKLOG)
        except BaseException:
            found.close()
            raise
    except OSError as error:
        raise _cannot_listen(host, port, error) from error
    return found


def url_of(host: str, port: int) -> str:
    """Return where a browser of this machine finds it."""
    named = "localhost" if host in ("", "0.0.0.0", "::") else host
    return f"http://{f'[{named}]' if ':' in named else named}:{port}/"


def _cannot_listen(host: str, port: int, error: OSError) -> DashboardError:
    hint = "study dashboard --port 0   (any free port)"
    if error.errno == errno.EADDRINUSE:
        return DashboardError(f"port {port} on {host} is taken by another program", hint)
    reason = error.strerror or str(error)
    return DashboardError(f"the dashboard cannot listen on {host} port {port}: {reason}", hint)


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
