"""What a trial costs in a study with a history, and in one with a long plan.

With 10 to 100,000 finished trials (written by SQL): the time from `open_storage` to the first
params of a claimed slot, in a process that has done the imports, and the steady cost of claim, 5
params, 5 reports and finish. Stock Optuna's first trial stands beside it. Then Optuna's TPE and
median pruner on claimed rows while 10,000 slots are WAITING. Times are medians in ms.

    python benchmarks/growth.py [--finished 10 1000 10000 100000] [--postgres-url URL]
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import optuna
import sqlalchemy as sa
from optuna.distributions import distribution_to_json
from optuna.study import StudyDirection
from optuna.trial import Trial, TrialState

from benchmarks.server import postgres_url
from benchmarks.storage import DISTRIBUTIONS, N_REPORTS, PARAMS, work_stock
from storage.database import tables
from storage.database.engine import database_of
from storage.database.tables import TRIALS
from storage.rdb import SlotStorage, open_storage
from storage.slots.slots import Draw, Slots

STUDY = "growth"
N_STEADY = 50
N_CHUNK = 5000


def make_history(url: str, n_finished: int, n_waiting: int) -> None:
    """Make the study anew, with finished trials as this storage leaves them, and WAITING slots."""
    storage = open_storage(url)
    for study in storage.get_all_studies():
        storage.delete_study(study._study_id)
    slots = Slots(storage, storage.create_new_study([StudyDirection.MINIMIZE], STUDY))
    slots.plan(n_finished)
    with storage.engine.begin() as connection:
        mine = sa.select(TRIALS.c.trial_id).where(TRIALS.c.study_id == slots.study_id)
        ids = connection.execute(mine.order_by(TRIALS.c.trial_id)).scalars().all()
        for start in range(0, n_finished, N_CHUNK):
            _finish(connection, ids[start : start + N_CHUNK])
    slots.plan(n_finished + n_waiting)
    database_of(storage.engine).refresh_statistics(storage.engine)
    storage.close()


def _finish(connection: sa.Connection, ids: Sequence[int]) -> None:
    done = TRIALS.c.trial_id.between(ids[0], ids[-1])
    connection.execute(TRIALS.update().where(done).values(state=TrialState.COMPLETE))
    attributes = {"claim": '"token"', "worker": '"host:1"', "seed": "1"}
    connection.execute(
        tables.USER_ATTRS.insert(),
        [{"trial_id": i, "key": k, "value_json": v} for i in ids for k, v in attributes.items()],
    )
    params = {name: distribution_to_json(d) for name, d in DISTRIBUTIONS.items()}
    connection.execute(
        tables.PARAMS.insert(),
        [
            {"trial_id": i, "param_name": name, "param_value": 0.5, "distribution_json": text}
            for i in ids
            for name, text in params.items()
        ],
    )
    value = {"objective": 0, "value": 0.5, "value_type": "FINITE"}
    connection.execute(tables.VALUES.insert(), [{"trial_id": i, **value} for i in ids])
    report = {"intermediate_value": 0.5, "intermediate_value_type": "FINITE"}
    connection.execute(
        tables.REPORTS.insert(),
        [{"trial_id": i, "step": step, **report} for i in ids for step in range(N_REPORTS)],
    )


def timed_ms(call: Callable[[], Any]) -> float:
    """Return how long a call takes."""
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1000


def first_ms(url: str) -> float:
    """Return the time from opening to the first params."""
    opened: list[SlotStorage] = []

    def first() -> None:
        opened.append(open_storage(url))
        study_id = opened[0].get_study_id_from_name(STUDY)
        if Slots(opened[0], study_id).claim("host:1", _draw) is None:
            raise SystemExit("no slot is left")

    taken_ms = timed_ms(first)
    opened[0].close()
    return taken_ms


def _draw(_slot: object) -> Draw:
    return Draw(PARAMS, DISTRIBUTIONS, {"seed": 1})


def steady_ms(url: str) -> float:
    """Return the cost of a whole trial after the first ones."""
    storage = open_storage(url)
    slots = Slots(storage, storage.get_study_id_from_name(STUDY))

    def one() -> None:
        claim = slots.claim("host:1", _draw)
        if claim is None:
            raise SystemExit("no slot is left")
        for step in range(N_REPORTS):
            slots.report(claim, step, 0.5)
        slots.finish(claim, TrialState.COMPLETE, 0.5)

    taken = [timed_ms(one) for _ in range(N_STEADY)]
    storage.close()
    return statistics.median(taken[5:])


def print_growth(name: str, url: str, options: argparse.Namespace) -> None:
    """Print a row for each length of history."""
    for n_finished in options.finished:
        make_history(url, n_finished, N_STEADY + options.repeats + 10)
        first = statistics.median([first_ms(url) for _ in range(options.repeats)])
        steady = steady_ms(url)
        stock = ""
        if n_finished <= options.most_for_stock:
            stock = f"{timed_ms(lambda: work_stock(url, STUDY)()):.0f}"
        print(f"| {name} | {n_finished} | {first:.1f} | {steady:.2f} | {stock} |", flush=True)


def print_waiting(name: str, url: str, n_waiting: int) -> None:
    """Print what TPE and the median pruner cost on claimed rows, per call."""
    make_history(url, 20, n_waiting)
    storage = open_storage(url)
    study = optuna.load_study(
        study_name=STUDY,
        storage=storage,
        sampler=optuna.samplers.TPESampler(seed=0),
        pruner=optuna.pruners.MedianPruner(),
    )
    slots = Slots(storage, study._study_id)
    taken: dict[str, list[float]] = {"suggest": [], "report": [], "should_prune": [], "tell": []}
    for _ in range(25):
        claim = slots.claim("host:1", lambda _: Draw())
        if claim is None:
            raise SystemExit("no slot is left")
        _time_trial(study, Trial(study, claim.trial_id), taken)
    storage.close()
    cells = " | ".join(f"{statistics.median(each):.1f}" for each in taken.values())
    print(f"| {name} | {n_waiting} | {cells} |", flush=True)


def _time_trial(study: optuna.Study, trial: Trial, taken: dict[str, list[float]]) -> None:
    for name in DISTRIBUTIONS:
        taken["suggest"].append(timed_ms(partial(trial.suggest_float, name, 0, 1)))
    for step in range(N_REPORTS):
        taken["report"].append(timed_ms(partial(trial.report, 0.5, step)))
        taken["should_prune"].append(timed_ms(trial.should_prune))
    taken["tell"].append(timed_ms(partial(study.tell, trial, 0.5)))


def main() -> None:
    """Parse the command line and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--finished", type=int, nargs="+", default=[10, 1000, 10_000, 100_000])
    parser.add_argument("--waiting", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=7, help="of the first trial")
    parser.add_argument("--most-for-stock", type=int, default=10_000, help="stock needs minutes")
    parser.add_argument("--postgres-url", help="an empty database; without it a server is started")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with (
        tempfile.TemporaryDirectory(prefix="study-benchmark-") as folder,
        postgres_url(options.postgres_url) as postgres,
    ):
        databases = {"SQLite": f"sqlite:///{folder}/study.db", "PostgreSQL": postgres}
        print("| database | finished trials | first params, ms | trial, ms | stock's first, ms |")
        print("|---|---:|---:|---:|---:|")
        for name, url in databases.items():
            print_growth(name, url, options)
        print("\n| database | WAITING | suggest, ms | report, ms | should_prune, ms | tell, ms |")
        print("|---|---:|---:|---:|---:|---:|")
        for name, url in databases.items():
            print_waiting(name, url, options.waiting)


if __name__ == "__main__":
    main()
