"""The dashboard's site as one WSGI application: checks each request and routes it to a page.

The order is: health check, refusal of other sites, login, read-only mode, database, page. No other
module checks a visitor's rights again, except that each button's form must carry its token.
"""

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from bottle import HTTPResponse

from storage.database.failures import is_passing
from storage.errors import StorageError, StorageUnavailableError
from study.dashboard.access import Access
from study.dashboard.database import Database
from study.dashboard.guard import add_headers, refuse_foreign
from study.dashboard.login import Login, Visitor
from study.dashboard.metrics import METRICS_TYPE, metrics_text
from study.dashboard.optuna_app import OptunaPages, away
from study.dashboard.overview import Overview
from study.dashboard.request import TEXT, Request, redirect, refused
from study.dashboard.workers import empty_page, page_of, workers_page
from study.errors import StudyError
from study.spec.orders import pause, retry_failed, retry_trial, stop

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

logger = logging.getLogger(__name__)

READ_ONLY = "this dashboard is read-only; to change something, start it with --allow-writes"
NOT_A_BUTTON = "only a button of these pages does that"
# Headers by which a client could change host or method of a request. The site needs none of them.
IGNORED = ("HTTP_X_FORWARDED_HOST", "HTTP_X_HTTP_METHOD_OVERRIDE", "HTTP_X_METHOD_OVERRIDE")
DONE = {
    "stop": "Asked the workers to save, release and exit. Start new workers to go on.",
    "pause": "Asked the workers to claim no new trials.",
    "resume": "Workers claim trials again.",
    "retry": "Failed slots are open again.",
}
"""The orders of the workers' page, and the message after each.

A link names the order only, so that it cannot put other text on the page.
"""


class Application:
    """The site. Until `prepare`, all pages answer that the dashboard waits for the database."""

    def __init__(self, access: Access, database: Database) -> None:
        self._access, self._database, self._login = access, database, Login(access)
        self._pages: tuple[OptunaPages, Overview] | None = None

    def prepare(self) -> None:
        """Create the pages that read the database, which must be open."""
        self._pages = OptunaPages(self._database), Overview(self._database)

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        for name in IGNORED:
            environ.pop(name, None)
        request = Request(environ)
        try:
            answer = self._answer(request)
        except HTTPResponse as refusal:
            answer = refusal
        except Exception as error:
            answer = self._failed(request, error)
        if isinstance(answer.body, str):
            answer.body = [answer.body.encode()]
            answer.set_header("Content-Length", str(len(answer.body[0])))
            answer.body = [] if request.method == "HEAD" else answer.body
        add_headers(answer, is_static=request.path.startswith("/static/"))
        start_response(answer.status_line, answer.headerlist)
        return answer.body  # type: ignore[no-any-return]

    def _failed(self, request: Request, error: Exception) -> HTTPResponse:
        if is_passing(error) or isinstance(error, StorageUnavailableError):
            self._database.forget_answer()
            return away()
        is_odd = isinstance(error, StorageError)  # another program has changed the rows
        said = str(error) if is_odd else "internal server error"
        detail = f": {error}" if is_odd else ""
        logger.warning(
            "%s %s failed%s", request.method, request.target, detail, exc_info=not is_odd
        )
        return refused(500, said)

    def _answer(self, request: Request) -> HTTPResponse:
        is_health = request.path == "/healthz" and request.is_safe
        if not is_health or self._access.is_open:
            refuse_foreign(self._access, request)
        if is_health:
            return self._health()
        visitor = self._login.visitor(request)
        if request.path == "/login":
            return self._login.page(request) if visitor is None else redirect("/")
        if visitor is None and request.path == "/metrics":
            visitor = self._login.by_basic(request)
        if visitor is None:
            return self._login.turned_away(request)
        if request.path == "/logout":
            return self._login.leave(request, visitor)
        if not request.is_safe and not visitor.can_write:
            return refused(403, READ_ONLY)
        return self._page(request, visitor)

    def _health(self) -> HTTPResponse:
        if self._pages is None:
            return self._waiting()
        if not self._database.answers():
            return HTTPResponse("the database does not answer\n", 503, Content_Type=TEXT)
        return HTTPResponse("ok\n", 200, Content_Type=TEXT)

    def _waiting(self) -> HTTPResponse:
        said = "waiting for the database\n"
        return HTTPResponse(said, 503, Content_Type=TEXT, Retry_After="5")

    def _page(self, request: Request, visitor: Visitor) -> HTTPResponse:
        if self._pages is None:
            return self._waiting()
        optuna_pages, overview = self._pages
        match request.path.split("/")[1:]:
            case [""]:
                return redirect("/dashboard")
            case ["metrics"]:
                return HTTPResponse(metrics_text(overview.all()), 200, Content_Type=METRICS_TYPE)
            case ["workers"]:
                return _workers(overview, request, visitor)
            case ["workers", order] if order in DONE:
                return _carry_out(overview, order, request, visitor)
        return optuna_pages.answer(request)


def _workers(overview: Overview, request: Request, visitor: Visitor) -> HTTPResponse:
    # A name of invalid UTF-8 reads as an empty text, which names no study.
    wanted, names = request.query.study if request.query.get("study") else None, []
    try:
        names = overview.names()
        look = overview.look(wanted)
    except StudyError as error:
        return empty_page(str(error), visitor, 200 if wanted is None else 404, names)
    except StorageUnavailableError:
        return empty_page("The database does not answer", visitor, 503)
    except StorageError as error:  # another program has changed the study's rows
        return empty_page(str(error), visitor, 500, names)
    return workers_page(look, names, visitor, DONE.get(request.query.done))


def _carry_out(overview: Overview, order: str, request: Request, visitor: Visitor) -> HTTPResponse:
    if request.method != "POST":
        return refused(405, NOT_A_BUTTON)
    form = request.form()
    if not visitor.can_write or not visitor.owns(form):
        return refused(403, NOT_A_BUTTON)
    try:
        opened = overview.open(form.study)
        if order == "stop":
            stop(opened)
        elif order == "retry" and "trial" in form:
            retry_trial(opened, form.trial)
        elif order == "retry":
            retry_failed(opened)
        else:
            pause(opened, paused=order == "pause")
    except (StudyError, StorageError) as error:
        return empty_page(str(error), visitor, 409)
    finally:
        overview.forget()
    return redirect(page_of(form.study, done=order))
