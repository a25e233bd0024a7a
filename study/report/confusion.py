"""Which classes are taken for which: the confusion matrix, and recall and precision by class."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from study.report.choice import share
from study.report.evidence import Evidence
from study.view.html import Html, folded, table, tag

MOST_CLASSES = 20
"""More of them make no readable matrix; then the most frequent confusions are listed."""

MOST_CONFUSIONS = 30


def render_confusion(evidence: Evidence, classes: Sequence[str] | None) -> Html:
    """Return the confusion matrix and the recall of each class.

    Args:
        classes: Names by index; the indexes themselves where the data is not at hand.
    """
    counts = confusion(evidence)
    names = list(classes) if classes is not None else [str(k) for k in range(len(counts))]
    parts = [_matrix(counts, names) if len(names) <= MOST_CLASSES else None]
    parts += [_confusions(counts, names), _recall(counts, names)]
    return tag("div", *parts)


def confusion(evidence: Evidence) -> NDArray[np.int64]:
    """Return counts of shape (k, k): row by true class, column by what was said."""
    k = evidence.probabilities.shape[1]
    said = evidence.probabilities.argmax(axis=1)
    return np.bincount(evidence.labels * k + said, minlength=k * k).reshape(k, k).astype(np.int64)


def _matrix(counts: NDArray[np.int64], names: Sequence[str]) -> Html:
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    most = max(1, int(wrong.max()))

    def cell(true: int, said: int) -> Html:
        n = int(counts[true, said])
        if true == said:
            return tag("td", f"{n:,}", class_="right")
        # Mistakes are few: shaded by their own maximum, they can be seen beside the diagonal.
        depth = f"--depth:{100 * n / most:.0f}%" if n else None
        title = f"labelled {names[true]}, said {names[said]}: {n}"
        return tag("td", f"{n:,}" if n else "\N{MIDDLE DOT}", style=depth, title=title)

    header = tag("tr", tag("td"), *(tag("th", n, scope="col") for n in names))
    body = [
        tag("tr", tag("th", name, scope="row"), *(cell(true, said) for said in range(len(names))))
        for true, name in enumerate(names)
    ]
    caption = "Rows by their label (down) and by what was said of them (across)"
    inner = tag(
        "table",
        tag("caption", tag("span", caption)),
        tag("thead", header),
        tag("tbody", *body),
        class_="matrix",
    )
    return tag("div", inner, class_="scroll", tabindex=0, role="region", aria_label=caption)


def _confusions(counts: NDArray[np.int64], names: Sequence[str]) -> Html | None:
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CONFUSIONS]
    cells = [(int(i) // len(names), int(i) % len(names)) for i in order if wrong.flat[i] > 0]
    if not cells:
        return None
    rows = [[names[true], names[said], f"{wrong[true, said]:,}"] for true, said in cells]
    title = f"The most frequent confusions ({int(wrong.sum()):,} mistakes in all)"
    shown = table(title, ["Labelled", "Said", "Rows"], rows, numbers=["Rows"])
    return shown if len(names) > MOST_CLASSES else folded("The most frequent confusions", shown)


def _recall(counts: NDArray[np.int64], names: Sequence[str]) -> Html:
    totals, right = counts.sum(axis=1), counts.diagonal()
    said = counts.sum(axis=0)
    rows = []
    for k, name in enumerate(names):
        recall = share(right[k] / totals[k], 1) if totals[k] else "-"
        precision = share(right[k] / said[k], 1) if said[k] else "-"
        missed = int(totals[k] - right[k])
        rows.append([name, f"{totals[k]:,}", f"{missed:,}", recall, precision])
    head = ["Class", "Rows", "Missed", "Recall", "Precision"]
    caption = "Recall: how many of a class were found. Precision: how many said to be it are it."
    return table(caption, head, rows, numbers=head[1:])
