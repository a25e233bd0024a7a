"""One training against the keras.io MNIST convnet: seconds, and accuracy on rows held out.

Each contender trains on four fifths of the labelled rows, two threads, in a process of its own, in
turn, one seed after the other. The clock starts with imports done and data in memory, and stops
with the trained weights: building and tracing are in it. The convnet is keras.io's example,
unchanged: float32, `model.fit` with its own validation split. Ours are points of the default search
space, by the objective that a search uses, without valid rows. `shifted` is what the average over
five small shifts says, as a finalize uses it where it helps; that costs no training time.

With `--kept FILE` the same command goes on from the trainings that are done.

    python benchmarks/time_to_accuracy.py --data DIR [--seeds 10]
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks.holdout import held_out
from benchmarks.kept import HELP, Kept
from objectives.base import FitOptions
from objectives.data.dataset import Dataset, Split, load_dataset
from objectives.framework.runtime import detect_precision, start_framework
from objectives.network.cnn import CNN_SPACE, digits_cnn

HOLDOUT_SEED = 1
THREADS = 2
SHIFTS = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))

_SHARED = {
    "n_blocks": 2,
    "kernel": 3,
    "batch_norm": True,
    "dense_units": 128,
    "optimizer": "adamw",
    "learning_rate": 1e-2,
    "weight_decay": 0.05,
    "schedule": "one_cycle",
}
QUICK = {
    **_SHARED,
    "filters_1": 16,
    "filters_2": 32,
    "batch_size": 128,
    "label_smoothing": 0.02,
    "dropout": 0.1,
    "shift": 0.03,
    "rotation": 4.0,
    "zoom": 0.03,
}
"""For the convnet's accuracy in a fraction of its time."""

THOROUGH = {
    **_SHARED,
    "filters_1": 32,
    "filters_2": 48,
    "batch_size": 96,
    "label_smoothing": 0.05,
    "dropout": 0.2,
    "shift": 0.08,
    "rotation": 10.0,
    "zoom": 0.1,
}
"""For the best accuracy within the convnet's time."""


@dataclass(frozen=True)
class Contender:
    """How one is called, and what trains it: (data, seed) to seconds and accuracies."""

    name: str
    train: Callable[[Dataset, Split, int], dict[str, float]]


def convnet(dataset: Dataset, holdout: Split, seed: int) -> dict[str, float]:
    """Train keras.io's convnet: https://keras.io/examples/vision/mnist_convnet/."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    train = dataset.train
    images = np.asarray(train.images[train.rows])[..., np.newaxis].astype("float32") / 255
    labels = keras.utils.to_categorical(train.labels[train.rows], dataset.n_classes)
    started = time.perf_counter()
    model = keras.Sequential(
        [
            keras.Input(shape=(dataset.side, dataset.side, 1)),
            layers.Conv2D(32, kernel_size=(3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Conv2D(64, kernel_size=(3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(dataset.n_classes, activation="softmax"),
        ]
    )
    model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
    model.fit(images, labels, batch_size=128, epochs=15, validation_split=0.1, verbose=0)
    wall_s = time.perf_counter() - started
    held = np.asarray(holdout.images[holdout.rows])[..., np.newaxis].astype("float32") / 255
    said = model.predict(held, verbose=0).argmax(axis=1)
    return {"wall_s": wall_s, "accuracy": float((said == holdout.labels[holdout.rows]).mean())}


def ours(params: dict[str, Any], epochs: int) -> Callable[[Dataset, Split, int], dict[str, float]]:
    """Return what trains a point of the default space."""
    CNN_SPACE.check(params)
    options = FitOptions(epochs=epochs, precision=detect_precision(), threads=THREADS)

    def train(dataset: Dataset, holdout: Split, seed: int) -> dict[str, float]:
        objective = digits_cnn(options)
        start_framework(options)
        started = time.perf_counter()
        fitted = objective.fit(
            params, dataset, seed=seed, report=lambda step, value: None, resume_dir=None
        )
        found = {"wall_s": time.perf_counter() - started}
        labels, images = holdout.labels[holdout.rows], holdout.images[holdout.rows]
        for name, shifts in (("accuracy", SHIFTS[:1]), ("shifted", SHIFTS)):
            said = objective.predict(objective.combine([fitted], shifts), images)
            found[name] = float((said.argmax(axis=1) == labels).mean())
        return found

    return train


CONTENDERS = {
    "convnet": Contender("keras.io convnet, 15 epochs", convnet),
    "quick": Contender("here, 16-32 filters, 1 epoch", ours(QUICK, 1)),
    "thorough": Contender("here, 32-48 filters, 7 epochs", ours(THOROUGH, 7)),
}


def split(dataset: Dataset) -> tuple[Dataset, Split]:
    """Return the dataset to train on, without valid rows, and the rows held out."""
    mask = held_out(np.asarray(dataset.labels), HOLDOUT_SEED)
    rows = np.arange(len(mask))
    parts = [Split(dataset.images, dataset.labels, one) for one in (rows[~mask], rows[:0])]
    held = Split(dataset.images, dataset.labels, rows[mask])
    return replace(dataset, train=parts[0], valid=parts[1]), held


def run_child(given: argparse.Namespace, name: str, seed: int) -> dict[str, float]:
    """Train one contender in a process of its own."""
    command = [sys.executable, __file__, "--data", str(given.data), "--only", name]
    done = subprocess.run(
        [*command, "--seed", str(seed)], check=True, stdout=subprocess.PIPE, text=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def row(name: str, found: list[dict[str, float]], base_s: float) -> str:
    """Return the table's row: the median time, mean accuracies with their standard deviation."""
    wall_s = float(np.median([one["wall_s"] for one in found]))
    cells = []
    for key in ("accuracy", "shifted"):
        values = np.array([one[key] for one in found if key in one]) * 100
        cells.append(f"{values.mean():.3f} ({values.std(ddof=1):.3f})" if len(values) > 1 else "-")
    return (
        f"| {name} | {wall_s:.1f} s | {wall_s / base_s:.3f} | {' | '.join(cells)} | {len(found)} |"
    )


def main() -> None:
    """Train every contender with every seed, in turn, and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder with train.csv")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--only", choices=CONTENDERS, help="train one, print JSON")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kept", type=Path, help=HELP)
    given = parser.parse_args()
    if given.only:
        dataset, holdout = split(load_dataset(given.data))
        print(json.dumps(CONTENDERS[given.only].train(dataset, holdout, given.seed)))
        return
    trained = [QUICK, THOROUGH, [contender.name for contender in CONTENDERS.values()]]
    sizes = {"holdout": HOLDOUT_SEED, "threads": THREADS, "trained": trained}
    kept = Kept(given.kept, sizes)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    for seed in range(given.seeds):
        for name in CONTENDERS:
            measure = partial(run_child, given, name, seed)
            found[name].append(kept.get((name, seed), measure))
    base_s = float(np.median([one["wall_s"] for one in found["convnet"]]))
    print("| training | median time | of the convnet's | accuracy, % (sd) | shifted, % (sd) | n |")
    print("|---|---|---|---|---|---|")
    for name, contender in CONTENDERS.items():
        print(row(contender.name, found[name], base_s))


if __name__ == "__main__":
    main()
