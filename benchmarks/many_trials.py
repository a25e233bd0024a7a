"""How much of the time of many workers goes into trials, and how much into the machinery.

A study of trials that sleep a given time, by `study worker` with many processes on PostgreSQL, as
a user would start it. The time is the database's own: from the first claim to the last finish.
Then the results are checked against those that must come out.

    python benchmarks/many_trials.py [--trials 10000] [--workers 16] [--sleep-s 1]
"""

import argparse
import math
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import optuna

from tests import databases
from tests.chaos.checks import Plan, Seen, breaches
from tests.chaos.databases import Postgres, Row, Witness
from tests.chaos.objectives import Synthetic, read_ledger
from tests.chaos.processes import environment_of, marked, run_study

N_STEPS = 5
NAME = "many"
SPARE_S = 600.0
SETTINGS = {"listen_addresses": "127.0.0.1", "max_connections": "400"}
"""PostgreSQL's own settings, but for the connections: a worker may have two at a time."""


@contextmanager
def postgres_url(given: str | None, folder: Path) -> Iterator[str]:
    """Yield the URL of a database: the one given, or an empty one on a server of our own."""
    if given:
        yield given
        return
    databases.POSTGRES_SETTINGS = SETTINGS
    server = Postgres()
    try:
        server.start()
        with server.fresh(folder) as url:
            yield url
    finally:
        server.remove()


def run(url: str, folder: Path, options: argparse.Namespace) -> Seen:
    """Run the study, and return what is there then."""
    tuned = Synthetic(options.sleep_s, N_STEPS)
    environment = environment_of(f"{folder}", folder)
    where = ["--storage", url, "--study", NAME]
    limit_s = SPARE_S + 3 * options.sleep_s * options.trials / options.workers
    create = ["create", *where, "--n-trials", options.trials, *tuned.defining(folder)]
    run_study(create, folder, environment, SPARE_S)
    work = ["worker", *where, "--workers", options.workers, "--quiet"]
    run_study(work, folder, environment, limit_s)
    witness = Witness(url, NAME)
    try:
        return Seen(
            plan=Plan("postgresql", tuned.name, options.trials, [], "none"),
            truth=tuned.truth(options.trials),
            rows=witness.rows(),
            ledger=read_ledger(folder),
            left=[f"process {process.pid}" for process in marked(f"{folder}")],
        )
    finally:
        witness.close()


def span_s(rows: list[Row]) -> float:
    """Return the time from the first claim to the last finish."""
    started = [row.started for row in rows if row.started is not None]
    finished = [row.finished for row in rows if row.finished is not None]
    return (max(finished) - min(started)).total_seconds()


def lost_ms(rows: list[Row], sleep_s: float) -> tuple[float, float]:
    """Return what the median trial takes above its sleep, and its worker until the next, in ms."""
    by_worker: dict[int | None, list[tuple[datetime, datetime]]] = defaultdict(list)
    for row in rows:
        if row.started is not None and row.finished is not None:
            by_worker[row.pid].append((row.started, row.finished))
    within, between = [], []
    for own in map(sorted, by_worker.values()):
        within += [(end - start).total_seconds() - sleep_s for start, end in own]
        between += [(after[0] - end).total_seconds() for (_, end), after in pairwise(own)]
    return 1000 * statistics.median(within), 1000 * statistics.median(between or [0.0])


def print_table(seen: Seen, options: argparse.Namespace) -> None:
    """Print the measured row."""
    ideal_s = math.ceil(options.trials / options.workers) * options.sleep_s
    measured_s = span_s(seen.complete)
    loss_ms = 1000 * (measured_s * options.workers / options.trials - options.sleep_s)
    within_ms, between_ms = lost_ms(seen.complete, options.sleep_s)
    print(
        "| trials | workers | a trial | ideal | measured | share | trials/s | "
        "a worker loses a trial | median in the trial | median to the next |\n"
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n"
        f"| {options.trials} | {options.workers} | {options.sleep_s:g} s | {ideal_s:.1f} s | "
        f"{measured_s:.1f} s | {ideal_s / measured_s:.1%} | {options.trials / measured_s:.1f} | "
        f"{loss_ms:.1f} ms | {within_ms:.1f} ms | {between_ms:.1f} ms |"
    )


def main() -> int:
    """Parse the command line, run, print; return 1 where a result is not what it must be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--sleep-s", type=float, default=1.0, help="how long a trial sleeps")
    parser.add_argument("--postgres-url", help="an empty database; without it a server is started")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="study-many-") as name:
        folder = Path(name)
        with postgres_url(options.postgres_url, folder) as url:
            seen = run(url, folder, options)
    print_table(seen, options)
    found = breaches(seen)
    n_rows = len(seen.rows)
    if n_rows != options.trials:
        found.append(f"{n_rows} attempts: some slots ran more than once, though nothing happened")
    for line in found[:20]:
        print(f"NOT SO: {line}")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
