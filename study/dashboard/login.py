"""Login of visitors: page, sessions, users named by a trusted proxy, waits after failed logins.

This module identifies the visitor of a request; `app.py` decides what that visitor may do.
"""

import base64
import binascii
import hashlib
import hmac
import logging
import math
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import quote

from bottle import FormsDict, HTTPResponse

from study.dashboard.access import Access, digest, network_of
from study.dashboard.page import make_page
from study.dashboard.request import Request, own_path, redirect, refused
from study.text import counted, harmless
from study.view.html import tag

logger = logging.getLogger(__name__)

COOKIE = "study_session"
LASTS_S = 12 * 3600.0
MOST_SESSIONS = 10_000
FREE_TRIES = 3
FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 60.0
FORGOTTEN_AFTER_S = 900.0
MOST_ADDRESSES = 10_000
SAID_EVERY_S = 10.0
LONGEST_SAID = 60  # characters of a name or an address


class Throttle:
    """Makes an address wait after failed logins, longer after each failure, and logs failures.

    Args:
        clock: Monotonic time in s.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[str, tuple[int, float]] = {}  # how many, and when the last was
        self._lock = threading.Lock()
        self._n_unlogged, self._logged_at = 0, float("-inf")

    def begin_try(self, address: str) -> float:
        """Count a try, which counts as failed until `succeeded` is called.

        Returns:
            0, or how long the address must wait in s; then the password must not be checked.
        """
        now, key = self._clock(), network_of(address)
        with self._lock:
            n, last_at = self._failures.get(key, (0, now))
            if now - last_at >= FORGOTTEN_AFTER_S:
                n = 0
            delay_s = FIRST_DELAY_S * 2.0 ** min(n - FREE_TRIES, 30) if n >= FREE_TRIES else 0.0
            left_s = last_at + min(delay_s, LONGEST_DELAY_S) - now
            if left_s > 0:
                return left_s
            self._failures.pop(key, None)
            self._failures[key] = n + 1, now
            while len(self._failures) > MOST_ADDRESSES:
                del self._failures[next(iter(self._failures))]  # the oldest failure
            return 0.0

    def succeeded(self, address: str, user: str) -> None:
        """Forget the failures of an address."""
        with self._lock:
            self._failures.pop(network_of(address), None)
            if self._n_unlogged:
                self._log("then '%s' logged in from %s", user, address)

    def failed(self, address: str, user: str) -> None:
        """Log a wrong password or an early try, at most one line in `SAID_EVERY_S`."""
        with self._lock:
            self._n_unlogged += 1
            if self._clock() - self._logged_at >= SAID_EVERY_S:
                self._log("the last as '%s' from %s", user, address)

    def _log(self, what: str, user: str, address: str) -> None:
        shown = [harmless(text[:LONGEST_SAID]) for text in (user, address)]
        logger.warning(f"%s, {what}", counted(self._n_unlogged, "failed login"), *shown)
        self._n_unlogged, self._logged_at = 0, self._clock()


@dataclass(frozen=True)
class Session:
    """A login. `id` is the hash of its cookie, `ends_at` in seconds of the wall clock."""

    id: str
    user: str
    ends_at: float


class Sessions:
    """The sessions, in memory: they end with this process.

    Args:
        clock: Wall time in s.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._open: dict[str, Session] = {}
        self._lock = threading.Lock()

    def begin(self, user: str) -> str:
        """Begin a session; return its cookie's value."""
        value, now = secrets.token_urlsafe(32), self._clock()
        session = Session(digest(value), user, now + LASTS_S)
        with self._lock:
            self._open = {key: one for key, one in self._open.items() if one.ends_at > now}
            while len(self._open) >= MOST_SESSIONS:
                del self._open[next(iter(self._open))]  # the oldest
            self._open[session.id] = session
        return value

    def read(self, value: str) -> Session | None:
        """Return the session of a cookie; None if it does not exist or has ended."""
        found = self._open.get(digest(value))
        return found if found is not None and self._clock() < found.ends_at else None

    def end(self, session: Session) -> None:
        """End a session, so that no copy of its cookie is valid."""
        with self._lock:
            self._open.pop(session.id, None)

    def form_token(self, visitor_id: str) -> str:
        """Return the token of a visitor's forms; other sites do not know it."""
        return hmac.new(self._key, visitor_id.encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Visitor:
    """A person or program with access.

    Attributes:
        name: The user; None if no login is needed.
        token: The token of this visitor's forms.
        can_write: Whether the visitor may change studies.
        session: The session that a log-out ends; None without one.
    """

    name: str | None
    token: str = field(repr=False)
    can_write: bool
    session: Session | None = None

    def owns(self, form: FormsDict) -> bool:
        """Whether a form carries this visitor's token."""
        return hmac.compare_digest(self.token.encode(), form.token.encode())


class Login:
    """Logs visitors in and out, and identifies the visitor of a request."""

    def __init__(self, access: Access) -> None:
        self._access, self._sessions, self._throttle = access, Sessions(), Throttle()

    def visitor(self, request: Request) -> Visitor | None:
        """Return the visitor of a request; None if a login is needed first."""
        if self._access.is_open:
            return self._visitor(None)
        named = self._access.named_by_proxy(request)
        if named is not None:
            return self._visitor(named, f"proxy {named}")
        session = self._sessions.read(request.cookie(cookie_name(request.port)))
        return self._visitor(session.user, session.id, session) if session else None

    def by_basic(self, request: Request) -> Visitor:
        """Return the visitor by basic authentication, for programs without cookies.

        Only for requests that change nothing, because browsers send it with any site's requests.

        Raises:
            HTTPResponse: User or password is missing or wrong, or the try comes too early.
        """
        kind, _, text = request.header("Authorization").partition(" ")
        ask = {"WWW_Authenticate": 'Basic realm="study", charset="UTF-8"'}
        try:
            given = base64.b64decode(text.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            given = None
        if kind.lower() != "basic" or given is None:
            raise refused(401, "log in first", **ask)
        user, _, password = given.partition(":")
        wait_s = self._check(request, user, password)
        if wait_s is None:
            return self._visitor("metrics")
        if wait_s > 0:
            raise refused(429, "too many tries", Retry_After=str(math.ceil(wait_s)))
        raise refused(401, "wrong user or password", **ask)

    def turned_away(self, request: Request) -> HTTPResponse:
        """Return the answer without a login: the login page for a browser, 401 for a program."""
        if not request.is_navigation or self._access.password is None:
            return refused(401, "log in first")
        return redirect(f"/login?next={quote(request.target, safe='/')}")

    def page(self, request: Request) -> HTTPResponse:
        """Answer `/login`."""
        if self._access.password is None:
            return refused(401, "log in at the proxy before this dashboard")
        if request.method == "POST":
            return self._log_in(request)
        if not request.is_safe:
            return refused(405, "GET or POST")
        return _page(own_path(request.query.next))

    def leave(self, request: Request, visitor: Visitor) -> HTTPResponse:
        """Answer `/logout`."""
        if request.method != "POST" or not visitor.owns(request.form()):
            return refused(403, "only the button of these pages logs out")
        if visitor.session is not None:
            self._sessions.end(visitor.session)
        answer = redirect("/login")
        answer.add_header("Set-Cookie", make_cookie(cookie_name(request.port), "", 0))
        return answer

    def _visitor(
        self, name: str | None, visitor_id: str = "", session: Session | None = None
    ) -> Visitor:
        token = self._sessions.form_token(visitor_id)
        return Visitor(name, token, self._access.allow_writes, session)

    def _log_in(self, request: Request) -> HTTPResponse:
        form = request.form()
        to = own_path(form.next)
        wait_s = self._check(request, form.user, form.password)
        if wait_s is None:
            name, value = cookie_name(request.port), self._sessions.begin(form.user)
            answer = redirect(to)
            cookie = make_cookie(name, value, LASTS_S, is_secure=request.is_secure)
            answer.add_header("Set-Cookie", cookie)
        elif wait_s > 0:
            seconds = math.ceil(wait_s)
            answer = _page(to, f"Too many tries. Try again in {seconds} s.", status=429)
            answer.add_header("Retry-After", str(seconds))
        else:
            answer = _page(to, "Wrong user or password.", status=401)
        return answer

    def _check(self, request: Request, user: str, password: str) -> float | None:
        """Return None for the right password, 0 for a wrong one, or how long to wait in s."""
        address = self._access.address_of(request)
        wait_s = self._throttle.begin_try(address)
        if wait_s > 0 or not self._access.accepts(user, password):
            self._throttle.failed(address, user)
            return wait_s
        self._throttle.succeeded(address, user)
        return None


def _page(to: str, error: str | None = None, status: int = 200) -> HTTPResponse:
    user = tag("input", name="user", autocomplete="username", autofocus="", required="")
    secret = {"type": "password", "autocomplete": "current-password"}
    password = tag("input", name="password", required="", **secret)
    form = tag(
        "form",
        tag("input", type="hidden", name="next", value=to),
        tag("label", "User", user),
        tag("label", "Password", password),
        tag("p", error, class_="error", role="alert") if error else None,
        tag("button", "Log in", type="submit", class_="main"),
        method="post",
        action="/login",
    )
    return make_page("Log in", tag("main", tag("h1", "study"), form, class_="login"), status=status)


def cookie_name(port: str) -> str:
    """Return the cookie's name, which differs by port: browsers share cookies between ports.

    Args:
        port: The port in the browser's address.
    """
    return f"{COOKIE}_{port}" if port else COOKIE


def make_cookie(name: str, value: str, lasts_s: float, *, is_secure: bool = False) -> str:
    """Return the `Set-Cookie` header that sets a session's cookie; 0 s deletes the cookie."""
    flags = f"Path=/; HttpOnly; SameSite=Lax; Max-Age={int(lasts_s)}"
    return f"{name}={value}; {flags}{'; Secure' if is_secure else ''}"
