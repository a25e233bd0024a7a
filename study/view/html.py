"""Build HTML with escaped text and attributes, in the style that report and dashboard share.

Names, params, messages and notes of a study come from other people. Only the functions of this
module return `Html`; any other value is escaped.
"""

import base64
import hashlib
import html
from collections.abc import Collection, Iterable, Sequence

from study.text import CONTROLS

STYLE = """
:root { color-scheme: light dark; --ink: #1c2530; --soft: #5b6673; --line: #d9dee4; --page: #fff;
  --panel: #f5f7f9; --mark: #e8f1f8; --blue: #1f6aa5; --red: #b3261e; --green: #2e7d32;
  --orange: #b8501a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e8ed; --soft: #9aa6b2; --line: #343d47;
  --page: #14191f; --panel: #1c232b; --mark: #1d3040; --blue: #6fb1e4; --red: #f2938c;
  --green: #7cc47f; --orange: #f0945f; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; background: var(--page); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans",
  Arial, sans-serif; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
a { color: var(--blue); text-underline-offset: .15em; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0; letter-spacing: -.01em; }
header { border-bottom: 1px solid var(--line); padding-bottom: .75rem; margin-bottom: 1.25rem; }
dl { margin: 0 0 1rem; display: grid; } dt { color: var(--soft); } dd { margin: 0; }
code, pre { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono",
  monospace; font-size: .875em; }
pre { background: var(--panel); border: 1px solid var(--line); border-radius: .4rem;
  padding: .75rem .9rem; overflow: auto; line-height: 1.5; overflow-wrap: normal; }
.note, caption { color: var(--soft); font-size: .875rem; line-height: 1.45; }
.warn { border-left: 4px solid var(--orange); background: var(--panel); padding: .6rem .9rem;
  border-radius: 0 .4rem .4rem 0; color: var(--ink); }
.scroll { overflow-x: auto; margin: 0 0 1.25rem; }
.scroll:focus-visible, pre:focus-visible { outline: 2px solid var(--blue); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; line-height: 1.4; }
caption { text-align: left; padding: 0 0 .4rem; }
caption span { display: inline-block; position: sticky; left: 0; max-width: calc(100vw - 2rem); }
th, td { text-align: left; vertical-align: top; padding: .35rem .9rem .35rem 0; font-weight: 400;
  border-bottom: 1px solid var(--line); overflow-wrap: normal; }
thead th { color: var(--soft); font-size: .85rem; vertical-align: bottom; }
.number { text-align: right; white-space: nowrap; }
summary { cursor: pointer; }
"""
VOID = frozenset({"br", "col", "hr", "img", "input", "link", "meta"})


class Html(str):
    """Markup, which is not escaped again."""

    __slots__ = ()


def escape(value: object) -> Html:
    """Return a value as text that is safe between tags and in quoted attributes."""
    if isinstance(value, Html):
        return value
    return Html(html.escape(CONTROLS.sub("\N{REPLACEMENT CHARACTER}", str(value)), quote=True))


def join(parts: Iterable[object], between: object = "") -> Html:
    """Concatenate parts; each is escaped unless it is `Html`."""
    return Html(escape(between).join(escape(part) for part in parts))


def tag(name: str, /, *children: object, **attributes: object) -> Html:
    """Return an element; children and attributes that are None are left out.

    Args:
        attributes: `class_` stands for `class`, `data_x` for `data-x`.
    """
    shown = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID:
        return Html(f"<{name}{shown}>")
    inner = join(child for child in children if child is not None)
    return Html(f"<{name}{shown}>{inner}</{name}>")


def policy_hash(text: str) -> str:
    """Return the hash by which a content security policy allows an inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def number(value: float) -> str:
    """Return a value with about five digits."""
    return f"{value:.5f}" if 1e-3 <= abs(value) < 1e5 or value == 0 else f"{value:.5g}"


def table(
    caption: str,
    head: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    numbers: Iterable[str] = (),
    marked: Collection[int] = (),
    class_: str | None = None,
) -> Html:
    """Return a table that scrolls sideways if it is wider than the page.

    Args:
        rows: The cells; the first cell of a row is its header. A `td` element is kept as it is.
        numbers: Names of right-aligned columns.
        marked: Indexes of highlighted rows.
    """
    right = {head.index(name) for name in numbers}

    def cell(kind: str, column: int, value: object, scope: str | None = None) -> Html:
        if isinstance(value, Html) and value.startswith("<td"):
            return value
        return tag(kind, value, class_="number" if column in right else None, scope=scope)

    body = []
    for index, row in enumerate(rows):
        cells = [cell("th", 0, row[0], "row")]
        cells += [cell("td", column, value) for column, value in enumerate(row) if column]
        body.append(tag("tr", *cells, class_="marked" if index in marked else None))
    inner = tag(
        "table",
        tag("caption", tag("span", caption)),
        tag("thead", tag("tr", *(cell("th", i, name, "col") for i, name in enumerate(head)))),
        tag("tbody", *body),
        class_=class_,
    )
    return tag("div", inner, class_="scroll", tabindex=0, role="region", aria_label=caption)


def pairs(rows: Iterable[tuple[object, object]]) -> Html:
    """Return a list of names with their values."""
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in rows))


def folded(title: str, *children: object) -> Html:
    """Return content that is hidden until its title is clicked; it is printed on paper."""
    return tag("details", tag("summary", title), *children)
