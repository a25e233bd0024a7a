"""Our own pages behind the login: the workers, their orders, the metrics.

Decides what each of them answers. That the visitor may see or change something was decided before;
that an order comes from a form of ours is checked here.
"""

from collections.abc import Callable

from storage.errors import StorageError, StorageUnavailableError
from study.dashboard.exchange import Answer, Request, redirect, to_json
from study.dashboard.login import Login, Visitor
from study.dashboard.metrics import metrics_text
from study.dashboard.overview import Overview
from study.dashboard.workers import Viewer, empty_page, page_of, workers_page
from study.errors import StudyError
from study.spec.orders import pause, retry_failed, retry_trial, stop

Page = Callable[[Request, Visitor], Answer]

DONE = {
    "stop": "Asked the workers to save, release and leave. Start new ones to go on.",
    "pause": "Asked the workers to claim nothing more.",
    "resume": "Workers claim trials again.",
    "retry": "Failed slots are open again.",
}
"""What is said after an order. By name, so that no link can put words of its own on the page."""


class OwnPages:
    """The pages, by path."""

    def __init__(self, overview: Overview, login: Login, *, allow_writes: bool) -> None:
        self._overview, self._login, self._allow_writes = overview, login, allow_writes
        self.by_path: dict[str, Page] = {
            "/workers": self._workers,
            "/metrics": self._metrics,
            **{f"/workers/{name}": self._order(name) for name in DONE},
        }

    def _workers(self, request: Request, visitor: Visitor) -> Answer:
        viewer, names = self._viewer(visitor), []
        try:
            names = self._overview.names()
            look = self._overview.look(request.query("study") or None)
        except StudyError as error:
            return empty_page(str(error), viewer, 404 if request.query("study") else 200, names)
        except StorageUnavailableError:
            return empty_page("The database does not answer", viewer, 503)
        except StorageError as error:  # somebody has changed it
            return empty_page(str(error), viewer, 500, names)
        return workers_page(look, names, viewer, DONE.get(request.query("done")))

    def _metrics(self, request: Request, visitor: Visitor) -> Answer:
        return metrics_text(self._overview.all())

    def _order(self, name: str) -> Page:
        def answer(request: Request, visitor: Visitor) -> Answer:
            if request.method != "POST":
                return to_json(405, "only a button of these pages does that")
            form = request.form()
            if not self._allow_writes or not self._login.is_own_form(visitor, form):
                return to_json(403, "only a button of these pages does that")
            study = form.get("study", "")
            try:
                self._carry_out(name, study, form.get("trial"))
            except (StudyError, StorageError) as error:
                return empty_page(str(error), self._viewer(visitor), 409)
            finally:
                self._overview.forget()
            return redirect(page_of(study, done=name))

        return answer

    def _carry_out(self, name: str, study: str, trial: str | None) -> None:
        opened = self._overview.open(study)
        if name == "stop":
            stop(opened)
        elif name == "retry":
            if trial is None:
                retry_failed(opened)
            else:
                retry_trial(opened, trial)
        else:
            pause(opened, paused=name == "pause")

    def _viewer(self, visitor: Visitor) -> Viewer:
        return Viewer(
            name=visitor.name,
            token=self._login.form_token(visitor),
            can_leave=visitor.session is not None,
            can_write=self._allow_writes,
        )
