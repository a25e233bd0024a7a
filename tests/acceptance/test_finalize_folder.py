"""The folder of a finalize: killed at any of its files, and wanted by two at once."""

import json
import shutil
from pathlib import Path

import pytest

from tests.acceptance.competition import hash_of
from tests.acceptance.finalizing import command, defining, fits, manifest, outputs, search, url_of
from tests.acceptance.processes import Place, Running

pytestmark = pytest.mark.trains

FILES = ["submission.csv", "model_card.md", "manifest.json", "report.html", "manifest.json"]
OUR_OWN = """
import os, signal, sys, time
out, at, how = os.path.abspath(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
sys.argv = ["study", *sys.argv[4:]]
move, n_moved = os.replace, 0
def replace(one, other, **more):
    global n_moved
    if os.path.dirname(os.path.abspath(other)) == out:
        if n_moved == at and how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        while n_moved == at and not os.path.exists("go"):
            time.sleep(0.05)
        n_moved += 1
    move(one, other, **more)
os.replace = replace
from study.__main__ import main
main()
"""


@pytest.fixture(scope="module")
def calm(shared: Place) -> Place:
    """A place with the search; its first submission in `first/`, and the last in `calm/`."""
    search(shared)
    where = ["--storage", url_of(shared, "calm")]
    shared.run("finalize", *where, "--workers", 1, "--out", "first", "--quick")
    shared.run(*command(shared, "calm"))
    return shared


def hooked(place: Place, name: str, at: int, how: str) -> Running:
    """A finalize into NAME that is killed, or waits for the file `go`, before file `at`."""
    python = ("-c", OUR_OWN, str(place.folder / name), str(at), how)
    return place.start(*command(place, name), python=python)


def check_whole(place: Place, name: str) -> None:
    """Fail where a file is not what the manifest says, or another one is left."""
    folder = place.folder / name
    told = json.loads((folder / "manifest.json").read_text())["outputs"]
    assert {path.name for path in folder.iterdir()} == {*told, "manifest.json"}
    assert {file: hash_of(folder / file) for file in told} == told
    assert "report.html" in told


@pytest.mark.parametrize("at", range(len(FILES)))
def test_killed_before_any_of_its_files_the_same_command_completes_them(
    calm: Place, at: int
) -> None:
    """Over the first submission: the same bytes, a report of them, and no hidden piece."""
    name = f"killed-{at}"
    url_of(calm, name, like="calm")
    folder = calm.folder / name
    shutil.copytree(calm.folder / "first", folder)
    old = {file: hash_of(folder / file) for file in FILES}
    with hooked(calm, name, at, "killed") as running:
        assert running.wait().code == -9
    hidden = {path.name for path in folder.iterdir()} - {*FILES, ".slot-study.lock"}
    assert [piece[9:] for piece in hidden] == [f"-{FILES[at]}"]
    new = {file for file in FILES if hash_of(folder / file) != old[file]}
    assert new == set(FILES[:at])
    calm.run(*command(calm, name))
    assert outputs(calm, name) == outputs(calm, "calm")
    check_whole(calm, name)


def test_two_at_once_write_one_after_the_other(calm: Place) -> None:
    """A second finalize of the study waits; a report, which was to be quick, is refused."""
    name = "both"
    url_of(calm, name, like="calm")
    where = ["--storage", url_of(calm, name), "--workers", 1, "--out", name, "--quick"]
    go = calm.folder / "go"
    with hooked(calm, name, 1, "waits") as first:
        first.wait_until(lambda: (calm.folder / name / "submission.csv").exists())
        with calm.start("finalize", *where, "--study", "digits") as second:
            second.wait_until(lambda: "waiting: a command of study 'digits' (" in second.err())
            report = ["report", *where[:2], "--study", "digits", "--out", name]
            assert "writes into both" in calm.run(*report, code=1).error
            go.touch()
            assert first.wait().code == 0
            done = second.wait()
    go.unlink()
    assert done.code == 0
    assert "is already a better one" in done.err
    assert outputs(calm, name) == outputs(calm, "calm")
    check_whole(calm, name)


def test_outputs_of_another_study_stay_and_are_refused_before_any_training(calm: Place) -> None:
    """By finalize, report, and a run that would finalize; the hint is a folder that is free."""
    shutil.copytree(calm.folder / "calm", calm.folder / "taken")
    options = [*defining("third"), "--workers", 1]
    options[options.index("digits")] = "other"
    where = ["--storage", "sqlite:///third.db", "--study", "other", "--out", "taken"]
    before, n_fits = manifest(calm, "taken"), fits(calm)
    refused = [calm.run("run", *options, "--finalize", "--out", "taken", code=1)]
    assert "1/" not in refused[0].err
    refused.append(calm.run("report", *where, code=1))
    for one in refused:
        assert "study: error: taken holds the outputs of study 'digits'" in one.err
        assert one.hint == f"--out {Path('taken') / 'other'}"
    tried = 1  # a model of the user's is tried out before the study is created
    assert fits(calm) <= n_fits + tried
    assert manifest(calm, "taken") == before
    check_whole(calm, "taken")


def test_report_is_written_again_and_vouched_for(calm: Place) -> None:
    """`study report` beside the outputs changes what the manifest says of the report alone."""
    where = ["--storage", url_of(calm, "calm"), "--study", "digits", "--out", "calm"]
    before = outputs(calm, "calm")
    (calm.folder / "calm" / "report.html").write_text("old")
    calm.run("report", *where)
    assert outputs(calm, "calm") == before
    check_whole(calm, "calm")
    (calm.folder / "calm" / "report.html").write_text("torn")
    again = calm.run(*command(calm, "calm"))
    assert "already" in again.err
    check_whole(calm, "calm")
