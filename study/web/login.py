"""Who is there: from a cookie, a trusted proxy, or nobody; and the page that lets one in.

Decides who a request comes from. What that person may do is `application.py`'s.
"""

import base64
import binascii
import math
from dataclasses import dataclass
from urllib.parse import quote

from study.markup import tag
from study.web.door import Door
from study.web.doorkeeper import Doorkeeper
from study.web.exchange import Answer, Request, own_path, redirect, to_json
from study.web.page import make_page
from study.web.session import Session, Sessions, cookie_name, drop_cookie, set_cookie


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
