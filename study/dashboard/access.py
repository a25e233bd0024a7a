"""Access settings of the dashboard: made from its options, and checked.

On loopback without a login, a visitor may do everything, as with a local file. With a login, and on
any other address, visitors log in, and access is read-only unless writes are allowed.
"""

import hashlib
import hmac
import ipaddress
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from study.dashboard.request import Request
from study.errors import DashboardError

PASSWORD = "STUDY_DASHBOARD_PASSWORD"
SHORT = 8  # characters
LONGEST_PREFIX = {4: 24, 6: 64}
"""By IP version: shortest prefix of a trusted network with public addresses."""
PRIVATE = [
    *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8"),
    *("169.254.0.0/16", "fc00::/7", "fe80::/10"),
]
HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9])?|\[?[0-9a-f:.]+\]?")
WITH_PORT = re.compile(r"\[([^\]]*)\](?::\d+)?|([^:]*):\d+")
HOW_TO_LOG_IN = (
    "STUDY_DASHBOARD_USER=... STUDY_DASHBOARD_PASSWORD=... study dashboard --host {host}   "
    "(or --password-file FILE)"
)


@dataclass(frozen=True)
class Access:
    """The settings.

    Attributes:
        user, password: For the login page; None without a login page.
        trust_header: Name of the header in which a proxy names the user.
        proxies: Networks of the proxies whose `trust_header` and `X-Forwarded-For` are believed.
        hosts: Host names under which the dashboard is reached; empty for any.
        is_open: Whether no login is needed.
        allow_writes: Whether a visitor with access may change studies.
    """

    user: str | None = None
    password: str | None = field(default=None, repr=False)
    trust_header: str | None = None
    proxies: tuple[Any, ...] = ()
    hosts: frozenset[str] = frozenset()
    is_open: bool = False
    allow_writes: bool = False

    def accepts(self, user: str, password: str) -> bool:
        """Whether user and password are correct, in constant time."""
        if self.user is None or self.password is None:
            return False
        is_user = hmac.compare_digest(digest(user), digest(self.user))
        return hmac.compare_digest(digest(password), digest(self.password)) and is_user

    def named_by_proxy(self, request: Request) -> str | None:
        """Return the user that a trusted proxy names; None without such a proxy or user."""
        if self.trust_header is None or not self.is_proxy(request.peer):
            return None
        return request.header(self.trust_header).strip() or None

    def address_of(self, request: Request) -> str:
        """Return the client's address; behind a trusted proxy, the last address that it forwards.

        The port that some proxies add is cut off, as it differs between connections.
        """
        said = request.header("X-Forwarded-For").rpartition(",")[2].strip()
        if not said or not self.is_proxy(request.peer):
            return request.peer
        found = WITH_PORT.fullmatch(said)
        return (found[1] or found[2]) if found else said

    def is_proxy(self, address: str) -> bool:
        """Whether an address is a trusted proxy's."""
        found = _parsed(address)
        return found is not None and any(found in network for network in self.proxies)


def digest(text: str) -> str:
    """Return the sha256 of a text, which may hold lone surrogates."""
    return hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()


def make_access(
    *,
    host: str,
    user: str | None,
    password_file: Path | None,
    trust_header: str | None,
    trusted_proxies: Iterable[str],
    host_names: Iterable[str],
    allow_writes: bool,
) -> Access:
    """Return the settings from the options and the environment.

    Raises:
        DashboardError: A setting is invalid, or would give access to strangers.
    """
    password = read_password(password_file)
    proxies = tuple(_network(text) for text in trusted_proxies)
    if trust_header is not None and not proxies:
        raise DashboardError(
            f"--trust-header {trust_header} needs a trusted proxy: anybody can send a header",
            "--trusted-proxy ADDRESS",
        )
    if user is not None and password is None:
        raise DashboardError(
            f"user '{user}' has no password", f"set {PASSWORD}, or --password-file FILE"
        )
    hosts = frozenset(name.lower() for name in host_names)
    if odd := sorted(name for name in hosts if not HOST.fullmatch(name)):
        raise DashboardError(
            f"--host-name {odd[0]!r} is not a host name: without scheme, port and path",
            "--host-name study.example.org",
        )
    has_login = password is not None or trust_header is not None
    if not has_login and (hosts or not is_loopback(host)):
        where = f"as '{min(hosts)}'" if is_loopback(host) else f"on '{host}'"
        raise DashboardError(
            f"a dashboard without a login is for this machine only, so it does not listen {where}",
            HOW_TO_LOG_IN.format(host=host),
        )
    return Access(
        user=(user or "study") if password is not None else None,
        password=password,
        trust_header=trust_header,
        proxies=proxies,
        hosts=hosts,
        is_open=not has_login,
        allow_writes=allow_writes or not has_login,
    )


def read_password(file: Path | None) -> str | None:
    """Return the password of a file or of the environment; None if neither has one.

    Raises:
        DashboardError: The file cannot be read, or the password is empty, blank or several lines.
    """
    where = PASSWORD if file is None else f"--password-file {file}"
    try:
        # utf-8-sig: an editor may write a byte order mark.
        found = file.read_text("utf-8-sig").strip("\r\n") if file else os.environ.get(PASSWORD, "")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise DashboardError(f"{where} cannot be read: {reason}") from None
    if not found:
        if file is None:
            return None
        raise DashboardError(f"{where} is empty", "write the password into it")
    if not any(one.isprintable() and not one.isspace() for one in found):
        raise DashboardError(f"{where} is blank: anybody would guess it", "a longer password")
    if file is not None and "\n" in found:
        raise DashboardError(f"{where} has several lines", "write only the password")
    return found


def _network(text: str) -> Any:
    try:
        found = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise DashboardError(
            f"--trusted-proxy {text!r} is not an address", "like 127.0.0.1 or 10.0.0.0/8"
        ) from None
    private = [net for net in map(ipaddress.ip_network, PRIVATE) if net.version == found.version]
    is_private = any(found.subnet_of(net) for net in private)  # type: ignore[arg-type]
    if found.prefixlen < LONGEST_PREFIX[found.version] and not is_private:
        raise DashboardError(
            f"--trusted-proxy {text} is not a proxy but a part of the internet: any host with an "
            "address there could name any user",
            "the proxy's own address, like 10.0.0.2",
        )
    return found


def _parsed(address: str) -> Any:
    """Return an IP address, None for other text; IPv4 for an IPv4-mapped IPv6 address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def is_loopback(host: str) -> bool:
    """Whether a host name or an address can be reached only from this machine."""
    found = _parsed(host)
    return host == "localhost" or (found is not None and bool(found.is_loopback))


def network_of(address: str) -> str:
    """Return the network that counts as one client; for IPv6 a whole /64."""
    found = _parsed(address)
    if found is None or found.version == 4:
        return str(found or address)
    return str(ipaddress.ip_network(f"{found}/64", strict=False))
