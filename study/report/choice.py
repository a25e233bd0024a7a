"""The candidates of a finalize with their intervals, and why the choice fell.

Drawn as plain SVG, which needs no script, follows the page's colours and prints. The numbers are
those of `evidence.py`; nothing is chosen here.
"""

from collections import Counter
from collections.abc import Sequence

from study.report.evidence import Candidate, Evidence
from study.view.html import Html, number, table, tag


def share(value: float, digits: int = 2) -> str:
    """Return 0..1 as percent, which no line break parts."""
    return f"{100 * value:.{digits}f}\N{NO-BREAK SPACE}%"


def render_candidates(evidence: Evidence) -> Html:
    """Return the candidates with their intervals, and why the choice fell."""
    rows, chosen = [], evidence.candidates.index(evidence.choice)
    counts_flop = any(candidate.flop is not None for candidate in evidence.candidates)
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
                *([flop] if counts_flop else []),
                candidate.verdict,
            ]
        )
    head = ["Trial", "In the search", "On unseen rows", "95 % interval", "Log loss", "Epochs"]
    head += [*(["FLOP"] if counts_flop else []), "Verdict"]
    flop_note = "FLOP is of one training on folds; " if counts_flop else ""
    caption = (
        f"Accuracy on {evidence.choice.n:,} rows that the network had not learned from. The score "
        "to expect may be above all of these: it is that of a network that learned from all rows"
    )
    return tag(
        "div",
        tag("p", f"{evidence.why[0].upper()}{evidence.why[1:]}.", class_="lead"),
        _intervals(evidence.candidates, evidence.choice),
        table(caption, head, rows, numbers=head[:-1], marked=[chosen], class_="wordy"),
        tag(
            "p",
            f"Log loss is in nats; {flop_note}the intervals are Wilson's.",
            class_="note",
        ),
    )


def _intervals(candidates: Sequence[Candidate], choice: Candidate) -> Html:
    low, high = min(c.low for c in candidates), max(c.high for c in candidates)
    room = 0.06 * (high - low) or 0.01
    low, high = low - room, high + room

    def at(value: float) -> str:
        return f"{100 * (value - low) / (high - low):.2f}%"

    lines: list[Html] = []
    of_one_trial = Counter(candidate.trial for candidate in candidates)
    for candidate in candidates:
        is_chosen = candidate is choice or candidate == choice
        name = f"Trial {candidate.trial}"
        name += f", {candidate.epochs} epochs" if of_one_trial[candidate.trial] > 1 else ""
        name += " (chosen)" if is_chosen else ""
        said = f"{share(candidate.accuracy)}, {share(candidate.low)} to {share(candidate.high)}"
        lines.append(tag("span", name, class_="chosen" if is_chosen else None))
        lines.append(
            tag(
                "svg",
                tag("title", f"{name}: {said}"),
                tag("line", x1=at(candidate.low), x2=at(candidate.high), y1=12, y2=12),
                tag("line", x1=at(candidate.low), x2=at(candidate.low), y1=8, y2=16),
                tag("line", x1=at(candidate.high), x2=at(candidate.high), y1=8, y2=16),
                tag("circle", cx=at(candidate.accuracy), cy=12, r=6 if is_chosen else 4.5),
                class_="interval chosen" if is_chosen else "interval",
                role="img",
                height=24,
            )
        )
    ends = tag("div", tag("span", share(low)), tag("span", share(high)), class_="ends")
    return tag(
        "figure",
        tag("div", *lines, tag("span"), ends, class_="intervals"),
        tag("figcaption", "Accuracy of each candidate on unseen rows, with its 95 % interval."),
    )
