"""Builds the report: its sections in order, and the sentence at its top."""

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from objectives.data.dataset import Dataset
from objectives.files.atomic import write_text
from storage.reading import Attempt
from study.report.calibration import render_calibration
from study.report.candidates import render_candidates, share
from study.report.confusion import render_confusion
from study.report.evidence import Evidence
from study.report.gallery import render_gallery
from study.report.page import Figures, Section, render_page
from study.report.plots import curves_plot, search_plots
from study.report.run import moment, render_environment, render_failures, render_time
from study.report.snapshot import Snapshot, read_snapshot
from study.spec.open import OpenStudy
from study.view.html import Html, join, number, pairs, tag


def write_report(
    opened: OpenStudy,
    path: Path,
    evidence: Evidence | None,
    dataset: Dataset | None,
    facts: Mapping[str, Any] | None,
) -> str:
    """Write the report of a study as it is now, atomically.

    Args:
        opened: The study, which is only read.
        path: The file to create or replace. Its folder must exist.
        evidence: The results of a finalize; None before a finalize.
        dataset: For class names and pictures; None if it is not available.
        facts: The finalize's manifest; None before a finalize.

    Returns:
        The file's sha256.

    Raises:
        OSError: The file cannot be written.
    """
    return write_text(path, render_report(read_snapshot(opened), evidence, dataset, facts))


def render_report(
    snapshot: Snapshot,
    evidence: Evidence | None,
    dataset: Dataset | None,
    facts: Mapping[str, Any] | None,
) -> str:
    """Return the page, a pure function of the arguments; see `write_report`."""
    figures = Figures()
    sections = [
        ("result", "Result", _result(snapshot, evidence)),
        ("search", "The search", _search(snapshot, figures)),
        ("curves", "Learning curves", _curves(snapshot, figures)),
        *_choice(snapshot, evidence, dataset),
        ("failures", "Failures", render_failures(snapshot)),
        ("time", "Time and cost", render_time(snapshot, facts)),
        ("environment", "Environment", render_environment(snapshot, facts)),
    ]
    footer = tag("p", f"Written by study report on {moment(snapshot.at)}.", class_="note")
    return render_page(snapshot.name, _header(snapshot), sections, figures, footer)


def _choice(
    snapshot: Snapshot, evidence: Evidence | None, dataset: Dataset | None
) -> list[Section]:
    """Return the results of a finalize; before a finalize, how to get them, if possible."""
    if evidence is not None:
        classes = dataset.classes if dataset is not None else None
        return [
            ("choice", "The choice", render_candidates(evidence)),
            ("classes", "Confusion and recall", render_confusion(evidence, classes)),
            ("mistakes", "Mistakes", render_gallery(evidence, dataset)),
            ("calibration", "Calibration", render_calibration(evidence)),
        ]
    if snapshot.spec.data is None or snapshot.spec.refits is not None:
        return []
    later = tag(
        "p",
        "The best candidates with their intervals, the mistakes as pictures, and the network's "
        "confidence come with ",
        tag("code", f"study finalize --study {shlex.quote(snapshot.name)}"),
        ", which trains the best trials again on folds of the labelled rows.",
    )
    return [("choice", "The choice", later)]


def _header(snapshot: Snapshot) -> Html:
    counts, n = snapshot.counts, len(snapshot.newest)
    at = tag("time", moment(snapshot.at), datetime=snapshot.at.isoformat(timespec="seconds"))
    title = tag("h1", snapshot.name)
    if snapshot.is_done:
        return join([title, tag("p", f"Study report. All {n:,} slots are final. ", at)])
    running, waiting = counts[TrialState.RUNNING], counts[TrialState.WAITING]
    what = "This study is still running" if running else "This study is not finished"
    progress = tag(
        "p",
        tag("strong", f"{what}: "),
        f"{snapshot.n_final:,} of {n:,} slots final, {running:,} in training, "
        f"{waiting:,} waiting. The page shows its state at ",
        at,
        ".",
        class_="warn",
    )
    return join([title, tag("p", "Study report. ", at), progress])


def _result(snapshot: Snapshot, evidence: Evidence | None) -> Html:
    rows: list[tuple[object, object]] = []
    best, counts = snapshot.best, snapshot.counts
    wanted = best.trial if best is not None else None
    if evidence is not None:
        wanted = evidence.choice.trial
        rows.append(("Chosen", f"trial {wanted}"))
    if best is not None:
        rows.append(("Best in the search", f"{_value(best)} (trial {best.trial})"))
    luck = evidence.expected.luck if evidence is not None else None
    if luck is not None and luck > 0:
        rows.append(("Luck in that value, about", f"{100 * luck:.2f} points"))
    rows.append(("Finished", f"{counts[TrialState.COMPLETE]:,} of {len(snapshot.newest):,} slots"))
    for name, state in (("Pruned slots", TrialState.PRUNED), ("Failed slots", TrialState.FAIL)):
        if counts[state]:
            rows.append((name, f"{counts[state]:,}"))
    parts = [tag("p", headline(snapshot, evidence), class_="verdict"), pairs(rows)]
    params = next((a.params for a in snapshot.attempts if a.trial == wanted), {})
    if params:
        shown = {n: f"{v:.4g}" if isinstance(v, float) else v for n, v in params.items()}
        parts += [tag("h3", f"Params of trial {wanted}"), pairs(shown.items())]
    return join(parts)


def headline(snapshot: Snapshot, evidence: Evidence | None) -> str:
    """Return the result in one sentence that says how far to trust it."""
    if evidence is not None:
        expected = evidence.expected
        score, low, high = map(share, (expected.score, expected.low, expected.high))
        return (
            f"The expected score on the {expected.n_test:,} test images is {score} "
            f"({share(0.95, 0)} interval: {low} to {high})."
        )
    if snapshot.spec.refits is not None:
        return (
            f"These are the trainings of a finalize of study '{snapshot.spec.refits}'; the result "
            "is in its report."
        )
    best, n = snapshot.best, snapshot.counts[TrialState.COMPLETE]
    if best is None:
        return "No trial has finished yet, so there is no result."
    value = _value(best)
    if n == 1:
        return f"The one finished trial, {best.trial}, has the value {value}: too few to choose."
    when = "" if snapshot.is_done else " so far"
    return (
        f"The best value{when} is {value} (trial {best.trial} of {n:,} finished), which is too "
        "optimistic: the best of many looks better than it is."
    )


def _value(attempt: Attempt) -> str:
    return "-" if attempt.value is None else number(attempt.value)


def _search(snapshot: Snapshot, figures: Figures) -> Html:
    plots = search_plots(snapshot)
    if not plots:
        return tag("p", "No trial has finished with a value: there is nothing to plot.")
    parts = [figures.place(plot) for plot in plots if not plot.narrow]
    if slices := [plot for plot in plots if plot.narrow]:
        # Their notes are equal, so one note stands above all.
        note = f"Each dot is a finished trial; one plot for each param.{slices[0].note}"
        bare = [figures.place(replace(plot, note="")) for plot in slices]
        parts += [tag("h3", "Value by param"), tag("p", note, class_="note")]
        parts.append(tag("div", *bare, class_="small"))
    return join(parts)


def _curves(snapshot: Snapshot, figures: Figures) -> Html:
    plot = curves_plot(snapshot)
    return figures.place(plot) if plot else tag("p", "No trial has reported a value yet.")
