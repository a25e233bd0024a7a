"""The web server: waitress on one socket, stopped from a signal handler or another thread.

It also limits connections, so that many slow ones of one client do not block other clients.
"""

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

from study.dashboard.access import network_of
from study.errors import DashboardError

MOST = 256
FILES_EACH = 3
"""Files that a connection may use: its socket, a long body and a long answer."""
FILES_LEFT = 100
"""Files reserved for the rest of the process."""
REQUEST_S = 20.0
IDLE_S = 60.0
MAX_PORT = 65535
BACKLOG = 128
N_THREADS = 8
MOST_BODY_BYTES = 1 << 20
MOST_HEADER_BYTES = 32 * 1024
IN_MEMORY_BYTES = 128 * 1024
"""A longer body or answer is kept in a temporary file."""
POLL_S = 0.5


class Server:
    """Serves a WSGI application until `stop`.

    Args:
        app: The application.
        listening: A listening socket; `serve` closes it.
        is_proxy: Whether an address is a trusted proxy, which forwards requests of many clients.
        limits: Arguments of `Connections`, if they differ from its defaults.
    """

    def __init__(
        self,
        app: Any,
        listening: socket.socket,
        is_proxy: Callable[[str], bool] = lambda address: False,
        **limits: Any,
    ) -> None:
        self.port: int = listening.getsockname()[1]
        self._stopped = threading.Event()
        self._is_closed = False
        # Reentrant: a signal handler may acquire it in the thread that it interrupts.
        self._closing = threading.RLock()
        self._sockets: dict[int, Any] = {}
        # Its warnings of a long queue do not help a user of the dashboard.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        self._server = waitress.create_server(
            app,
            map=self._sockets,
            sockets=[listening],
            threads=N_THREADS,
            ident=None,
            max_request_body_size=MOST_BODY_BYTES,
            max_request_header_size=MOST_HEADER_BYTES,
            inbuf_overflow=IN_MEMORY_BYTES,
            outbuf_overflow=IN_MEMORY_BYTES,
            connection_limit=sys.maxsize,  # `Connections` limits them
            log_socket_errors=False,
            # `access.py` reads proxies' headers: it knows which proxies are trusted.
            clear_untrusted_proxy_headers=False,
        )
        self._connections = Connections(self._server.active_channels, is_proxy, **limits)
        # Waitress wakes the loop from other threads, even for a request that outlives the loop.
        self._pull, self._server.pull_trigger = self._server.pull_trigger, self._wake

    def serve(self) -> None:
        """Answer requests until `stop`, then close everything."""
        try:
            while not self._stopped.is_set():
                # `poll`, because `select` cannot watch a file descriptor above 1,023.
                wasyncore.loop(timeout=POLL_S, use_poll=True, map=self._sockets, count=1)
                self._connections.tidy()
        finally:
            self._server.task_dispatcher.shutdown()
            with self._closing:
                self._is_closed = True
            self._connections.close()
            wasyncore.close_all(self._sockets)

    def stop(self) -> None:
        """Make `serve` return. May be called from a signal handler, and after `serve` has ended."""
        self._stopped.set()
        self._wake()

    def _wake(self) -> None:
        """Wake the loop, unless it has ended: its closed pipe's number may be used again."""
        with self._closing:
            if not self._is_closed:
                self._pull()


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Args:
        host: A name or an address of this machine; `0.0.0.0` for all.
        port: Port; 0 for any free port.

    Raises:
        DashboardError: The address is not available.
    """
    if not 0 <= port <= MAX_PORT:
        raise DashboardError(f"port {port} is not within 0..{MAX_PORT}", "--port 8080")
    address = "127.0.0.1" if host == "localhost" else host
    try:
        family, *_, place = socket.getaddrinfo(
            address or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        is_dual = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
        return socket.create_server(
            place,
            family=family,
            backlog=BACKLOG,
            dualstack_ipv6=is_dual,
        )
    except OSError as error:
        hint = "study dashboard --port 0   (any free port)"
        if error.errno == errno.EADDRINUSE:
            raise DashboardError(
                f"port {port} on {host} is taken by another program", hint
            ) from error
        reason = str(error.strerror or error).partition(" (while ")[0]
        raise DashboardError(
            f"the dashboard cannot listen on {host} port {port}: {reason}", hint
        ) from error


def url_of(host: str, port: int) -> str:
    """Return the dashboard's address for a browser on this machine."""
    named = "localhost" if host in ("", "0.0.0.0", "::") else host
    return f"http://{f'[{named}]' if ':' in named else named}:{port}/"


@dataclass
class _Open:
    """An open connection.

    Attributes:
        client: The address or network that counts as its client.
        doing: The arriving request, the number of unsent bytes, whether an answer is being made.
        since: Time of the last change of `doing`.
    """

    client: object
    doing: tuple[object, int, bool]
    since: float


class Connections:
    """Closes waitress' overdue and surplus connections; runs in the thread of waitress' loop.

    Args:
        channels: Waitress' connections, by file descriptor.
        is_proxy: Whether an address is a trusted proxy.
        most: Maximum number of connections; None: by the limit of open files.
        request_s: Time for a request to arrive, or for an answer to make progress, in s.
        idle_s: How long a connection may be open between two requests, in s.
    """

    def __init__(
        self,
        channels: dict[int, Any],
        is_proxy: Callable[[str], bool],
        *,
        most: int | None = None,
        request_s: float = REQUEST_S,
        idle_s: float = IDLE_S,
    ) -> None:
        self._channels, self._is_proxy = channels, is_proxy
        self._most = most_open() if most is None else most
        self._request_s, self._idle_s = request_s, idle_s
        self._open: dict[Any, _Open] = {}

    def tidy(self) -> None:
        """Close overdue connections, and connections beyond the limit."""
        now = time.monotonic()
        known, self._open = self._open, {}
        for channel in list(self._channels.values()):
            # Arriving bytes of an unfinished request do not change these values.
            doing = (channel.request, channel.total_outbufs_len, bool(channel.requests))
            one = known.get(channel) or _Open(self._client_of(channel), doing, now)
            if one.doing != doing:
                one.doing, one.since = doing, now
            self._open[channel] = one
        for channel, one in list(self._open.items()):
            request, n_unsent, is_answered = one.doing
            if is_answered and not n_unsent:
                continue  # the application computes the answer
            limit_s = self._request_s if request is not None or n_unsent else self._idle_s
            if now - one.since > limit_s:
                self._close(channel)
        while len(self._open) > self._most:
            # The least recently changed connection of the client with the most connections.
            counts = Counter(one.client for one in self._open.values())
            rank = {c: (-counts[one.client], one.since) for c, one in self._open.items()}
            self._close(min(rank, key=rank.__getitem__))

    def close(self) -> None:
        """Close all connections, with the files of their bodies and answers."""
        for channel in list(self._channels.values()):
            _close(channel)

    def _client_of(self, channel: Any) -> object:
        address = str(channel.addr[0])
        return channel if self._is_proxy(address) else network_of(address)

    def _close(self, channel: Any) -> None:
        del self._open[channel]
        _close(channel)


def _close(channel: Any) -> None:
    # At once: waitress' own close would first send the answer, which may never be read.
    if channel.request is not None:
        channel.request.close()  # its body may be in a file
    channel.handle_close()


def most_open() -> int:
    """Return how many connections the limit of open files allows."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files == resource.RLIM_INFINITY:
        return MOST
    return max(16, min(MOST, (files - FILES_LEFT) // FILES_EACH))
