"""The plots of a search: history and learning curves; Optuna's importances, parallel lines, slices.

Optuna's figures get other colours, and a range without outliers. Plots of a large study show only
some of its trials, and say so in their notes.
"""

import logging
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.storages import InMemoryStorage
from optuna.study import Study, StudyDirection
from optuna.trial import TrialState, create_trial

from storage.reading import Attempt
from study.report.snapshot import Snapshot
from study.view.status import standing

MOST_HISTORY, MOST_LINES, MOST_DOTS, MOST_CURVES, MOST_STEPS = 5000, 200, 400, 150, 200
MOST_AXES, MOST_SLICES = 8, 24
FEWEST_FOR_IMPORTANCE = 10
# Distinguishable with any colour blindness, and by lightness in print.
BLUE, ORANGE, GRAY = "#3d8fd1", "#d9662b", "#8e98a3"
SCALE = [[0, "#b9bfc6"], [0.55, "#6fa3cf"], [1, "#2470bd"]]


@dataclass(frozen=True)
class Plot:
    """One figure.

    Attributes:
        title: Content, in a few words.
        note: How to read the plot, and what is not drawn.
        figure: `data` and `layout` for plotly.js.
        height: In CSS pixels.
        narrow: Whether several plots are placed side by side.
        min_width: In CSS pixels; on a narrower page the plot scrolls.
    """

    title: str
    note: str
    figure: dict[str, Any]
    height: int = 360
    narrow: bool = False
    min_width: int | None = None


def frame(values: Sequence[float], direction: str) -> tuple[float, float] | None:
    """Return the range of most values, so that a few bad ones do not flatten all others.

    The range starts at the best value, and ends beyond the worse quartile by three times the
    distance between the two. None without two different values.
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


def search_plots(snapshot: Snapshot) -> list[Plot]:
    """Return history, importances, parallel coordinates and slices; none without a value."""
    rows = completed(snapshot)
    if not rows:
        return []
    direction = snapshot.spec.direction
    view = frame([a.value for a in rows if a.value is not None], direction)
    importances = _importances(snapshot, rows)
    plots = [_history(snapshot, rows, view), *([importances[0]] if importances else [])]
    names = importances[1] if importances else _varied(snapshot, rows)
    if names:
        plots.append(_parallel(snapshot, rows, names[:MOST_AXES], len(names)))
        plots += _slices(snapshot, rows, names[:MOST_SLICES], view)
    return plots


def _drawn(make: Callable[[], Any]) -> dict[str, Any]:
    """Return Optuna's figure as a dict, without its title and its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figure: dict[str, Any] = make().to_dict()
    figure["layout"].pop("title", None)
    return figure


def _capped(n_shown: int, n_all: int) -> str:
    if n_shown == n_all:
        return ""
    return f" Drawn: {n_shown:,} of {n_all:,} finished trials, evenly, all records included."


def _outside(view: tuple[float, float] | None, values: Sequence[float | None]) -> str:
    n = sum(view is not None and v is not None and not view[0] <= v <= view[1] for v in values)
    return f" Far worse and not in view: {n:,} (double-click shows all)." if n else ""


def _history(snapshot: Snapshot, rows: list[Attempt], view: tuple[float, float] | None) -> Plot:
    shown = spread(rows, MOST_HISTORY, snapshot.spec.direction)
    slots, values = [a.slot for a in shown], [a.value or 0.0 for a in shown]
    better = max if snapshot.spec.direction == "maximize" else min
    trace = {"type": "scatter", "x": slots, "hovertemplate": "slot %{x}: %{y}<extra></extra>"}
    dot = {"color": BLUE, "opacity": 0.75, "size": 7 if len(shown) < 300 else 4}
    step = {"color": ORANGE, "shape": "hv"}
    best = list(accumulate(values, better))
    traces = [
        {**trace, "y": values, "name": "Trial", "mode": "markers", "marker": dot},
        {**trace, "y": best, "name": "Best Value", "mode": "lines", "line": step},
    ]
    note = "The value of each finished trial by slot, and the best value so far."
    note += _capped(len(shown), len(rows)) + _outside(view, [a.value for a in rows])
    return Plot("History", note, {"data": traces, "layout": axes("Slot", "Value", view)})


def _varied(snapshot: Snapshot, rows: list[Attempt]) -> list[str]:
    """Return the drawn params with more than one possible value, in the space's order."""
    drawn, known = _drawn_names(rows), snapshot.distributions
    return [name for name in known if name in drawn and not known[name].single()]


def _drawn_names(rows: list[Attempt]) -> set[str]:
    return {name for attempt in rows for name in attempt.params}


def _importances(snapshot: Snapshot, rows: list[Attempt]) -> tuple[Plot, list[str]] | None:
    """Return the plot, and the params from the most important to the least."""
    from optuna.importance import PedAnovaImportanceEvaluator
    from optuna.visualization import plot_param_importances

    names, values = _varied(snapshot, rows), {a.value for a in rows}
    if len(rows) < FEWEST_FOR_IMPORTANCE or not names or len(values) < 2:
        return None
    study = plot_study(snapshot, rows)
    evaluator = PedAnovaImportanceEvaluator()
    figure = _drawn(lambda: plot_param_importances(study, evaluator, params=names))
    (bars,) = figure["data"]
    bars["hovertemplate"] = "%{y}: %{x:.2f}<extra></extra>"
    bars["marker"] = {"color": BLUE}
    figure["layout"] = {
        # Room for the numbers beside the bars.
        "xaxis": {"title": {"text": "Importance"}, "range": [0, 1.2 * max(*bars["x"], 0.01)]},
        "yaxis": {"automargin": True, "type": "category"},
        "showlegend": False,
    }
    note = (
        f"How much each param decides whether a trial is among the best tenth (PED-ANOVA, from "
        f"{len(rows):,} trials). A hint, not a proof"
        + ("; from so few trials a weak one." if len(rows) < 100 else ".")
    )
    order = [str(name) for name in reversed(bars["y"])]
    return Plot("Importance of the params", note, figure, 110 + 22 * len(names)), order


def _parallel(snapshot: Snapshot, rows: list[Attempt], names: list[str], n_names: int) -> Plot:
    from optuna.visualization import plot_parallel_coordinate

    shown = spread(rows, MOST_LINES, snapshot.spec.direction)
    study, drawn = plot_study(snapshot, shown), _drawn_names(shown)
    wanted = [name for name in names if name in drawn]
    figure = _drawn(lambda: plot_parallel_coordinate(study, wanted, target_name="Value"))
    *lines, scale = figure["data"]
    figure["data"] = [*_recolored(lines, snapshot.spec.direction), scale]
    scale["marker"]["showscale"] = False
    for note in figure["layout"]["annotations"]:
        note["font"] = {"size": 10}
    figure["layout"].pop("plot_bgcolor", None)
    figure["layout"]["xaxis"]["tickangle"] = 25 if len(wanted) > 4 else 0
    figure["layout"]["showlegend"] = False
    text = "Each line is a trial; the bluer, the better."
    if any(name not in attempt.params for attempt in shown for name in wanted):
        text += " None: the param was not drawn, which depends on other params."
    if n_names > len(names):
        text += f" Shown: {len(names)} of {n_names} params, the most important ones."
    text += _capped(len(shown), len(rows))
    return Plot("Parallel coordinates", text, figure, 440, min_width=76 * len(wanted))


def _recolored(lines: list[dict[str, Any]], direction: str) -> list[dict[str, Any]]:
    """Return the lines, the best last, coloured by rank: outliers would spoil colours by value."""
    from plotly.colors import sample_colorscale

    order = sorted(lines, key=lambda line: line["y"][0], reverse=direction == "minimize")
    for rank, line in enumerate(order):
        share = rank / max(1, len(order) - 1)
        (line["line"]["color"],) = sample_colorscale(SCALE, [share])
        line["line"]["width"] = 1 + 1.2 * share**4
        line["opacity"] = 0.35 + 0.5 * share
    return order


def _ticks(axis: dict[str, Any], values: Sequence[Any]) -> dict[str, Any]:
    """Return one tick per decade for a log axis of several decades; else Plotly's ticks."""
    if axis.get("type") != "log":
        return {}
    wide = max(values) >= 100 * min(values)
    return {"exponentformat": "power", **({"dtick": 1} if wide else {})}


def _slices(
    snapshot: Snapshot, rows: list[Attempt], names: list[str], view: tuple[float, float] | None
) -> list[Plot]:
    from optuna.visualization import plot_slice

    shown = spread(rows, MOST_DOTS, snapshot.spec.direction)
    study, drawn = plot_study(snapshot, shown), _drawn_names(shown)
    plots = []
    for name in (name for name in names if name in drawn):
        figure = _drawn(lambda name=name: plot_slice(study, [name], target_name="Value"))  # type: ignore[misc]
        (dots,) = figure["data"][:1]
        dots["marker"] = {"color": BLUE, "size": 6, "opacity": 0.7}
        dots["hovertemplate"] = "%{x}: %{y}<extra></extra>"
        figure["data"] = [dots]
        axis = figure["layout"]["xaxis"]
        figure["layout"] |= axes(name, "", view)
        figure["layout"]["xaxis"] = {**axis, "title": {"text": name}, **_ticks(axis, dots["x"])}
        figure["layout"]["showlegend"] = False
        plots.append(Plot(f"Value by {name}", _capped(len(shown), len(rows)), figure, 230, True))
    return plots


def curves_plot(snapshot: Snapshot) -> Plot | None:
    """Return the plot of reported values by epoch, the best trial on top; None without reports."""
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
    """Return one trace of all curves with gaps between them: far smaller than many traces."""
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


def completed(snapshot: Snapshot) -> list[Attempt]:
    """Return the complete attempts of finite value, with only the params that fit the space."""
    known = snapshot.distributions
    return [
        replace(a, params={n: v for n, v in a.params.items() if _fits(known.get(n), v)})
        for a in snapshot.newest.values()
        if standing(a) == TrialState.COMPLETE and a.value is not None and math.isfinite(a.value)
    ]


def spread(attempts: Sequence[Attempt], most: int, direction: str) -> list[Attempt]:
    """Return about `most` attempts, evenly spread, and all that were the best so far."""
    if len(attempts) <= most:
        return list(attempts)
    chosen = {int(index * len(attempts) / most) for index in range(most)}
    sign, best = (-1.0 if direction == "maximize" else 1.0), math.inf
    for index, attempt in enumerate(attempts):
        if attempt.value is not None and sign * attempt.value < best:
            best = sign * attempt.value
            chosen.add(index)
    return [attempts[index] for index in sorted(chosen)]


def plot_study(snapshot: Snapshot, attempts: Sequence[Attempt]) -> Study:
    """Return an Optuna study of attempts from `completed`; its trial `n` is `attempts[n]`."""
    storage, known = InMemoryStorage(), snapshot.distributions
    logger = logging.getLogger("optuna.storages._in_memory")
    was_disabled, logger.disabled = logger.disabled, True
    try:
        direction = StudyDirection[snapshot.spec.direction.upper()]
        study_id = storage.create_new_study([direction], "report")
    finally:
        logger.disabled = was_disabled
    for number, attempt in enumerate(attempts):
        trial = create_trial(
            value=attempt.value,
            params=attempt.params,
            distributions={name: known[name] for name in attempt.params},
        )
        trial.number = trial._trial_id = number
        # Not create_new_trial: its deep copies of 5,000 trials take seconds.
        storage._studies[study_id].trials.append(trial)
    return Study("report", storage)


def _fits(distribution: BaseDistribution | None, value: Any) -> bool:
    """Whether a stored value is in the space; another value would break a plot."""
    if distribution is None:
        return False
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except (TypeError, ValueError):
        return False


def axes(x: str, y: str, view: tuple[float, float] | None) -> dict[str, Any]:
    """Return a layout's axes and legend; `view` is the range of y."""
    return {
        "xaxis": {"title": {"text": x}},
        "yaxis": {"title": {"text": y}, **({"range": list(view)} if view else {})},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
    }
