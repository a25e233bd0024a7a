"""Where the wall time of a search goes: what share of it is training and validation steps.

Runs `study run` on the first rows of a competition, with an empty cache, as a user would start it,
and adds up what every trial has noted of itself, and the database's own times around it. The whole
is the wall time of the command times its workers. Importing, building and tracing are shown apart
and are overhead; so is a worker that waits for the last trial of the other.

    python benchmarks/overhead.py --data DIR [--trials 20] [--epochs 3] [--rows 33600]
"""

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.holdout import read_rows
from storage import attrs
from storage.rdb import open_storage
from storage.reading import Attempt, read_attempts
from study.spec.open import open_study

NAME = "overhead"
STEPS = ("training steps", "validation steps")
PARTS: dict[str, tuple[str, ...]] = {
    "import of TensorFlow": ("import_s",),
    "building": ("build_s",),
    "tracing, with the first step and batch": ("first_step_s", "first_valid_s"),
    "validation steps": ("valid_s",),
    "checkpoints": ("checkpoint_s",),
    "reports": ("report_s",),
    "counting operations": ("cost_s",),
}
"""What a trial notes of itself; its training steps are `train_s` without the first."""


def write_data(source: Path, folder: Path, n_rows: int) -> None:
    """Write a train.csv of the first rows, and a test.csv of a few, which is not used."""
    header, rows = read_rows(source)
    if len(rows) < n_rows:
        raise SystemExit(f"{source} has {len(rows)} labelled rows, not {n_rows}")
    column = header.index("label")
    folder.mkdir()
    with (folder / "train.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows[:n_rows]])
    few = [row[:column] + row[column + 1 :] for row in [header, *rows[:10]]]
    with (folder / "test.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(few)


def run(options: argparse.Namespace, folder: Path) -> tuple[datetime, datetime]:
    """Search, and return when the command began and ended."""
    command = [sys.executable, "-m", "study", "run", "--data", str(folder / "data")]
    command += ["--storage", url_of(folder), "--study", NAME, "--seed", str(options.seed)]
    command += ["--n-trials", str(options.trials), "--epochs", str(options.epochs)]
    command += ["--workers", str(options.workers), *options.further]
    environment = {**os.environ, "STUDY_CACHE": str(folder / "cache")}
    began = _now()
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    return began, _now()


def url_of(folder: Path) -> str:
    return f"sqlite:///{folder / 'study.db'}"


def _now() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC).replace(tzinfo=None)


def add_up(
    attempts: Iterable[Attempt], began: datetime, ended: datetime, n_workers: int
) -> dict[str, float]:
    """Return the seconds of all workers by part; they add up to the wall time of each.

    Args:
        attempts: Complete ones.
        began, ended: Of the command.
        n_workers: It was told to start so many.
    """
    spent: dict[str, float] = defaultdict(float)
    by_worker: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        by_worker[str(attempt.user_attrs.get(attrs.WORKER))].append(attempt)
        for part, seconds in parts_of(attempt).items():
            spent[part] += seconds
    last = max(end for own in by_worker.values() for _, end in map(span, own))
    for own in by_worker.values():
        spans = sorted(map(span, own))
        spent["to the first claim"] += (spans[0][0] - began).total_seconds()
        spent["between trials"] += sum(gaps_s(own))
        spent["waiting for the last trial"] += (last - spans[-1][1]).total_seconds()
    spent["from the last trial to the end"] = len(by_worker) * (ended - last).total_seconds()
    idle = n_workers - len(by_worker)
    if idle:
        spent["workers without a trial"] = idle * (ended - began).total_seconds()
    return dict(spent)


def parts_of(attempt: Attempt) -> dict[str, float]:
    """Return the seconds of one trial by part; they add up to its duration."""
    info: dict[str, Any] = attempt.user_attrs[attrs.INFO]
    found = {part: sum(info.get(key, 0.0) for key in keys) for part, keys in PARTS.items()}
    found["training steps"] = info["train_s"] - info["first_step_s"]
    start, end = span(attempt)
    found["the rest of a trial"] = (end - start).total_seconds() - sum(found.values())
    return found


def span(attempt: Attempt) -> tuple[datetime, datetime]:
    """Return start and end of a finished trial."""
    if attempt.started_at is None or attempt.finished_at is None:
        raise SystemExit(f"trial {attempt.trial} has not ended: its time cannot be told")
    return attempt.started_at, attempt.finished_at


def gaps_s(own: Iterable[Attempt]) -> list[float]:
    """Return the seconds between one trial of a worker and its next."""
    spans = sorted(map(span, own))
    return [(after[0] - before[1]).total_seconds() for before, after in pairwise(spans)]


def warm_start_ms(attempts: list[Attempt]) -> float:
    """Return what the median trial, but the first of a worker, costs before it is built, in ms."""
    by_worker: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        by_worker[str(attempt.user_attrs.get(attrs.WORKER))].append(attempt)
    found = []
    for own in by_worker.values():
        later = sorted(own, key=span)[1:]
        found += [
            gap + one.user_attrs[attrs.INFO].get("import_s", 0.0)
            for gap, one in zip(gaps_s(own), later, strict=True)
        ]
    return 1000 * statistics.median(found) if found else float("nan")


def print_tables(spent: dict[str, float], warm_ms: float, options: argparse.Namespace) -> None:
    """Print each part, and the row for `benchmarks/README.md`."""
    whole_s = sum(spent.values())
    print("| part | s | share | a trial, ms |\n|---|---:|---:|---:|")
    for part, seconds in sorted(spent.items(), key=lambda pair: -pair[1]):
        a_trial_ms = 1000 * seconds / options.trials
        print(f"| {part} | {seconds:.2f} | {seconds / whole_s:.2%} | {a_trial_ms:.0f} |")
    share = sum(spent[part] for part in STEPS) / whole_s
    print(
        "\n| trials x epochs | rows | workers | wall time | in steps | "
        "start of a warm trial | n |\n|---|---|---|---|---|---|---|\n"
        f"| {options.trials} x {options.epochs} | {options.rows:,} | {options.workers} | "
        f"{whole_s / options.workers:.0f} s | {share:.1%} | {warm_ms:.0f} ms | 1 |"
    )


def main() -> None:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder with train.csv")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=33_600, help="labelled rows, a tenth is valid")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("further", nargs="*", help="further options of study run, after --")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="study-overhead-") as name:
        folder = Path(name)
        write_data(options.data, folder / "data", options.rows)
        began, ended = run(options, folder)
        opened = open_study(open_storage(url_of(folder), create=False), NAME)
        attempts = read_attempts(opened.storage.engine, opened.study_id, details=True)
    done = [one for one in attempts if attrs.INFO in one.user_attrs]
    if len(done) != len(attempts):
        print(f"{len(attempts) - len(done)} attempts left no durations: they are in no part")
    print_tables(add_up(done, began, ended, options.workers), warm_start_ms(done), options)


if __name__ == "__main__":
    main()
