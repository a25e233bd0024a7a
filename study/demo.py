"""The demo's data: scikit-learn's bundled handwritten digits as Kaggle CSVs, and their answers.

Decides how `make demo` gets its files and whether its submission is good enough. The answers lie
beside the data folder, where no search looks. Needs scikit-learn for `data`; how a submission is
scored is `score.py`'s decision.
"""

import argparse
import csv
import os
import secrets
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from study.score import ScoreError, score

MIN_ACCURACY = 0.98
SEED = 0
TEST_SHARE = 0.2
HEADER = ["ImageId", "Label"]


def write_data(data_dir: Path) -> bool:
    """Write train, test and sample_submission into `data_dir`, and answers.csv beside it.

    A stratified 80/20 split, the same each time. Returns False, with nothing written, where all
    four are there already.
    """
    answers = data_dir.resolve().parent / "answers.csv"
    names = ("train.csv", "test.csv", "sample_submission.csv")
    if all(path.is_file() for path in (answers, *(data_dir / name for name in names))):
        return False
    train, train_labels, test, test_labels = _digits()
    pixels = [f"pixel{n}" for n in range(len(train[0]))]
    data_dir.mkdir(parents=True, exist_ok=True)
    labelled = ([label, *row] for label, row in zip(train_labels, train, strict=True))
    _write_csv(data_dir / names[0], ["label", *pixels], labelled)
    _write_csv(data_dir / names[1], pixels, test)
    _write_csv(data_dir / names[2], HEADER, ([n, 0] for n, _ in enumerate(test, 1)))
    _write_csv(answers, HEADER, enumerate(test_labels, 1))
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `python -m study.demo data DIR` or `... score SUBMISSION ANSWERS`; return the status."""
    parser = argparse.ArgumentParser(prog="python -m study.demo", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    data = commands.add_parser("data", help="write the digits as Kaggle CSVs")
    data.add_argument("dir", type=Path)
    rate = commands.add_parser("score", help=f"fail below an accuracy of {MIN_ACCURACY}")
    rate.add_argument("submission", type=Path)
    rate.add_argument("answers", type=Path)
    options = parser.parse_args(arguments)
    try:
        if options.command == "data":
            done = "written" if write_data(options.dir) else "there already"
            print(f"demo data: {options.dir}, {done}")
            return 0
        found = score(options.submission, options.answers)
    except (OSError, ScoreError) as error:
        print(f"demo: error: {error}", file=sys.stderr)
        return 1
    print(f"accuracy {found.value:.4f}: {found.n_right} of {found.n} test images right")
    if found.value < MIN_ACCURACY:
        print(f"demo: error: accuracy below {MIN_ACCURACY}", file=sys.stderr)
        return 1
    return 0


def _digits() -> Any:
    """Return train rows, train labels, test rows, test labels, as lists of int; pixels 0..255."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)  # 0..16
    rows = (images * 255 / 16).round().astype("uint8")
    train, test, train_labels, test_labels = train_test_split(
        rows, labels, test_size=TEST_SHARE, random_state=SEED, stratify=labels
    )
    return train.tolist(), train_labels.tolist(), test.tolist(), test_labels.tolist()


def _write_csv(path: Path, header: list[str], rows: Iterable[Iterable[object]]) -> None:
    """Write beside the place, then move: a file that is there is whole."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with fresh.open("x", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(rows)
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
