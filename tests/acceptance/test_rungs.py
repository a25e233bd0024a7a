"""`--rungs`: who works, and who dies, changes neither what is promoted nor what comes of it."""

import os
import re
import shlex
import signal
from html import unescape
from typing import Any

import pytest
from optuna.trial import TrialState

from storage.rdb import open_storage
from storage.slots.slots import Draw
from study.spec.open import open_study
from tests.acceptance.processes import Place, Running
from tests.acceptance.synthetic import (
    climbed,
    expected,
    expected_on_rungs,
    look,
    once_each,
    results,
    rows_of,
    slots,
)

N_DRAWS, N_SLOTS = 12, 12 + 4 + 1
RUNGS = ["--rungs", "1,3,9"]
QUICK = ["--grace", "3s", "--heartbeat", "1s"]


def where(place: Place) -> list[str]:
    """The study 's' in the place's database."""
    return ["--storage", url_of(place), "--study", "s"]


def url_of(place: Place) -> str:
    """The database in the folder of the commands."""
    return f"sqlite:///{place.folder}/study.db"


def assert_exact(place: Place, url: str, n_draws: int = N_DRAWS, seed: int = 0) -> None:
    """Every slot ended once, with params, seed, value, rung and source of the pure functions."""
    wanted = expected_on_rungs(n_draws, seed=seed)
    assert climbed(rows_of(url, "s")) == wanted
    assert slots(place.ledger_lines(), "end", "complete") == once_each(len(wanted))
    status = look(url, "s")
    assert (status.n_slots, status.complete, status.done) == (len(wanted), len(wanted), True)


@pytest.mark.parametrize("n_workers", [1, 3])
def test_any_number_of_workers_climbs_to_the_same_result(
    place: Place, storage_url: str, n_workers: int
) -> None:
    """Each slot starts and ends once; the best third of each rung is on the next one."""
    options = ["--storage", storage_url, "--study", "s", "--n-trials", N_DRAWS, "--seed", 3]
    place.run("run", *options, *RUNGS, *place.synthetic(), "--workers", n_workers)
    assert slots(place.ledger_lines(), "start") == once_each(N_SLOTS)
    assert_exact(place, storage_url, seed=3)
    rows = rows_of(storage_url, "s")
    assert [row["trial"] for row in rows] == [row["slot"] for row in rows] == [*range(N_SLOTS)]


def kill_a_worker(place: Place, running: Running, url: str, lowest_slot: int) -> int:
    """Kill a worker that has just begun with a slot from `lowest_slot` on; return the slot."""

    def at_work() -> tuple[int, int] | None:
        """Of the workers the one at the highest slot."""
        if not place.ledger_lines():
            return None  # the study is not there yet
        begun = [w for w in look(url, "s").workers if w.epoch is not None and w.epoch < 4]
        slot, pid = max(((w.slot or 0, w.pid or 0) for w in begun), default=(-1, 0))
        return (slot, pid) if slot >= lowest_slot else None

    slot, pid = running.wait_until(at_work)
    os.kill(pid, signal.SIGKILL)
    return int(slot)


def slow_run(place: Place, url: str, n_workers: int) -> list[object]:
    """The command of a study of six draws, which gives time to kill somebody."""
    options = ["--storage", url, "--study", "s", "--n-trials", 6, "--workers", n_workers, *QUICK]
    return ["run", *options, *RUNGS, *place.synthetic(sleep_s=1.2, n_steps=12)]


def test_killed_workers_change_nothing(place: Place, storage_url: str) -> None:
    """One on the first rung and one on the second: their slots run again where they were."""
    with place.start(*slow_run(place, storage_url, 3)) as running:
        killed = [kill_a_worker(place, running, storage_url, lowest) for lowest in (1, 6)]
        done = running.wait()
    assert done.code == 0, done.err
    logs = "".join(path.read_text() for path in place.folder.parent.rglob("*.log"))
    assert logs.count("rung complete: 2 slots promoted to the next one") == 1
    assert_exact(place, storage_url, 6)
    rows = rows_of(storage_url, "s")
    failed = [row for row in rows if row["state"] == "FAIL"]
    assert [(row["slot"], row["reason"]) for row in failed] == [(n, "crashed") for n in killed]
    for row in failed:
        (again,) = [r for r in rows if r["slot"] == row["slot"] and r["attempt"] == 2]
        same = ("rung", "epochs", "from_slot", "seed")
        assert [again[key] for key in same] == [row[key] for key in same]


def test_killed_run_goes_on_from_its_rung(place: Place, sqlite_url: str) -> None:
    """Supervisor and a worker die in the middle of the second rung; the same command goes on."""
    command = slow_run(place, sqlite_url, 2)
    with place.start(*command) as running:
        kill_a_worker(place, running, sqlite_url, 6)
        running.send(signal.SIGKILL)
        running.process.wait()
    place.run(*command)
    assert_exact(place, sqlite_url, 6)


def test_finished_study_starts_nothing_and_goes_on_when_raised(
    place: Place, sqlite_url: str
) -> None:
    """`--n-trials` counts the draws; those that are added may be promoted, too."""
    options = ["--storage", sqlite_url, "--study", "s", "--workers", 1]
    defining = [*RUNGS, *place.synthetic()]
    place.run("run", *options, *defining, "--n-trials", 6)
    assert_exact(place, sqlite_url, 6)
    before, rows = place.ledger.read_bytes(), rows_of(sqlite_url, "s")
    for command in (["run", *options, *defining, "--n-trials", 6], ["worker", *options]):
        place.run(*command)
        assert place.ledger.read_bytes() == before
        assert rows_of(sqlite_url, "s") == rows
    again = place.run("run", *options)
    assert "9 of 9 done" in again.err
    assert "'s' is finished" in again.err
    place.run("run", *options, "--n-trials", 12)
    status = look(sqlite_url, "s")
    assert (status.done, status.failed) == (True, 0)
    raised = rows_of(sqlite_url, "s")
    assert raised[: len(rows)] == rows
    assert [row["rung"] for row in raised[9:15]] == [0] * 6
    sources = [row["from_slot"] for row in raised if row["rung"]]
    assert len(sources) == len(set(sources)) >= 5
    best = sorted((r for r in raised if r["rung"] == 0), key=lambda r: (-r["value"], r["slot"]))
    assert {row["slot"] for row in best[:4]} <= set(sources)


def test_rungs_none_is_the_plain_search(place: Place) -> None:
    """As is no option: the same results, and not a word of rungs."""
    for name, given in (("with", ["--rungs", "none"]), ("without", [])):
        options = ["--study", name, "--n-trials", 4, "--workers", 1]
        place.run("run", *options, *given, *place.synthetic())
    found = {name: rows_of(url_of(place), name) for name in ("with", "without")}
    assert results(found["with"]) == results(found["without"]) == expected(4)
    for name, rows in found.items():
        assert not {"rung", "epochs", "from_slot"} & set(rows[0])
        assert "rungs" not in place.json("status", "--study", name)
        assert "rung" not in place.run("trials", "--study", name).out
    again = place.run("run", "--study", "without", "--rungs", "none", *place.synthetic())
    assert "'without' is finished" in again.err
    other = place.run("run", "--study", "without", *RUNGS, code=1)
    assert other.error.startswith("study 'without' has rungs []; this command says [1, 3, 9]")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ("--rungs 1,3,9 --pruner asha", "--pruner asha does not go with rungs"),
        ("--rungs 1,3,9 --sampler tpe", "--sampler tpe does not go with rungs"),
        ("--rungs 1,3,9 --epochs 5", "--rungs 1,3,9 ends with 9 epochs; --epochs says 5"),
        ("--rungs 9,3,1", "--rungs 9,3,1: the epochs of rungs rise, from at least 1"),
        ("--rungs 1,3,3", "--rungs 1,3,3: the epochs of rungs rise, from at least 1"),
        ("--rungs 0,3", "--rungs 0,3: the epochs of rungs rise, from at least 1"),
    ],
)
def test_rungs_that_cannot_be_climbed_are_one_line(
    place: Place, arguments: str, error: str
) -> None:
    """Before anything is written, and with what to give instead."""
    refused = place.run("run", *place.synthetic(), *arguments.split(), code=1)
    assert refused.error.startswith(error)
    assert "--rungs" in refused.hint or "drop " in refused.hint
    assert list(place.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ("--keep 2", "'2' is not a share between 0 and 1; write 1/3"),
        ("--keep 1/0", "'1/0' is not a share between 0 and 1; write 1/3"),
        ("--keep half", "'half' is not a share between 0 and 1; write 1/3"),
        ("--rungs 1,x", "'1,x' is not a list of epochs; write 1,3,9 or none"),
        ("--rungs -1,3", "'-1,3' is not a list of epochs; write 1,3,9 or none"),
        ("--rungs=", "'' is not a list of epochs; write 1,3,9 or none"),
    ],
)
def test_option_that_cannot_be_read_is_refused(place: Place, arguments: str, error: str) -> None:
    """As every option is: with the usage, and exit code 2."""
    given = [*place.synthetic(), *RUNGS, *arguments.split()]
    refused = place.run("run", *given, code=2, COLUMNS="200")
    assert error in refused.err
    assert "Traceback" not in refused.err
    assert list(place.folder.iterdir()) == []


def between_rungs(place: Place) -> None:
    """Let three draws be final, and whoever ended the last one die before it promoted one."""
    place.run("create", *where(place), *RUNGS, *place.synthetic(), "--n-trials", 3)
    storage = open_storage(url_of(place), create=False)
    opened = open_study(storage, "s")
    params = expected_on_rungs(3)
    for slot in range(3):

        def draw(_: Any, slot: int = slot) -> Draw:
            drawn = params[slot].params
            return Draw(drawn, space_of(opened).distributions(drawn), {"seed": params[slot].seed})

        claim = opened.slots.claim("host:1", draw)
        assert claim is not None
        opened.slots.finish(claim, TrialState.COMPLETE, params[slot].value)
    storage.close()


def space_of(opened: Any) -> Any:
    """The stored space of a study."""
    from objectives.space.space import SearchSpace

    return SearchSpace.from_json(opened.spec.space)


def test_study_between_two_rungs_is_not_done(place: Place) -> None:
    """All slots are final, and some are due: `status` says so, and a run goes on with them."""
    between_rungs(place)
    found = place.json("status", *where(place))
    assert (found["n_slots"], found["complete"], found["waiting"], found["running"]) == (3, 3, 0, 0)
    assert found["done"] is False
    assert [(r["epochs"], r["n_slots"], r["n_final"]) for r in found["rungs"]] == [
        (1, 3, 3),
        (3, 1, 0),
        (9, 1, 0),
    ]
    place.run("run", *where(place), "--workers", 1)
    assert climbed(rows_of(url_of(place), "s")) == expected_on_rungs(3)
    found = place.json("status", *where(place))
    assert (found["n_slots"], found["complete"], found["done"]) == (5, 5, True)
    assert [(r["n_slots"], r["n_final"]) for r in found["rungs"]] == [(3, 3), (1, 1), (1, 1)]


@pytest.fixture(scope="module")
def finished(shared: Place) -> Place:
    """A finished study 's' of nine draws, which a quarter is promoted of: 9, 2 and 1 slots."""
    options = ["--n-trials", 9, "--workers", 2, "--keep", "1/4", "--seed", 5]
    shared.run("run", *where(shared), *options, *RUNGS, *shared.synthetic(n_steps=3))
    return shared


def test_trials_tell_their_rung(finished: Place) -> None:
    """With the epochs and the slot that was promoted, as JSON, as CSV and in the table."""
    rows = finished.json("trials", *where(finished))
    assert [(row["rung"], row["epochs"]) for row in rows] == [*[(0, 1)] * 9, *[(1, 3)] * 2, (2, 9)]
    assert [row["from_slot"] for row in rows[:9]] == [None] * 9
    best = sorted(rows[:9], key=lambda row: (-row["value"], row["slot"]))
    assert [row["from_slot"] for row in rows[9:11]] == [row["slot"] for row in best[:2]]
    for row in rows[9:]:
        assert row["params"] == rows[row["from_slot"]]["params"]
    table = finished.run("trials", *where(finished)).out
    assert table.split()[:6] == ["trial", "slot", "rung", "epochs", "from", "slot"]
    head, *lines = finished.run("trials", *where(finished), "--csv").out.splitlines()
    assert head.startswith("trial,slot,rung,epochs,from_slot,")
    assert lines[11].startswith("11,11,2,9,")


def test_best_is_that_of_the_last_rung(finished: Place) -> None:
    """However good the value of a shorter training is."""
    found = finished.json("status", *where(finished))
    assert found["best"]["slot"] == 11
    assert [(r["rung"], r["n_slots"]) for r in found["rungs"]] == [(0, 9), (1, 2), (2, 1)]


@pytest.mark.parametrize("trial", ["slot:9", "11", "0"])
def test_replay_of_a_trial_on_any_rung_is_the_same(finished: Place, trial: str) -> None:
    """Also of a promoted one: its params are those of the lower rung."""
    found = finished.json("replay", trial, *where(finished))
    assert found == {"same": True, "first_difference": None}


def test_printed_command_makes_the_same_study(finished: Place) -> None:
    """It names the rungs and the share, and counts the draws alone."""
    finished.run("report", *where(finished), "--out", "mine")
    html = (finished.folder / "mine" / "report.html").read_text("utf-8")
    (command,) = re.findall(r"<pre[^>]*>(study run .*?)</pre>", html, re.DOTALL)
    words = shlex.split(unescape(command).replace("\\\n", ""))
    for given in (["--rungs", "1,3,9"], ["--keep", "1/4"], ["--n-trials", "9"]):
        assert words[words.index(given[0]) :][:2] == given
    space = words.index("--space")  # the objective's own
    finished.run(*words[1:space], *words[space + 2 :], "--workers", 1)
    again = rows_of(f"sqlite:///{finished.folder}/again.db", "s")
    assert climbed(again) == climbed(rows_of(url_of(finished), "s"))
