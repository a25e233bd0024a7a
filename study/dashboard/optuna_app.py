"""optuna-dashboard inside our server: its own code, and what is done to its answers.

Its page gets a link to ours, its CSV files cells that no spreadsheet runs, and a request that met a
restart of the database is made again. Who may send which request was decided before.
"""

import logging
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from storage.database.failures import is_passing
from storage.errors import StorageError
from study.dashboard.database import Database
from study.dashboard.exchange import Answer, App, Request, to_json
from study.text import harmless_csv
from study.view.html import tag

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

PATIENCE_S = 5.0
# What would make its page a "not modified", or a piece of itself.
CONDITIONAL = ("HTTP_IF_MODIFIED_SINCE", "HTTP_IF_NONE_MATCH", "HTTP_RANGE", "HTTP_IF_RANGE")
LINK_STYLE = (
    "position:fixed;right:12px;bottom:12px;z-index:1200;padding:6px 12px;border-radius:16px;"
    "background:#1f6aa5;color:#fff;font:14px/1.4 system-ui,sans-serif;text-decoration:none;"
    "box-shadow:0 1px 4px rgba(0,0,0,.4)"
)
LINK = tag("a", "Workers", href="/workers", id="study-workers", style=LINK_STYLE)


class OptunaPages:
    """optuna-dashboard on a database that is there."""

    def __init__(self, database: Database, app: App | None = None) -> None:
        # Here, not above: it loads SciPy and more, seconds that a mistake need not wait for.
        import optuna_dashboard

        self._database = database
        self._app = app or optuna_dashboard.wsgi(database.storage)
        for name in ("optuna_dashboard._bottle_util", "optuna_dashboard._app"):
            logging.getLogger(name).addFilter(_is_no_outage)

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        request = Request(environ)
        environ.setdefault("HTTP_ACCEPT_ENCODING", "")  # its own files fail without
        is_page = request.path == "/dashboard" or request.path.startswith("/dashboard/")
        if is_page:
            for name in CONDITIONAL:
                environ.pop(name, None)
        status, headers, body = self._answer(environ)
        if status.startswith("5") and not request.path.startswith("/static/"):
            self._database.forget_answer()
            if not self._database.answers(wait_s=PATIENCE_S):
                return away().send(request, start_response)
            if request.is_safe:
                status, headers, body = self._answer(environ)
        if status.startswith("200") and request.method == "GET":
            if is_page:
                headers, body = _replaced(headers, _with_link(_whole(body)))
            elif request.path.startswith("/csv/"):
                text = _whole(body).decode()
                headers, body = _replaced(headers, harmless_csv(text).encode())
        start_response(status, headers)
        return body

    def _answer(
        self, environ: "WSGIEnvironment"
    ) -> tuple[str, list[tuple[str, str]], Iterable[bytes]]:
        started: list[Any] = []

        def start(status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
            started[:] = [status, headers]
            return started.append

        # A copy: it changes what it is given, and may be asked again.
        body = self._app(dict(environ), start)
        return started[0], started[1], body


def away() -> Answer:
    """Return the answer while the database is away."""
    return to_json(503, "the database does not answer", Retry_After="5")


def _with_link(page: bytes) -> bytes:
    before, end, after = page.rpartition(b"</body>")
    return before + LINK.encode() + end + after if end else page


def _whole(body: Iterable[bytes]) -> bytes:
    try:
        return b"".join(body)
    finally:
        close = getattr(body, "close", None)
        if close is not None:
            close()


def _replaced(
    headers: list[tuple[str, str]], body: bytes
) -> tuple[list[tuple[str, str]], Iterable[bytes]]:
    """Return headers and body of another length, without what named the earlier one."""
    gone = ("content-length", "etag", "last-modified", "accept-ranges")
    kept = [(name, value) for name, value in headers if name.lower() not in gone]
    return [*kept, ("Content-Length", str(len(body)))], [body]


def _is_no_outage(record: logging.LogRecord) -> bool:
    """Whether a line of its log is worth its traceback: a database that is away is not."""
    error = sys.exception()
    if isinstance(error, StorageError):  # somebody has changed it, which the line says
        record.msg, record.args, record.exc_info = "%s", (error,), None
    return error is None or not is_passing(error)
