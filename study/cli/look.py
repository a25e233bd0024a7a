"""Read-only commands: they write nothing and never create a database.

Imports stand inside the commands, so that `study --help` stays quick.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from study.cli.opened import open_by_url
from study.options import (
    DEFAULT_STORAGE,
    Data,
    Json,
    NTrials,
    Quiet,
    Storage,
    Study,
    WorkDir,
    expand,
    option,
)
from study.spec.spec import Given, Told
from study.text import harmless, harmless_cell, harmless_lines

UNBROKEN = 10_000  # columns


def status_command(
    storage: Storage = DEFAULT_STORAGE, study: Study = None, as_json: Json = False
) -> int:
    """Print the state of a study."""
    from study.view.status import read_status

    status = read_status(open_by_url(storage, study))
    if as_json:
        print_json(status.to_json())
        return 0
    from study.view.watch import render

    return _print_table(render(status))


def watch_command(storage: Storage = DEFAULT_STORAGE, study: Study = None) -> int:
    """Watch a study live until it is done."""
    from rich.console import Console

    from study.view.keys import Keys
    from study.view.watch import watch_until_done

    opened = open_by_url(storage, study)
    with Keys() as keys:
        watch_until_done(opened, Console(highlight=False), keys.wait)
    return 0


def trials_command(
    storage: Storage = DEFAULT_STORAGE,
    study: Study = None,
    as_json: Json = False,
    as_csv: Annotated[bool, option("--csv", "Print CSV on stdout")] = False,
) -> int:
    """List all attempts with params and outcome."""
    from study.view.status import costs_of, read_trials, trials_json, why_failed

    opened = open_by_url(storage, study)
    attempts = read_trials(opened)
    rows = trials_json(attempts, opened.spec)
    if as_json:
        print_json(rows)
    elif as_csv:
        import pandas as pd

        csv = pd.json_normalize(rows).map(_as_cell).rename(columns=harmless_cell)
        _print_file(csv.to_csv(index=False))
    else:
        from study.view.watch import render_trials

        table = render_trials(rows, why_failed(attempts), costs_of(attempts))
        _print_table(table, unbroken=True)
    return 0


def logs_command(
    trial: Annotated[str, typer.Argument(help="Number of the trial, or slot:NUMBER")],
    storage: Storage = DEFAULT_STORAGE,
    study: Study = None,
    work_dir: WorkDir = None,
    follow: Annotated[
        bool,
        typer.Option("-f", "--follow", envvar="STUDY_FOLLOW", help="Follow until the trial ends"),
    ] = False,
) -> int:
    """Print the output of a trial, also of a failed one and from another machine."""
    from study.spec.trials import find_trial
    from study.view.logs import show_logs

    opened = open_by_url(storage, study)
    found = find_trial(opened, trial)
    show_logs(opened, found, opened.work_dir(work_dir), sys.stdout, follow=follow)
    return 0


@expand
def replay_command(
    trial: Annotated[str, typer.Argument(help="Number of the trial, or slot:NUMBER")],
    storage: Storage = DEFAULT_STORAGE,
    study: Study = None,
    data: Data = None,
    as_json: Json = False,
    quiet: Quiet = False,
    *,
    told: Told,
) -> int:
    """Run a trial again and compare its value and curve, bit for bit."""
    from study.spec.open import with_code
    from study.spec.trials import find_trial
    from study.view.console import View
    from study.worker.replay import DIFFERENT, replay

    opened = with_code(open_by_url(storage, study, data), told)
    number = find_trial(opened, trial).trial
    found = replay(opened, number, View(quiet=quiet).say)
    if as_json:
        print_json({"same": found.same, "first_difference": found.first_difference})
    else:
        print(harmless_lines(found.to_line()))
    return 0 if found.same else DIFFERENT


def list_command(storage: Storage = DEFAULT_STORAGE, as_json: Json = False) -> int:
    """List the studies of a storage."""
    from storage.rdb import open_storage
    from study.view.listing import list_studies, render_list

    found = list_studies(open_storage(storage, create=False))
    if as_json:
        print_json(found)
        return 0
    return _print_table(render_list(found))


def check_command(
    data: Annotated[Path, option("--data", "Folder with train.csv, test.csv")],
) -> int:
    """Check the data only; create no study."""
    from objectives.data.dataset import check_data

    report = check_data(data)
    counts = harmless(", ".join(f"{name}: {n}" for name, n in report.class_counts.items()))
    print(f"{report.n_train} labelled and {report.n_test} unlabelled images of ", end="")
    print(f"{report.side}x{report.side} pixels")
    print(f"{len(report.class_counts)} classes ({counts})")
    print(f"submission columns: {harmless(', '.join(report.columns))}")
    for fact in report.facts:
        print(harmless(fact))
    for warning in report.warnings:
        print(f"warning: {harmless(warning)}")
    return 0


def score_command(
    file: Annotated[Path, typer.Argument(help="Submission: a CSV file with an id and a label")],
    answers: Annotated[
        Path | None,
        option("--answers", "CSV file of the true labels"),
    ] = None,
    data: Annotated[
        Path | None,
        option("--data", "Instead of --answers: a data folder whose test file has labels"),
    ] = None,
    as_json: Json = False,
) -> int:
    """Score a submission against a file of answers, or the labels of the test file."""
    from study.view.score import answers_of, score

    if answers is not None:
        found = score(file, answers)
    elif data is not None:
        found = score(file, answers_of(data))
    else:
        raise typer.BadParameter("name --answers FILE, or --data DIR if its test file has labels")
    if found.warnings:
        from study.view.console import View  # takes a second to import

        for warning in found.warnings:
            View().say(f"warning: {warning}")
    if as_json:
        print_json(found.to_json())
    else:
        print(found.to_line())
    return 0


@expand
def space_command(
    storage: Storage = DEFAULT_STORAGE,
    study: Study = None,
    n_trials: NTrials = None,  # ignored; accepted because `study create` takes it
    *,
    given: Given,
) -> int:
    """Print the current search space as TOML, to edit and pass to --space."""
    from study.run.create import space_in_force

    space = space_in_force(storage, study, given)
    _print_file(harmless_lines(space.to_toml()))
    return 0


def _print_table(table: Any, *, unbroken: bool = False) -> int:
    from rich.console import Console

    console = Console(highlight=False)
    if unbroken and not console.is_terminal:
        console.width = UNBROKEN  # so that grep finds whole rows
    console.print(table)
    return 0


def _as_cell(value: Any) -> Any:
    return harmless_cell(value) if isinstance(value, str) else value


def _print_file(text: str) -> None:
    """Print text for a file, in UTF-8 in any locale."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode(errors="backslashreplace"))


def print_json(value: Any) -> None:
    """Print a value of JSON types on stdout."""
    json.dump(value, sys.stdout, indent=2)
    print()
