"""Embed the unmodified optuna-dashboard, and rewrite some of its HTTP responses.

Its pages get a link to the workers' page. Its CSV files are escaped so that spreadsheets run no
formulas. A request is repeated after a restart of the database. `app.py` checks access before.
"""

import logging
import sys
from contextlib import closing
from typing import Any

from bottle import HTTPResponse

from storage.database.failures import is_passing
from storage.errors import StorageError
from study.dashboard.database import Database
from study.dashboard.request import Request, refused
from study.text import harmless_csv
from study.view.html import tag

PATIENCE_S = 5.0
# Headers that allow answers such as "not modified" or a part of a page.
CONDITIONAL = ("HTTP_IF_MODIFIED_SINCE", "HTTP_IF_NONE_MATCH", "HTTP_RANGE", "HTTP_IF_RANGE")
LINK_STYLE = (
    "position:fixed;right:12px;bottom:12px;z-index:1200;padding:6px 12px;border-radius:16px;"
    "background:#1f6aa5;color:#fff;font:14px/1.4 system-ui,sans-serif;text-decoration:none;"
    "box-shadow:0 1px 4px rgba(0,0,0,.4)"
)
LINK = tag("a", "Workers", href="/workers", id="study-workers", style=LINK_STYLE)


class OptunaPages:
    """optuna-dashboard on an open database."""

    def __init__(self, database: Database) -> None:
        # Not at the top: it loads SciPy and more, which takes seconds.
        import optuna_dashboard

        self._database = database
        self._app = optuna_dashboard.wsgi(database.storage)
        for name in ("optuna_dashboard._bottle_util", "optuna_dashboard._app"):
            logging.getLogger(name).addFilter(_without_outages)

    def answer(self, request: Request) -> HTTPResponse:
        """Answer a request for a path of optuna-dashboard."""
        environ = request.environ
        environ.setdefault("HTTP_ACCEPT_ENCODING", "")  # optuna-dashboard needs it for files
        is_page = request.path == "/dashboard" or request.path.startswith("/dashboard/")
        for name in CONDITIONAL if is_page else ():
            environ.pop(name, None)
        answer = self._ask(request)
        if answer.status_code >= 500 and not request.path.startswith("/static/"):
            self._database.forget_answer()
            if not self._database.answers(wait_s=PATIENCE_S):
                return away()
            if request.is_safe:
                answer = self._ask(request)
        is_csv = request.path.startswith("/csv/")
        if answer.status_code == 200 and request.method == "GET" and (is_page or is_csv):
            with closing(answer):
                text = b"".join(answer.body).decode()
            answer.body = harmless_csv(text) if is_csv else _with_link(text)
            for name in ("Etag", "Last-Modified", "Accept-Ranges"):  # of the original text
                answer.headers.pop(name, None)
        return answer

    def _ask(self, request: Request) -> HTTPResponse:
        started: list[Any] = []

        def start(status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
            started[:] = [status, headers]
            return started.append

        # A copy without bottle's keys: the app changes the mapping, and may be called again.
        environ = {k: v for k, v in request.environ.items() if not k.startswith("bottle.")}
        body = self._app(environ, start)
        status, headers = started
        # WSGI strings are latin-1, and bottle encodes them again.
        texts = [(name, value.encode("latin-1").decode()) for name, value in headers]
        return HTTPResponse(body, status, texts)


def away() -> HTTPResponse:
    """Return the answer while the database is unreachable."""
    return refused(503, "the database does not answer", Retry_After="5")


def _with_link(page: str) -> str:
    before, end, after = page.rpartition("</body>")
    return before + LINK + end + after if end else page


def _without_outages(record: logging.LogRecord) -> bool:
    """Whether to log an error of optuna-dashboard: not while the database is unreachable."""
    error = sys.exception()
    if isinstance(error, StorageError):  # another program has changed rows: one line is enough
        record.msg, record.args, record.exc_info = "%s", (error,), None
    return error is None or not is_passing(error)
