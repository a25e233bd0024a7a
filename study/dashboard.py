"""optuna-dashboard on a study's storage, for this machine alone.

The dashboard has no login and lets whoever reaches it delete studies. So it listens on a loopback
address only, and refuses requests that a foreign web page makes a browser send (another `Host`, to
which somebody's DNS gave our address, or another `Origin`). What it shows is optuna-dashboard's.
"""

import errno
import ipaddress
import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from study.errors import StudyError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from storage.rdb import SlotStorage

logger = logging.getLogger(__name__)

MAX_PORT = 65535


class DashboardError(StudyError):
    """The dashboard cannot listen where it was told to."""


class DashboardServer(ThreadingMixIn, WSGIServer):
    """A thread for each request, so that a large study does not hold up the page.

    Listens from its construction on.

    Args:
        host: A loopback address, or `localhost`.
        port: 0 for any free one.

    Raises:
        DashboardError: The host is reachable from outside, or the port cannot be had.
    """

    daemon_threads = True  # Ctrl-C does not wait for a browser
    allow_reuse_address = True
    allow_reuse_port = False  # two dashboards on one port would take turns

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        address = _loopback_address(host, port)
        if ":" in address:
            self.address_family = socket.AF_INET6
        if not 0 <= port <= MAX_PORT:
            raise DashboardError(f"port {port} is not within 0..{MAX_PORT}", "--port 8080")
        try:
            super().__init__((address, port), _QuietHandler)
        except OSError as error:
            raise _cannot_listen(host, port, error) from error

    @property
    def url(self) -> str:
        """Where the dashboard is, for the browser."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.server_address[1]}/"

    def server_bind(self) -> None:
        """As in `http.server`, but without asking the DNS for our name, which may take seconds."""
        TCPServer.server_bind(self)
        self.server_name = self._host
        self.server_port = self.server_address[1]
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away in the middle of an answer is nobody's concern."""
        expected = isinstance(sys.exception(), ConnectionError)
        level = logging.DEBUG if expected else logging.WARNING
        logger.log(level, "a request to the dashboard failed", exc_info=True)


class _QuietHandler(WSGIRequestHandler):
    """Logs requests where they can be had, and not on the user's screen."""

    def log_message(self, format: str, *args: Any) -> None:
        logger.debug(format, *args)


def serve_dashboard(storage_url: str, *, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serve optuna-dashboard on a storage until Ctrl-C.

    Args:
        storage_url: Must be there already.
        host: A loopback address, or `localhost`.
        port: 0 for any free one.
        say: Is told the URL, once the dashboard answers there.

    Raises:
        DashboardError: The host is reachable from outside, or the port cannot be had.
        StorageError: The storage is missing or cannot be used.
    """
    from storage.rdb import open_storage  # loads Optuna, which the error class above need not

    try:
        with (
            DashboardServer(host, port) as server,
            closing(open_storage(storage_url, create=False)) as storage,
        ):
            server.set_app(dashboard_app(storage))
            with _ended_by_interrupt(server):
                say(f"dashboard on {server.url}   (Ctrl-C ends it)")
                server.serve_forever()
    except KeyboardInterrupt:  # before it served
        return


@contextmanager
def _ended_by_interrupt(server: "DashboardServer") -> Iterator[None]:
    """Let Ctrl-C end `serve_forever`.

    A KeyboardInterrupt would be lost where it is raised inside what ignores every exception, such
    as the end of a request's objects.
    """

    def ask(number: int, frame: object) -> None:
        # In a thread: `shutdown` waits for the loop, in whose thread this runs.
        threading.Thread(target=server.shutdown, daemon=True).start()

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def dashboard_app(storage: "SlotStorage") -> "WSGIApplication":
    """Return optuna-dashboard on a storage, guarded by `only_for_this_machine`."""
    # Here, not above: it loads SciPy and more, seconds that a mistake need not wait for.
    import optuna_dashboard

    return only_for_this_machine(optuna_dashboard.wsgi(storage))


def only_for_this_machine(app: "WSGIApplication") -> "WSGIApplication":
    """Wrap an application: requests that a foreign web page may have sent are refused with 403."""

    def guarded(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        host = environ.get("HTTP_HOST", "")
        origin = environ.get("HTTP_ORIGIN")
        # Any port: through a tunnel the browser sees another one.
        if _is_loopback(_host_name(f"//{host}")) and origin in (None, f"http://{host}"):
            return app(environ, start_response)
        text = "This dashboard answers only to http://localhost and only to its own pages.\n"
        headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))]
        start_response("403 Forbidden", headers)
        return [text.encode()]

    return guarded


def _host_name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # a bracket without its other
        return ""


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _loopback_address(host: str, port: int) -> str:
    """Return the address to bind for `host`, which must be one of this machine's own."""
    if not _is_loopback(host):
        tunnel = f"ssh -L {port or 8080}:127.0.0.1:{port or 8080} THIS_MACHINE"
        raise DashboardError(
            f"the dashboard has no login yet, so it does not listen on '{host}', "
            "where others could delete studies",
            f"leave out --host, and on the other machine: {tunnel}",
        )
    return "127.0.0.1" if host == "localhost" else host


def _cannot_listen(host: str, port: int, error: OSError) -> DashboardError:
    hint = "study dashboard --port 0   (any free port)"
    if error.errno == errno.EADDRINUSE:
        return DashboardError(f"port {port} on {host} is taken by another program", hint)
    reason = error.strerror or str(error)
    return DashboardError(f"the dashboard cannot listen on {host} port {port}: {reason}", hint)
