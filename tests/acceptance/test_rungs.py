"""A search with rungs is the same for any number of workers and after kills, by real processes."""

import signal
from collections import Counter
from typing import Any

import pytest

from tests.acceptance.processes import Place
from tests.acceptance.synthetic import Rows, expected, look, rows_of

N_SLOTS = 12
SIZES = Counter({0: 12, 1: 4, 2: 1})
OPTIONS = ["--study", "s", "--n-trials", N_SLOTS, "--seed", 3, "--rungs", "1,3,9"]
QUICK = ["--grace", "3s", "--heartbeat", "1s"]


def results(rows: Rows) -> dict[int, Any]:
    """Return what each slot is and what came of it."""
    complete = [row for row in rows if row["state"] == "COMPLETE"]
    keys = ("rung", "epochs", "from_slot", "params", "seed", "value")
    found = {row["slot"]: {key: row[key] for key in keys} for row in complete}
    assert len(found) == len(complete)
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Any]:
    """The results of one worker."""
    folder = tmp_path_factory.mktemp("undisturbed")
    place, url = Place.under(folder, {}), f"sqlite:///{folder}/s.db"
    place.run("run", "--storage", url, *OPTIONS, *place.synthetic(), "--workers", 1)
    return results(rows_of(url, "s"))


def test_draws_are_those_of_a_plain_search(undisturbed: dict[int, Any]) -> None:
    """Rung 0 has the same params and values; higher rungs have the params of the slot below."""
    for slot, (params, value) in expected(N_SLOTS, seed=3).items():
        assert (undisturbed[slot]["params"], undisturbed[slot]["value"]) == (params, value)
    assert Counter(one["rung"] for one in undisturbed.values()) == SIZES
    for one in undisturbed.values():
        assert one["epochs"] == (1, 3, 9)[one["rung"]]
        if one["rung"]:
            below = undisturbed[one["from_slot"]]
            assert (below["rung"], below["params"]) == (one["rung"] - 1, one["params"])


def test_three_workers_promote_the_same_slots(
    place: Place, storage_url: str, undisturbed: dict[int, Any]
) -> None:
    """On each database; a finished study starts nothing."""
    options = ["--storage", storage_url, *OPTIONS, *place.synthetic()]
    place.run("run", *options, "--workers", 3)
    assert results(rows_of(storage_url, "s")) == undisturbed
    before = place.ledger.read_bytes()
    again = place.run("run", *options, "--workers", 3)
    assert "'s' is finished: 17 of 17 done" in again.err
    assert place.ledger.read_bytes() == before


def test_killed_workers_change_no_promotion(
    place: Place, storage_url: str, undisturbed: dict[int, Any]
) -> None:
    """A supervisor and its workers are killed on rung 0 and again on rung 1."""
    options = ["--storage", storage_url, *OPTIONS, *QUICK, *place.synthetic(sleep_s=0.3)]
    for n_final in (4, N_SLOTS + 1):
        with place.start("run", *options, "--workers", 2) as running:
            running.wait_until(lambda n=n_final: n_done(storage_url) >= n)
            running.send(signal.SIGKILL)
    place.run("run", *options, "--workers", 2)
    assert results(rows_of(storage_url, "s")) == undisturbed


def n_done(url: str) -> int:
    """Return how many slots are final; 0 before the study is there."""
    try:
        return look(url, "s").n_final
    except Exception:
        return 0


def test_study_is_not_done_before_its_last_rung(place: Place) -> None:
    """`status` and `replay` know rungs; a raised budget adds draws and promotes more."""
    url = "sqlite:///s.db"
    options = ["--storage", url, *OPTIONS]
    place.run("create", *options, *place.synthetic())
    status = place.json("status", "--storage", url, "--json")
    assert (status["n_slots"], status["done"]) == (N_SLOTS, False)
    assert [one["n_slots"] for one in status["rungs"]] == [12, 4, 1]
    place.run("worker", "--storage", url)
    status = place.json("status", "--storage", url, "--json")
    assert (status["n_slots"], status["done"]) == (17, True)
    assert [one["n_final"] for one in status["rungs"]] == [12, 4, 1]
    assert status["best"]["slot"] == 16  # the highest rung that has a value
    assert place.json("replay", "slot:16", "--storage", url, "--json")["same"]
    place.run("run", "--storage", url, "--study", "s", "--n-trials", 18, "--workers", 1)
    raised = place.json("status", "--storage", url, "--json")
    assert raised["done"]
    assert raised["rungs"][0]["n_final"] == 18


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--rungs", "3,1"], "the epochs of rungs rise"),
        (["--rungs", "1,1,3"], "the epochs of rungs rise"),
        (["--rungs", "1,3", "--epochs", 5], "ends with 3 epochs; --epochs says 5"),
        (["--rungs", "1,3", "--pruner", "asha"], "--pruner asha does not go with rungs"),
        (["--rungs", "1,3", "--sampler", "tpe"], "--sampler tpe does not go with rungs"),
    ],
)
def test_impossible_rungs_are_refused(place: Place, options: list[Any], why: str) -> None:
    """In one line, before anything is stored."""
    done = place.run("run", "--study", "s", *place.synthetic(), *options, code=1)
    assert why in done.error
    assert done.hint
    for bad in (["--rungs", "1;3"], ["--rungs", "1,3", "--keep", "2"]):
        place.run("run", "--study", "s", *place.synthetic(), *bad, code=2)


def test_other_rungs_than_those_of_the_study_are_refused(place: Place) -> None:
    """As every option that defines a study; none is a plain search."""
    place.run("create", "--study", "s", *place.synthetic(), "--n-trials", 2, "--rungs", "none")
    rows = place.json("trials", "--json")
    assert all("rung" not in row for row in rows)
    done = place.run("run", "--study", "s", "--rungs", "1,3", code=1)
    assert "study 's' has rungs" in done.error
