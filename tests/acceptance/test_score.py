"""`study score`: a line or JSON for people and scripts, one line for what cannot be scored."""

import re

from study.view.score import wilson
from tests.acceptance.processes import Place


def test_score_is_a_line_or_json_and_a_bad_file_one_line(place: Place) -> None:
    """Matched by id; nothing is written, whatever comes of it."""
    rows = [f"{n},{n % 10}" for n in range(1, 361)]
    (place.folder / "answers.csv").write_text("\n".join(["ImageId,Label", *rows]) + "\n")
    wrong = [f"{n},{(n + 1) % 10}" for n in range(1, 5)]
    given = ["ImageId,Label", *reversed(wrong + rows[4:])]
    (place.folder / "submission.csv").write_text("\n".join(given) + "\n")
    before = sorted(place.folder.iterdir())
    done = place.run("score", "submission.csv", "--answers", "answers.csv")
    assert done.out == "0.98889 (356 of 360; 95 %: 0.97178 to 0.99567)\n"
    assert done.err == ""
    low, high = wilson(356, 360)
    assert place.json("score", "submission.csv", STUDY_ANSWERS="answers.csv") == {
        "score": 356 / 360, "n_right": 356, "n": 360, "low": low, "high": high
    }  # fmt: skip
    (place.folder / "submission.csv").write_text("\n".join([*given[:-1], "1,ten"]) + "\n")
    refused = place.run("score", "submission.csv", "--answers", "answers.csv", code=1)
    assert (
        refused.error == "submission.csv row 360, column Label: 'ten' is not a label of answers.csv"
    )
    assert re.search(r"0, 1, 2, .*9", refused.hint)
    assert refused.out == ""
    missing = place.run("score", "none.csv", "--answers", "answers.csv", code=1)
    assert missing.error == "none.csv: cannot be read: No such file or directory (none.csv)"
    place.run("score", "submission.csv", code=2)
    assert sorted(place.folder.iterdir()) == before


def test_solution_file_and_a_sample_as_answers_are_said(place: Place) -> None:
    """Public and Private stand on lines and in the JSON; a warning stays off stdout."""
    rows = [f"{n},{n % 10}" for n in range(1, 41)]
    (place.folder / "submission.csv").write_text("\n".join(["ImageId,Label", *rows]) + "\n")
    solution = [f"{row},{'Public' if n % 4 else 'Private'}" for n, row in enumerate(rows)]
    (place.folder / "solution.csv").write_text("\n".join(["ImageId,Label,Usage", *solution]) + "\n")
    done = place.run("score", "submission.csv", "--answers", "solution.csv")
    assert [line.split(";")[0] for line in done.out.splitlines()] == [
        "1.00000 (40 of 40", "Public: 1.00000 (30 of 30", "Private: 1.00000 (10 of 10"
    ]  # fmt: skip
    said = place.json("score", "submission.csv", "--answers", "solution.csv")
    assert (said["n"], said["public"]["n"], said["private"]["n"]) == (40, 30, 10)
    sample = [f"{n},0" for n in range(1, 41)]
    (place.folder / "sample.csv").write_text("\n".join(["ImageId,Label", *sample]) + "\n")
    done = place.run("score", "submission.csv", "--answers", "sample.csv")
    assert done.out.startswith("0.10000 (4 of 40")
    assert done.err.startswith("warning: sample.csv: all 40 labels are '0'; if it is a sample")
