"""The report as one HTML file of sections and plots, with its style and its script.

The page's content security policy forbids all loading and allows only two scripts, by their sha256.
So a study's text, which is escaped anyway, cannot become code.
"""

import json
import math
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from study.report.plots import Plot
from study.view.html import STYLE as SHARED_STYLE
from study.view.html import Html, join, policy_hash, tag

DIGITS = 6
Section = tuple[str, str, Html]
"""A section's id for links, its heading, and its content."""

STYLE = (
    SHARED_STYLE
    + """
@media print { :root { color-scheme: light; --ink: #000; --soft: #444; --line: #ccc; --page: #fff;
  --panel: #fff; --blue: #1f6aa5; --orange: #b8501a; --mark: #eee; } }
body { max-width: 60rem; line-height: 1.55; }
header { margin-bottom: 1.5rem; } header p { margin: .25rem 0 0; color: var(--soft); }
h1 { font-size: 1.6rem; }
h2 { font-size: 1.25rem; line-height: 1.3; margin: 3rem 0 .75rem; }
h3 { font-size: 1rem; margin: 2rem 0 .5rem; }
p { margin: 0 0 .9rem; max-width: 44rem; }
.verdict { font-size: 1.35rem; line-height: 1.4; margin: 0 0 1rem; }
.lead { font-size: 1.05rem; }
time { white-space: nowrap; }
figcaption { color: var(--soft); font-size: .875rem; line-height: 1.45; }
p.warn { margin-top: .75rem; max-width: none; }
nav { font-size: .9rem; margin-top: .75rem; }
nav a { margin-right: .9rem; white-space: nowrap; }
dl { gap: 0 2rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); }
dl div { display: flex; justify-content: space-between; gap: 1rem; padding: .3rem 0;
  border-bottom: 1px solid var(--line); }
dd { text-align: right; }
.wordy td:last-child { min-width: 13rem; }
td code { overflow-wrap: anywhere; }
tr.marked > * { background: var(--mark); font-weight: 600; }
.matrix { width: auto; } .matrix th, .matrix td { text-align: right; padding: .3rem .5rem;
  min-width: 2.4rem; border: 1px solid var(--line); }
@media (max-width: 30rem) { .matrix { font-size: .8rem; } .matrix th, .matrix td {
  padding: .3rem .15rem; min-width: 1.5rem; } }
.matrix td { color: var(--soft); background: color-mix(in srgb, var(--orange) var(--depth, 0%),
  var(--page)); }
.matrix td[style] { color: var(--ink); background: color-mix(in srgb, var(--orange)
  calc(10% + .5 * var(--depth)), var(--page)); print-color-adjust: exact;
  -webkit-print-color-adjust: exact; }
.matrix td.right { color: var(--ink); font-weight: 600; background: var(--mark); }
figure { margin: 0 0 1.5rem; }
.plot { width: 100%; } .plot:empty { background: var(--panel); border-radius: .4rem; }
.small { display: grid; gap: .5rem 1rem; margin-bottom: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 15rem), 1fr)); }
.small figure { margin: 0; min-width: 0; }
@media (max-width: 30rem) { .small { grid-template-columns: 1fr 1fr; gap: .25rem; } }
.intervals { display: grid; grid-template-columns: auto 1fr; gap: 0 1rem; align-items: center;
  font-size: .92rem; margin-bottom: .4rem; } .intervals .chosen { font-weight: 600; }
.interval { width: 100%; display: block; overflow: visible; }
.interval line { stroke: var(--soft); stroke-width: 2; } .interval circle { fill: var(--soft); }
.interval.chosen line { stroke: var(--blue); stroke-width: 3; }
.interval.chosen circle { fill: var(--blue); }
@media (max-width: 30rem) { .intervals { grid-template-columns: 1fr; }
  .intervals > span:empty { display: none; } }
.ends { display: flex; justify-content: space-between; color: var(--soft); font-size: .8rem;
  border-top: 1px solid var(--line); }
.beside { display: grid; gap: 0 2rem; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); }
.diagram { width: 100%; max-width: 22rem; display: block; font-size: 11px; overflow: visible; }
.diagram text { fill: var(--soft); } .axes rect { fill: none; stroke: var(--line); }
.ideal { stroke: var(--soft); stroke-dasharray: 4 4; }
.bin line { stroke: var(--blue); stroke-width: 2; }
.bin circle { fill: var(--blue); stroke: var(--page); stroke-width: 1.5; }
.gallery { display: grid; gap: .9rem .75rem;
  grid-template-columns: repeat(auto-fill, minmax(5.5rem, 1fr)); }
.gallery figure { margin: 0; break-inside: avoid; }
.gallery img { width: 100%; aspect-ratio: 1; display: block; image-rendering: pixelated;
  border-radius: .25rem; background: #000; }
.gallery figcaption { font-size: .8rem; line-height: 1.35; margin-top: .25rem; }
.gallery b { color: var(--ink); } .gallery small { display: block; font-size: .75rem; }
details { margin: 0 0 1rem; } summary { color: var(--blue); padding: .25rem 0; }
footer { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: .75rem; }
@media (min-width: 48rem) { body { padding: 2.5rem 2rem 5rem; } h1 { font-size: 2rem; }
  .verdict { font-size: 1.6rem; } }
/* Plots do not stretch: before the page is printed, they get the width that they have on paper. */
.paper body { width: 43.5rem; padding: 0; } .paper .small { grid-template-columns: repeat(3, 1fr); }
.paper .plot { min-width: 0 !important; }
@media print { body { max-width: none; padding: 0; font-size: 9.5pt; } nav { display: none; }
  h2 { margin-top: 1.6rem; } h2, h3, caption, summary { break-after: avoid; }
  figure, tr, pre, .warn { break-inside: avoid; } .scroll { overflow: visible; }
  pre { white-space: pre-wrap; } .small { grid-template-columns: repeat(3, 1fr); }
  table { font-size: 8.5pt; } .gallery { grid-template-columns: repeat(10, 1fr); } }
"""
)
SCRIPT = """
(function () {
  "use strict";
  var figures = JSON.parse(document.getElementById("figures").textContent);
  var dark = window.matchMedia("(prefers-color-scheme: dark)");
  var touch = window.matchMedia("(pointer: coarse)").matches;
  var narrow = window.matchMedia("(max-width: 30rem)").matches;
  function template(isDark) {
    var line = isDark ? "#343d47" : "#dde2e7", ink = isDark ? "#c4ccd4" : "#3c4753";
    var axis = { gridcolor: line, zerolinecolor: line, linecolor: line, automargin: true,
      tickfont: { size: 11 }, title: { font: { size: 12 }, standoff: 8 } };
    return { layout: { font: { color: ink, size: 12, family: "system-ui, sans-serif" },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", xaxis: axis, yaxis: axis,
      annotationdefaults: { bgcolor: isDark ? "rgba(20,25,31,.7)" : "rgba(255,255,255,.75)" },
      hoverlabel: { bgcolor: isDark ? "#28313a" : "#ffffff", font: { color: ink } } } };
  }
  function each(work) {
    Array.prototype.forEach.call(document.querySelectorAll(".plot"), work);
  }
  function redraw(isDark, isPaper) {
    each(function (place) {
      // Not Plots.resize, which is asynchronous: printing does not wait for it.
      var size = isPaper ? { width: place.clientWidth } : { width: null, autosize: true };
      Plotly.relayout(place, Object.assign({ template: template(isDark) }, size));
    });
  }
  each(function (place) {
    var figure = figures[Number(place.dataset.figure)], layout = figure.layout;
    layout.template = template(dark.matches);
    layout.margin = { l: narrow ? 40 : 56, r: narrow ? 6 : 12, b: 44,
      t: layout.showlegend === false ? 10 : 28 };
    if (touch) { layout.dragmode = false; }
    Plotly.newPlot(place, figure.data, layout,
      { responsive: true, displayModeBar: false, doubleClick: "autosize" });
  });
  dark.addEventListener("change", function (event) { redraw(event.matches); });
  function open(isOpen) {
    Array.prototype.forEach.call(document.querySelectorAll("details"), function (details) {
      details.open = isOpen;
    });
  }
  window.addEventListener("beforeprint", function () {
    open(true);
    document.documentElement.className = "paper";
    redraw(false, true);
  });
  window.addEventListener("afterprint", function () {
    open(false);
    document.documentElement.className = "";
    redraw(dark.matches);
  });
}());
"""


class Figures:
    """The plots of a page; their data stand together at the page's end."""

    def __init__(self) -> None:
        self._figures: list[dict[str, Any]] = []

    def place(self, plot: Plot) -> Html:
        """Add a plot; return its placeholder with title and note."""
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
        """Return all figures as JSON, escaped for a script element."""
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
    scripts = [_plotly_js(), SCRIPT] if len(figures) else []
    allowed = " ".join(map(policy_hash, scripts)) or "'none'"
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    head = [
        Html('<meta charset="utf-8">'),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", Html(STYLE)),
    ]
    links = [tag("a", title, href=f"#{id_}") for id_, title, _ in sections]
    main = [
        tag("section", tag("h2", title, id=id_), content, aria_labelledby=id_)
        for id_, title, content in sections
    ]
    body = [
        tag("header", header, tag("nav", join(links, " "), aria_label="Sections")),
        tag("noscript", tag("p", "The plots need JavaScript; all else is here.", class_="warn")),
        tag("main", *main),
        tag("footer", footer),
        tag("script", figures.to_json(), type="application/json", id="figures"),
        *(tag("script", Html(script)) for script in scripts),
    ]
    html = tag("html", tag("head", *head), tag("body", *body), lang="en")
    # JSON may hold a lone surrogate, which has no UTF-8.
    return f"<!DOCTYPE html>\n{html}\n".encode("utf-8", "replace").decode()


def plain(value: Any, key: str = "") -> Any:
    """Return part of a figure as JSON types: floats rounded, text escaped for Plotly's markup."""
    if isinstance(value, dict):
        return {name: plain(item, name) for name, item in value.items() if name != "template"}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(item, key) for item in value]
    if isinstance(value, bool | int) or value is None:
        return value
    if isinstance(value, float | np.floating):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    return str(value) if key == "hovertemplate" else escape(str(value), quote=False)


def _plotly_js() -> str:
    from plotly.offline import get_plotlyjs

    # With normalized line ends, because the browser hashes the script after it normalizes them.
    return str(get_plotlyjs()).replace("\r\n", "\n").replace("\r", "\n")
