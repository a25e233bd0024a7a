"""The best submission that a time allows: the whole command by the clock, scored on unseen rows.

Splits a fifth of the labelled rows off, as `holdout.py` does, runs `study run --timeout T
--finalize` with its defaults on the others, and scores the submission on the fifth. Notes when the
first valid submission was there. Each look is appended to `holdout.jsonl`.

    python benchmarks/hour.py --data DIR --timeout 15m [--splits 1 2 3] [-- --rungs 1,3,9 ...]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks.holdout import held_out, log_look, read_rows, write_competition
from study.view.score import score


@dataclass(frozen=True)
class Timed:
    """One run of the command; times in s since its start."""

    wall_s: float
    first_s: float
    manifest: dict[str, Any]


def timed(folder: Path, timeout: str, seed: int, more: list[str]) -> Timed:
    """Run the command on the competition in `folder`."""
    storage, out = f"sqlite:///{folder / 'study.db'}", folder / "out"
    command = [sys.executable, "-m", "study", "run", "--data", str(folder), "--storage", storage]
    command += ["--study", "hour", "--timeout", timeout, "--finalize", "--out", str(out)]
    started, first_s = time.monotonic(), 0.0
    with subprocess.Popen([*command, "--seed", str(seed), *more]) as process:
        while process.poll() is None:
            time.sleep(0.2)
            if not first_s and (out / "manifest.json").exists():
                first_s = time.monotonic() - started
    if process.returncode:
        raise SystemExit(f"the command ended with {process.returncode}")
    manifest = json.loads((out / "manifest.json").read_text())
    return Timed(time.monotonic() - started, first_s, manifest)


def main() -> None:
    """Run the command on each split, and print a row for each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--timeout", default="15m")
    parser.add_argument("--splits", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("more", nargs="*", help="further options of study run, after --")
    given = parser.parse_args()
    header, rows = read_rows(given.data)
    labels = np.array([row[header.index("label")] for row in rows])
    lines = []
    for split in given.splits:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_competition(folder, header, rows, held_out(labels, split))
            run = timed(folder, given.timeout, split, given.more)
            found = score(folder / "out" / "submission.csv", folder / "answers.csv").to_json()
        said, cost = run.manifest["expected"], run.manifest["cost"]
        look = {"timeout": given.timeout, "split_seed": split, "more": given.more}
        look |= {"wall_s": round(run.wall_s, 1), "first_s": round(run.first_s, 1), **found}
        log_look({**look, "expected": said, "flop": cost["flop"]})
        expected = (
            "-"
            if said is None
            else f"{said['score']:.4f} ({said['low']:.4f} to {said['high']:.4f})"
        )
        lines.append(
            f"| {given.timeout} | {split} | {run.wall_s:.0f} s | {run.first_s:.0f} s | "
            f"{100 * found['score']:.2f} % ({found['low']:.4f} to {found['high']:.4f}) | "
            f"{expected} | {cost['n_configurations']} | {len(run.manifest['members'])} x "
            f"{run.manifest['epochs']} |"
        )
        print(lines[-1], flush=True)
    print(
        "\n| time | split | wall | first submission | accuracy on the holdout (95 %) | expected | "
        "configurations | networks x epochs |\n|---|---|---|---|---|---|---|---|"
    )
    print("\n".join(lines))


if __name__ == "__main__":
    main()
