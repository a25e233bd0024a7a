"""A score is that of the rows by id, with its interval; a file that cannot be scored says why."""

import gzip
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from study.view.score import Score, ScoreError, answers_of, score, wilson
from tests.unit.forms import ANSWERS as TRUE_LABELS
from tests.unit.forms import FORMS

ANSWERS = "id,label\n1,3\n2,7\n3,7\n4,3\n"


def rated(folder: Path, given: str | bytes, answers: str = ANSWERS) -> Score:
    """Return the score of a submission."""
    raw = given.encode() if isinstance(given, str) else given
    (folder / "submission.csv").write_bytes(raw)
    (folder / "answers.csv").write_text(answers)
    return score(folder / "submission.csv", folder / "answers.csv")


def test_line_and_json_say_the_same() -> None:
    """The line rounds what the JSON has in full."""
    found = Score(356, 360)
    assert found.to_line() == "0.98889 (356 of 360; 95 %: 0.97178 to 0.99567)"
    said = json.loads(json.dumps(found.to_json()))
    assert list(said) == ["score", "n_right", "n", "low", "high"]
    assert (said["score"], said["n_right"], said["n"]) == (356 / 360, 356, 360)
    assert (said["low"], said["high"]) == wilson(356, 360)


@pytest.mark.parametrize(
    ("n_right", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (20, 20, 0.8389, 1.0),
    ],
)
def test_interval_is_wilsons(n_right: int, n: int, low: float, high: float) -> None:
    """Against the values that Newcombe (1998) printed, to his digits."""
    found = wilson(n_right, n)
    assert found == pytest.approx((low, high), abs=5e-5)
    assert 0.0 <= found[0] <= n_right / n <= found[1] <= 1.0


def test_interval_of_a_mean_lies_between_those_of_its_neighbours() -> None:
    """What several splits give on average need not be whole."""
    low, high = wilson(90.5, 100)
    assert wilson(90, 100)[0] < low < wilson(91, 100)[0]
    assert wilson(90, 100)[1] < high < wilson(91, 100)[1]


@pytest.mark.parametrize(("n_right", "n"), [(1, 0), (-1, 5), (5.5, 5), (math.nan, 5)])
def test_what_is_no_proportion_has_no_interval(n_right: float, n: int) -> None:
    """A mistake of the program's, not of the user's."""
    with pytest.raises(ValueError, match="is not a proportion"):
        wilson(n_right, n)


@pytest.mark.parametrize(
    "given",
    [
        "id,label\n1,3\n2,7\n3,3\n4,3\n",
        "id,label\n4,3\n3,3\n2,7\n1,3\n",
        b"\xef\xbb\xbfid,label\r\n1,3\r\n2,7\r\n3,3\r\n4,3\r\n",
        'id,"label"\n"1",3\n2, 7\n3,3.0\n4,03\n\n',
    ],
    ids=["plain", "other order", "BOM and CRLF", "quotes, blanks, floats"],
)
def test_rows_are_matched_by_id_in_any_form(tmp_path: Path, given: str | bytes) -> None:
    """Order, byte order mark, line ends and spelling of numbers do not change the score."""
    assert rated(tmp_path, given) == Score(3, 4)


def test_labels_may_be_text(tmp_path: Path) -> None:
    """As they may be in train.csv."""
    answers = 'id,label\na,T-shirt\nb,"coat, long"\nc,Größe\n'
    assert rated(tmp_path, 'id,label\nc,Größe\nb,"coat, long"\na,Größe\n', answers) == Score(2, 3)


def test_packed_answers_are_read(tmp_path: Path) -> None:
    """A name that ends in .gz is unpacked, as for the data."""
    (tmp_path / "answers.csv.gz").write_bytes(gzip.compress(ANSWERS.encode()))
    (tmp_path / "submission.csv").write_text(ANSWERS)
    assert score(tmp_path / "submission.csv", tmp_path / "answers.csv.gz") == Score(4, 4)


SUBMISSIONS: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "submission.csv: empty, 0 bytes ({dir}/submission.csv)"),
    "header alone": ("id,label\n", "submission.csv: a header and no row below it"),
    "no header": (
        "1,3\n2,7\n",
        "submission.csv: the first line holds numbers, where column names should be",
    ),
    "other names": (
        "ImageId,Label\n1,3\n2,7\n3,7\n4,3\n",
        "submission.csv: the columns are ImageId,Label, not id,label as in answers.csv",
    ),
    "columns exchanged": (
        "label,id\n3,1\n7,2\n",
        "submission.csv: the columns are label,id, not id,label as in answers.csv",
    ),
    "one column": (
        "id\n1\n",
        "submission.csv: 1 columns (id); an id and a label are expected",
    ),
    "an index": (
        ",id,label\n0,1,3\n",
        "submission.csv: 3 columns (Unnamed: 0, id, label); an id and a label are expected",
    ),
    "semicolons": (
        ANSWERS.replace(",", ";"),
        "submission.csv: columns are separated by ';', not by ','",
    ),
    "short row": (
        "id,label\n1,3\n2\n3,7\n4,3\n",
        "submission.csv row 2, column label: nothing there; the row has 1 cells, the header 2",
    ),
    "long row": (
        "id,label\n1,3\n2,7,9\n",
        "submission.csv row 2, column 3: '9' is too many; the row has 3 cells, the header 2",
    ),
    "blank line": ("id,label\n1,3\n\n2,7\n", "submission.csv row 2: a blank line between the rows"),
    "no id": ("id,label\n1,3\n,7\n", "submission.csv row 2, column id: the id is missing"),
    "id twice": (
        "id,label\n1,3\n2,7\n1,3\n4,3\n",
        "submission.csv row 3, column id: '1' stands in row 1 already",
    ),
    "id too many": (
        ANSWERS + "5,3\n",
        "submission.csv row 5, column id: '5' is not an id of answers.csv",
    ),
    "id missing": (
        "id,label\n1,3\n4,3\n",
        "submission.csv: no row has the id '2' of answers.csv row 2; 2 of 4 ids are missing",
    ),
    "no label": ("id,label\n1,3\n2,\n", "submission.csv row 2, column label: the label is missing"),
    "unknown label": (
        "id,label\n1,3\n2,7\n3,8\n4,3\n",
        "submission.csv row 3, column label: '8' is not a label of answers.csv",
    ),
    "unknown word": (
        "id,label\n1,3\n2,7\n3,cat\n4,3\n",
        "submission.csv row 3, column label: 'cat' is not a label of answers.csv",
    ),
    "probability": (
        "id,label\n1,0.93\n2,0.1\n",
        "submission.csv row 1, column label: '0.93' is not a whole number",
    ),
    "not UTF-8": (
        b"id,label\n1,3\n\xff,7\n",
        "submission.csv row 2, column id: b'\\xff' is not UTF-8",
    ),
    "label not UTF-8": (
        b"id,label\n1,3\n2,\xff\n",
        "submission.csv row 2, column label: b'\\xff' is not UTF-8",
    ),
    "zip": (b"PK\x03\x04abc", "submission.csv: a zip archive or an Excel workbook, where CSV text "
            "should be"),
}  # fmt: skip


@pytest.mark.parametrize(("given", "message"), SUBMISSIONS.values(), ids=list(SUBMISSIONS))
def test_malformed_submission_is_one_line(tmp_path: Path, given: str | bytes, message: str) -> None:
    """File, row and column are named, and a hint says what to do."""
    with pytest.raises(ScoreError) as caught:
        rated(tmp_path, given)
    assert str(caught.value) == message.replace("{dir}", str(tmp_path))
    assert caught.value.hint
    assert len(caught.value.hint.splitlines()) == 1


def test_malformed_answers_are_named(tmp_path: Path) -> None:
    """It is not always the submission that is to blame."""
    with pytest.raises(ScoreError, match=r"^answers\.csv row 2, column id: '1' stands in row 1"):
        rated(tmp_path, ANSWERS, "id,label\n1,3\n1,7\n")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "No such file or directory"),
        (Path.mkdir, "a folder, where a file should be"),
    ],
    ids=["missing", "folder"],
)
def test_file_that_cannot_be_read_is_named(
    tmp_path: Path, make: Callable[[Path], object], reason: str
) -> None:
    """With what the system says, and the path."""
    (tmp_path / "answers.csv").write_text(ANSWERS)
    path = tmp_path / "submission.csv"
    make(path)
    with pytest.raises(ScoreError) as caught:
        score(path, tmp_path / "answers.csv")
    assert str(caught.value) == f"submission.csv: cannot be read: {reason} ({path})"


def test_many_labels_are_cut_in_the_hint(tmp_path: Path) -> None:
    """One line stays one line with a hundred classes."""
    answers = "id,label\n" + "".join(f"{n},{n}\n" for n in range(100))
    with pytest.raises(ScoreError) as caught:
        rated(tmp_path, answers.replace("99,99", "99,100"), answers)
    assert caught.value.hint == "its labels are 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 90 more"


SOLUTION = "id,label,Usage\n1,3,Public\n2,7,Private\n3,,Ignored\n4,7,Private\n"


def test_solution_file_gives_public_and_private_apart(tmp_path: Path) -> None:
    """The whole is that of both; what is ignored counts nowhere and needs no label."""
    found = rated(tmp_path, "id,label\n4,3\n3,9\n2,7\n1,3\n", SOLUTION)
    assert (found.n_right, found.n, found.n_ignored) == (2, 3, 1)
    assert found.parts == (("Public", Score(1, 1)), ("Private", Score(1, 2)))
    said = found.to_json()
    assert said["public"] == Score(1, 1).to_json()
    assert said["private"] == Score(1, 2).to_json()
    assert (said["score"], said["n_ignored"]) == (2 / 3, 1)
    lines = found.to_line().splitlines()
    assert [line.split(": ")[0] for line in lines[1:]] == ["Public", "Private", "Ignored"]
    assert lines[3] == "Ignored: 1 row, left out of the score"


def test_part_without_rows_is_said_and_null(tmp_path: Path) -> None:
    """A solution that has Public rows alone is scored; its spelling of them does not matter."""
    found = rated(tmp_path, ANSWERS, "id,label,usage\n1,3,PUBLIC\n2,7,public\n3,7,Public\n"
                  "4,3,Public\n")  # fmt: skip
    assert found.to_json()["private"] is None
    assert found.to_line().splitlines()[2] == "Private: no rows"
    assert rated(tmp_path, "id,label\n1,3\n2,7\n4,7\n", SOLUTION).n == 3  # ignored ids may lack


SOLUTIONS = {
    "unknown usage": ("1,3,Pubic\n", "answers.csv row 1, column Usage: 'Pubic' is none of Public, "
                      "Private, Ignored"),
    "no usage": ("1,3,\n", "answers.csv row 1, column Usage: '' is none of Public, Private, "
                 "Ignored"),
    "all ignored": ("1,3,Ignored\n", "answers.csv column Usage: every row is Ignored; none can be "
                    "scored"),
    "id twice": ("1,3,Public\n1,3,Ignored\n", "answers.csv row 2, column id: '1' stands in row 1 "
                 "already"),
    "no label": ("1,,Public\n", "answers.csv row 1, column label: the label is missing"),
    "id missing": ("0,,Ignored\n1,3,Public\n9,3,Public\n2,7,Public\n3,7,Public\n4,3,Public\n",
                   "submission.csv: no row has the id '9' of answers.csv row 3; 1 of 5 ids are "
                   "missing"),
}  # fmt: skip


@pytest.mark.parametrize(("rows", "message"), SOLUTIONS.values(), ids=list(SOLUTIONS))
def test_malformed_solution_is_one_line(tmp_path: Path, rows: str, message: str) -> None:
    """With the row of the file, ignored ones counted."""
    with pytest.raises(ScoreError) as caught:
        rated(tmp_path, ANSWERS, "id,label,Usage\n" + rows)
    assert str(caught.value) == message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("given", "answers", "message", "hint"),
    [
        ("id,label\n1.0,3\n", ANSWERS, "'1.0' is not an id of answers.csv", "write 1: with pandas"),
        ("id,0,1,2\n1,0,0,1\n", ANSWERS, r"4 columns \(id, 0, 1, 2\)", "class with the highest"),
        ("id,label\n1,0.4\n", ANSWERS, "'0.4' is not a whole number", "not probabilities"),
        ("id,label,p\n1,3,1\n", ANSWERS, r"3 columns \(id, label, p\)", "keep the two columns"),
        (ANSWERS, "label,id\n3,1\n", "are label and id; the id is expected first", "put id before"),
        (ANSWERS, "id,Usage,label\n1,Public,3\n", r"3 columns \(id, Usage, label\)", "id first"),
    ],
)
def test_what_people_hand_in_by_mistake_has_its_own_hint(
    tmp_path: Path, given: str, answers: str, message: str, hint: str
) -> None:
    """The hint says what to write instead."""
    with pytest.raises(ScoreError, match=message) as caught:
        rated(tmp_path, given, answers)
    assert hint in str(caught.value.hint)


def test_names_of_columns_may_differ_in_capitals(tmp_path: Path) -> None:
    """ImageId is imageid."""
    assert rated(tmp_path, ANSWERS.replace("id,label", "Id,LABEL")) == Score(4, 4)


def test_answers_of_one_label_are_scored_with_a_warning(tmp_path: Path) -> None:
    """They look like a sample_submission; real answers have no warning."""
    found = rated(tmp_path, ANSWERS, "id,label\n1,0\n2,0\n3,0\n4,0\n")
    assert (found.n_right, found.n) == (0, 4)
    assert found.warnings == (
        "answers.csv: all 4 labels are '0'; if it is a sample_submission, it does not hold the "
        "true labels, and the score means nothing",
    )
    assert rated(tmp_path, ANSWERS).warnings == ()
    assert rated(tmp_path, "id,label\n1,3\n", "id,label\n1,3\n").warnings == ()


def test_labels_of_the_test_file_are_answers(tmp_path: Path) -> None:
    """A data folder whose test file has labels needs no file of answers."""
    data, other = tmp_path / "data", tmp_path / "other"
    for folder, form in ((data, "labelled test"), (other, "Kaggle's")):
        folder.mkdir()
        FORMS[form][0](folder)
    rows = [f"{n},{label if n > 2 else (label + 1) % 4}" for n, label in enumerate(TRUE_LABELS, 1)]
    submission = tmp_path / "submission.csv"
    submission.write_text("\n".join(["ImageId,Label", *rows, ""]))
    assert (score(submission, answers_of(data)).n_right, len(TRUE_LABELS)) == (6, 8)
    with pytest.raises(ScoreError, match=r"the test file in .*other has no labels"):
        answers_of(other)
