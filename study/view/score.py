"""Score a submission against a file of answers: accuracy and its confidence interval.

Rows are matched by id, in any order. Answers may be Kaggle's solution file: its third column,
Usage, says which rows are Public, Private or Ignored. `objectives/data/csv` decides which CSV
files, ids and labels are valid.
"""

import math
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from objectives.data.csv.check import cell_error, id_value, label_value, shown
from objectives.data.csv.columns import ID_NAMES
from objectives.data.csv.competition import Answers
from objectives.data.csv.form import read_form, read_header
from objectives.data.csv.table import read_labels
from objectives.data.dataset import load_answers
from objectives.errors import DataError
from study.errors import StudyError
from study.text import counted

Z95 = 1.959964
MOST_CLASSES_SHOWN = 10
USAGE, PUBLIC, PRIVATE, IGNORED = "Usage", "Public", "Private", "Ignored"
LIKE_IDS = ID_NAMES | {"image"}
WHOLE_AS_FLOAT = re.compile(r"([0-9]+)\.0*")


class ScoreError(StudyError):
    """A submission or its answers cannot be read, or do not belong together."""


@dataclass(frozen=True)
class Score:
    """The accuracy of a submission.

    Attributes:
        n_right: Number of rows with the right label.
        n: Number of scored rows, at least 1.
        parts: With a column Usage, the scores of the Public and Private rows; None for a part
            without rows.
        n_ignored: Number of Ignored rows.
        warnings: Doubts about the answers, one line each.
    """

    n_right: int
    n: int
    parts: tuple[tuple[str, "Score | None"], ...] = ()
    n_ignored: int = 0
    warnings: tuple[str, ...] = ()

    @property
    def value(self) -> float:
        """The accuracy, 0..1."""
        return self.n_right / self.n

    def to_json(self) -> dict[str, object]:
        """Return the JSON of `study score --json`; `low` and `high` are the 95 % interval.

        With a column Usage it also has `n_ignored`, and `public` and `private` as objects with the
        same keys; null for a part without rows.
        """
        low, high = wilson(self.n_right, self.n)
        said: dict[str, object] = {
            "score": self.value, "n_right": self.n_right, "n": self.n, "low": low, "high": high
        }  # fmt: skip
        if self.parts:
            said |= {name.lower(): part and part.to_json() for name, part in self.parts}
            said["n_ignored"] = self.n_ignored
        return said

    def to_line(self) -> str:
        """Return the score as text: a line, and one more for each part of a solution file."""
        low, high = wilson(self.n_right, self.n)
        lines = [f"{self.value:.5f} ({self.n_right} of {self.n}; 95 %: {low:.5f} to {high:.5f})"]
        lines += [f"{name}: {part.to_line() if part else 'no rows'}" for name, part in self.parts]
        if self.n_ignored:
            lines.append(f"{IGNORED}: {counted(self.n_ignored, 'row')}, left out of the score")
        return "\n".join(lines)


def wilson(n_right: float, n: float) -> tuple[float, float]:
    """Return the 95 % Wilson interval of a proportion (Wilson 1927), within 0..1.

    Args:
        n_right: At most `n`; need not be whole, for a mean over several splits.
        n: Above 0; need not be whole, for an effective number.

    Raises:
        ValueError: `n_right` or `n` is out of range.
    """
    if not 0 <= n_right <= n or n <= 0:
        raise ValueError(f"{n_right} of {n} is not a proportion")
    p, z2 = n_right / n, Z95**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    # If none or all are right, the proportion itself is an end of the interval, despite rounding.
    return max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half))


def score(submission: Path, answers: Path | Answers) -> Score:
    """Compare a submission with the answers, id by id.

    Args:
        submission: A CSV file with the id and label columns of `answers`; the case of their names
            is ignored.
        answers: The labels of a test file, or a CSV file with the columns id, label and perhaps
            Usage. It must hold every known label.

    Raises:
        ScoreError: A file cannot be read, is malformed, or has other rows; names file, row, column.
    """
    expected, given = _expected(answers), _read(submission)
    if [name.casefold() for name in given.header] != [name.casefold() for name in expected.header]:
        raise _other_columns(given, expected)
    _check_ids(given, expected)
    known = set(expected.labels.values())
    is_one_label = len(known) == 1 < len(expected.labels)
    warnings: tuple[str, ...] = ()
    if is_one_label:  # the answers are doubtful, so a warning, and no error about other labels
        (label,) = known
        warnings = (
            f"{expected.path.name}: all {len(expected.labels)} labels are {shown(str(label))}; if "
            "it is a sample_submission, it does not hold the true labels, and the score means "
            "nothing",
        )
    else:
        _check_labels(given, expected, known)
    return _compared(given, expected, warnings)


def _compared(given: "_Table", expected: "_Table", warnings: tuple[str, ...]) -> Score:
    right = {name for name, label in expected.labels.items() if given.labels[name] == label}
    parts: list[tuple[str, Score | None]] = []
    if expected.usage is not None:
        n_of = Counter(expected.usage.values())
        n_right = Counter(expected.usage[name] for name in right)
        parts = [
            (part, Score(n_right[part], n_of[part]) if n_of[part] else None)
            for part in (PUBLIC, PRIVATE)
        ]
    n, n_ignored = len(expected.labels), len(expected.ignored)
    return Score(len(right), n, tuple(parts), n_ignored, warnings)


@dataclass(frozen=True)
class _Table:
    """The content of one file.

    Attributes:
        header: The names of the id and label columns.
        labels: The label of each scored id, in the file's order.
        row_of: The row of each id; the row below the header is 1.
        usage: Public or Private for each scored id; None without a column Usage.
        ignored: The ids that are not scored.
    """

    path: Path
    header: tuple[str, str]
    labels: dict[str, int | str]
    row_of: dict[str, int]
    usage: dict[str, str] | None = None
    ignored: frozenset[str] = frozenset()


def answers_of(data_dir: Path) -> Answers:
    """Return the labels in the test file of a data folder.

    Raises:
        ScoreError: Its test file has no labels.
        DataError: A file of the folder is invalid.
    """
    found = load_answers(data_dir)
    if found is None:
        raise ScoreError(
            f"the test file in {data_dir} has no labels to compare with",
            "--answers FILE, a CSV file with an id and a label",
        )
    return found


def _expected(answers: Path | Answers) -> _Table:
    if isinstance(answers, Path):
        return _read(answers, is_answers=True)
    row_of = {name: row for row, name in enumerate(answers.labels, 1)}
    return _Table(answers.path, answers.header, answers.labels, row_of)


def _read(path: Path, *, is_answers: bool = False) -> _Table:
    try:
        header = read_header(path)
        if is_answers:
            _refuse_label_first(path, header)
        usages = [n for n, name in enumerate(header) if name.casefold() == USAGE.casefold()]
        if is_answers and len(header) == 3 and usages == [2]:
            return _read_solution(path, header)
        if len(header) == 2 and not usages:
            names = header[0], header[1]
            labels = read_labels(path, names)
            return _Table(path, names, labels, {name: n for n, name in enumerate(labels, 1)})
    except DataError as error:
        raise ScoreError(str(error), _hint(path, error) or error.hint or f"fix {path}") from None
    raise _not_two_columns(path, header, is_answers=is_answers)


def _hint(path: Path, error: DataError) -> str | None:
    """Return a hint that fits a submission better than the error's own, or None."""
    if not path.is_file():
        return "name another file"
    if "is not a whole number" in str(error):
        return f"write classes into {path}, not probabilities"
    return None


def _not_two_columns(path: Path, header: tuple[str, ...], *, is_answers: bool) -> ScoreError:
    names = ", ".join(header[:4]) + (", ..." if len(header) > 4 else "")
    hint = f"keep the two columns in {path}"
    if is_answers:
        hint += f", id first; a third may be {USAGE}, as Kaggle has it"
    elif len(header) > 3:
        hint += "; of one column a class, write the name of the class with the highest value"
    what = f"{path.name}: {len(header)} columns ({names}); an id and a label are expected"
    return ScoreError(what, hint)


def _read_solution(path: Path, header: tuple[str, ...]) -> _Table:
    """Read Kaggle's solution file; its Ignored rows need no label."""
    usages = {name.casefold(): name for name in (PUBLIC, PRIVATE, IGNORED)}
    row_of: dict[str, int] = {}
    labels: dict[str, int | str] = {}
    usage: dict[str, str] = {}
    ignored: set[str] = set()
    with read_form(path).rows() as rows:
        for row, cells in rows:
            column = header[0]
            try:
                name = id_value(cells[0])
                if row_of.setdefault(name, row) != row:
                    raise ValueError(f"{shown(name)} stands in row {row_of[name]} already")
                column = header[2]
                part = usages.get(cells[2].decode("utf-8", "replace").strip().casefold())
                if part is None:
                    raise ValueError(f"{shown(cells[2])} is none of {', '.join(usages.values())}")
                if part == IGNORED:
                    ignored.add(name)
                    continue
                column = header[1]
                labels[name], usage[name] = label_value(cells[1]), part
            except ValueError as reason:
                raise cell_error(path, row, column, str(reason)) from None
    if not labels:
        raise DataError(
            f"{path.name} column {header[2]}: every row is {IGNORED}; none can be scored"
        )
    return _Table(path, (header[0], header[1]), labels, row_of, usage, frozenset(ignored))


def _refuse_label_first(path: Path, header: tuple[str, ...]) -> None:
    """Raise if only the second column has the name of an id."""
    first, second = header[0], header[1] if len(header) > 1 else ""
    if second.casefold() in LIKE_IDS and first.casefold() not in LIKE_IDS:
        raise DataError(
            f"{path.name}: the columns are {first} and {second}; the id is expected first",
            f"put {second} before {first} in {path}",
        )


def _other_columns(given: _Table, expected: _Table) -> ScoreError:
    return ScoreError(
        f"{given.path.name}: the columns are {','.join(given.header)}, not "
        f"{','.join(expected.header)} as in {expected.path.name}",
        f"fix the first line of {given.path}",
    )


def _check_ids(given: _Table, expected: _Table) -> None:
    hint = f"are {given.path} and {expected.path} about the same images?"
    known = expected.labels.keys() | expected.ignored
    for name, row in given.row_of.items():
        if name not in known:
            where = f"{given.path.name} row {row}, column {given.header[0]}"
            whole = WHOLE_AS_FLOAT.fullmatch(name)
            if whole and whole[1] in known:
                hint = f"write {whole[1]}: with pandas, make the column int before to_csv"
            raise ScoreError(f"{where}: {shown(name)} is not an id of {expected.path.name}", hint)
    missing = [name for name in expected.labels if name not in given.labels]
    if missing:
        name, row = missing[0], expected.row_of[missing[0]]
        raise ScoreError(
            f"{given.path.name}: no row has the id {shown(name)} of {expected.path.name} row "
            f"{row}; {len(missing)} of {len(expected.labels)} ids are missing",
            hint,
        )


def _check_labels(given: _Table, expected: _Table, known: set[int | str]) -> None:
    for name, label in given.labels.items():
        if label not in known and name not in expected.ignored:
            names = sorted(known, key=lambda one: (isinstance(one, str), one))
            n_more = len(names) - MOST_CLASSES_SHOWN
            some = ", ".join(map(str, names[:MOST_CLASSES_SHOWN]))
            raise ScoreError(
                f"{given.path.name} row {given.row_of[name]}, column {given.header[1]}: "
                f"{shown(str(label))} is not a label of {expected.path.name}",
                f"its labels are {some}{f' and {n_more} more' if n_more > 0 else ''}",
            )
