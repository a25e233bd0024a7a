"""HTTP requests and responses of the dashboard's own pages, based on bottle.

Access is not checked here. bottle refuses a header value that holds a line end.
"""

import json
from typing import TYPE_CHECKING
from urllib.parse import quote

from bottle import BaseRequest, FormsDict, HTTPResponse

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

SAFE = ("GET", "HEAD")
TEXT = "text/plain; charset=utf-8"
FORM = "application/x-www-form-urlencoded"
LONGEST_FORM = 16 * 1024  # bytes


class Request(BaseRequest):  # type: ignore[misc] # bottle has no types
    """A request. `query.NAME` is a parameter of the query, or an empty text."""

    MEMFILE_MAX = LONGEST_FORM  # bottle raises a 413 for a longer form
    environ: "WSGIEnvironment"

    @property
    def target(self) -> str:
        """Path and query, quoted."""
        path = quote(self.path.encode("latin-1", errors="replace"))
        return f"{path}?{self.query_string}" if self.query_string else path

    @property
    def is_safe(self) -> bool:
        """Whether the method changes nothing."""
        return self.method in SAFE

    @property
    def is_navigation(self) -> bool:
        """Whether a browser asks for a page, as opposed to a script that asks for data."""
        is_data = self.path.startswith(("/api/", "/csv/", "/static/"))
        return self.is_safe and "text/html" in self.header("Accept") and not is_data

    @property
    def port(self) -> str:
        """The port in the browser's address, as digits; empty if the address has none."""
        digits = self.header("Host").rpartition(":")[2]
        return digits if digits.isascii() and digits.isdigit() else ""

    @property
    def is_secure(self) -> bool:
        """Whether the browser uses TLS; only the `Secure` flag of its cookie depends on it."""
        forwarded = self.header("X-Forwarded-Proto").partition(",")[0].strip()
        return (forwarded or self.environ.get("wsgi.url_scheme")) == "https"

    @property
    def peer(self) -> str:
        """The address at the other end of the connection, which may be a proxy's."""
        return str(self.environ.get("REMOTE_ADDR", ""))

    def header(self, name: str) -> str:
        """Return a header's value, decoded as latin-1; empty if the header is missing."""
        return str(self.environ.get("HTTP_" + name.upper().replace("-", "_"), ""))

    def form(self) -> FormsDict:
        """Return the fields of an urlencoded form; a missing field reads as an empty text."""
        kind = str(self.environ.get("CONTENT_TYPE", "")).partition(";")[0].strip()
        return self.forms if kind == FORM else FormsDict()

    def cookie(self, name: str) -> str:
        """Return a cookie's value; empty if it is missing.

        Parsed by hand: `http.cookies` reads no cookie at all if a program on another port of this
        host has set an invalid one, such as JSON.
        """
        pairs = (part.partition("=") for part in self.header("Cookie").split(";"))
        return next((value.strip() for key, _, value in pairs if key.strip() == name), "")


def refused(status: int, reason: str, **headers: str) -> HTTPResponse:
    """Return a refusal in optuna-dashboard's form, with headers such as `Retry_After`."""
    body = json.dumps({"reason": reason})
    return HTTPResponse(body, status, Content_Type="application/json", **headers)


def redirect(path: str) -> HTTPResponse:
    """Return a redirect to another page of this site; see `own_path`."""
    return HTTPResponse("", 303, Content_Type=TEXT, Location=path)


def own_path(text: str) -> str:
    """Return a path of this site unchanged, and `/` for any text that may lead elsewhere."""
    is_own = text.startswith("/") and not text.startswith("//") and "\\" not in text
    return text if is_own and text.isascii() and text.isprintable() else "/"
