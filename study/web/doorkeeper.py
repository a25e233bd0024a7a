"""How often somebody may try to log in: after failures, each address waits longer and longer.

A try counts as failed before its password is looked at, so that many at once gain nothing. Nobody
sleeps here: who is too early is told when to come again. Failures are logged: no password, and no
line for each of many.
"""

import ipaddress
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from study.harmless import harmless
from study.wording import counted

logger = logging.getLogger(__name__)

FREE_TRIES = 3
FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 60.0
FORGOTTEN_AFTER_S = 900.0
MOST_ADDRESSES = 10_000
SAID_EVERY_S = 10.0
LONGEST_SAID = 60  # characters of a name or an address


@dataclass
class _Failures:
    n: int = 0
    last_at: float = 0.0


class Doorkeeper:
    """Counts failures by address.

    Args:
        clock: Monotonic time in s.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[str, _Failures] = {}
        self._lock = threading.Lock()
        self._n_unsaid, self._said_at = 0, float("-inf")

    def try_now(self, address: str) -> float:
        """Begin a try, which is failed until `let_in` says otherwise.

        Returns:
            0, or for how many seconds the address has to wait; then the password is not looked at.
        """
        now, key = self._clock(), network_of(address)
        with self._lock:
            found = self._failures.get(key)
            if found is None or now - found.last_at >= FORGOTTEN_AFTER_S:
                self._make_room(now)
                found = self._failures[key] = _Failures()
            left_s = found.last_at + _delay_s(found.n) - now
            if left_s > 0:
                return left_s
            found.n, found.last_at = found.n + 1, now
            return 0.0

    def let_in(self, address: str, user: str) -> None:
        """The password was right: the address starts anew."""
        with self._lock:
            self._failures.pop(network_of(address), None)
            if self._n_unsaid:
                self._say(f"then '{_shown(user)}' logged in from {_shown(address)}")

    def keep_out(self, address: str, user: str) -> None:
        """The password was wrong, or the try too early: log it, at most one line in a while."""
        with self._lock:
            self._n_unsaid += 1
            if self._clock() - self._said_at >= SAID_EVERY_S:
                self._say(f"the last as '{_shown(user)}' from {_shown(address)}")

    def _say(self, what: str) -> None:
        logger.warning("%s, %s", counted(self._n_unsaid, "failed login"), what)
        self._n_unsaid, self._said_at = 0, self._clock()

    def _make_room(self, now: float) -> None:
        kept = {k: f for k, f in self._failures.items() if now - f.last_at < FORGOTTEN_AFTER_S}
        while len(kept) >= MOST_ADDRESSES:
            kept.pop(next(iter(kept)))  # the one that came first
        self._failures = kept


def _shown(text: str) -> str:
    return harmless(text[:LONGEST_SAID])


def _delay_s(n: int) -> float:
    if n < FREE_TRIES:
        return 0.0
    return min(FIRST_DELAY_S * 2.0 ** min(n - FREE_TRIES, 30), LONGEST_DELAY_S)


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
