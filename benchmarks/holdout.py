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
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from study.score import score

SHARE = 0.2


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
    """Write train.csv without the held-out rows, test.csv with their images, and answers.csv."""
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
    labels = [row[column] for row, out in zip(rows, mask, strict=True) if out]
    with (folder / "answers.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("ImageId", "Label"))
        writer.writerows(enumerate(labels, 1))


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
        found = score(folder / "out" / "submission.csv", folder / "answers.csv").to_json()
    print(
        f"| holdout | {len(rows) - mask.sum()} rows, {options.n_trials} trials x {options.epochs} "
        f"epochs, {options.workers} workers | {wall_s:.0f} s | {found['score']:.4f} "
        f"(95 %: {found['low']:.4f} to {found['high']:.4f}, n = {found['n']}) |"
    )


if __name__ == "__main__":
    main()
