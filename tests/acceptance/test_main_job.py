"""The main job: from images in CSV files to a submission and a model, on tiny real trainings."""

import csv
import json
import shutil
from typing import Any

import pytest

from storage import attrs
from storage.rdb import open_storage
from storage.reading import read_attempts
from tests.acceptance.competition import (
    DIGITS,
    N_TEST,
    N_TRAIN,
    SPACE,
    hash_of,
    rows_in,
    write_competition,
)
from tests.acceptance.processes import Place
from tests.acceptance.synthetic import look, rows_of

pytestmark = pytest.mark.trains

N_TRIALS = 4
# Loaded with Keras and TensorFlow alone, as whoever gets the file would do it.
LABELS = """
import csv, sys
import keras, tensorflow as tf
import numpy as np
model = keras.models.load_model(sys.argv[1])
pixels = np.array(list(csv.reader(open(sys.argv[2])))[1:], dtype=np.uint8)
side = int(round(pixels.shape[1] ** 0.5))
found = model.predict(pixels.reshape(-1, side, side), verbose=0).argmax(axis=1)
print(*(sys.argv[3].split(",")[i] for i in found))
"""
ALONE = """
assert not [m for m in sys.modules if m.partition(".")[0] in ("study", "objectives", "storage")]
"""


def values(place: Place, name: str) -> dict[int, tuple[Any, ...]]:
    """Slot to params, value, every report and loss: what two runs must agree on bit for bit."""
    url = f"sqlite:///{place.folder}/{name}.db"
    rows = rows_of(url, "digits")
    storage = open_storage(url, create=False)
    attempts = read_attempts(storage.engine, storage.get_study_id_from_name("digits"))
    losses = {one.slot: one.user_attrs[attrs.INFO]["valid_loss"] for one in attempts}
    storage.close()
    kept = ("params", "value", "intermediate")
    return {row["slot"]: (*(row[key] for key in kept), losses[row["slot"]]) for row in rows}


def run(place: Place, name: str, *arguments: object) -> str:
    """Search in `NAME.db`, to the end; return what it printed."""
    storage = ["--storage", f"sqlite:///{name}.db", "--study", "digits", "--data", "data"]
    sizes = ["--space", "my.toml", "--n-trials", N_TRIALS, "--epochs", 2]
    return place.run("run", *storage, *sizes, *arguments).err


@pytest.fixture(scope="module")
def finalized(shared: Place) -> Place:
    """A place with `data/`, a finished study 'digits' in `one.db`, and its submission in `out/`."""
    write_competition(shared.folder / "data")
    (shared.folder / "my.toml").write_text(SPACE)
    said = run(shared, "one", "--workers", 1, "--finalize", "--quick", "--out", "out")
    (shared.folder / "said.txt").write_text(said)
    return shared


def test_run_ends_with_a_valid_submission(finalized: Place) -> None:
    """Columns, ids and order of the sample; labels of the training data."""
    rows = rows_in(finalized.folder / "out" / "submission.csv")
    sample = rows_in(finalized.folder / "data" / "sample_submission.csv")
    assert rows[0] == sample[0] == ["Id", "Digit"]
    assert [row[0] for row in rows] == [row[0] for row in sample]
    assert {row[1] for row in rows[1:]} <= set(DIGITS)
    said = (finalized.folder / "said.txt").read_text()
    assert "creating 'digits': 4 slots" in said
    assert f"submission.csv ready: {N_TEST} rows" in said
    assert "kaggle competitions submit -c digit-recognizer -f out/submission.csv" in said


def test_manifest_knows_trial_and_outputs(finalized: Place) -> None:
    """Its hashes are those of the files beside it; its params those of the best slot."""
    out = finalized.folder / "out"
    manifest = json.loads((out / "manifest.json").read_text())
    files = {"submission.csv", "model.keras", "model_card.md", "report.html"}
    assert manifest["outputs"] == {name: hash_of(out / name) for name in files}
    assert {path.name for path in out.iterdir()} == files | {"manifest.json", "report.html"}
    best = look(f"sqlite:///{finalized.folder}/one.db", "digits").best
    assert best is not None
    assert (manifest["slot"], manifest["trial"]) == (best.slot, best.trial)
    assert (manifest["params"], manifest["value"]) == (best.params, best.value)
    assert "tensorflow" in manifest["versions"]
    assert best.params["filters_1"] in (4, 8)


def test_exported_model_gives_the_submission_from_raw_images(finalized: Place) -> None:
    """In a process that knows Keras and TensorFlow alone, from uint8 pixels of test.csv."""
    paths = [finalized.folder / "out" / "model.keras", finalized.folder / "data" / "test.csv"]
    found = finalized.run(
        *paths,
        ",".join(DIGITS),
        python=("-c", LABELS + ALONE),
        PYTHONPATH="",
        TF_CPP_MIN_LOG_LEVEL="3",
    )
    rows = rows_in(finalized.folder / "out" / "submission.csv")
    assert found.out.split() == [row[1] for row in rows[1:]]


def test_module_and_command_write_the_same_submission(finalized: Place) -> None:
    """`python -m study.finalize` is `study finalize`; both retrain to the same bytes."""
    options = ["--storage", "sqlite:///one.db", "--quick", "--out"]
    finalized.run(*options, "again", python=("-m", "study.finalize"))
    first, again = (finalized.folder / name for name in ("out", "again"))
    assert hash_of(first / "submission.csv") == hash_of(again / "submission.csv")
    before = (again / "manifest.json").read_bytes()
    done = finalized.run("finalize", *options, "again")
    assert "already" in done.err  # nothing has changed, so nothing is trained
    assert (again / "manifest.json").read_bytes() == before


def test_two_workers_give_the_bits_of_one(finalized: Place) -> None:
    """No other option given: params, values, learning curves and losses are equal, not close."""
    run(finalized, "two", "--workers", 2)
    one, two = values(finalized, "one"), values(finalized, "two")
    assert len(one) == N_TRIALS
    assert one == two
    assert len({loss for *_, loss in one.values()}) == N_TRIALS  # equal for a reason


def test_changed_data_are_refused_with_the_difference_named(finalized: Place) -> None:
    """By a worker, by run and by finalize: a study is about one data set."""
    changed = finalized.folder / "changed"
    shutil.copytree(finalized.folder / "data", changed)
    lines = (changed / "train.csv").read_text().splitlines()
    (changed / "train.csv").write_text("\n".join(lines[:-4]) + "\n")
    options = ["--storage", "sqlite:///one.db", "--data", "changed"]
    for command in ("worker --workers 1", "run --study digits", "finalize"):
        refused = finalized.run(*command.split(), *options, code=1)
        assert refused.error == "study 'digits' was created with another data"
    assert look(f"sqlite:///{finalized.folder}/one.db", "digits").attempts == N_TRIALS


def test_finalize_without_a_finished_trial_is_one_line(finalized: Place) -> None:
    """With what there is instead; nothing is written."""
    options = ["--storage", "sqlite:///none.db", "--study", "early"]
    finalized.run("create", *options, "--objective", "synthetic", "--n-trials", 3)
    refused = finalized.run("finalize", *options, "--out", "early", code=1)
    assert refused.error == "no finished trial in study 'early' (3 waiting, 0 running, 0 failed)"
    assert "--study early" in refused.hint
    assert not (finalized.folder / "early").exists()


def test_out_that_is_a_file_is_refused_before_training(finalized: Place) -> None:
    """Minutes of training are not spent on a folder that cannot be written."""
    options = ["--storage", "sqlite:///one.db", "--out", "my.toml"]
    refused = finalized.run("finalize", *options, code=1)
    assert "--out my.toml" in refused.err
    assert "Traceback" not in refused.err
    assert "training" not in refused.err


def test_check_describes_good_data(finalized: Place) -> None:
    """Counts, side, classes and the submission's columns."""
    out = finalized.run("check", "--data", "data").out
    assert f"{N_TRAIN} labelled and {N_TEST} unlabelled images of 8x8 pixels" in out
    assert "4 classes (3: 60, 5: 60, 7: 60, 9: 60)" in out
    assert "submission columns: Id, Digit" in out


def test_bad_data_are_one_line_and_nothing_is_written(finalized: Place) -> None:
    """By `check` and by `run`: file, row and column are named; no database, no folder."""
    bad = finalized.folder / "bad"
    shutil.copytree(finalized.folder / "data", bad)
    rows = rows_in(bad / "train.csv")
    rows[42][7] = "abc"
    with (bad / "train.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    before = sorted(path.name for path in finalized.folder.iterdir())
    for command in ("check", "run --storage sqlite:///bad.db"):
        refused = finalized.run(*command.split(), "--data", "bad", code=1)
        assert "train.csv row 42, column pixel6: 'abc' is not a number" in refused.error
    assert sorted(path.name for path in finalized.folder.iterdir()) == before
