"""What commit 2d9bbcc has left interrupted goes on to the same bytes; see `tests/legacy/make.py`.

Where a training by Keras alone has the bits that it had on the machine that made all this, every
bit is compared. Elsewhere kernels may round otherwise: then values are, within a tolerance, and all
that no kernel decides to the last bit. Not marked `trains`: precision, threads and seed are stored.
"""

import json
from typing import Any

import pytest

from tests.acceptance import legacy
from tests.acceptance.competition import rows_in
from tests.acceptance.processes import Place

EXPECTED = json.loads((legacy.STORED / "expected.json").read_text("utf-8"))
CLOSE = 1e-3  # relative; other kernels differ by a hundredth of that
NEW = ("worker", "started_at", "finished_at")
"""What no two runs of a trial have in common."""


@pytest.fixture(scope="module")
def probed(shared: Place) -> dict[str, Any]:
    """What kernels and versions are here."""
    return legacy.probed(shared)


def summaries(name: str, place: Place) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read what was left, go on with it, and return what there is then, and what should be.

    Fails where a trial that had ended is not as it was, be it for a byte of its row.
    """
    legacy.put(name, place)
    before = legacy.summary(name, place)
    assert before == EXPECTED[name]["before"]
    legacy.go_on(name, place)
    after = legacy.summary(name, place)
    for study, rows in before["trials"].items():
        ended = [row for row in rows if row["state"] != "WAITING"]
        assert ended
        numbers = {row["trial"] for row in ended}
        assert [row for row in after["trials"][study] if row["trial"] in numbers] == ended
        assert {row["state"] for row in after["trials"][study]} <= {"COMPLETE", "FAIL"}
    return after, EXPECTED[name]["after"]


def told(summary: dict[str, Any]) -> dict[str, Any]:
    """A summary without what no two runs have in common."""
    trials = {
        study: [{key: value for key, value in row.items() if key not in NEW} for row in rows]
        for study, rows in summary["trials"].items()
    }
    return {**summary, "trials": trials}


def has_same_versions(probed: dict[str, Any]) -> bool:
    """Whether what trains is of the versions that the checkpoints are of."""
    return bool(probed["versions"] == EXPECTED["versions"])


def are_same_bits(probed: dict[str, Any], after: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether every bit could be compared, and was right; fails where one is wrong.

    Fails too where a checkpoint was not gone on from. Those of other versions of Keras, TensorFlow
    or NumPy are set aside, as they always were.
    """
    is_same, nothing = has_same_versions(probed), {study: {} for study in after["trials"]}
    assert after["resumed"] == (wanted["resumed"] if is_same else nothing)
    assert is_same != any(path.endswith(".set-aside") for path in after["states"])
    if probed != {key: EXPECTED[key] for key in probed}:
        return False
    assert told(after) == told(wanted)
    return True


def refuse_other_curves(after: dict[str, Any], wanted: dict[str, Any], study: str) -> None:
    """Fail where trials have other params, seeds or, beyond the tolerance, values by epoch."""
    found, stored = (
        {
            json.dumps([row["trial"], row["slot"], row["params"], row["seed"]]): row["intermediate"]
            for row in one["trials"][study]
        }
        for one in (after, wanted)
    )
    assert found.keys() == stored.keys()
    for key, curve in found.items():
        assert curve == pytest.approx(stored[key], rel=CLOSE), key


def test_interrupted_study_goes_on_from_its_checkpoint(place: Place, probed: Any) -> None:
    """Two slots stay as they are, one goes on after its first epoch, one begins."""
    after, wanted = summaries("study", place)
    if not are_same_bits(probed, after, wanted):
        refuse_other_curves(after, wanted, "digits")
        if has_same_versions(probed):  # steps, generators, names: no kernel decides them
            for state in (*after["states"].values(), *wanted["states"].values()):
                state["bits"] = None
            assert after["states"] == wanted["states"]


def test_interrupted_finalize_goes_on_from_its_checkpoints(place: Place, probed: Any) -> None:
    """What is trained stays, one fold goes on after its first epoch, the last one begins.

    The trainings are those of the older version, bit for bit. It averaged networks on all rows
    alone; those on folds now vote, too, so outputs and kept checkpoints are of this version.
    """
    after, wanted = summaries("finalize", place)
    there = EXPECTED["finalize"]["before"]["states"]
    if has_same_versions(probed):  # what was left is as it was, for a network that votes, too
        assert {path: after["states"].get(path) for path in there} == there
    rows = rows_in(place.folder / "out" / "submission.csv")
    assert [row[0] for row in rows] == ["ImageId", *map(str, range(1, len(rows)))]
    assert (place.folder / "out" / "report.html").exists()
    if not are_same_bits(probed, after, wanted):
        refuse_other_curves(after, wanted, legacy.REFITS)
        assert after["states"].keys() >= wanted["states"].keys() or not has_same_versions(probed)
