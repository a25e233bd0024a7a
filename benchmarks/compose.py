"""The docker compose stack from `up --scale worker=N` to the submission; its image.

Brings a project of its own up on the repository's compose file, waits for the study, finalizes with
`--quick`, and removes it all. With `--build` the image is built first, without any cached layer.
Prints one row for `benchmarks/README.md`. Needs a Docker engine with Compose v2.

    python benchmarks/compose.py --data DIR --n-trials 8 --epochs 1 --workers 4 --build
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.compose.stack import Stack, build_image, docker, engine_missing

SPACE = "n_blocks = 1\nfilters_1 = [8, 16]\ndense_units = [32, 64]\nbatch_size = [128, 256]\n"


def build_s() -> float:
    """Build the image with nothing cached; return the wall time in s."""
    started = time.monotonic()
    build_image("--no-cache")
    return time.monotonic() - started


def measured(options: argparse.Namespace, folder: Path) -> tuple[float, float, int]:
    """Return when the study was done and when its submission, in s from `up`, and its rows."""
    data = folder / "data"
    shutil.copytree(options.data, data)
    (data / "space.toml").write_text(SPACE)
    sizes = {"STUDY_N_TRIALS": options.n_trials, "STUDY_EPOCHS": options.epochs}
    with Stack(folder, data, **sizes, STUDY_SPACE="/data/space.toml") as stack:
        started = time.monotonic()
        stack.up(workers=options.workers)
        status = stack.wait_done()
        searched_s = time.monotonic() - started
        if status.complete != options.n_trials:
            raise SystemExit(f"{status.complete} of {options.n_trials} trials are complete")
        stack.compose("run", "--rm", "--no-TTY", "finalize", "--quick")
        finished_s = time.monotonic() - started
        lines = (folder / "out" / "submission.csv").read_text().splitlines()
    return searched_s, finished_s, len(lines) - 1


def main() -> None:
    """Measure, and print the row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--n-trials", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--build", action="store_true", help="build the image first, from nothing")
    options = parser.parse_args()
    missing = engine_missing()
    if missing is not None:
        raise SystemExit(f"no Docker engine with Compose v2 here: {missing}")
    built = f"{build_s():.0f} s" if options.build else "-"
    size_mb = int(docker("image", "inspect", "--format", "{{.Size}}", "slot-study")) / 1e6
    folder = Path(tempfile.mkdtemp(prefix="study-compose-"))
    folder.chmod(0o755)
    try:
        searched_s, finished_s, n_rows = measured(options, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    what = f"{options.n_trials} x {options.epochs} | {options.workers}"
    print(
        "| trials x epochs | workers | search | to the submission | rows | image | built in | n |"
    )
    print("|---|---|---|---|---|---|---|---|")
    times = f"{searched_s:.0f} s | {finished_s:.0f} s"
    print(f"| {what} | {times} | {n_rows:,} | {size_mb:,.0f} MB | {built} | 1 |")


if __name__ == "__main__":
    main()
