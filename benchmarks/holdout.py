"""Accuracy of `study run --finalize` on rows that it never saw, and its wall time.

Splits a fifth of the labelled rows off (stratified, by `--split-seed`), writes the rest and the
held-out images as a competition of its own, runs the command line on it, and scores the submission
against the labels that were kept aside. Prints one row for `benchmarks/README.md`.

    python benchmarks/holdout.py --data DIR --n-trials 8 --epochs 3 --workers 2
"""

import argparse
import csv
import gzip
import io
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SHARE = 0.2
Z95 = 1.959964


def read_rows(data_dir: Path) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of train.csv or train.csv.gz."""
    plain, packed = data_dir / "train.csv", data_dir / "train.csv.gz"
    text = plain.read_text() if plain.exists() else gzip.decompress(packed.read_bytes()).decode()
    with io.StringIO(text, newline="") as file:
        reader = csv.reader(file)
        return next(reader), list(reader)


def held_out(labels: np.ndarray, seed: int) -> np.ndarray:
    """Return a boolean mask of the held-out rows: the same share of each class."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        mask[rows[: round(SHARE * len(rows))]] = True
    return mask


def write_competition(
    folder: Path, header: list[str], rows: list[list[str]], mask: np.ndarray
) -> None:
    """Write train.csv without the held-out rows, and test.csv with their images alone."""
    column = header.index("label")
    with (folder / "train.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(row for row, out in zip(rows, mask, strict=True) if not out)
    with (folder / "test.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header[:column] + header[column + 1 :])
        writer.writerows(
            row[:column] + row[column + 1 :] for row, out in zip(rows, mask, strict=True) if out
        )


def wilson(n_right: int, n: int) -> tuple[float, float]:
    """Return the 95 % Wilson interval of a proportion (Wilson 1927)."""
    p, z2 = n_right / n, Z95**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return centre - half, centre + half


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split-seed", type=int, default=0)
    parser.add_argument("--n-trials", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--workers", default="2")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--storage", default=None, help="default: SQLite in a temporary folder")
    options = parser.parse_args()
    header, rows = read_rows(options.data)
    labels = np.array([row[header.index("label")] for row in rows])
    mask = held_out(labels, options.split_seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_competition(folder, header, rows, mask)
        storage = options.storage or f"sqlite:///{folder / 'study.db'}"
        command = [sys.executable, "-m", "study", "run", "--data", str(folder)]
        command += [
            "--study",
            "holdout",
            "--storage",
            storage,
            "--n-trials",
            str(options.n_trials),
            "--finalize",
        ]
        command += ["--epochs", str(options.epochs), "--workers", options.workers]
        command += ["--seed", str(options.seed), "--out", str(folder / "out")]
        started = time.monotonic()
        subprocess.run(command, check=True)
        wall_s = time.monotonic() - started
        with (folder / "out" / "submission.csv").open(newline="") as file:
            said = np.array([row["Label"] for row in csv.DictReader(file)])
    n_right, n = int((said == labels[mask]).sum()), int(mask.sum())
    low, high = wilson(n_right, n)
    print(
        f"| holdout | {len(rows) - n} rows, {options.n_trials} trials x {options.epochs} epochs, "
        f"{options.workers} workers | {wall_s:.0f} s | {n_right / n:.4f} "
        f"(95 %: {low:.4f} to {high:.4f}, n = {n}) |"
    )


if __name__ == "__main__":
    main()
