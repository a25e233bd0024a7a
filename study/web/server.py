"""The web server: waitress on a socket of ours, ended from a signal or from another thread."""

import logging
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

import waitress
from waitress import wasyncore

from study.web.connections import Connections
from study.web.exchange import App

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
