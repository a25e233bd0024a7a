"""Who is there: from a cookie, a trusted proxy, or nobody; and the page that lets one in.

Decides who a request comes from. What that person may do is `application.py`'s.
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
from dataclasses import dataclass
from urllib.parse import quote

from study.dashboard.door import Door, network_of
from study.dashboard.exchange import Answer, Request, own_path, redirect, to_json
from study.dashboard.page import make_page
from study.text import counted, harmless
from study.view.html import tag

COOKIE = "study_session"
LASTS_S = 12 * 3600.0


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


@dataclass(frozen=True)
class Visitor:
    """Somebody who is in.

    Attributes:
        name: None where nobody has to say who they are.
        session: None where there is no cookie to take away.
        id: What the forms that this visitor was given are signed for.
    """

    name: str | None
    session: Session | None = None
    id: str = ""


class Login:
    """Lets people in, and out again."""

    def __init__(
        self, door: Door, sessions: Sessions | None = None, keeper: Doorkeeper | None = None
    ) -> None:
        self._door = door
        self._sessions = sessions or Sessions()
        self._keeper = keeper or Doorkeeper()

    def visitor(self, request: Request) -> Visitor | None:
        """Return who a request comes from; None who has to log in."""
        if self._door.is_open:
            return Visitor(None)
        named = self._door.named_by_proxy(request)
        if named is not None:
            return Visitor(named, id=f"proxy {named}")
        session = self._sessions.read(request.cookie(cookie_name(request.port)))
        if session is None:
            return None
        return Visitor(session.user, session, session.id)

    def by_basic(self, request: Request) -> Answer | None:
        """Return why name and password of the request itself do not open; None where they do.

        For programs that keep no cookie. Only for what changes nothing: browsers send these along
        with any site's requests.
        """
        kind, _, text = request.header("Authorization").partition(" ")
        ask = {"WWW_Authenticate": 'Basic realm="study", charset="UTF-8"'}
        if kind.lower() != "basic":
            return to_json(401, "log in first", **ask)
        try:
            given = base64.b64decode(text.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return to_json(401, "log in first", **ask)
        user, _, password = given.partition(":")
        wait_s = self._check(request, user, password)
        if wait_s is None:
            return None
        if wait_s > 0:
            return to_json(429, "too many tries", Retry_After=str(math.ceil(wait_s)))
        return to_json(401, "wrong user or password", **ask)

    def turned_away(self, request: Request) -> Answer:
        """Return the answer for who has to log in: the way to the page for a person, 401 else."""
        if not request.is_navigation or self._door.password is None:
            return to_json(401, "log in first")
        return redirect(f"/login?next={quote(request.target, safe='/')}")

    def page(self, request: Request) -> Answer:
        """Answer for `/login`."""
        if self._door.password is None:
            return to_json(401, "log in at the proxy before this dashboard")
        if request.method == "POST":
            return self._let_in(request)
        if not request.is_safe:
            return to_json(405, "GET or POST")
        return _page(own_path(request.query("next")))

    def leave(self, request: Request, visitor: Visitor) -> Answer:
        """Answer for `/logout`."""
        if request.method != "POST" or not self.is_own_form(visitor, request.form()):
            return to_json(403, "only the button of these pages logs out")
        if visitor.session is not None:
            self._sessions.end(visitor.session)
        return redirect("/login", drop_cookie(cookie_name(request.port)))

    def form_token(self, visitor: Visitor) -> str:
        """Return what the forms of a visitor's pages carry."""
        return self._sessions.form_token(visitor.id)

    def is_own_form(self, visitor: Visitor, form: dict[str, str]) -> bool:
        """Whether a form that was sent is one that this visitor was given."""
        return self._sessions.is_form_token(visitor.id, form.get("token", ""))

    def _let_in(self, request: Request) -> Answer:
        form = request.form()
        user, to = form.get("user", ""), own_path(form.get("next", ""))
        wait_s = self._check(request, user, form.get("password", ""))
        if wait_s is None:
            name, value = cookie_name(request.port), self._sessions.begin(user)
            cookie = set_cookie(name, value, is_secure=request.is_secure)
            return redirect(to, cookie)
        if wait_s > 0:
            seconds = math.ceil(wait_s)
            answer = _page(to, f"Too many tries. Try again in {seconds} s.", status=429)
            answer.headers.append(("Retry-After", str(seconds)))
            return answer
        return _page(to, "Wrong user or password.", status=401)

    def _check(self, request: Request, user: str, password: str) -> float | None:
        """Return None where they open, 0 where not, or for how many seconds nothing is tried."""
        address = self._door.address_of(request)
        wait_s = self._keeper.try_now(address)
        if wait_s > 0 or not self._door.opens_for(user, password):
            self._keeper.keep_out(address, user)
            return wait_s
        self._keeper.let_in(address, user)
        return None


def _page(to: str, error: str | None = None, status: int = 200) -> Answer:
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


def _shown(text: str) -> str:
    return harmless(text[:LONGEST_SAID])


def _delay_s(n: int) -> float:
    if n < FREE_TRIES:
        return 0.0
    return min(FIRST_DELAY_S * 2.0 ** min(n - FREE_TRIES, 30), LONGEST_DELAY_S)


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
