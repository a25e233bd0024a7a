"""One request and its answer, as the pages of ours see them.

Decides what is read of a request, and that no text gets into a header with a line end. Who may ask
for what is not decided here.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

LONGEST_FORM = 16 * 1024  # bytes
SAFE = ("GET", "HEAD")
HTML = "text/html; charset=utf-8"
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class Request:
    """A request; `environ` is WSGI's."""

    environ: "WSGIEnvironment"

    @property
    def method(self) -> str:
        """As it was sent: no header changes it."""
        return str(self.environ.get("REQUEST_METHOD", "GET"))

    @property
    def path(self) -> str:
        """Without the query, decoded."""
        return str(self.environ.get("PATH_INFO", "")) or "/"

    @property
    def target(self) -> str:
        """Path and query as they were sent, or in another spelling of the same."""
        query = str(self.environ.get("QUERY_STRING", ""))
        path = quote(self.path.encode("latin-1", errors="replace"))
        return f"{path}?{query}" if query else path

    @property
    def is_safe(self) -> bool:
        """Whether it asks for something and changes nothing."""
        return self.method in SAFE

    @property
    def is_navigation(self) -> bool:
        """Whether a person's browser asks for a page, as opposed to a script for data."""
        accepted = self.header("Accept")
        is_data = self.path.startswith(("/api/", "/csv/", "/static/"))
        return self.is_safe and "text/html" in accepted and not is_data

    @property
    def port(self) -> str:
        """The port in the browser's address, as digits; empty where none is said."""
        digits = self.header("Host").rpartition(":")[2]
        return digits if digits.isascii() and digits.isdigit() else ""

    @property
    def is_secure(self) -> bool:
        """Whether the browser came by TLS; only the flag of its own cookie depends on it."""
        forwarded = self.header("X-Forwarded-Proto").partition(",")[0].strip()
        return (forwarded or self.environ.get("wsgi.url_scheme")) == "https"

    @property
    def peer(self) -> str:
        """The address at the other end of the connection."""
        return str(self.environ.get("REMOTE_ADDR", ""))

    def header(self, name: str) -> str:
        """Return a header's value; empty where there is none."""
        return str(self.environ.get("HTTP_" + name.upper().replace("-", "_"), ""))

    def query(self, name: str) -> str:
        """Return the last value of a name in the query; empty where there is none."""
        return _last(str(self.environ.get("QUERY_STRING", "")), name)

    def form(self) -> dict[str, str]:
        """Return the fields of a form that was sent; empty where it is too long or no form."""
        kind = str(self.environ.get("CONTENT_TYPE", "")).partition(";")[0].strip()
        length = str(self.environ.get("CONTENT_LENGTH", "") or "0")
        if kind != "application/x-www-form-urlencoded" or not length.isdigit():
            return {}
        if int(length) > LONGEST_FORM:
            return {}
        text = self.environ["wsgi.input"].read(int(length)).decode("utf-8", errors="replace")
        found = _parse(text)
        return {name: values[-1] for name, values in found.items()}

    def cookie(self, name: str) -> str:
        """Return a cookie's value; empty where there is none.

        Read by hand: http.cookies finds none at all where a program on another port of this host
        has set one that it does not like, such as JSON.
        """
        pairs = (part.partition("=") for part in self.header("Cookie").split(";"))
        return next((value.strip() for key, _, value in pairs if key.strip() == name), "")


def _parse(text: str) -> dict[str, list[str]]:
    try:
        return parse_qs(text, keep_blank_values=True, max_num_fields=50)
    except ValueError:  # too many fields
        return {}


def _last(text: str, name: str) -> str:
    return (_parse(text).get(name) or [""])[-1]


@dataclass
class Answer:
    """An answer of ours; its length and kind stand in the headers."""

    status: int
    body: str = ""
    kind: str = TEXT
    headers: list[tuple[str, str]] = field(default_factory=list)

    def send(self, request: Request, start_response: "StartResponse") -> Iterable[bytes]:
        """Give it to a WSGI server."""
        body = self.body.encode()
        own = [("Content-Type", self.kind), ("Content-Length", str(len(body)))]
        start_response(status_line(self.status), own + self.headers)
        return [] if request.method == "HEAD" else [body]


def status_line(status: int) -> str:
    """Return `404 Not Found`."""
    return f"{status} {HTTPStatus(status).phrase}"


def to_json(status: int, reason: str, **headers: str) -> Answer:
    """Return an answer in the form of optuna-dashboard's own refusals."""
    named = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return Answer(status, json.dumps({"reason": reason}), "application/json", named)


def redirect(path: str, *cookies: str) -> Answer:
    """Return an answer that leads to another page of ours.

    Args:
        path: Begins with one slash; an untrusted one goes through `own_path` first.
        cookies: Values of Set-Cookie.
    """
    return Answer(303, headers=[("Location", path), *(("Set-Cookie", c) for c in cookies)])


def own_path(text: str) -> str:
    """Return a path of this site as it is, and `/` for whatever could lead elsewhere."""
    is_own = text.startswith("/") and not text.startswith(("//", "/\\"))
    return text if is_own and text.isascii() and text.isprintable() and "\\" not in text else "/"


App = Any
"""A WSGI application."""
