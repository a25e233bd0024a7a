"""`study plan` says what a time buys and creates nothing; `study run --timeout` stores its plan."""

import pytest

from storage import attrs
from storage.rdb import open_storage
from tests.acceptance.competition import SPACE, write_competition
from tests.acceptance.processes import Place
from tests.acceptance.synthetic import look

pytestmark = pytest.mark.trains

OPTIONS = ["--data", "data", "--space", "my.toml", "--rungs", "1,2", "--workers", 1]


def test_plan_is_said_before_and_followed(place: Place) -> None:
    """By the command that creates nothing, and by the one that does."""
    write_competition(place.folder / "data")
    (place.folder / "my.toml").write_text(SPACE)
    said = place.json("plan", *OPTIONS, "--timeout", "10m", "--json")
    assert set(said) == {"n_trials", "rungs", "search_s", "effort", "epochs", "finalize_s"}
    assert [rung["epochs"] for rung in said["rungs"]] == [1, 2]
    assert said["search_s"] + said["finalize_s"] <= 600
    assert not list(place.folder.glob("*.db*"))
    words = place.run("plan", *OPTIONS, "--n-trials", 3).out
    assert words.startswith("plan: 3 draws (3 x 1 epoch, then 1 x 2 epochs), about ")

    where = ["--storage", "sqlite:///s.db", "--study", "s", "--n-trials", 3]
    ran = place.run("run", *OPTIONS, *where, "--timeout", "10m", "--finalize", "--quick")
    assert "plan: 3 draws (3 x 1 epoch, then 1 x 2 epochs), about " in ran.err
    url = f"sqlite:///{place.folder}/s.db"
    assert (look(url, "s").n_slots, look(url, "s").done) == (4, True)
    storage = open_storage(url, create=False)
    stored = storage.get_study_user_attrs(storage.get_study_id_from_name("s"))[attrs.PLAN]
    storage.close()
    assert (stored["n_trials"], stored["rungs"][1]) == (3, {"epochs": 2, "n_slots": 1})
    assert (place.folder / "out" / "submission.csv").exists()


def test_objective_that_does_not_tell_its_speed_has_no_plan(place: Place) -> None:
    """One line."""
    done = place.run("plan", *place.synthetic(), "--timeout", "1m", code=1)
    assert "does not tell how fast it trains" in done.error
