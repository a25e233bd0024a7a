"""Which request gets which answer: the one place that decides what who may do.

In this order: is the server well, is the request one of our own pages', who sends it, may it change
anything, is the database there, and then whose page it is. Nothing behind this file asks again.
"""

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from storage.database.failures import is_passing
from storage.errors import StorageError, StorageUnavailableError
from study.dashboard.database import Database
from study.dashboard.door import Door
from study.dashboard.exchange import Answer, App, Request, redirect, to_json
from study.dashboard.guard import refusal, with_headers
from study.dashboard.login import Login, Visitor
from study.dashboard.optuna_app import OptunaPages, away
from study.dashboard.overview import Overview
from study.dashboard.pages import OwnPages, Page

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

logger = logging.getLogger(__name__)

READ_ONLY = "this dashboard only shows; to change something, start it with --allow-writes"
# Headers with which a client would choose what a request is, and that nobody here needs.
IGNORED = ("HTTP_X_FORWARDED_HOST", "HTTP_X_HTTP_METHOD_OVERRIDE", "HTTP_X_METHOD_OVERRIDE")


class Application:
    """The whole site, as a WSGI application.

    Args:
        door: Who may come in, and change something.
        database: May not be there yet.
    """

    def __init__(self, door: Door, database: Database, login: Login | None = None) -> None:
        self._door, self._database = door, database
        self._login = login or Login(door)
        self._optuna: App | None = None
        self._pages: dict[str, Page] = {}

    def prepare(self) -> None:
        """Make what needs the database, which is there now."""
        overview = Overview(self._database)
        own = OwnPages(overview, self._login, allow_writes=self._door.allow_writes)
        self._pages = own.by_path
        self._optuna = OptunaPages(self._database)

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        for name in IGNORED:
            environ.pop(name, None)
        request = Request(environ)
        try:
            found = self._answer(request)
            if isinstance(found, Answer):
                return found.send(request, start_response)
            return found(environ, start_response)  # type: ignore[no-any-return]
        except Exception as error:
            if is_passing(error) or isinstance(error, StorageUnavailableError):
                self._database.forget_answer()
                return away().send(request, start_response)
            if isinstance(error, StorageError):  # somebody has changed it
                logger.warning("%s %s failed: %s", request.method, request.target, error)
                return to_json(500, str(error)).send(request, start_response)
            logger.warning("%s %s failed", request.method, request.target, exc_info=True)
            return to_json(500, "internal server error").send(request, start_response)

    def _answer(self, request: Request) -> "Answer | App":
        if request.path == "/healthz" and request.is_safe and not self._door.is_open:
            return self._health()
        refused = refusal(self._door, request)
        if refused is not None:
            return refused
        if request.path == "/healthz" and request.is_safe:
            return self._health()
        visitor = self._login.visitor(request)
        if request.path == "/login":
            return self._login.page(request) if visitor is None else redirect("/")
        if request.path == "/metrics" and visitor is None:
            turned_away = self._login.by_basic(request)
            if turned_away is not None:
                return turned_away
            visitor = Visitor("metrics")
        if visitor is None:
            return self._login.turned_away(request)
        return self._answer_visitor(request, visitor)

    def _answer_visitor(self, request: Request, visitor: Visitor) -> "Answer | App":
        if request.path == "/logout":
            return self._login.leave(request, visitor)
        if not request.is_safe and not self._door.allow_writes:
            return to_json(403, READ_ONLY)
        if self._optuna is None:
            return Answer(503, f"{self._waiting()}\n", headers=[("Retry-After", "5")])
        if request.path == "/":
            return redirect("/dashboard")
        page = self._pages.get(request.path)
        return page(request, visitor) if page is not None else self._optuna

    def _health(self) -> Answer:
        if self._optuna is None:
            return Answer(503, f"{self._waiting()}\n")
        if not self._database.answers():
            return Answer(503, "the database does not answer\n")
        return Answer(200, "ok\n")

    def _waiting(self) -> str:
        return "waiting for the database"


def make_site(application: Application) -> App:
    """Return the application with the headers that every answer of it carries."""
    return with_headers(application)
