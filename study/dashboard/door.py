"""Who may come in: the settings of a dashboard, and whether they leave it open to everybody.

On loopback everybody who reaches it may do everything, as with a file of one's own. Anywhere else,
and wherever a login was set up, one has to log in and may only look unless writes are allowed.
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

from study.dashboard.exchange import Request
from study.errors import DashboardError

PASSWORD = "STUDY_DASHBOARD_PASSWORD"
SHORT = 8  # characters
LONGEST_PREFIX = {4: 24, 6: 64}
"""Of IPv4 and IPv6: a trusted network with public addresses in it is no larger than this."""
PRIVATE = tuple(
    ipaddress.ip_network(net)
    for net in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8"),
        *("169.254.0.0/16", "fc00::/7", "fe80::/10"),
    )
)
HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9])?|\[?[0-9a-f:.]+\]?")
WITH_PORT = re.compile(r"\[([^\]]*)\](?::\d+)?|([^:]*):\d+")

HOW_TO_LOG_IN = (
    "STUDY_DASHBOARD_USER=... STUDY_DASHBOARD_PASSWORD=... study dashboard --host {host}   "
    "(or --password-file FILE)"
)


@dataclass(frozen=True)
class Door:
    """The settings.

    Attributes:
        user, password: What opens the login page; None where there is none.
        trust_header: Name of the header in which a proxy says who has logged in there.
        proxies: From whose addresses that header, and `X-Forwarded-For`, is believed.
        hosts: Names under which the dashboard is reached; empty for any.
        is_open: Whether nobody has to log in.
        allow_writes: Whether who is in may change something.
    """

    user: str | None = None
    password: str | None = field(default=None, repr=False)
    trust_header: str | None = None
    proxies: tuple[Any, ...] = ()
    hosts: frozenset[str] = frozenset()
    is_open: bool = False
    allow_writes: bool = False

    def opens_for(self, user: str, password: str) -> bool:
        """Whether a name and a password are the right ones, in constant time."""
        if self.user is None or self.password is None:
            return False
        names = hmac.compare_digest(_digest(user), _digest(self.user))
        return hmac.compare_digest(_digest(password), _digest(self.password)) and names

    def named_by_proxy(self, request: Request) -> str | None:
        """Return whom a trusted proxy says it is; None from anybody else."""
        if self.trust_header is None or not self.is_proxy(request.peer):
            return None
        return request.header(self.trust_header).strip() or None

    def address_of(self, request: Request) -> str:
        """Return where a request comes from: behind a trusted proxy, what that says last.

        Without the port that some proxies add: each connection has another one.
        """
        said = request.header("X-Forwarded-For").rpartition(",")[2].strip()
        if not said or not self.is_proxy(request.peer):
            return request.peer
        found = WITH_PORT.fullmatch(said)
        return (found[1] or found[2]) if found else said

    def is_proxy(self, address: str) -> bool:
        """Whether an address is that of a trusted proxy."""
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        mapped = getattr(found, "ipv4_mapped", None)  # IPv4 on a socket of both
        return any((mapped or found) in network for network in self.proxies)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).digest()


def make_door(
    *,
    host: str,
    is_loopback: bool,
    user: str | None,
    password_file: Path | None,
    trust_header: str | None,
    trusted_proxies: Iterable[str],
    host_names: Iterable[str],
    allow_writes: bool,
) -> Door:
    """Return the settings that options and environment make.

    Raises:
        DashboardError: They would let everybody in from outside, or cannot be used.
    """
    password = read_password(password_file)
    proxies = tuple(_network(text) for text in trusted_proxies)
    if trust_header is not None and not proxies:
        raise DashboardError(
            f"--trust-header {trust_header} needs to know from whom: anybody can send a header",
            "--trusted-proxy ADDRESS",
        )
    if user is not None and password is None:
        raise DashboardError(
            f"user '{user}' has no password", f"set {PASSWORD}, or --password-file FILE"
        )
    hosts = frozenset(name.lower() for name in host_names)
    if odd := sorted(name for name in hosts if not HOST.fullmatch(name)):
        raise DashboardError(
            f"--host-name {odd[0]!r} is no name of a host: without scheme, port and path",
            "--host-name study.example.org",
        )
    has_login = password is not None or trust_header is not None
    if not has_login and (hosts or not is_loopback):
        where = f"on '{host}'" if not is_loopback else f"as '{min(hosts)}'"
        raise DashboardError(
            f"a dashboard without a login is for this machine alone, so it does not listen {where}",
            HOW_TO_LOG_IN.format(host=host),
        )
    return Door(
        user=(user or "study") if password is not None else None,
        password=password,
        trust_header=trust_header,
        proxies=proxies,
        hosts=hosts,
        is_open=not has_login,
        allow_writes=allow_writes or not has_login,
    )


def read_password(file: Path | None) -> str | None:
    """Return the password of a file, or of the environment; None where there is none.

    Raises:
        DashboardError: The file cannot be read, or the password is empty or blank.
    """
    if file is None:
        found = os.environ.get(PASSWORD, "")
        if found and _is_blank(found):
            raise DashboardError(f"{PASSWORD} is blank: anybody would guess it", "a longer one")
        return found or None
    try:
        found = file.read_text("utf-8-sig").strip("\r\n")  # an editor may put a mark before it
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise DashboardError(f"--password-file {file} cannot be read: {reason}") from None
    if _is_blank(found):
        is_what = "blank" if found else "empty"
        raise DashboardError(f"--password-file {file} is {is_what}", "write the password into it")
    if "\n" in found:
        raise DashboardError(f"--password-file {file} has several lines", "the password alone")
    return found


def _is_blank(password: str) -> bool:
    return not any(one.isprintable() and not one.isspace() for one in password)


def _network(text: str) -> Any:
    try:
        found = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise DashboardError(
            f"--trusted-proxy {text!r} is no address", "like 127.0.0.1 or 10.0.0.0/8"
        ) from None
    is_private = any(found.version == p.version and found.subnet_of(p) for p in PRIVATE)  # type: ignore[arg-type]
    if found.prefixlen < LONGEST_PREFIX[found.version] and not is_private:
        raise DashboardError(
            f"--trusted-proxy {text} is no proxy but a part of the internet: whoever has an "
            "address there could name anybody",
            "the proxy's own address, like 10.0.0.2",
        )
    return found


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address, or is called so."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def network_of(address: str) -> str:
    """Return what counts as one address: whoever has an IPv6 address has its whole /64."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    mapped = getattr(found, "ipv4_mapped", None)  # IPv4 on a socket of both
    if found.version == 4 or mapped is not None:
        return str(mapped or found)
    return str(ipaddress.ip_network(f"{found}/64", strict=False))
