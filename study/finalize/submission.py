"""Write and verify `submission.csv`, and show how to submit it.

A valid submission has the header of the sample, one row for each test image in the order of the
sample, and a class of the training data in each row.
"""

import csv
import hashlib
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from objectives.files.atomic import atomic_path
from study.errors import StudyError

# Kaggle shows it beside the score. Must be safe in double quotes for the shell.
MESSAGE = "found with slot-study"
MOST_CLASSES_SHOWN = 20


class SubmissionError(StudyError):
    """The submission cannot be written, or would not be valid."""


def write_submission(
    path: Path,
    labels: Sequence[str],
    ids: Sequence[str],
    id_column: str,
    label_column: str,
    classes: Sequence[str],
) -> str:
    """Write the submission, check the written file, move it into place, and return its sha256.

    Args:
        path: The file to write or replace. Its folder must exist.
        labels: The label of each test image, as written in train.csv, in the order of `ids`.
        ids: The ids of sample_submission.csv, in its order.
        id_column, label_column: The header of sample_submission.csv.
        classes: Every label that may occur.

    Raises:
        SubmissionError: The submission is invalid or cannot be written; `path` is unchanged.
    """
    if len(labels) != len(ids):
        raise SubmissionError(f"{len(labels)} predictions for {len(ids)} test images")
    try:
        with atomic_path(path) as temporary:
            with temporary.open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow((id_column, label_column))
                writer.writerows(zip(ids, labels, strict=True))
            _check(path.name, temporary, ids, (id_column, label_column), classes)
            return hashlib.sha256(temporary.read_bytes()).hexdigest()
    except OSError as error:
        raise SubmissionError(
            f"cannot write {path}: {error.strerror or error}", "name another folder: --out DIR"
        ) from error


def _check(
    name: str, written: Path, ids: Sequence[str], header: tuple[str, str], classes: Sequence[str]
) -> None:
    """Raise a `SubmissionError` for the first error; row 1 is the row below the header."""
    with written.open(encoding="utf-8", newline="") as file:
        found_header, *rows = list(csv.reader(file, strict=True)) or [[]]
    if tuple(found_header) != header:
        raise SubmissionError(f"{name}: the header is {found_header}, not {list(header)}")
    if not rows or len(rows) != len(ids):
        raise SubmissionError(f"{name}: {len(rows)} rows for {len(ids)} test images")
    known = set(classes)
    for n, (row, expected) in enumerate(zip(rows, ids, strict=True), 1):
        if len(row) != len(header):
            raise SubmissionError(f"{name} row {n}: {len(row)} cells, not {len(header)}")
        if row[0] != expected:
            raise SubmissionError(f"{name} row {n}: the id is '{row[0]}', not '{expected}'")
        if row[1] not in known:
            n_more = len(classes) - MOST_CLASSES_SHOWN
            more = f" and {n_more} more" if n_more > 0 else ""
            shown = ", ".join(classes[:MOST_CLASSES_SHOWN]) + more
            raise SubmissionError(
                f"{name} row {n}: the label '{row[1]}' is none of the classes {shown}"
            )
    (most, n_times), *_ = Counter(ids).most_common(1)
    if n_times > 1:
        raise SubmissionError(
            f"{name}: the id '{most}' occurs {n_times} times",
            "fix sample_submission.csv, where the ids come from",
        )


def kaggle_line(path: Path, competition: str = "digit-recognizer") -> str:
    """Return the shell command that sends the submission to Kaggle."""
    command = ["kaggle", "competitions", "submit", "-c", competition, "-f", str(path)]
    return f'{shlex.join(command)} -m "{MESSAGE}"'
