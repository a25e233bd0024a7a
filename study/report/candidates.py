"""Report section on a finalize's candidates: a table, their intervals, the reason for the choice.

`evidence.py` has the numbers; `finalize/choose.py` makes the choice. The intervals are SVG, which
can be printed and needs no script.
"""

from collections import Counter
from collections.abc import Sequence

from study.report.evidence import Candidate, Evidence
from study.view.html import Html, number, table, tag


def share(value: float, digits: int = 2) -> str:
    """Return 0..1 as a percentage with a non-breaking space."""
    return f"{100 * value:.{digits}f}\N{NO-BREAK SPACE}%"


def render_candidates(evidence: Evidence) -> Html:
    """Return the candidates with their intervals, and the reason for the choice."""
    has_flop = any(candidate.flop is not None for candidate in evidence.candidates)
    rows = []
    for candidate in evidence.candidates:
        flop = "" if candidate.flop is None else f"{candidate.flop:.2g}"
        rows.append(
            [
                candidate.trial,
                number(candidate.value),
                share(candidate.accuracy),
                f"{share(candidate.low)} to {share(candidate.high)}",
                f"{candidate.log_loss:.4f}",
                candidate.shown_epochs,
                *([flop] if has_flop else []),
                candidate.verdict,
            ]
        )
    head = ["Trial", "In the search", "On unseen rows", "95 % interval", "Log loss", "Epochs"]
    head += [*(["FLOP"] if has_flop else []), "Verdict"]
    chosen = [evidence.candidates.index(evidence.choice)]
    caption = (
        f"Accuracy of single networks on held-out rows, {evidence.choice.n:,} for the chosen one. "
        "The expected score may be above all of these, because it is for the average of networks"
    )
    flop_note = "FLOP is of one training on folds; " if has_flop else ""
    return tag(
        "div",
        tag("p", f"{evidence.why[0].upper()}{evidence.why[1:]}.", class_="lead"),
        _intervals(evidence.candidates, evidence.choice),
        table(caption, head, rows, numbers=head[:-1], marked=chosen, class_="wordy"),
        tag("p", f"Log loss is in nats; {flop_note}the intervals are Wilson's.", class_="note"),
    )


def _intervals(candidates: Sequence[Candidate], choice: Candidate) -> Html:
    low, high = min(c.low for c in candidates), max(c.high for c in candidates)
    room = 0.06 * (high - low) or 0.01
    low, high = low - room, high + room

    def at(value: float) -> str:
        return f"{100 * (value - low) / (high - low):.2f}%"

    lines: list[Html] = []
    n_of_trial = Counter(candidate.trial for candidate in candidates)
    for candidate in candidates:
        chosen = "chosen" if candidate == choice else None
        epochs = f", {candidate.epochs} epochs" if n_of_trial[candidate.trial] > 1 else ""
        name = f"Trial {candidate.trial}{epochs}{' (chosen)' if chosen else ''}"
        said = f"{share(candidate.accuracy)}, {share(candidate.low)} to {share(candidate.high)}"
        left, right = at(candidate.low), at(candidate.high)
        picture = tag(
            "svg",
            tag("title", f"{name}: {said}"),
            tag("line", x1=left, x2=right, y1=12, y2=12),
            tag("line", x1=left, x2=left, y1=8, y2=16),
            tag("line", x1=right, x2=right, y1=8, y2=16),
            tag("circle", cx=at(candidate.accuracy), cy=12, r=6 if chosen else 4.5),
            class_=f"interval {chosen or ''}".strip(),
            role="img",
            height=24,
        )
        lines += [tag("span", name, class_=chosen), picture]
    ends = tag("div", tag("span", share(low)), tag("span", share(high)), class_="ends")
    return tag(
        "figure",
        tag("div", *lines, tag("span"), ends, class_="intervals"),
        tag("figcaption", "Accuracy of each candidate on unseen rows, with its 95 % interval."),
    )
