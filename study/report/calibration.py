"""Calibration of the network: reliability diagram and calibration error.

The confidence in a row is the probability of the predicted class. The diagram is SVG.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from study.report.candidates import share
from study.report.evidence import Evidence
from study.view.html import Html, table, tag
from study.view.score import wilson

N_BINS = 10
SIDE, LEFT, TOP = 260, 42, 12  # of the diagram, in SVG pixels


@dataclass(frozen=True)
class Bin:
    """Rows of similar confidence.

    Attributes:
        low, high: Range of the confidence, 0..1; a row at `high` belongs to the bin.
        n: Number of rows, at least one.
        said: Mean confidence of these rows.
        right: Share of these rows that is predicted right.
    """

    low: float
    high: float
    n: int
    said: float
    right: float


def reliability(
    probabilities: NDArray[np.float32], labels: NDArray[np.int64]
) -> tuple[list[Bin], float]:
    """Return the bins that hold rows, and the expected calibration error, 0..1.

    Args:
        probabilities: Of shape (m, k).
        labels: Class indexes of shape (m,).
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    is_right = probabilities.argmax(axis=1) == labels
    index = np.clip(np.ceil(confidence * N_BINS).astype(int) - 1, 0, N_BINS - 1)
    bins = []
    for k in np.unique(index):
        here = index == k
        said, right = float(confidence[here].mean()), float(is_right[here].mean())
        bins.append(Bin(int(k) / N_BINS, (int(k) + 1) / N_BINS, int(here.sum()), said, right))
    n = max(1, len(labels))
    return bins, sum(b.n / n * abs(b.right - b.said) for b in bins)


def render_calibration(evidence: Evidence) -> Html:
    """Return the reliability diagram and the expected calibration error."""
    bins, error = reliability(evidence.probabilities, evidence.labels)
    n = sum(b.n for b in bins)
    if not n:
        return tag("p", "There are no rows to compute the calibration from.")
    sure, right = sum(b.n * b.said for b in bins) / n, sum(b.n * b.right for b in bins) / n
    tone = "more confident than it should be" if sure > right else "less confident than it could be"
    rows = [
        [
            f"{b.low:.0%} to {b.high:.0%}".replace(" ", "\N{NO-BREAK SPACE}"),
            f"{b.n:,}",
            share(b.said),
            share(b.right),
        ]
        for b in bins
    ]
    head = ["Confidence", "Rows", "Mean confidence", "Right"]
    note = (
        "Across: the network's confidence. Up: how often it was right, with 95 % intervals. The "
        "larger a dot, the more rows. On the dashed line, it is right as often as it claims."
    )
    summary = (
        f"Expected calibration error: {share(error)} (10 bins of equal width). On average "
        f"it was {share(sure)} confident and {share(right)} right: {tone}."
    )
    diagram = tag("figure", _draw(bins), tag("figcaption", note), class_="reliability")
    bins_table = table("The bins of the diagram", head, rows, numbers=head[1:])
    return tag("div", tag("p", summary), tag("div", diagram, bins_table, class_="beside"))


def _draw(bins: Sequence[Bin]) -> Html:
    most = max(b.n for b in bins)
    marks = [_axes()]
    for b in bins:
        low, high = wilson(b.right * b.n, b.n)
        title = f"{b.n:,} rows: {share(b.said)} confident, {share(b.right)} right"
        interval = tag("line", x1=_x(b.said), x2=_x(b.said), y1=_y(low), y2=_y(high))
        radius = f"{3 + 6 * (b.n / most) ** 0.5:.1f}"
        dot = tag("circle", cx=_x(b.said), cy=_y(b.right), r=radius)
        marks.append(tag("g", tag("title", title), interval, dot, class_="bin"))
    label = "Reliability diagram: " + "; ".join(
        f"{share(b.said, 0)} confident, {share(b.right, 0)} right" for b in bins
    )
    box = f"0 0 {LEFT + SIDE + 14} {TOP + SIDE + 38}"
    return tag("svg", *marks, viewBox=box, role="img", aria_label=label, class_="diagram")


def _x(value: float) -> str:
    return f"{LEFT + SIDE * value:.1f}"


def _y(value: float) -> str:
    return f"{TOP + SIDE * (1 - value):.1f}"


def _axes() -> Html:
    marks = [
        tag("rect", x=LEFT, y=TOP, width=SIDE, height=SIDE),
        tag("line", x1=_x(0), y1=_y(0), x2=_x(1), y2=_y(1), class_="ideal"),
        tag("text", "confidence", x=_x(0.5), y=TOP + SIDE + 34, text_anchor="middle"),
    ]
    for value in (0.0, 0.25, 0.5, 0.75, 1.0):
        text = f"{value:.0%}"
        marks.append(tag("text", text, x=_x(value), y=TOP + SIDE + 17, text_anchor="middle"))
        marks.append(tag("text", text, x=LEFT - 6, y=float(_y(value)) + 4, text_anchor="end"))
    return tag("g", *marks, class_="axes")
