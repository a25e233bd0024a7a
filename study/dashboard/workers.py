"""The page of the workers: who is at work, how far the study is, what failed and why.

Plain HTML that is good without a script; with one it refreshes itself and keeps open what is open.
What a button does is `orders.py`'s.
"""

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

from storage.ends import end_of
from study.dashboard.exchange import Answer
from study.dashboard.overview import Failure, Look
from study.dashboard.page import button, make_page
from study.text import counted, duration, plain
from study.view.html import Html, join, number, table, tag
from study.view.status import StudyStatus, WorkerStatus
from study.view.watch import is_paused

REFRESH_S = 5
LOG_LINES = 40
LONGEST_CELL = 300  # characters of a text of others
STATES = ("complete", "pruned", "failed", "running")

SCRIPT = f"""
(function () {{
  "use strict";
  function show(page) {{
    var next = new DOMParser().parseFromString(page, "text/html").getElementById("live");
    if (!next) {{ location.reload(); return; }}
    document.querySelectorAll("#live details[open]").forEach(function (open) {{
      var same = next.querySelector("#" + open.id);
      if (same) {{ same.open = true; }}
    }});
    document.getElementById("live").replaceWith(document.importNode(next, true));
  }}
  function refresh() {{
    if (document.hidden || String(getSelection())) {{ return; }}
    fetch(location.href, {{ headers: {{ Accept: "text/html" }} }}).then(function (answer) {{
      if (!answer.ok) {{ throw new Error(answer.status); }}
      return answer.text();
    }}).then(function (page) {{
      show(page);
      document.getElementById("stale").hidden = true;
    }}).catch(function () {{ document.getElementById("stale").hidden = false; }});
  }}
  // What a button has done is said once, and not with every refresh.
  var here = new URL(location.href);
  here.searchParams.delete("done");
  history.replaceState(null, "", here);
  setInterval(refresh, {REFRESH_S * 1000});
}}());
"""
NO_SCRIPT = tag("noscript", tag("meta", http_equiv="refresh", content=str(2 * REFRESH_S)))


@dataclass(frozen=True)
class Viewer:
    """Who sees the page.

    Attributes:
        name: None where nobody has to say who they are.
        token: For the forms.
        can_leave: Whether there is a session to end.
        can_write: Whether the buttons are there.
    """

    name: str | None
    token: str
    can_leave: bool
    can_write: bool


def workers_page(look: Look, names: Iterable[str], viewer: Viewer, said: str | None) -> Answer:
    """Return the page of one study.

    Args:
        names: Of all studies, for the links to the others.
        said: What a button has just done.
    """
    status = look.status
    live = tag(
        "main",
        tag("p", said, class_="warn", role="status") if said else None,
        *_notices(status),
        _bar(status),
        _numbers(status),
        _buttons(status, viewer) if viewer.can_write else None,
        _workers(status.workers),
        *_failures(look, viewer),
        tag("p", f"As of {datetime.now(UTC):%H:%M:%S} UTC.", class_="note"),
        id="live",
    )
    stale = tag("p", "Not refreshed: no answer.", class_="warn", id="stale", hidden="")
    return make_page(
        f"{status.study}: workers",
        _header(look, names, viewer),
        stale,
        live,
        head=NO_SCRIPT,
        script=SCRIPT,
    )


def empty_page(why: str, viewer: Viewer, status: int = 200, names: Iterable[str] = ()) -> Answer:
    """Return the page that says why there is no study to show, with links to those of `names`."""
    others = [tag("a", name, href=page_of(name)) for name in names]
    nav = tag("nav", tag("a", "Dashboard", href="/dashboard"), *others, _leave(viewer))
    header = tag("header", tag("h1", "Workers"), nav)
    return make_page("Workers", header, tag("p", f"{why}."), head=NO_SCRIPT, status=status)


def page_of(name: str, **more: str) -> str:
    """Return the path of a study's page."""
    return f"/workers?{urlencode({'study': name, **more})}"


def _header(look: Look, names: Iterable[str], viewer: Viewer) -> Html:
    others = [tag("a", name, href=page_of(name)) for name in names if name != look.status.study]
    own = tag("a", "Dashboard", href=f"/dashboard/studies/{look.opened.study_id}")
    nav = tag("nav", own, *others, _leave(viewer))
    return tag("header", tag("h1", look.status.study), nav)


def _leave(viewer: Viewer) -> Html | None:
    if viewer.name is None:
        return None
    if not viewer.can_leave:
        return tag("span", viewer.name, class_="note")
    return button(f"Log out {viewer.name}", "/logout", viewer.token, class_="link")


def _notices(status: StudyStatus) -> Iterator[Html]:
    here = [worker for worker in status.workers if worker.state != "gone"]
    order = status.seen.stop
    if is_paused(status):
        yield tag("p", "Paused: workers end what they have and claim nothing.", class_="warn")
    if order is not None and not status.done:
        asked = f"Asked to stop at {order.at or '?'} UTC"
        if order.why:
            asked += f" after repeated {order.why}: {order.detail}"
        # Whoever began after the order does not mind it.
        left = f"{len(here)} workers are here." if here else "No worker is left."
        yield tag("p", f"{asked}. {left}", class_="warn")
    if not here and not status.done:
        how = tag("code", f"study worker --study {shlex.quote(status.study)}")
        yield tag("p", "Nobody is at work. To start one: ", how, class_="note")


def _bar(status: StudyStatus) -> Html:
    counts = [getattr(status, state) for state in STATES]
    parts, at = [], 0.0
    for state, count in zip(STATES, counts, strict=True):
        width = 100.0 * count / max(1, status.n_slots)
        parts.append(tag("rect", x=at, y=0, width=width, height=1, class_=state))
        at += width
    shown = ", ".join(f"{count} {state}" for state, count in zip(STATES, counts, strict=True))
    picture = tag("svg", *parts, viewBox="0 0 100 1", preserveAspectRatio="none")
    return tag("div", picture, class_="bar", role="img", aria_label=shown)


def _numbers(status: StudyStatus) -> Html:
    speeds = [w.images_per_s for w in status.workers if w.state == "training" and w.images_per_s]
    speed = sum(speeds) or status.images_per_s
    best = status.best
    rows: list[tuple[str, object]] = [
        ("done", f"{status.n_final} of {status.n_slots}"),
        *((state, getattr(status, state)) for state in ("waiting", *STATES[::-1])),
        ("images/s", f"{speed:,.0f}" if speed else "-"),
        ("ETA", "done" if status.done else duration(status.eta_s)),
        ("best", "-" if best is None else f"{number(best.value)} (trial {best.trial})"),
    ]
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in rows))


def _buttons(status: StudyStatus, viewer: Viewer) -> Html:
    fields: dict[str, object] = {"study": status.study}

    def order(label: str, name: str, class_: str | None = None) -> Html:
        return button(label, f"/workers/{name}", viewer.token, fields, class_=class_)

    shown = []
    if status.seen.paused:
        shown.append(order("Resume", "resume"))
    elif not status.done:
        shown.append(order("Pause", "pause"))
    if not status.done:
        shown.append(order("Stop all workers", "stop", "danger"))
    if status.failed:
        shown.append(order(f"Retry {status.failed} failed", "retry"))
    return tag("div", *shown, class_="buttons")


def _workers(workers: list[WorkerStatus]) -> Html:
    head = ("worker", "state", "trial", "epoch", "images/s", "heard of", "device", "host")
    rows = [
        (
            tag("code", _cut(worker.id.partition(":")[2] or worker.id)),
            worker.state,
            _or_dash(worker.trial),
            _or_dash(worker.epoch),
            f"{worker.images_per_s:,.0f}" if worker.images_per_s else "-",
            "-" if worker.seen_s is None else f"{duration(worker.seen_s)} ago",
            _cut(worker.device or "-"),
            _cut(worker.host),
        )
        for worker in workers
    ]
    gone = [i for i, worker in enumerate(workers) if worker.state == "gone"]
    caption = counted(len(workers), "worker")
    return join(
        [
            tag("h2", "Workers"),
            table(caption, head, rows, numbers=("trial", "epoch", "images/s"), marked=gone)
            if rows
            else tag("p", "None.", class_="note"),
        ]
    )


def _failures(look: Look, viewer: Viewer) -> Iterator[Html]:
    status = look.status
    others = ("complete", "pruned", "running")
    counts = {r: n for r, n in status.ends.items() if r not in others and end_of(r).is_failure}
    yield tag("h2", "Failures")
    if not counts:
        yield tag("p", "None.", class_="note")
        return
    rows = [(reason, n, status.reasons.get(reason, 0)) for reason, n in sorted(counts.items())]
    head = ("reason", "attempts", "slots given up")
    yield table("by reason", head, rows, numbers=head[1:])
    for failure in look.failures:
        yield _failure(failure, status, viewer)


def _failure(failure: Failure, status: StudyStatus, viewer: Viewer) -> Html:
    attempt = "" if failure.attempt in (None, 1) else f", attempt {failure.attempt}"
    slot = "" if failure.slot is None else f", slot {failure.slot}"
    title = f"trial {failure.trial}{slot}{attempt}: {failure.reason}"
    if failure.error:
        title += f": {_cut(plain(failure.error))}"
    lines = plain(failure.log).rstrip().splitlines()[-LOG_LINES:]
    log = tag("pre", "\n".join(lines), tabindex=0) if lines else None
    again = None
    if viewer.can_write and end_of(failure.reason).is_retried_by_hand:
        fields: dict[str, object] = {"study": status.study, "trial": failure.trial}
        again = button("Retry", "/workers/retry", viewer.token, fields)
    where = tag("p", f"on {failure.worker}" if failure.worker else "", class_="note")
    nothing = None if lines else tag("p", "No log was kept.", class_="note")
    summary = tag("summary", title)
    return tag("details", summary, where, log, nothing, again, id=f"trial-{failure.trial}")


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_CELL else f"{text[:LONGEST_CELL]}..."


def _or_dash(value: int | None) -> str:
    return "-" if value is None else str(value)
