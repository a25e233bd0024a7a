"""The page `/workers`: state of the workers, progress of the study, failures with their logs.

The page works without JavaScript. The script refreshes it and keeps unfolded details open.
"""

import shlex
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from bottle import HTTPResponse

from storage import attrs
from storage.ends import end_of
from storage.reading import Attempt
from study.dashboard.login import Visitor
from study.dashboard.overview import Look
from study.dashboard.page import button, make_page
from study.text import counted, duration, plain
from study.view.html import Html, number, pairs, table, tag
from study.view.status import StudyStatus, WorkerStatus, error_line
from study.view.watch import is_paused, shown_rungs

REFRESH_S = 5
LOG_LINES = 40
LONGEST_CELL = 300  # characters of other people's text
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
  // The message after an order is shown once, not with every refresh.
  var here = new URL(location.href);
  here.searchParams.delete("done");
  history.replaceState(null, "", here);
  setInterval(refresh, {REFRESH_S * 1000});
}}());
"""
NO_SCRIPT = tag("noscript", tag("meta", http_equiv="refresh", content=str(2 * REFRESH_S)))


def workers_page(
    look: Look, names: Iterable[str], visitor: Visitor, message: str | None
) -> HTTPResponse:
    """Return the page of one study.

    Args:
        look: The state of the study.
        names: Names of all studies, for links.
        visitor: Decides which buttons are shown.
        message: Result of the last order.
    """
    status = look.status
    others = [name for name in names if name != status.study]
    live = tag(
        "main",
        tag("p", message, class_="warn", role="status") if message else None,
        *_notices(status),
        _bar(status),
        _numbers(status),
        _buttons(status, visitor) if visitor.can_write else None,
        tag("h2", "Workers"),
        _workers(status.workers),
        tag("h2", "Failures"),
        *_failures(look, visitor),
        tag("p", f"As of {datetime.now(UTC):%H:%M:%S} UTC.", class_="note"),
        id="live",
    )
    stale = tag("p", "Not refreshed: no answer.", class_="warn", id="stale", hidden="")
    header = _header(status.study, f"/dashboard/studies/{look.opened.study_id}", others, visitor)
    title = f"{status.study}: workers"
    return make_page(title, header, stale, live, head=NO_SCRIPT, script=SCRIPT)


def empty_page(
    why: str, visitor: Visitor, status: int = 200, names: Iterable[str] = ()
) -> HTTPResponse:
    """Return the page that says why no study is shown, with links to the studies in `names`."""
    header = _header("Workers", "/dashboard", names, visitor)
    return make_page("Workers", header, tag("p", f"{why}."), head=NO_SCRIPT, status=status)


def page_of(name: str, **more: str) -> str:
    """Return the path of a study's page."""
    return f"/workers?{urlencode({'study': name, **more})}"


def _header(title: str, dashboard: str, others: Iterable[str], visitor: Visitor) -> Html:
    links = [tag("a", name, href=page_of(name)) for name in others]
    leave = None
    if visitor.session is not None:
        fields: dict[str, object] = {"token": visitor.token}
        leave = button(f"Log out {visitor.name}", "/logout", fields, class_="link")
    elif visitor.name is not None:
        leave = tag("span", visitor.name, class_="note")
    nav = tag("nav", tag("a", "Dashboard", href=dashboard), *links, leave)
    return tag("header", tag("h1", title), nav)


def _notices(status: StudyStatus) -> Iterator[Html]:
    n_here = sum(worker.state != "gone" for worker in status.workers)
    order = status.seen.stop
    if is_paused(status):
        yield tag("p", "Paused: workers finish their trials and claim no new ones.", class_="warn")
    if order is not None and not status.done:
        asked = f"Asked to stop at {order.at or '?'} UTC"
        if order.why:
            asked += f" after repeated {order.why}: {order.detail}"
        # Workers that started after the order ignore it.
        left = f"{n_here} workers are still running." if n_here else "No worker is left."
        yield tag("p", f"{asked}. {left}", class_="warn")
    if not n_here and not status.done:
        how = tag("code", f"study worker --study {shlex.quote(status.study)}")
        yield tag("p", "No worker is running. To start one: ", how, class_="note")


def _bar(status: StudyStatus) -> Html:
    counts = {state: getattr(status, state) for state in STATES}
    parts, at = [], 0.0
    for state, count in counts.items():
        width = 100.0 * count / max(1, status.n_slots)
        parts.append(tag("rect", x=at, y=0, width=width, height=1, class_=state))
        at += width
    shown = ", ".join(f"{count} {state}" for state, count in counts.items())
    picture = tag("svg", *parts, viewBox="0 0 100 1", preserveAspectRatio="none")
    return tag("div", picture, class_="bar", role="img", aria_label=shown)


def _numbers(status: StudyStatus) -> Html:
    speeds = [w.images_per_s for w in status.workers if w.state == "training" and w.images_per_s]
    speed = sum(speeds) or status.images_per_s
    best = status.best
    return pairs(
        [
            ("done", f"{status.n_final} of {status.n_slots}"),
            *([("rungs, slots x epochs", shown_rungs(status))] if status.rungs else []),
            *((state, getattr(status, state)) for state in ("waiting", *STATES[::-1])),
            ("images/s", f"{speed:,.0f}" if speed else "-"),
            ("ETA", "done" if status.done else duration(status.eta_s)),
            ("best", "-" if best is None else f"{number(best.value)} (trial {best.trial})"),
        ]
    )


def _buttons(status: StudyStatus, visitor: Visitor) -> Html:
    shown: list[tuple[str, str, str | None]] = []
    if status.seen.paused:
        shown.append(("Resume", "resume", None))
    elif not status.done:
        shown.append(("Pause", "pause", None))
    if not status.done:
        shown.append(("Stop all workers", "stop", "danger"))
    if status.failed:
        shown.append((f"Retry {status.failed} failed", "retry", None))
    fields: dict[str, object] = {"token": visitor.token, "study": status.study}
    forms = [button(label, f"/workers/{o}", fields, class_=class_) for label, o, class_ in shown]
    return tag("div", *forms, class_="buttons")


def _workers(workers: list[WorkerStatus]) -> Html:
    if not workers:
        return tag("p", "None.", class_="note")
    head = ("worker", "state", "trial", "epoch", "images/s", "last seen", "device", "host")
    rows = [
        (
            tag("code", _cut(worker.id.partition(":")[2] or worker.id)),
            worker.state,
            "-" if worker.trial is None else worker.trial,
            "-" if worker.epoch is None else worker.epoch,
            f"{worker.images_per_s:,.0f}" if worker.images_per_s else "-",
            "-" if worker.seen_s is None else f"{duration(worker.seen_s)} ago",
            _cut(worker.device or "-"),
            _cut(worker.host),
        )
        for worker in workers
    ]
    gone = [i for i, worker in enumerate(workers) if worker.state == "gone"]
    caption = counted(len(workers), "worker")
    return table(caption, head, rows, numbers=("trial", "epoch", "images/s"), marked=gone)


def _failures(look: Look, visitor: Visitor) -> Iterator[Html]:
    status = look.status
    others = ("complete", "pruned", "running")
    counts = {r: n for r, n in status.ends.items() if r not in others and end_of(r).is_failure}
    if not counts:
        yield tag("p", "None.", class_="note")
        return
    rows = [(reason, n, status.reasons.get(reason, 0)) for reason, n in sorted(counts.items())]
    head = ("reason", "attempts", "slots given up")
    yield table("by reason", head, rows, numbers=head[1:])
    for attempt in look.failures:
        yield _failure(attempt, status.study, visitor)


def _failure(attempt: Attempt, study: str, visitor: Visitor) -> Html:
    found: Any = attempt.user_attrs
    reason, worker = found.get(attrs.REASON) or "ended from outside", found.get(attrs.WORKER)
    title = f"trial {attempt.trial}"
    if attempt.slot is not None:
        title += f", slot {attempt.slot}"
    if found.get(attrs.ATTEMPT) not in (None, 1):
        title += f", attempt {found[attrs.ATTEMPT]}"
    title += f": {reason}"
    if error := error_line(attempt):
        title += f": {_cut(plain(error))}"
    lines = plain(str(found.get(attrs.LOG) or "")).rstrip().splitlines()[-LOG_LINES:]
    again = None
    if visitor.can_write and end_of(reason).is_retried_by_hand:
        fields = {"token": visitor.token, "study": study, "trial": attempt.trial}
        again = button("Retry", "/workers/retry", fields)
    return tag(
        "details",
        tag("summary", title),
        tag("p", f"on {worker}", class_="note") if worker else None,
        tag("pre", "\n".join(lines), tabindex=0) if lines else None,
        None if lines else tag("p", "No log was stored.", class_="note"),
        again,
        id=f"trial-{attempt.trial}",
    )


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_CELL else f"{text[:LONGEST_CELL]}..."
