"""A submission against a file of answers: how many labels are right, and how sure that makes one.

Decides which files may be scored, and that rows are matched by id, whatever their order. What a
sound CSV file, id and label is stands in the data room: a submission is read as strictly as
`sample_submission.csv` and `train.csv` are, and tolerates the same (BOM, CRLF, quotes, gzip).
"""

import math
from dataclasses import dataclass
from pathlib import Path

from objectives.csvcheck import read_header, shown
from objectives.errors import DataError
from objectives.imagetable import read_labels
from study.errors import StudyError

Z95 = 1.959964
MOST_CLASSES_SHOWN = 10


class ScoreError(StudyError):
    """A submission or its answers cannot be read, or do not belong together."""


@dataclass(frozen=True)
class Score:
    """The accuracy of a submission.

    Attributes:
        n_right: Rows with the label of the answers.
        n: All rows, at least 1.
    """

    n_right: int
    n: int

    @property
    def value(self) -> float:
        """The share of right rows, 0..1."""
        return self.n_right / self.n

    def to_json(self) -> dict[str, float]:
        """Return what `study score --json` prints; `low` and `high` are the 95 % interval."""
        low, high = wilson(self.n_right, self.n)
        return {
            "score": self.value, "n_right": self.n_right, "n": self.n, "low": low, "high": high
        }  # fmt: skip

    def to_line(self) -> str:
        """Return the same for people."""
        low, high = wilson(self.n_right, self.n)
        return f"{self.value:.5f} ({self.n_right} of {self.n}; 95 %: {low:.5f} to {high:.5f})"


def wilson(n_right: float, n: float) -> tuple[float, float]:
    """Return the 95 % Wilson interval of a proportion (Wilson 1927), within 0..1 and around it.

    Args:
        n_right: 0 <= n_right <= n; a mean over several splits need not be whole.
        n: Above 0; an effective number need not be whole.

    Raises:
        ValueError: The arguments are none of these.
    """
    if not 0 <= n_right <= n or n <= 0:
        raise ValueError(f"{n_right} of {n} is no proportion")
    p, z2 = n_right / n, Z95**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    # With none right or all, the proportion is an end of the interval, but for rounding.
    return max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half))


def score(submission: Path, answers: Path) -> Score:
    """Compare a submission with the answers, id by id.

    Args:
        submission: A CSV file with the two columns of `answers`, in that order.
        answers: A CSV file of an id and a label column. Every label that is known stands in it.

    Raises:
        ScoreError: A file cannot be read, is malformed, or is not about the same rows; one line
            with file, and row and column where there is one.
    """
    expected, given = _read(answers), _read(submission)
    if given.header != expected.header:
        raise ScoreError(
            f"{submission.name}: the columns are {','.join(given.header)}, not "
            f"{','.join(expected.header)} as in {answers.name}",
            f"mend the first line of {submission}",
        )
    _check_ids(given, expected)
    _check_labels(given, expected)
    n_right = sum(given.labels[name] == label for name, label in expected.labels.items())
    return Score(n_right, len(expected.labels))


@dataclass(frozen=True)
class _Table:
    """One file: its two column names, and the label of each id in its order."""

    path: Path
    header: tuple[str, str]
    labels: dict[str, int | str]


def _read(path: Path) -> _Table:
    try:
        header = read_header(path)
        if len(header) == 2:
            names = header[0], header[1]
            return _Table(path, names, read_labels(path, names))
    except DataError as error:
        hint = error.hint or (f"mend {path}" if path.is_file() else "name another file")
        raise ScoreError(str(error), hint) from None
    shown_names = ", ".join(header[:4]) + (", ..." if len(header) > 4 else "")
    raise ScoreError(
        f"{path.name}: {len(header)} columns ({shown_names}); an id and a label are expected",
        f"keep the two columns in {path}",
    )


def _check_ids(given: _Table, expected: _Table) -> None:
    hint = f"are {given.path} and {expected.path} about the same images?"
    for row, name in enumerate(given.labels, 1):
        if name not in expected.labels:
            where = f"{given.path.name} row {row}, column {given.header[0]}"
            raise ScoreError(f"{where}: {shown(name)} is no id of {expected.path.name}", hint)
    missing = [pair for pair in enumerate(expected.labels, 1) if pair[1] not in given.labels]
    if missing:
        row, name = missing[0]
        raise ScoreError(
            f"{given.path.name}: no row has the id {shown(name)} of {expected.path.name} row "
            f"{row}; {len(missing)} of {len(expected.labels)} ids are missing",
            hint,
        )


def _check_labels(given: _Table, expected: _Table) -> None:
    known = set(expected.labels.values())
    for row, label in enumerate(given.labels.values(), 1):
        if label not in known:
            names = sorted(known, key=lambda name: (isinstance(name, str), name))
            n_more = len(names) - MOST_CLASSES_SHOWN
            some = ", ".join(map(str, names[:MOST_CLASSES_SHOWN]))
            raise ScoreError(
                f"{given.path.name} row {row}, column {given.header[1]}: {shown(str(label))} is "
                f"no label of {expected.path.name}",
                f"its labels are {some}{f' and {n_more} more' if n_more > 0 else ''}",
            )
