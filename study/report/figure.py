"""A figure as plotly.js takes it: plain JSON, rounded, with text that is text and no more.

Decides colours, the range that a plot shows of its values, and what of a figure is kept. Colours
that depend on light or dark are the page's (`page.py`).
"""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# Told apart by all kinds of colour blindness, and by lightness in print.
BLUE, ORANGE, GRAY = "#3d8fd1", "#d9662b", "#8e98a3"
SCALE = [[0, "#b9bfc6"], [0.55, "#6fa3cf"], [1, "#2470bd"]]
DIGITS = 6


@dataclass(frozen=True)
class Plot:
    """One figure.

    Attributes:
        title: What it shows, in a few words.
        note: How to read it, and what is not drawn.
        figure: `data` and `layout` for plotly.js.
        height: In CSS pixels.
        narrow: Whether several of them stand side by side.
        min_width: In CSS pixels; where the page is narrower, the plot scrolls.
    """

    title: str
    note: str
    figure: dict[str, Any]
    height: int = 360
    narrow: bool = False
    min_width: int | None = None


def frame(values: Sequence[float], direction: str) -> tuple[float, float] | None:
    """Return the range in which most values lie: a few bad ones must not flatten all others.

    The good end is always within; beyond the worse quartile, three times the distance from there
    to the good end is shown. None where there is nothing to see.
    """
    finite = np.array([v for v in values if math.isfinite(v)])
    if not len(finite) or finite.min() == finite.max():
        return None
    sign = 1.0 if direction == "maximize" else -1.0
    good = sign * finite
    top, quartile = good.max(), np.quantile(good, 0.25)
    bottom = max(good.min(), quartile - 3 * (top - quartile))
    room = 0.05 * (top - bottom) or abs(top) * 0.01
    low, high = sorted((sign * (bottom - room), sign * (top + room)))
    return float(low), float(high)


def plain(value: Any, key: str = "") -> Any:
    """Return part of a figure as JSON types: floats rounded, text safe from Plotly's own markup."""
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
    return str(value) if key == "hovertemplate" else html.escape(str(value), quote=False)


def axes(x: str, y: str, view: tuple[float, float] | None) -> dict[str, Any]:
    """Return a layout's axes and legend; `view` is the range of y."""
    return {
        "xaxis": {"title": {"text": x}},
        "yaxis": {"title": {"text": y}, **({"range": list(view)} if view else {})},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
    }
