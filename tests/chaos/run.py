"""Run studies while workers, supervisors and the database fail, and check the results.

Supervisors and workers are real processes, on SQLite and PostgreSQL in turn. While a study runs,
workers and supervisors are killed, frozen and asked to leave, and the database crashes and pauses,
two faults a slot. The result must equal that of a study without faults: exactly N results, the same
bits, agreement with a ledger outside the database, and no process left. The seed decides the kinds
and the order of the faults, not their moments. Needs Linux. `make test-chaos` runs the long form:

    python -m tests.chaos.run --faults 500 --seed 0 [--databases sqlite postgresql] [--rungs]
"""

import argparse
import math
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import optuna

from tests.chaos.checks import CHECKS, Plan, Seen, breaches, cut_off
from tests.chaos.databases import DATABASES, Database, make_database
from tests.chaos.faults import CRASH, FAULTS, draw_kinds
from tests.chaos.objectives import Synthetic, Training, Tuned
from tests.chaos.processes import CommandError
from tests.chaos.study import StuckError, StudyUnderChaos

MOST_FAULTS = 120  # of one study
TRAINING_SHARE = 0.08  # of the faults; one there costs ten times the seconds of a synthetic one
OBJECTIVES = ("synthetic", "training")
MOST_EXTRA = 5
HEAD = (
    "| database | objective | slots | faults | attempts | lost | crashed | released | "
    f"fits cut off | {len(CHECKS)} checks | wall |\n"
    "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---|---:|"
)


class Chaos:
    """All studies of one call: their folders, their databases, and what was found.

    Args:
        base: An empty folder.
        databases: Names of the command line.
        seed: Decides kinds and order of the faults.
        per_slot: Faults a slot on average.
        has_rungs: Whether the studies have rungs.
    """

    def __init__(
        self,
        base: Path,
        databases: list[str],
        seed: int,
        per_slot: float,
        *,
        has_rungs: bool = False,
    ) -> None:
        self._base, self._names, self._seed, self._per_slot = base, databases, seed, per_slot
        self._has_rungs = has_rungs
        self._databases: dict[str, Database] = {}
        self._trainings: dict[int, Training] = {}  # by the number of draws
        self._n_planned = 0

    def plan(self, objective: str, n_faults: int) -> Plan:
        """Return the next study, on the next database in turn."""
        database = self._names[self._n_planned % len(self._names)]
        seed = f"{self._seed}/{self._n_planned}"
        self._n_planned += 1
        without = [CRASH] if database == "sqlite" else []
        kinds = draw_kinds(seed, n_faults, without)
        plan = Plan(database, objective, 1, kinds, seed, self._has_rungs)
        while plan.per_slot > self._per_slot:
            plan = replace(plan, n_draws=plan.n_draws + 1)
        return plan

    def plans(self, n_faults: int, objectives: list[str]) -> Iterator[Plan]:
        """Yield studies that have so many faults together: synthetic ones, then trainings."""
        turns = len(self._names)
        share = TRAINING_SHARE if "synthetic" in objectives else 1.0
        n_training = round(share * n_faults / turns) if "training" in objectives else 0
        n_left = n_faults - turns * n_training if "synthetic" in objectives else 0
        for n_studies in range(turns * math.ceil(n_left / turns / MOST_FAULTS), 0, -1):
            n = math.ceil(n_left / n_studies)
            n_left -= n
            yield self.plan("synthetic", n)
        for _ in range(turns if n_training else 0):
            yield self.plan("training", n_training)

    def run(self, plan: Plan) -> Seen:
        """Run a study.

        Raises:
            StuckError: It does not go on.
        """
        folder = self._base / f"study-{plan.seed.replace('/', '-')}"
        folder.mkdir()
        database = self._database(plan.database)
        with database.fresh(folder) as url:
            seen = StudyUnderChaos(folder, database, url, self._tuned(plan), plan).run()
        # The database of a server is gone by now.
        (folder / "rows.txt").write_text("".join(f"{row}\n" for row in seen.rows))
        return seen

    def close(self) -> None:
        """Stop the servers."""
        for database in self._databases.values():
            database.remove()

    def _database(self, name: str) -> Database:
        if name not in self._databases:
            self._databases[name] = make_database(name)
        return self._databases[name]

    def _tuned(self, plan: Plan) -> Tuned:
        if plan.objective == "synthetic":
            return Synthetic(has_rungs=plan.has_rungs)
        n = plan.n_draws
        if n not in self._trainings:
            folder = self._base / f"training-{n}"
            self._trainings[n] = Training(folder, n, has_rungs=plan.has_rungs)
        return self._trainings[n]


def row_of(seen: Seen, n_breaches: int) -> str:
    """Return the study as a line of the table."""
    reasons = Counter(row.attrs.get("reason") for row in seen.rows)
    plan = seen.plan
    cells = [plan.database, plan.objective, plan.n_slots, len(seen.injected), len(seen.rows)]
    cells += [reasons[name] for name in ("lost", "crashed", "released")]
    cells += [
        len(cut_off(seen)),
        f"{n_breaches} breaches" if n_breaches else "all hold",
        f"{seen.wall_s:.0f} s",
    ]
    return f"| {' | '.join(map(str, cells))} |"


def faults_of(all_seen: list[Seen]) -> str:
    """Return the faults by kind as a table."""
    titles = [f"{seen.plan.database}, {seen.plan.objective}" for seen in all_seen]
    lines = [f"| fault | {' | '.join(titles)} | all |", f"|---|{'---:|' * (len(titles) + 1)}"]
    counts = [Counter(fault.kind for fault in seen.injected) for seen in all_seen]
    for kind in FAULTS:
        numbers = [count[kind] for count in counts]
        cells = [*numbers, sum(numbers)]
        lines.append(f"| {kind} | {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def run_all(chaos: Chaos, n_faults: int, objectives: list[str]) -> tuple[list[Seen], list[str]]:
    """Run studies until so many faults were injected; return them and what does not hold."""
    all_seen: list[Seen] = []
    found: list[str] = []

    def run(plan: Plan) -> None:
        seen = chaos.run(plan)
        breached = breaches(seen)
        all_seen.append(seen)
        found.extend(f"study {plan.seed} ({plan.database}): {line}" for line in breached)
        print(row_of(seen, len(breached)), flush=True)
        for line in breached:
            print(f"NOT SO: study {plan.seed}: {line}", file=sys.stderr, flush=True)

    print(HEAD)
    try:
        for plan in chaos.plans(n_faults, objectives):
            run(plan)
        for _ in range(MOST_EXTRA):  # studies that were done before their last fault
            n_left = n_faults - sum(len(seen.injected) for seen in all_seen)
            if n_left > 0:
                run(chaos.plan(objectives[0], n_left))
    except (StuckError, CommandError) as error:
        found.append(f"{type(error).__name__}: {error}")
    n_left = n_faults - sum(len(seen.injected) for seen in all_seen)
    return all_seen, found + ([f"{n_left} faults were not injected"] if n_left > 0 else [])


def main() -> int:
    """Parse the command line, run, print the tables; return 1 where something does not hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--faults", type=int, default=500, help="of all studies together")
    parser.add_argument("--seed", type=int, default=0, help="decides kinds and order")
    parser.add_argument("--databases", nargs="+", default=list(DATABASES), choices=DATABASES)
    parser.add_argument("--objectives", nargs="+", default=list(OBJECTIVES), choices=OBJECTIVES)
    parser.add_argument("--faults-per-slot", type=float, default=2.0, help="on average")
    parser.add_argument("--rungs", action="store_true", help="train the best slots again")
    parser.add_argument("--keep", action="store_true", help="keep the folder in any case")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # and clean up
    base = Path(tempfile.mkdtemp(prefix="study-chaos-"))
    started = time.monotonic()
    with ExitStack() as stack:
        sizes = (options.seed, options.faults_per_slot)
        chaos = Chaos(base, options.databases, *sizes, has_rungs=options.rungs)
        stack.callback(chaos.close)
        all_seen, found = run_all(chaos, options.faults, options.objectives)
    print(f"\n{faults_of(all_seen)}\n")
    print("fits cut off: a fit had ended, and a fault came before the commit; its slot ran again")
    print(f"checked: {', '.join(CHECKS)}")
    print(f"all of it: {time.monotonic() - started:.0f} s; again: {_again(options)}")
    for line in found:
        print(f"NOT SO: {line}")
    if found or options.keep:
        print(f"kept: {base}")
    else:
        shutil.rmtree(base)
    return 1 if found else 0


def _again(options: argparse.Namespace) -> str:
    return (
        f"python -m tests.chaos.run --faults {options.faults} --seed {options.seed} "
        f"--databases {' '.join(options.databases)} --objectives {' '.join(options.objectives)} "
        f"--faults-per-slot {options.faults_per_slot:g}{' --rungs' if options.rungs else ''}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
