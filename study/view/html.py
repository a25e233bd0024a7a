"""HTML whose text cannot become markup: every child and attribute is escaped as it is put in.

Names, params, messages and notes of a study are other people's text. Only `tag` makes `Html`, and
whatever is not `Html` is text. What a page says is not decided here.
"""

import html
import re
from collections.abc import Iterable, Sequence

VOID = frozenset({"br", "col", "hr", "img", "input", "link", "meta"})
# Not allowed in HTML text at all; line ends and tabs are.
CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class Html(str):
    """Markup that is to stand as it is."""

    __slots__ = ()


def escape(value: object) -> Html:
    """Return a value as text that is safe between tags and in quoted attributes."""
    if isinstance(value, Html):
        return value
    return Html(html.escape(CONTROLS.sub("\N{REPLACEMENT CHARACTER}", str(value)), quote=True))


def join(parts: Iterable[object], between: object = "") -> Html:
    """Return the parts one after the other, each escaped where it is not markup."""
    return Html(escape(between).join(escape(part) for part in parts))


def tag(name: str, /, *children: object, **attributes: object) -> Html:
    """Return an element.

    Args:
        name: Of the element.
        children: Markup or text; None is left out.
        attributes: `class_` is `class`, `data_x` is `data-x`; None is left out.
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


def number(value: float) -> str:
    """Return a value of unknown size with five digits or so."""
    return f"{value:.5f}" if 1e-3 <= abs(value) < 1e5 or value == 0 else f"{value:.5g}"


def paragraph(*children: object, class_: str | None = None) -> Html:
    """Return a paragraph."""
    return tag("p", *children, class_=class_)


def table(
    caption: str,
    head: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    numbers: Iterable[str] = (),
    marked: Iterable[int] = (),
    class_: str | None = None,
) -> Html:
    """Return a table that scrolls sideways where it is wider than the page.

    Args:
        caption: What the table shows, for all readers.
        head: Names of the columns.
        rows: The cells; the first of a row names it.
        numbers: The columns that are set flush right.
        marked: Indexes of the rows that stand out.
    """
    right = {head.index(name) for name in numbers}
    stands_out = set(marked)

    def cell(kind: str, column: int, value: object, scope: str | None = None) -> Html:
        return tag(kind, value, class_="number" if column in right else None, scope=scope)

    header = [cell("th", column, name, "col") for column, name in enumerate(head)]
    body = []
    for index, row in enumerate(rows):
        cells = [cell("th", 0, row[0], "row")]
        cells += [cell("td", column, value) for column, value in enumerate(row) if column]
        body.append(tag("tr", *cells, class_="marked" if index in stands_out else None))
    inner = tag(
        "table",
        tag("caption", tag("span", caption)),
        tag("thead", tag("tr", *header)),
        tag("tbody", *body),
        class_=class_,
    )
    return tag("div", inner, class_="scroll", tabindex=0, role="region", aria_label=caption)


def pairs(rows: Iterable[tuple[object, object]]) -> Html:
    """Return names and what they stand for."""
    items = [tag("div", tag("dt", name), tag("dd", value)) for name, value in rows]
    return tag("dl", *items)


def folded(title: str, *children: object) -> Html:
    """Return what is shown when its title is chosen; on paper it is open."""
    return tag("details", tag("summary", title), *children)
