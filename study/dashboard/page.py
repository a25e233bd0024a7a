"""The HTML frame of a dashboard page: head, style, and the buttons that send a form."""

from bottle import HTTPResponse

from study.dashboard.guard import POLICY, policy_of
from study.view.html import STYLE as SHARED_STYLE
from study.view.html import Html, tag

STYLE = (
    SHARED_STYLE
    + """
body { max-width: 70rem; }
h2 { font-size: 1.1rem; margin: 2rem 0 .6rem; }
p { margin: 0 0 .75rem; }
header { display: flex; flex-wrap: wrap; gap: .5rem 1.25rem; align-items: center; }
header nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: center;
  margin-left: auto; font-size: .9rem; }
.bar { display: flex; height: .6rem; border-radius: .3rem; overflow: hidden;
  margin: .25rem 0 .9rem; background: var(--line); }
.bar svg { width: 100%; height: 100%; display: block; }
.complete { fill: var(--green); } .pruned { fill: var(--soft); }
.failed { fill: var(--red); } .running { fill: var(--blue); }
dl { gap: .75rem; grid-template-columns: repeat(auto-fit, minmax(6.5rem, 1fr)); }
dl div { background: var(--panel); border-radius: .5rem; padding: .5rem .75rem; }
dt { font-size: .8rem; } dd { font-size: 1.2rem; }
th, td { white-space: nowrap; } th:last-child, td:last-child { padding-right: 0; }
tr.marked > * { color: var(--red); }
details { border-bottom: 1px solid var(--line); padding: .4rem 0; }
details + .note { margin-top: .75rem; }
pre { margin: .5rem 0; max-height: 24rem; font-size: .8rem; }
.buttons { display: flex; flex-wrap: wrap; gap: .6rem; margin: 1rem 0; }
form { margin: 0; }
button, input { font: inherit; color: inherit; border-radius: .4rem; min-height: 2.5rem; }
button { border: 1px solid var(--line); background: var(--panel); padding: .35rem .9rem;
  cursor: pointer; }
button:hover { border-color: var(--blue); }
button.link { border: 0; background: none; color: var(--blue); padding: 0; min-height: 0;
  text-decoration: underline; text-underline-offset: .15em; }
button.main { background: var(--blue); border-color: var(--blue); color: var(--page); }
button.danger { color: var(--red); }
.login { max-width: 22rem; margin: 12vh auto 0; }
.login label { display: block; margin: 0 0 .9rem; color: var(--soft); font-size: .9rem; }
.login input { display: block; width: 100%; margin-top: .25rem; padding: .4rem .6rem;
  color: var(--ink); border: 1px solid var(--line); background: var(--page); font-size: 1rem; }
.login input:focus-visible, button:focus-visible { outline: 2px solid var(--blue);
  outline-offset: 1px; }
.login h1 { margin-bottom: 1.25rem; }
.error { color: var(--red); }
"""
)


def make_page(
    title: str, *body: object, status: int = 200, head: object = None, script: str = ""
) -> HTTPResponse:
    """Return a page.

    Args:
        title: Text; the site's name is appended.
        body: Markup or text.
        status: HTTP status.
        head: Markup for the head.
        script: The only script that the browser may run.
    """
    page = tag(
        "html",
        tag(
            "head",
            tag("meta", charset="utf-8"),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("meta", name="robots", content="noindex"),
            tag("title", f"{title} - study"),
            tag("link", rel="icon", href="data:,"),
            tag("style", Html(STYLE)),
            head,
        ),
        tag("body", *body, tag("script", Html(script)) if script else None),
        lang="en",
    )
    policy = {POLICY: policy_of(STYLE, script)}
    kind = "text/html; charset=utf-8"
    return HTTPResponse(f"<!DOCTYPE html>\n{page}", status, policy, Content_Type=kind)


def button(
    label: str, action: str, fields: dict[str, object], *, class_: str | None = None
) -> Html:
    """Return a form with one button that posts the fields to a path of this site."""
    inputs = [tag("input", type="hidden", name=name, value=v) for name, v in fields.items()]
    sender = tag("button", label, type="submit", class_=class_)
    return tag("form", *inputs, sender, method="post", action=action)
