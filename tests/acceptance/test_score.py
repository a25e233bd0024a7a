"""`study score`: a line or JSON for people and scripts, one line for what cannot be scored."""

import re

from study.score import wilson
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
    assert refused.error == "submission.csv row 360, column Label: 'ten' is no label of answers.csv"
    assert re.search(r"0, 1, 2, .*9", refused.hint)
    assert refused.out == ""
    missing = place.run("score", "none.csv", "--answers", "answers.csv", code=1)
    assert missing.error == "none.csv: cannot be read: No such file or directory (none.csv)"
    place.run("score", "submission.csv", code=2)
    assert sorted(place.folder.iterdir()) == before
