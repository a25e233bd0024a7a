"""Trials a second through the database: stock Optuna beside this storage, in turn in one run.

A trial is what a worker writes for it: claim, 5 params, 5 reports, finish. Stock Optuna does the
same by ask, suggest, report and tell through `RDBStorage`, as it is shipped and, on SQLite, also
with WAL on. Nothing is trained. Rounds alternate, so that a noisy machine is noisy for all.

    python benchmarks/storage.py [--repeats 3] [--seconds 3] [--postgres-url URL]
"""

import argparse
import itertools
import multiprocessing
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import optuna
from optuna.distributions import FloatDistribution
from optuna.exceptions import StorageInternalError
from optuna.study import StudyDirection
from optuna.trial import TrialState
from sqlalchemy.exc import DBAPIError

from benchmarks.server import postgres_url
from storage.rdb import open_storage
from storage.slots.slots import Draw, Slots

DISTRIBUTIONS = {f"p{i}": FloatDistribution(0.0, 1.0) for i in range(5)}
PARAMS = dict.fromkeys(DISTRIBUTIONS, 0.5)
N_REPORTS = 5
MOST_SLOTS = 20_000  # more than are done in a round
CONTEXT = multiprocessing.get_context("forkserver")


def make_stock(url: str, name: str) -> None:
    """Make the study, by stock Optuna."""
    storage = optuna.storages.RDBStorage(url)
    optuna.create_study(storage=storage, study_name=name)
    storage.engine.dispose()


def make_stock_wal(url: str, name: str) -> None:
    """The same on SQLite with WAL on, which stays with the file."""
    make_stock(url, name)
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def make_ours(url: str, name: str) -> None:
    """Make the study and plan its slots."""
    storage = open_storage(url)
    Slots(storage, storage.create_new_study([StudyDirection.MINIMIZE], name)).plan(MOST_SLOTS)
    storage.close()


def work_stock(url: str, name: str) -> Callable[[], None]:
    """Return what does one trial through stock Optuna."""
    study = optuna.load_study(
        study_name=name,
        storage=optuna.storages.RDBStorage(url, skip_table_creation=True),
        sampler=optuna.samplers.RandomSampler(seed=0),
    )

    def one() -> None:
        trial = study.ask()
        for param in DISTRIBUTIONS:
            trial.suggest_float(param, 0.0, 1.0)
        for step in range(N_REPORTS):
            trial.report(0.5, step)
        study.tell(trial, 0.5)

    return one


def work_ours(url: str, name: str) -> Callable[[], None]:
    """Return what does one trial through this storage."""
    storage = open_storage(url)
    slots = Slots(storage, storage.get_study_id_from_name(name))

    def one() -> None:
        claim = slots.claim("host:1", lambda slot: Draw(PARAMS, DISTRIBUTIONS, {"seed": 1}))
        if claim is None:
            raise SystemExit("more slots are needed: MOST_SLOTS")
        for step in range(N_REPORTS):
            slots.report(claim, step, 0.5)
        slots.finish(claim, TrialState.COMPLETE, 0.5)

    return one


WAYS = {
    "stock": (make_stock, work_stock),
    "stock, WAL": (make_stock_wal, work_stock),
    "this storage": (make_ours, work_ours),
}


def _process(way: str, where: tuple[str, str], seconds: float, barrier: Any, done: Any) -> None:
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    one = WAYS[way][1](*where)
    _try(one)  # connect, prepare, fill caches
    barrier.wait()
    started = time.perf_counter()
    n_trials, n_errors = 0, 0
    while time.perf_counter() - started < seconds:
        if _try(one):
            n_trials += 1
        else:
            n_errors += 1
    done.put((n_trials / (time.perf_counter() - started), n_errors))


def _try(one: Callable[[], None]) -> bool:
    try:
        one()
    except (StorageInternalError, DBAPIError):  # stock gives up on a locked SQLite after 5 s
        return False
    return True


def run_round(way: str, url: str, n_processes: int, seconds: float) -> tuple[float, int]:
    """Run with a fresh study; return trials/s and failed trials of all processes."""
    where = (url, f"{way} {uuid4()}")
    WAYS[way][0](*where)
    barrier, done = CONTEXT.Barrier(n_processes), CONTEXT.Queue()
    processes = [
        CONTEXT.Process(target=_process, args=(way, where, seconds, barrier, done))
        for _ in range(n_processes)
    ]
    try:
        for process in processes:
            process.start()
        found = [done.get(timeout=300) for _ in processes]
        for process in processes:
            process.join()
    finally:
        for process in processes:
            process.kill()
    return sum(rate for rate, _ in found), sum(n_errors for _, n_errors in found)


def print_rows(name: str, ways: list[str], url_of: Callable[[], str], options: Any) -> None:
    """Print a Markdown row for each number of processes and each way."""
    for n_processes in options.processes:
        rounds: dict[str, list[tuple[float, int]]] = {way: [] for way in ways}
        for _ in range(options.repeats):
            for way in ways:
                rounds[way].append(run_round(way, url_of(), n_processes, options.seconds))
        medians = {way: statistics.median(rate for rate, _ in rounds[way]) for way in ways}
        for way in ways:
            rates = [rate for rate, _ in rounds[way]]
            n_errors = sum(n for _, n in rounds[way])
            ratio = medians[way] / medians["stock"] if medians["stock"] else float("inf")
            print(
                f"| {name} | {n_processes} | {way} | {medians[way]:.1f} | "
                f"{min(rates):.1f} to {max(rates):.1f} | {ratio:.1f} | {n_errors} |",
                flush=True,
            )


def main() -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--repeats", type=int, default=3, help="rounds; the median is shown")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a round in s")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgresql"])
    parser.add_argument("--postgres-url", help="an empty database; without it a server is started")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    CONTEXT.set_forkserver_preload(["optuna", "storage.slots.slots"])
    print("| database | processes | way | trials/s | range | to stock | errors |")
    print("|---|---:|---|---:|---|---:|---:|")
    with tempfile.TemporaryDirectory(prefix="study-benchmark-") as folder:
        if "sqlite" in options.databases:
            urls = (f"sqlite:///{folder}/{i}.db" for i in itertools.count())
            print_rows("SQLite", list(WAYS), lambda: next(urls), options)
        if "postgresql" in options.databases:
            with postgres_url(options.postgres_url) as url:
                print_rows("PostgreSQL", ["stock", "this storage"], lambda: url, options)


if __name__ == "__main__":
    main()
