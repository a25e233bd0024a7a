"""A tiny competition: noisy 8x8 images of four classes, as Kaggle's three files."""

import csv
import hashlib
from pathlib import Path

import numpy as np

SIDE, N_CLASSES, N_TRAIN, N_TEST = 8, 4, 240, 60
DIGITS = ("3", "5", "7", "9")
# Small networks, which train in seconds; no test rests on what they reach.
SPACE = """
n_blocks = 1
filters_1 = [4, 8]
kernel = 3
dense_units = [16, 32]
dropout = { low = 0.0, high = 0.1 }
optimizer = ["adam", "rmsprop"]
learning_rate = { low = 3e-3, high = 1e-2 }
batch_size = 32
rotation = 0.0
zoom = 0.0
shift = 0.0
"""


def write_competition(folder: Path) -> list[str]:
    """Write noisy 8x8 images of four classes as Kaggle's three files; return the test labels."""
    random = np.random.default_rng(0)
    shapes = random.integers(0, 2, size=(N_CLASSES, SIDE * SIDE)) * 160 + 20
    folder.mkdir()
    labels = np.arange(N_TRAIN + N_TEST) % N_CLASSES
    noise = random.integers(-20, 60, size=(len(labels), SIDE * SIDE))
    pixels = np.clip(shapes[labels] + noise, 0, 255)
    header = [f"pixel{n}" for n in range(SIDE * SIDE)]
    with (folder / "train.csv").open("w", newline="") as file:
        rows = zip(labels[:N_TRAIN], pixels[:N_TRAIN], strict=True)
        csv.writer(file).writerows([["label", *header], *([DIGITS[k], *row] for k, row in rows)])
    with (folder / "test.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *pixels[N_TRAIN:]])
    with (folder / "sample_submission.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["Id", "Digit"], *([100 + n, 0] for n in range(N_TEST))])
    return [DIGITS[k] for k in labels[N_TRAIN:]]


def hash_of(path: Path) -> str:
    """The sha256 of a file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def rows_in(path: Path) -> list[list[str]]:
    """The rows of a CSV file, its header first."""
    with path.open(newline="") as file:
        return list(csv.reader(file))
