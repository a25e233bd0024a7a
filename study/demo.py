"""Write the data and answers of `make demo`, and check the score of its submission.

The answers are written beside the data folder, where no search reads them.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from objectives.data.digits import bundled_digits
from objectives.data.write import write_pictures
from objectives.errors import DataError
from study.errors import StudyError
from study.view.score import score

MIN_ACCURACY = 0.98


def write_data(data_dir: Path) -> bool:
    """Write the data of `study fetch demo` into `data_dir`, and answers.csv beside that folder.

    Returns False if all files exist already.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    answers = data_dir.resolve().parent / "answers.csv"
    return bool(write_pictures(bundled_digits(), data_dir, answers, overwrite=False))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `python -m study.demo data DIR` or `... score SUBMISSION ANSWERS`; return 0 or 1."""
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
            done = "written" if write_data(options.dir) else "unchanged"
            print(f"demo data: {options.dir}, {done}")
            return 0
        found = score(options.submission, options.answers)
    except (OSError, DataError, StudyError) as error:
        print(f"demo: error: {error}", file=sys.stderr)
        return 1
    print(f"accuracy {found.value:.4f}: {found.n_right} of {found.n} test images right")
    if found.value < MIN_ACCURACY:
        print(f"demo: error: accuracy below {MIN_ACCURACY}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    from study.text import prepare_streams

    prepare_streams()
    sys.exit(main())
