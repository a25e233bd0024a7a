"""Accuracy of `study run --finalize` on rows that it never saw, and its wall time.

Splits a fifth of the labelled rows off (stratified, by `--split-seed`), writes the rest and the
held-out images as a competition of its own, runs the command line on it, and scores the submission
against the labels that were kept aside; so is each network of the average, by itself and without
shifts. Prints one row for `benchmarks/README.md`, and appends the look to `holdout.jsonl`: nothing
is chosen by these rows.

    python benchmarks/holdout.py --data DIR --n-trials 8 --epochs 3 --workers 2
"""

import argparse
import csv
import gzip
import io
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from study.view.score import score

SHARE = 0.2
LOG = Path(__file__).resolve().parent / "holdout.jsonl"


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


def finalized(options: argparse.Namespace, folder: Path) -> tuple[dict[str, Any], float]:
    """Search and finalize the competition in `folder`; return manifest and wall time in s."""
    storage = options.storage or f"sqlite:///{folder / 'study.db'}"
    command = [sys.executable, "-m", "study", "run", "--data", str(folder), "--storage", storage]
    command += ["--study", "holdout", "--n-trials", str(options.n_trials), "--finalize"]
    command += ["--epochs", str(options.epochs), "--workers", options.workers]
    command += ["--seed", str(options.seed), "--out", str(folder / "out")]
    command += ["--budget", options.budget] if options.budget else []
    command += ["--quick"] if options.quick else []
    command += ["--space", str(options.space)] if options.space else []
    started = time.monotonic()
    subprocess.run(command, check=True)
    wall_s = time.monotonic() - started
    manifest: dict[str, Any] = json.loads((folder / "out" / "manifest.json").read_text())
    return manifest, wall_s


def single_scores(folder: Path) -> list[float]:
    """Return the accuracy on the held-out rows of each network that `model.keras` averages."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras

    model = keras.models.load_model(folder / "out" / "model.keras")
    members = [one for one in model.layers if one.name.startswith("member_")] or [model]
    read = {"delimiter": ",", "skiprows": 1, "dtype": np.int64}
    pixels = np.loadtxt(folder / "test.csv", **read).astype(np.uint8)
    labels = np.loadtxt(folder / "answers.csv", **read)[:, 1]
    side = math.isqrt(pixels.shape[1])
    images = pixels.reshape(-1, side, side)
    said = [one.predict(images, batch_size=256, verbose=0) for one in members]
    return [float((one.argmax(axis=1) == labels).mean()) for one in said]


def log_look(look: dict[str, Any]) -> None:
    """Append a look at the held-out rows: each one is a chance to choose by them."""
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=LOG.parent, capture_output=True, text=True
    )
    with LOG.open("a") as file:
        file.write(json.dumps({**look, "commit": found.stdout.strip()}) + "\n")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split-seed", type=int, default=0)
    parser.add_argument("--n-trials", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--workers", default="2")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--budget", default=None, help="of the finalize, such as 30m")
    parser.add_argument("--quick", action="store_true", help="the best trial alone, retrained")
    parser.add_argument("--space", type=Path, default=None, help="TOML file, as of study run")
    parser.add_argument("--storage", default=None, help="default: SQLite in a temporary folder")
    options = parser.parse_args()
    header, rows = read_rows(options.data)
    labels = np.array([row[header.index("label")] for row in rows])
    mask = held_out(labels, options.split_seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_competition(folder, header, rows, mask)
        manifest, wall_s = finalized(options, folder)
        found = score(folder / "out" / "submission.csv", folder / "answers.csv").to_json()
        single = single_scores(folder)
    said = manifest["expected"]
    look = {key: value for key, value in vars(options).items() if key not in ("data", "storage")}
    look |= {"space": options.space and options.space.name, "wall_s": round(wall_s, 1)}
    log_look(
        {**look, **found, "expected": said, "single": single, "flop": manifest["cost"]["flop"]}
    )
    expected = (
        "-" if said is None else f"{said['score']:.4f} ({said['low']:.4f} to {said['high']:.4f})"
    )
    print(
        f"| {options.n_trials} x {options.epochs} | {options.workers} | {wall_s:.0f} s | "
        f"{found['score']:.4f} ({found['low']:.4f} to {found['high']:.4f}, {found['n']:,} rows) | "
        f"{expected} | {manifest['best_value']:.4f} | "
        f"{np.mean(single):.4f}, of {len(single)} | {manifest['cost']['flop']:.2e} | 1 |"
    )


if __name__ == "__main__":
    main()
