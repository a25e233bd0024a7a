"""A page of ours, whole: what all of them share around what they say."""

from study.dashboard.exchange import HTML, Answer
from study.dashboard.guard import policy_of
from study.view.html import Html, join, tag

STYLE = """
:root { color-scheme: light dark; --ink: #1c2530; --soft: #5b6673; --line: #d9dee4; --page: #fff;
  --panel: #f5f7f9; --blue: #1f6aa5; --red: #b3261e; --green: #2e7d32; --orange: #b8501a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e8ed; --soft: #9aa6b2; --line: #343d47;
  --page: #14191f; --panel: #1c232b; --blue: #6fb1e4; --red: #f2938c; --green: #7cc47f;
  --orange: #f0945f; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; padding: 1.25rem 1rem 4rem; max-width: 70rem; background: var(--page);
  color: var(--ink); font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue",
  "Noto Sans", Arial, sans-serif; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
a { color: var(--blue); text-underline-offset: .15em; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0; letter-spacing: -.01em; }
h2 { font-size: 1.1rem; margin: 2rem 0 .6rem; }
p { margin: 0 0 .75rem; }
header { display: flex; flex-wrap: wrap; gap: .5rem 1.25rem; align-items: center;
  border-bottom: 1px solid var(--line); padding-bottom: .75rem; margin-bottom: 1.25rem; }
header nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: center;
  margin-left: auto; font-size: .9rem; }
.note, caption { color: var(--soft); font-size: .875rem; }
.warn { border-left: 4px solid var(--orange); background: var(--panel); padding: .6rem .9rem;
  border-radius: 0 .4rem .4rem 0; }
.bar { display: flex; height: .6rem; border-radius: .3rem; overflow: hidden; margin: .25rem 0 .9rem;
  background: var(--line); }
.bar svg { width: 100%; height: 100%; display: block; }
.complete { fill: var(--green); } .pruned { fill: var(--soft); } .failed { fill: var(--red); }
.running { fill: var(--blue); }
dl { margin: 0 0 1rem; display: grid; gap: .75rem;
  grid-template-columns: repeat(auto-fit, minmax(6.5rem, 1fr)); }
dl div { background: var(--panel); border-radius: .5rem; padding: .5rem .75rem; }
dt { color: var(--soft); font-size: .8rem; } dd { margin: 0; font-size: 1.2rem; }
.scroll { overflow-x: auto; margin: 0 0 1rem; }
.scroll:focus-visible, pre:focus-visible { outline: 2px solid var(--blue); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; line-height: 1.4; }
caption { text-align: left; padding: 0 0 .3rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .9rem .35rem 0; font-weight: 400;
  border-bottom: 1px solid var(--line); white-space: nowrap; }
th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--soft); font-size: .85rem; }
.number { text-align: right; white-space: nowrap; }
tr.marked > * { color: var(--red); }
details { border-bottom: 1px solid var(--line); padding: .4rem 0; }
summary { cursor: pointer; }
pre { background: var(--panel); border: 1px solid var(--line); border-radius: .4rem;
  margin: .5rem 0; padding: .6rem .8rem; overflow: auto; max-height: 24rem;
  line-height: 1.45; font-size: .8rem; overflow-wrap: normal; font-family: ui-monospace,
  SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
code { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: .875em; }
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


def make_page(
    title: str, *body: object, status: int = 200, head: object = None, script: str = ""
) -> Answer:
    """Return a page.

    Args:
        title: Text; the site's name follows.
        body: Markup or text.
        head: Markup for the head.
        script: The only one that a browser may run.
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
    text = join([Html("<!DOCTYPE html>\n"), page])
    return Answer(status, text, HTML, [policy_of(STYLE, script)])


def button(
    label: str,
    action: str,
    token: str,
    fields: dict[str, object] | None = None,
    *,
    class_: str | None = None,
) -> Html:
    """Return a form of one button, which sends the fields to an action of ours."""
    hidden = {"token": token, **(fields or {})}
    inputs = [tag("input", type="hidden", name=n, value=v) for n, v in hidden.items()]
    return tag(
        "form",
        *inputs,
        tag("button", label, type="submit", class_=class_),
        method="post",
        action=action,
    )
