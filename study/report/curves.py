"""The learning curves of a study in one plot: values by epoch, the best trial's on top."""

import math
from typing import Any

from optuna.trial import TrialState

from storage.reading import Attempt
from study.report.figure import GRAY, ORANGE, Plot, axes, frame
from study.report.snapshot import Snapshot

MOST_CURVES, MOST_STEPS = 150, 200


def curves_plot(snapshot: Snapshot) -> Plot | None:
    """Return the values by epoch of all trials that reported, the best trial's on top."""
    top = [snapshot.best] if snapshot.best is not None and snapshot.best.reports else []
    rows = [a for a in snapshot.newest.values() if a.reports and all(a is not best for best in top)]
    if not rows and not top:
        return None
    every = max(1, math.ceil(len(rows) / MOST_CURVES))
    shown = rows[::every]
    groups = {
        "Pruned": (TrialState.PRUNED, "dash"),
        "Running": (TrialState.RUNNING, "dot"),
        "Failed": (TrialState.FAIL, "dashdot"),
        "Finished": (TrialState.COMPLETE, "solid"),
    }
    traces = []
    for name, (state, dash) in groups.items():
        members = [a for a in shown if a.state == state]
        line = {"color": GRAY, "width": 1, "dash": dash}
        if members:
            traces.append({**_curves(members), "name": name, "line": line, "opacity": 0.6})
    for best in top:
        line = {"color": ORANGE, "width": 3}
        traces.append({**_curves([best]), "name": f"Best: trial {best.trial}", "line": line})
    drawn = [*shown, *top]
    view = frame([v for a in drawn for v in a.reports.values()], snapshot.spec.direction)
    n_epochs = max(step for a in drawn for step in a.reports) + 1
    layout = {**axes("Epoch", "Value", view), "hovermode": "closest"}
    layout["xaxis"] |= {"dtick": math.ceil(n_epochs / 12), "tick0": 1}
    note = "What each trial reported after each epoch."
    if every > 1:
        note += f" Drawn: {len(shown):,} of {len(rows):,} curves, evenly, and the best."
    return Plot("Values by epoch", note, {"data": traces, "layout": layout}, 400)


def _curves(attempts: list[Attempt]) -> dict[str, Any]:
    """Return one trace for all curves, with gaps between them: it is far smaller than many."""
    x: list[int | None] = []
    y: list[float | None] = []
    trials: list[int | None] = []
    for attempt in attempts:
        steps = list(attempt.reports)[:: max(1, len(attempt.reports) // MOST_STEPS)]
        x += [*(step + 1 for step in steps), None]
        y += [*(attempt.reports[step] for step in steps), None]
        trials += [*([attempt.trial] * len(steps)), None]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": x,
        "y": y,
        "customdata": trials,
        "hovertemplate": "trial %{customdata}, epoch %{x}: %{y}<extra></extra>",
    }
