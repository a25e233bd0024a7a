"""The plots of a search: history, importances, parallel coordinates and slices, all Optuna's own.

Decides how much is drawn of a large study, and what is changed in Optuna's figures: names of slots
instead of numbers, colours, and the range that is shown. Each note says what is not drawn.
"""

import logging
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.storages import InMemoryStorage
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from storage.reading import Attempt
from study.report.figure import BLUE, GRAY, ORANGE, SCALE, Plot, axes, frame
from study.report.snapshot import Snapshot

MOST_CURVES, MOST_STEPS = 150, 200


MOST_HISTORY, MOST_LINES, MOST_DOTS = 5000, 200, 400
MOST_AXES = 8
MOST_SLICES = 24
FEWEST_FOR_IMPORTANCE = 10


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
    """Return Optuna's figure as a dict, without its title; what it warns of is in our notes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figure: dict[str, Any] = make().to_dict()
    figure["layout"].pop("title", None)
    return figure


def _capped(n_shown: int, n_all: int) -> str:
    if n_shown == n_all:
        return ""
    return f" Drawn: {n_shown:,} of {n_all:,} finished trials, evenly, every record among them."


def _outside(view: tuple[float, float] | None, values: Sequence[float | None]) -> str:
    n = sum(view is not None and v is not None and not view[0] <= v <= view[1] for v in values)
    return f" Far worse and outside the frame: {n:,} (double-click shows all)." if n else ""


def _history(snapshot: Snapshot, rows: list[Attempt], view: tuple[float, float] | None) -> Plot:
    from optuna.visualization import plot_optimization_history

    shown = spread(rows, MOST_HISTORY, snapshot.spec.direction)
    study = plot_study(snapshot, shown)
    figure = _drawn(lambda: plot_optimization_history(study, target_name="Value"))
    slots = [a.slot for a in shown]
    figure["data"] = figure["data"][:2]
    for trace, color in zip(figure["data"], (BLUE, ORANGE), strict=False):
        trace["x"] = [slots[number] for number in trace["x"]]
        trace.pop("error_y", None)
        trace["marker" if trace["mode"] == "markers" else "line"] = {"color": color}
        trace["hovertemplate"] = "slot %{x}: %{y}<extra></extra>"
    figure["data"][0]["name"] = "Trial"
    figure["data"][-1].setdefault("line", {})["shape"] = "hv"
    figure["data"][0]["marker"] |= {"opacity": 0.75, "size": 7 if len(shown) < 300 else 4}
    figure["layout"] |= axes("Slot", "Value", view)
    note = "The value of each finished trial by slot, and the best of those up to it."
    note += _capped(len(shown), len(rows)) + _outside(view, [a.value for a in rows])
    return Plot("History", note, figure)


def _varied(snapshot: Snapshot, rows: list[Attempt]) -> list[str]:
    """Return the params that could differ and were drawn, in the space's order."""
    drawn = {name for attempt in rows for name in attempt.params}
    known = snapshot.distributions
    return [name for name in known if name in drawn and not known[name].single()]


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
    drawn = {name for attempt in shown for name in attempt.params}
    study = plot_study(snapshot, shown)
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
        text += " None: the param was not drawn, as others decide whether it is."
    if n_names > len(names):
        text += f" Of {n_names} params those {len(names)} that seem to matter most."
    text += _capped(len(shown), len(rows))
    return Plot("Parallel coordinates", text, figure, 440, min_width=76 * len(wanted))


def _recolored(lines: list[dict[str, Any]], direction: str) -> list[dict[str, Any]]:
    """Return the lines, the best last, in colours by rank.

    By value, as Optuna has them, one outlier would make all others equal.
    """
    from plotly.colors import sample_colorscale

    order = sorted(lines, key=lambda line: line["y"][0], reverse=direction == "minimize")
    for rank, line in enumerate(order):
        share = rank / max(1, len(order) - 1)
        (line["line"]["color"],) = sample_colorscale(SCALE, [share])
        line["line"]["width"] = 1 + 1.2 * share**4
        line["opacity"] = 0.35 + 0.5 * share
    return order


def _ticks(axis: dict[str, Any], values: Sequence[Any]) -> dict[str, Any]:
    """Return one tick a decade where a logarithmic axis has several; else Plotly's own."""
    if axis.get("type") != "log":
        return {}
    wide = max(values) >= 100 * min(values)
    return {"exponentformat": "power", **({"dtick": 1} if wide else {})}


def _slices(
    snapshot: Snapshot, rows: list[Attempt], names: list[str], view: tuple[float, float] | None
) -> list[Plot]:
    from optuna.visualization import plot_slice

    shown = spread(rows, MOST_DOTS, snapshot.spec.direction)
    study = plot_study(snapshot, shown)
    drawn = {name for attempt in shown for name in attempt.params}
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


def completed(snapshot: Snapshot) -> list[Attempt]:
    """Return the attempts with a finite value, by slot, with the params that fit the space."""
    found, known = snapshot.with_state(TrialState.COMPLETE), snapshot.distributions
    return [
        replace(a, params={n: v for n, v in a.params.items() if _fits(known.get(n), v)})
        for a in found
        if a.value is not None and math.isfinite(a.value)
    ]


def spread(attempts: Sequence[Attempt], most: int, direction: str) -> list[Attempt]:
    """Return `most` attempts or a few more: evenly many of all, and each that was the best so far.

    Args:
        attempts: With values, in order.
        most: How many are to be drawn.
        direction: Whether a higher or a lower value is better.
    """
    if len(attempts) <= most:
        return list(attempts)
    step = len(attempts) / most
    chosen = {int(index * step) for index in range(most)}
    sign, best = (-1.0 if direction == "maximize" else 1.0), math.inf
    for index, attempt in enumerate(attempts):
        value = math.inf if attempt.value is None else sign * attempt.value
        if value < best:
            best = value
            chosen.add(index)
    return [attempts[index] for index in sorted(chosen)]


def plot_study(snapshot: Snapshot, attempts: Sequence[Attempt]) -> Study:
    """Return a study of these attempts, which are `completed`; number `n` is `attempts[n]`."""
    direction = StudyDirection[snapshot.spec.direction.upper()]
    storage = _QuietStorage()
    study_id = storage.create_new_study([direction], "report")
    for attempt in attempts:
        storage.create_new_trial(study_id, _frozen(attempt, snapshot.distributions))
    return Study(storage.get_study_name_from_id(study_id), storage)


class _QuietStorage(InMemoryStorage):
    """Says nothing, and keeps trials as they come: copying 5,000 of them deeply takes seconds."""

    def create_new_study(
        self, directions: Sequence[StudyDirection], study_name: str | None = None
    ) -> int:
        logger = logging.getLogger("optuna.storages._in_memory")
        was_disabled, logger.disabled = logger.disabled, True
        try:
            return super().create_new_study(directions, study_name)
        finally:
            logger.disabled = was_disabled

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        if template_trial is None:
            return super().create_new_trial(study_id)
        number = len(self._studies[study_id].trials)
        template_trial.number = template_trial._trial_id = number
        self._trial_id_to_study_id_and_number[number] = (study_id, number)
        self._studies[study_id].trials.append(template_trial)
        return number


def _frozen(attempt: Attempt, known: dict[str, BaseDistribution]) -> FrozenTrial:
    return create_trial(
        state=TrialState.COMPLETE,
        value=attempt.value,
        params=attempt.params,
        distributions={name: known[name] for name in attempt.params},
    )


def _fits(distribution: BaseDistribution | None, value: Any) -> bool:
    """Whether a stored value is one of the space's; what is not would break a plot."""
    if distribution is None:
        return False
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except (TypeError, ValueError):
        return False
