"""Where the dashboard listens: which addresses are this machine's own, and the socket itself.

A socket of ours, so that an address that cannot be had is one line, and is known before anything
is served.
"""

import errno
import ipaddress
import socket

from study.web.errors import DashboardError

MAX_PORT = 65535
BACKLOG = 128


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address, or is called so."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


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
