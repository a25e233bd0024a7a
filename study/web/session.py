"""The session of a browser that has logged in: a cookie that only this process could have signed.

The key is random and lives as long as the server: whoever restarts it ends every session. Decides
what is in a cookie and when it is no longer good; who gets one is `login.py`'s.
"""

import base64
import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

COOKIE = "study_session"
LASTS_S = 12 * 3600.0


@dataclass(frozen=True)
class Session:
    """Who is there.

    Attributes:
        id: Random; another login is another session.
        ends_at: Seconds of the wall clock.
    """

    user: str
    id: str
    ends_at: float


class Sessions:
    """Makes sessions and finds out whether a cookie is one.

    Args:
        clock: Wall time in s.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._key = secrets.token_bytes(32)
        self._clock = clock
        self._ended: dict[str, float] = {}
        self._lock = threading.Lock()

    def begin(self, user: str) -> str:
        """Return the cookie's value of a new session."""
        name = base64.urlsafe_b64encode(user.encode()).decode().rstrip("=")
        text = f"{name}.{secrets.token_hex(16)}.{int(self._clock() + LASTS_S)}"
        return f"{text}.{self._sign('session', text)}"

    def read(self, value: str) -> Session | None:
        """Return the session of a cookie; None where it is forged, over, or was ended."""
        text, _, signature = value.rpartition(".")
        if not hmac.compare_digest(self._sign("session", text).encode(), signature.encode()):
            return None
        name, session_id, ends_at = text.split(".")
        user = base64.urlsafe_b64decode(name + "=" * (-len(name) % 4)).decode()
        session = Session(user, session_id, float(ends_at))
        with self._lock:
            is_over = session.id in self._ended or self._clock() >= session.ends_at
        return None if is_over else session

    def end(self, session: Session) -> None:
        """Log out: the cookie is no longer good, also not for who has copied it."""
        now = self._clock()
        with self._lock:
            self._ended = {i: at for i, at in self._ended.items() if at > now}
            self._ended[session.id] = session.ends_at

    def form_token(self, session_id: str) -> str:
        """Return what a form of ours carries, so that no other site can send it."""
        return self._sign("form", session_id)

    def is_form_token(self, session_id: str, token: str) -> bool:
        """Whether a form came from a page that this session was given."""
        return hmac.compare_digest(self.form_token(session_id).encode(), token.encode())

    def _sign(self, purpose: str, text: str) -> str:
        message = f"{purpose}\0{text}".encode()
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()


def cookie_name(port: str) -> str:
    """Return the cookie's name: browsers share cookies between all ports of a host.

    Args:
        port: Of the browser's address; two dashboards on one machine differ in it.
    """
    return f"{COOKIE}_{port}" if port else COOKIE


def set_cookie(name: str, value: str, *, is_secure: bool) -> str:
    """Return the header that gives a browser its session."""
    flags = f"Path=/; HttpOnly; SameSite=Lax; Max-Age={int(LASTS_S)}"
    return f"{name}={value}; {flags}{'; Secure' if is_secure else ''}"


def drop_cookie(name: str) -> str:
    """Return the header that takes it away."""
    return f"{name}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0"
