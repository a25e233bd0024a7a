"""`study replay` of a study that real workers have run, by its exit code and its JSON."""

import json
import sqlite3

from tests.acceptance.processes import Place


def test_replay_of_a_trial_is_the_same_and_a_changed_curve_is_not(place: Place) -> None:
    """Exit code 0, and 4 with the first difference named once a stored value is another."""
    place.run("run", "--study", "s", *place.synthetic(n_steps=3), "--n-trials", 3, "--workers", 2)
    done = place.run("replay", "slot:1")
    assert "is reproduced: value 0." in done.out
    assert "3 intermediate values, bit for bit" in done.out
    assert place.json("replay", 1) == {"same": True, "first_difference": None}
    with sqlite3.connect(place.folder / "study.db") as database:
        database.execute(
            "UPDATE trial_intermediate_values SET intermediate_value = intermediate_value + 1e-9 "
            "WHERE step = 1"
        )
    changed = json.loads(place.run("replay", 1, "--json", code=4).out)
    assert changed["same"] is False
    assert changed["first_difference"].startswith("intermediate value at step 1: ")
    assert changed["first_difference"].endswith("; the environment is the same")
    assert "trial 1 is not reproduced" in place.run("replay", 1, code=4).out


def test_trial_that_cannot_be_replayed_is_one_line(place: Place) -> None:
    """No such trial, and one that nobody has run."""
    place.run("create", "--study", "s", "--objective", "synthetic", "--n-trials", 2)
    assert place.run("replay", 7, code=1).error == "no trial 7 in study 's': it has trials 0 to 1"
    assert "has not been run yet" in place.run("replay", "slot:1", code=1).error
