"""Report sections on the run: failures, time and cost, environment, reproduction."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from optuna.trial import TrialState

from storage import attrs, ends
from storage.reading import Attempt
from study.report.reproduce import (
    FRESH,
    SPACE_FILE,
    caveats,
    finalize_command_of,
    run_command_of,
    shown,
    space_toml,
)
from study.report.snapshot import Snapshot, info_of
from study.text import duration as spaced_duration
from study.view.html import Html, folded, pairs, table, tag
from study.view.status import error_line, reason_of, standing

LONGEST_MESSAGE = 300


COST = (
    ("n_refits", "Trainings of the finalize", int, ","),
    ("n_epochs", "Epochs, with those of the search", int, ","),
    ("flop", "FLOP, with those of the search", float, ".2g"),
)
"""Numbers of a manifest's `cost`: key, name, type and format."""


def render_failures(snapshot: Snapshot) -> Html:
    """Return a row for each reason why attempts ended without a value."""
    by_reason: dict[str, list[Attempt]] = {}
    for attempt in snapshot.attempts:
        if attempt.state == TrialState.FAIL:
            by_reason.setdefault(reason_of(attempt) or "unknown", []).append(attempt)
    if not by_reason:
        return tag("p", "None.")
    final = {a.trial for a in snapshot.newest.values() if standing(a) == TrialState.FAIL}
    rows = []
    for reason, members in sorted(by_reason.items(), key=lambda item: -len(item[1])):
        n_final = sum(a.trial in final for a in members)
        rows.append([reason, ends.end_of(reason).meaning, len(members), n_final, _example(members)])
    head = ["Reason", "Meaning", "Trials", "Of them final", "Example"]
    caption = "Trials without a value. Those that are not final were tried again."
    return table(caption, head, rows, numbers=["Trials", "Of them final"], class_="wordy")


def _example(members: list[Attempt]) -> Html:
    """Return the newest trial with an error, and the error's first line."""
    for attempt in reversed(members):
        if text := error_line(attempt):
            cut = text if len(text) <= LONGEST_MESSAGE else text[:LONGEST_MESSAGE] + "..."
            return tag("span", f"trial {attempt.trial}: ", tag("code", cut))
    return tag("span", f"trial {members[-1].trial}")


def render_time(snapshot: Snapshot, facts: Mapping[str, Any] | None) -> Html:
    """Return wall time, the workers' time, and the amount of training."""
    started = [a.started_at for a in snapshot.attempts if a.started_at]
    ended = [a.finished_at for a in snapshot.attempts if a.finished_at]
    rows: list[tuple[object, object]] = []
    if started:
        last = max(ended) if ended else None
        rows.append(("First start", moment(min(started))))
        rows.append(("Last end", moment(last)))
        if last is not None:
            rows.append(("Wall time between them", duration((last - min(started)).total_seconds())))
    rows.append(("Time in trials, of all workers together", duration(_held_s(snapshot.attempts))))
    if wasted_s := _held_s([a for a in snapshot.attempts if a.state == TrialState.FAIL]):
        rows.append(("Of which in trials without a value", duration(wasted_s)))
    rows += _training(snapshot.attempts)
    rows.append(("Trials started", f"{len(started):,}"))
    workers = {a.user_attrs.get(attrs.WORKER) for a in snapshot.attempts} - {None}
    rows.append(("Worker processes", f"{len(workers):,}"))
    found = facts.get("cost") if facts else None
    cost = found if isinstance(found, Mapping) else {}
    rows += [(name, f"{cost[k]:{form}}") for k, name, t, form in COST if isinstance(cost.get(k), t)]
    return pairs(rows)


def _training(attempts: list[Attempt]) -> list[tuple[object, object]]:
    train_s = [(a, s) for a in attempts if (s := info_of(a, "train_s")) is not None]
    if not train_s:
        return []
    rows: list[tuple[object, object]] = [
        ("Of which in training steps", duration(sum(s for _, s in train_s)))
    ]
    images = sum(info_of(a, "images") or 0.0 for a, _ in train_s)
    rounded = f"{float(f'{images:.2g}'):,.0f}"
    return [*rows, ("Images trained, about", rounded)] if images else rows


def duration(seconds: float) -> str:
    """Return text such as `1h 05m` with a non-breaking space."""
    return spaced_duration(seconds).replace(" ", "\N{NO-BREAK SPACE}")


def _held_s(attempts: Iterable[Attempt]) -> float:
    """Return the total time in these trials; a clock set back counts as 0."""
    known = [(a.started_at, a.finished_at) for a in attempts]
    return sum(max(0.0, (end - start).total_seconds()) for start, end in known if start and end)


def moment(when: datetime | None) -> str:
    """Return a UTC time to the second; `-` for None."""
    return "-" if when is None else f"{when:%Y-%m-%d %H:%M:%S} UTC"


def render_environment(snapshot: Snapshot, facts: Mapping[str, Any] | None) -> Html:
    """Return machines and versions, the spec, the space, and the commands."""
    return tag(
        "div",
        _versions(snapshot),
        _outputs(facts),
        tag("h3", "Repeating it"),
        _commands(snapshot, facts),
        folded("The spec: what defines the study", _spec(snapshot)),
    )


def _versions(snapshot: Snapshot) -> Html:
    seen: dict[str, Counter[str]] = {}
    for attempt in snapshot.attempts:
        for name, value in attempt.user_attrs.get(attrs.ENVIRONMENT, {}).items():
            seen.setdefault(name, Counter())[value] += 1
    rows = []
    for name in dict.fromkeys([*snapshot.versions, *seen]):
        counted = seen.get(name, Counter())
        ran = ", ".join(f"{v} ({n:,})" if len(counted) > 1 else v for v, n in counted.most_common())
        rows.append([name, snapshot.versions.get(name, "-"), ran or "-"])
    if not rows:
        return tag("p", "Nothing was recorded.")
    caption = "Machine and versions (where they differ, with the number of trials)"
    return table(caption, ["", "Of the creator", "Of the trials"], rows)


def _outputs(facts: Mapping[str, Any] | None) -> Html | None:
    outputs = facts.get("outputs") if facts else None
    if not isinstance(outputs, Mapping):
        return None
    rows = [[name, tag("code", sha)] for name, sha in outputs.items()]
    return folded("Outputs of the finalize", table("Outputs", ["File", "sha256"], rows))


def _commands(snapshot: Snapshot, facts: Mapping[str, Any] | None) -> Html:
    spec = snapshot.spec
    commands = run_command_of(snapshot)
    if spec.data is not None:
        commands += "\n" + finalize_command_of(snapshot, facts.get("effort") if facts else None)
    space = space_toml(snapshot)
    notes = [
        f"Folders are left out. {FRESH} is a fresh database: on the old one, the first command "
        "would go on with the study instead.",
        *caveats(snapshot),
    ]
    return tag(
        "div",
        tag("pre", commands, tabindex=0),
        tag("p", " ".join(notes), class_="note"),
        folded(f"{SPACE_FILE}: the search space", tag("pre", space, tabindex=0)) if space else None,
    )


def _spec(snapshot: Snapshot) -> Html:
    options = " ".join(f"{key}={value}" for key, value in snapshot.spec.options.items())
    spec = asdict(snapshot.spec) | {
        "objective": shown(snapshot.spec.objective),
        "model": shown(snapshot.spec.model) or None,
        "options": options or None,
    }
    del spec["space"]
    rows = [[name, tag("code", "-" if value is None else value)] for name, value in spec.items()]
    return table("Spec", ["Name", "Value"], rows)
