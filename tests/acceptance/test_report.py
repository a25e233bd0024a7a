"""`study report`: one file, for a study in any state, from the command line."""

from pathlib import Path

from tests.acceptance.processes import Place
from tests.unit.reported import Page


def test_report_of_a_finished_study_is_one_file(place: Place) -> None:
    """It is named on stderr, holds its plots, and is replaced by the next one."""
    name = "<i>a & b"
    options = ["--study", name, "--n-trials", 12, "--workers", 1]
    place.run("run", *options, *place.synthetic(fail_rate=0.3, n_steps=3), code=3)
    done = place.run("report", "--study", name, "--out", "mine")
    path = Path(place.folder) / "mine" / "report.html"
    assert done.err.splitlines()[-1] == f"{Path('mine') / 'report.html'} ready"
    assert done.out == ""
    page = Page(path.read_text("utf-8"))
    assert [a for a in page.all("div") if a.get("class") == "plot"]
    assert page.words.strip().startswith(f"{name}{name}")
    assert "All 12 slots are final." in page.words
    assert "RuntimeError: synthetic failure" in page.words
    path.write_text("old")
    place.run("report", "--study", name, "--out", "mine")
    assert path.read_text("utf-8").startswith("<!DOCTYPE html>")
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_report_of_a_study_with_nothing_finished_says_so(place: Place) -> None:
    """Nothing has been started: the page is there, and has no plot."""
    place.run("create", "--study", "s", "--n-trials", 3, *place.synthetic())
    place.run("report", "--study", "s")
    page = Page((Path(place.folder) / "out" / "report.html").read_text("utf-8"))
    assert "No trial has finished yet, so there is no result." in page.words
    assert "0 of 3 slots final, 0 in training, 3 waiting." in page.words
    assert not [a for a in page.all("div") if a.get("class") == "plot"]


def test_report_needs_a_study_that_is_there(place: Place) -> None:
    """A wrong name is one line, and nothing is written."""
    place.run("create", "--study", "s", "--n-trials", 1, *place.synthetic())
    assert "no study 'other'" in place.run("report", "--study", "other", code=1).error
    assert not (Path(place.folder) / "out").exists()
