"""The whole finalize on tiny real networks: compared on folds, averaged, exported, explained."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.competition import DIGITS, N_TEST, N_TRAIN, SPACE, rows_in, write_competition
from tests.acceptance.finalizing import check_submission
from tests.acceptance.processes import Place
from tests.acceptance.synthetic import rows_of
from tests.acceptance.test_main_job import LABELS

pytestmark = pytest.mark.trains

STORAGE = ["--storage", "sqlite:///digits.db"]
EFFORT = ["--top-k", 2, "--folds", 2, "--longer", 1, "--seeds", 2]
N_FOLDS = 3  # two race on one fold, and the winner has another


@pytest.fixture(scope="module")
def finalized(shared: Place) -> Place:
    """A place with `data/`, a finished search in `digits.db`, and its submission in `out/`."""
    write_competition(shared.folder / "data")
    (shared.folder / "my.toml").write_text(SPACE)
    sizes = ["--space", "my.toml", "--n-trials", 2, "--epochs", 2, "--workers", 1]
    shared.run("run", *STORAGE, "--study", "digits", "--data", "data", *sizes)
    (shared.folder / "said.txt").write_text(finalize(shared, "out"))
    return shared


def finalize(place: Place, out: str) -> str:
    """Finalize the search into a folder; return what was said."""
    return place.run("finalize", *STORAGE, *EFFORT, "--workers", 1, "--out", out).err


def manifest(folder: Path) -> dict[str, Any]:
    """The manifest, but for what is measured by a clock."""
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    assert found["cost"].pop("train_s") > 0
    assert found.pop("created_at")
    assert set(found.pop("outputs")) == {
        "submission.csv", "model.keras", "model_card.md", "report.html",
    }  # fmt: skip
    return found


def test_submission_is_valid_and_there_were_two(finalized: Place) -> None:
    """The first one was said, and then that of more work."""
    check_submission(finalized, "out")
    said = (finalized.folder / "said.txt").read_text()
    assert said.count(f"out/submission.csv ready: {N_TEST} rows") == 2
    plan = (
        "then 2 configurations on folds, one after the other, and the best on 2 folds, "
        "2 networks on all rows; these 4 networks vote"
    )
    assert said.index(plan) < said.index("ready")


def test_manifest_expects_a_score_and_says_what_was_trained(finalized: Place) -> None:
    """Its interval is that of the test images; its members are the winner's, each with a seed."""
    found = manifest(finalized.folder / "out")
    expected = found["expected"]
    assert 0 <= expected["low"] <= expected["score"] <= expected["high"] <= 1
    assert expected["low"] < expected["high"]
    assert expected["n_test"] == N_TEST
    assert found["effort"] == {
        "top_k": 2, "folds": 2, "repeats": 1, "longer": 1, "seeds": 2, "ensemble": 1,
    }  # fmt: skip
    kinds = [(member["fold"], member["member"]) for member in found["members"]]
    assert kinds == [(1, 0), (2, 0), (0, 0), (0, 1)]
    assert {member["candidate"] for member in found["members"]} == {found["slot"]}
    assert len(set(found["training_seeds"])) == 4
    rows = rows_of(f"sqlite:///{finalized.folder}/digits.db", "digits.finalize")
    assert found["cost"]["n_refits"] == len(rows)
    assert sum(row["params"]["fold"] > 0 for row in rows) == N_FOLDS
    assert {row["state"] for row in rows} == {"COMPLETE"}


def test_model_card_has_the_candidates(finalized: Place) -> None:
    """Each with its own value, what it is worth on folds, and why it was chosen or not."""
    card = (finalized.folder / "out" / "model_card.md").read_text()
    table = card.partition("## Candidates")[2].partition("##")[0]
    lines = [line.split("|")[1:-1] for line in table.splitlines() if re.match(r"\| \d", line)]
    rows = rows_of(f"sqlite:///{finalized.folder}/digits.db", "digits")
    values = {row["trial"]: row["value"] for row in rows}
    assert {int(trial): float(value) for trial, _, value, *_ in lines} == pytest.approx(
        values, abs=1e-5
    )
    assert sum(verdict.strip() == "chosen" for *_, verdict in lines) == 1
    # The other one raced on half of the rows, so that it may have a higher share of these.
    assert all(0 <= float(accuracy.split()[0]) <= 1 for _, _, _, accuracy, *_ in lines)
    expected = manifest(finalized.folder / "out")["expected"]
    assert f"Expected score {expected['score']:.4f}" in card
    recall = card.partition("## Recall by class")[2].partition("##")[0]
    assert [line.split()[1:4:2] for line in recall.splitlines() if re.match(r"\| \d", line)] == [
        [digit, str(N_TRAIN // len(DIGITS))] for digit in DIGITS
    ]


def test_exported_average_gives_the_submission_from_raw_images(finalized: Place) -> None:
    """By Keras and TensorFlow, from uint8 pixels of test.csv."""
    paths = [finalized.folder / "out" / "model.keras", finalized.folder / "data" / "test.csv"]
    found = finalized.run(*paths, ",".join(DIGITS), python=("-c", LABELS), anew=False)
    rows = rows_in(finalized.folder / "out" / "submission.csv")
    assert found.out.split() == [row[1] for row in rows[1:]]


def test_networks_that_are_gone_are_trained_again_to_the_same_submission(finalized: Place) -> None:
    """The database alone is left, as on another machine: nothing is planned anew."""
    url = f"sqlite:///{finalized.folder}/digits.db"
    before = rows_of(url, "digits.finalize")
    work = finalized.folder / "digits.finalize.work"
    assert list(work.rglob("*.ckpt"))  # those of all networks were kept
    shutil.rmtree(work)
    said = finalize(finalized, "again")
    assert "training " not in said
    first, again = (finalized.folder / name for name in ("out", "again"))
    assert (again / "submission.csv").read_bytes() == (first / "submission.csv").read_bytes()
    assert manifest(again) == manifest(first)
    assert rows_of(url, "digits.finalize") == before
