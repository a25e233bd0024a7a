"""Which classes the network confuses: the confusion matrix, and recall and precision by class."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from study.report.candidates import share
from study.report.evidence import Evidence
from study.view.html import Html, folded, table, tag

MOST_CLASSES = 20
"""With more classes the most frequent confusions are listed instead of the matrix."""
MOST_CONFUSIONS = 30


def render_confusion(evidence: Evidence, classes: Sequence[str] | None) -> Html:
    """Return the confusion matrix and the recall of each class.

    Args:
        evidence: The results of a finalize.
        classes: Names by index; None if the data are not available, then indexes are shown.
    """
    counts = confusion(evidence)
    names = list(classes) if classes is not None else [str(k) for k in range(len(counts))]
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    matrix = _matrix(counts, wrong, names) if len(names) <= MOST_CLASSES else None
    return tag("div", matrix, _confusions(wrong, names), _recall(counts, names))


def confusion(evidence: Evidence) -> NDArray[np.int64]:
    """Return counts of shape (k, k): row by true class, column by predicted class."""
    k = evidence.probabilities.shape[1]
    said = evidence.probabilities.argmax(axis=1)
    return np.bincount(evidence.labels * k + said, minlength=k * k).reshape(k, k).astype(np.int64)


def _matrix(counts: NDArray[np.int64], wrong: NDArray[np.int64], names: Sequence[str]) -> Html:
    def cell(true: int, said: int) -> Html:
        n = int(counts[true, said])
        if true == said:
            return tag("td", f"{n:,}", class_="right")
        # Shades are relative to the most frequent mistake, not to the much larger diagonal.
        depth = f"--depth:{100 * n / wrong.max():.0f}%" if n else None
        title = f"labelled {names[true]}, predicted {names[said]}: {n}"
        return tag("td", f"{n:,}" if n else "\N{MIDDLE DOT}", style=depth, title=title)

    each = range(len(names))
    rows = [[name, *(cell(true, said) for said in each)] for true, name in enumerate(names)]
    caption = "Rows by label (down) and by prediction (across)"
    return table(caption, ["", *names], rows, class_="matrix")


def _confusions(wrong: NDArray[np.int64], names: Sequence[str]) -> Html | None:
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CONFUSIONS]
    cells = [divmod(int(i), len(names)) for i in order if wrong.flat[i] > 0]
    if not cells:
        return None
    rows = [[names[true], names[said], f"{wrong[true, said]:,}"] for true, said in cells]
    title = f"The most frequent confusions ({int(wrong.sum()):,} mistakes in all)"
    shown = table(title, ["Labelled", "Predicted", "Rows"], rows, numbers=["Rows"])
    return shown if len(names) > MOST_CLASSES else folded("The most frequent confusions", shown)


def _recall(counts: NDArray[np.int64], names: Sequence[str]) -> Html:
    totals, said, right = counts.sum(axis=1), counts.sum(axis=0), counts.diagonal()
    rows = []
    for k, name in enumerate(names):
        recall = share(right[k] / totals[k], 1) if totals[k] else "-"
        precision = share(right[k] / said[k], 1) if said[k] else "-"
        rows.append([name, f"{totals[k]:,}", f"{totals[k] - right[k]:,}", recall, precision])
    head = ["Class", "Rows", "Missed", "Recall", "Precision"]
    caption = (
        "Recall: the share of a class that was found. Precision: the share of its predictions that "
        "are right."
    )
    return table(caption, head, rows, numbers=head[1:])
