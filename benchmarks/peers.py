"""A race: the same trials by other tools and by `study run`, in turn, on this machine.

Every tool gets the configurations that `study run` draws, the same rows and epochs, a CSV file to
read, an empty cache, and as many cores as there are. Table (a): all call the same training, so that
only the harness differs. Table (b): each as its documentation advises, Keras's `fit` in float32,
against `study run` as it comes. The clock has everything in it from the start of the command to its
end. `holdout` is outside of it: the best configuration trained again and scored on other rows.
A tool that ends with an error is started again, which its table counts (`broken`).
With `--kept FILE` the same command goes on from the laps that were run.

    python -m venv .venv-peers
    .venv-peers/bin/pip install --require-hashes -r requirements-peers.lock
    .venv-peers/bin/pip install --no-deps -e .
    .venv-peers/bin/python benchmarks/peers.py --data DIR [--repeats 3]
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import psutil

from benchmarks.holdout import read_rows
from benchmarks.kept import HELP, Kept
from benchmarks.overhead import write_data
from objectives.data.dataset import load_dataset
from objectives.data.splits import VALID_SHARE
from objectives.framework.runtime import KERNELS
from objectives.network.cnn import CNN_SPACE
from study.spec.draw import draw_params, training_seed

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = Path(__file__).with_suffix("")
MARK = "RESULT "
SAMPLE_S = 0.25
TRIES = 5
HELD_OUT = 8_000
US = "study"
PEERS = {
    US: ("study_run.py", "`study run`"),
    "optuna2": ("optuna_two.py", "Optuna, two processes on SQLite"),
    "optuna1": ("optuna_script.py", "Optuna, one process"),
    "ray": ("ray_tune.py", "Ray Tune, two trials at a time"),
    "kerastuner": ("keras_tuner_search.py", "KerasTuner RandomSearch"),
    "sklearn": ("scikit_learn.py", "scikit-learn RandomizedSearchCV, cv=3, n_jobs=2"),
}
WAYS = {"same": "(a) the same training function", "own": "(b) each its own way"}


@dataclass(frozen=True)
class Lap:
    """One run of one peer.

    Attributes:
        wall_s, cpu_s: Of the command with all its processes.
        peak_mib: The most that they had resident together; what they share counts in each.
        best: The best valid accuracy; the mean over folds where there are some.
        slot: Its configuration.
        n_trials: Values that came out.
        holdout: Accuracy of that configuration, trained again, on rows that nobody has seen.
        n_broken: Runs before this one that ended with an error; nothing else is known of them.
    """

    wall_s: float
    cpu_s: float
    peak_mib: float
    best: float
    slot: int
    n_trials: int
    holdout: float
    n_broken: int


class BrokenRunError(SystemExit):
    """A command ended with an error, which ends the race unless it is a peer's."""


def environment(way: str, folder: Path) -> dict[str, str]:
    """Return what every peer is started with: imports, and an empty cache."""
    paths = f"{ROOT}{os.pathsep}{SCRIPTS}"
    keras = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    if way == "same":  # a peer may load TensorFlow before that training can choose its kernels
        keras |= KERNELS
    return {**os.environ, **keras, "PYTHONPATH": paths, "STUDY_CACHE": str(folder / "cache")}


def watched(command: list[str], env: dict[str, str], log: Path) -> tuple[float, float, float]:
    """Run a command; return wall time and CPU time in s, and peak resident memory in MiB."""
    before = os.times()
    started = time.monotonic()
    spent: dict[int, float] = {}
    peak = 0
    with log.open("w") as file:
        process = subprocess.Popen(command, env=env, stdout=file, stderr=subprocess.STDOUT)
        root = psutil.Process(process.pid)
        try:
            while process.poll() is None:
                peak = max(peak, resident(root, spent))
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(SAMPLE_S)
        except BaseException:
            for one in [*root.children(recursive=True), root]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()
            raise
    wall_s, after = time.monotonic() - started, os.times()
    if process.returncode:
        raise BrokenRunError(f"{' '.join(command)} failed:\n{log.read_text()[-4000:]}")
    # Some processes are nobody's children in the end: those are known from the samples alone.
    waited_s = sum(after[2:4]) - sum(before[2:4])
    return wall_s, max(waited_s, sum(spent.values())), peak / 2**20


def resident(root: psutil.Process, spent: dict[int, float]) -> int:
    """Return the bytes that a process and its descendants have resident; note their CPU time."""
    total = 0
    try:
        tree = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for process in tree:
        try:
            total += process.memory_info().rss
            spent[process.pid] = sum(process.cpu_times()[:2])
        except psutil.Error:
            continue
    return total


def result_of(log: Path) -> Any:
    """Return what a script has printed as its result, merged where several have."""
    lines = [line for line in log.read_text().splitlines() if line.startswith(MARK)]
    found = [json.loads(line.removeprefix(MARK)) for line in lines]
    return (
        {k: v for one in found for k, v in one.items()} if isinstance(found[0], dict) else found[0]
    )


def write_job(way: str, seed: int, folder: Path, options: argparse.Namespace) -> Path:
    """Write what a peer is told; return the file."""
    slots = range(options.trials)
    work = folder / "work"
    work.mkdir()
    job = {
        "way": way,
        "data": str(options.folder / "data"),
        "work": str(work),
        "epochs": options.epochs,
        "valid": options.valid,
        "params": [draw_params(CNN_SPACE, seed, slot) for slot in slots],
        "seeds": [training_seed(seed, slot) for slot in slots],
        "augment": not options.no_augmentation,
    }
    path = folder / "job.json"
    path.write_text(json.dumps(job))
    return path


def run_lap(name: str, way: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Run one peer until it comes through; return the attributes of its `Lap`."""
    for n_broken in range(TRIES):
        try:
            measured, values = run_once(name, way, seed, options)
        except BrokenRunError as error:
            print(error, file=sys.stderr, flush=True)
            continue
        slot = max(values, key=lambda one: (values[one], -one))
        held = holdout("same" if name == US else way, seed, slot, options)
        return asdict(Lap(*measured, values[slot], slot, len(values), held, n_broken))
    raise SystemExit(f"{name} broke {TRIES} times")


def run_once(
    name: str, way: str, seed: int, options: argparse.Namespace
) -> tuple[tuple[float, float, float], dict[int, float]]:
    """Run one peer once; return what `watched` does, and the value of each slot."""
    with tempfile.TemporaryDirectory(prefix=f"race-{name}-", dir=options.folder) as made:
        folder = Path(made)
        job, log = write_job(way, seed, folder, options), folder / "log"
        further = [str(seed)] if name == US else []
        command = [sys.executable, str(SCRIPTS / PEERS[name][0]), str(job), *further]
        measured = watched(command, environment(way, folder), log)
        return measured, {int(slot): value for slot, value in result_of(log).items()}


def holdout(way: str, seed: int, slot: int, options: argparse.Namespace) -> float:
    """Return the holdout accuracy of a configuration, trained again by the way's function."""
    if (way, seed, slot) not in options.known:
        with tempfile.TemporaryDirectory(prefix="race-holdout-", dir=options.folder) as made:
            folder = Path(made)
            job, log = write_job(way, seed, folder, options), folder / "log"
            command = [sys.executable, str(SCRIPTS / "retrain.py"), str(job), str(slot)]
            watched(command, environment(way, folder), log)
            options.known[way, seed, slot] = float(result_of(log))
    return options.known[way, seed, slot]


def race(names: list[str], ways: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """Run the laps that are not kept yet, seed by seed; return all, by way and peer."""
    sizes = {key: getattr(options, key) for key in ("rows", "trials", "epochs", "no_augmentation")}
    kept = Kept(options.kept, sizes)
    found: dict[str, dict[str, list[Lap]]] = {way: {name: [] for name in names} for way in ways}
    for seed in range(1, options.repeats + 1):
        for way, name in product(ways, names):
            measure = partial(run_lap, name, way, seed, options)
            found[way][name].append(Lap(**kept.get((way, name, seed), measure)))
    return found


def prepare(options: argparse.Namespace) -> None:
    """Write the competition and the held-out rows; note which rows are valid."""
    n_labelled = round(options.rows / (1 - VALID_SHARE))
    folder = options.folder / "data"
    write_data(options.data, folder, n_labelled)
    header, rows = read_rows(options.data)
    column = header.index("label")
    held = np.array(rows[n_labelled : n_labelled + HELD_OUT], dtype=np.uint8)
    if not len(held):
        raise SystemExit(f"{options.data} has no rows left to hold out; fewer --rows")
    images = np.delete(held, column, axis=1)
    side = round(images.shape[1] ** 0.5)
    labels = held[:, column]
    np.savez(folder / "holdout.npz", images=images.reshape(-1, side, side), labels=labels)
    os.environ["STUDY_CACHE"] = str(options.folder / "cache")
    dataset = load_dataset(folder)
    options.valid = [int(row) for row in dataset.valid.rows]
    print(
        f"{len(dataset.train):,} rows to train on, {len(dataset.valid):,} valid, {len(held):,} "
        f"held out; {options.trials} trials of {options.epochs} epochs; {psutil.cpu_count()} cores",
        flush=True,
    )


def print_table(way: str, laps: dict[str, list[Lap]]) -> None:
    """Print the medians of one way."""
    print(f"\n{WAYS[way]}\n")
    print(
        "| tool | trials | wall | of `study run`'s | CPU | peak memory | best value | holdout "
        "| broken | n |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name, own in laps.items():
        median = {
            key: statistics.median(getattr(lap, key) for lap in own)
            for key in ("wall_s", "cpu_s", "peak_mib", "best", "n_trials", "holdout")
        }
        ours = laps.get(US)
        ratio = "-"
        if ours:
            pairs = zip(own, ours, strict=True)
            ratio = f"{statistics.median(one.wall_s / us.wall_s for one, us in pairs):.2f}"
        print(
            f"| {PEERS[name][1]} | {median['n_trials']:.0f} | {median['wall_s']:.1f} s | {ratio} | "
            f"{median['cpu_s']:.0f} s | {median['peak_mib']:,.0f} MiB | {median['best']:.4f} | "
            f"{median['holdout']:.4f} | {sum(lap.n_broken for lap in own)} | {len(own)} |",
            flush=True,
        )


def main() -> None:
    """Race, way by way and seed by seed, the peers in turn; print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder with train.csv")
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=20_000, help="to train on; a ninth more: valid")
    parser.add_argument("--repeats", type=int, default=3, help="each draws other configurations")
    parser.add_argument("--peers", default=",".join(PEERS), help="some of the default")
    parser.add_argument("--ways", default=",".join(WAYS), help="same (a), own (b), or both")
    parser.add_argument("--kept", type=Path, help=HELP)
    parser.add_argument("--no-augmentation", action="store_true", help="for the peers in (b)")
    options = parser.parse_args()
    names, ways = options.peers.split(","), options.ways.split(",")
    options.known = {}
    with tempfile.TemporaryDirectory(prefix="study-race-") as made:
        options.folder = Path(made)
        prepare(options)
        found = race(names, ways, options)
        for way in ways:
            print_table(way, found[way])


if __name__ == "__main__":
    main()
