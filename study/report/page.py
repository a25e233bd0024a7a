"""One HTML file from sections and plots: it needs no network, and no text in it can become code.

The page forbids its browser to load anything, and to run any script but the two that are named by
their sha256. So a study's name could do no harm even if it were not escaped, which it is.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from study.markup import Html, join, tag
from study.report.figure import Plot, plain
from study.report.style import SCRIPT, STYLE


@dataclass(frozen=True)
class Section:
    """A part of the page under its own heading; `id` names it in links."""

    id: str
    title: str
    content: Html


class Figures:
    """The plots of a page: each gets its place where it is put, and its data at the end."""

    def __init__(self) -> None:
        self._figures: list[dict[str, Any]] = []

    def place(self, plot: Plot) -> Html:
        """Return the place of a plot, with its title and note."""
        number = len(self._figures)
        self._figures.append(plain(plot.figure))
        place = tag(
            "div",
            class_="plot",
            data_figure=number,
            style=f"height:{plot.height}px;min-width:{plot.min_width or 0}px",
            role="img",
            aria_label=f"{plot.title}. {plot.note}".strip(),
        )
        title = tag("h3", plot.title) if not plot.narrow else None
        if plot.min_width:
            place = tag("div", place, class_="scroll", tabindex=0)
        return tag("figure", title, place, tag("figcaption", plot.note) if plot.note else None)

    def to_json(self) -> Html:
        """Return all figures as JSON that holds no tag and ends no script."""
        text = json.dumps(self._figures, separators=(",", ":"), allow_nan=False)
        for sign in "<>&":
            text = text.replace(sign, f"\\u{ord(sign):04x}")
        return Html(text)

    def __len__(self) -> int:
        return len(self._figures)


def render_page(
    title: str, header: Html, sections: Sequence[Section], figures: Figures, footer: Html
) -> str:
    """Return the whole page."""
    scripts = [_plotly_js(), Html(SCRIPT)] if len(figures) else []
    head = [
        Html('<meta charset="utf-8">'),
        tag("meta", http_equiv="Content-Security-Policy", content=_policy(scripts)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        Html(f"<style>{STYLE}</style>"),
    ]
    links = [tag("a", section.title, href=f"#{section.id}") for section in sections]
    main = [
        tag("section", tag("h2", section.title, id=section.id), section.content,
            aria_labelledby=section.id)
        for section in sections
    ]  # fmt: skip
    body = [
        tag("header", header, tag("nav", join(links, " "), aria_label="Sections")),
        tag("noscript", tag("p", "The plots need JavaScript; all else is here.", class_="live")),
        tag("main", *main),
        tag("footer", footer),
        Html(f'<script type="application/json" id="figures">{figures.to_json()}</script>'),
        *(Html(f"<script>{script}</script>") for script in scripts),
    ]
    html = tag("html", tag("head", *head), tag("body", *body), lang="en")
    # A lone surrogate, which JSON may hold, has no UTF-8.
    return f"<!DOCTYPE html>\n{html}\n".encode("utf-8", "replace").decode()


def _policy(scripts: Iterable[Html]) -> str:
    hashes = [f"'sha256-{_sha256(script)}'" for script in scripts] or ["'none'"]
    return (
        f"default-src 'none'; script-src {' '.join(hashes)}; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _plotly_js() -> Html:
    from plotly.offline import get_plotlyjs

    # As a browser reads it: what is hashed has no other line ends.
    return Html(str(get_plotlyjs()).replace("\r\n", "\n").replace("\r", "\n"))
