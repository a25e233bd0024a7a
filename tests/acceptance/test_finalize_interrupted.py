"""A finalize that is killed, stopped, joined or run again: the bytes are those of a calm one."""

import os
import signal

import pytest

from tests.acceptance.finalizing import (
    N_FOLDS,
    N_REFITS,
    N_TRIALS,
    check_submission,
    command,
    fits,
    held,
    manifest,
    on_folds,
    outputs,
    refits,
    search,
    search_again,
    url_of,
)
from tests.acceptance.processes import Place, is_alive
from tests.acceptance.synthetic import look, rows_of

pytestmark = pytest.mark.trains


@pytest.fixture(scope="module")
def calm(shared: Place) -> Place:
    """A place with the search, and a finalize of it in `calm/` that nothing disturbed."""
    search(shared)
    said = shared.run(*command(shared, "calm")).err
    (shared.folder / "said.txt").write_text(said)
    return shared


def workers_of(place: Place, name: str) -> set[str]:
    """Who claimed trials of the companion."""
    return {row["worker"] for row in refits(place, name)} - {None}


def test_first_submission_then_a_better_one(calm: Place) -> None:
    """Each is said; the last is an average of all networks, with the score to expect."""
    check_submission(calm, "calm")
    said = (calm.folder / "said.txt").read_text()
    assert said.count("submission.csv ready: 60 rows") == 2
    found = manifest(calm, "calm")
    expected = found["expected"]
    assert 0 <= expected["low"] <= expected["score"] <= expected["high"] <= 1
    assert expected["low"] < expected["high"]
    assert f"expected score {expected['score']:.4f}" in said
    assert (found["effort"]["top_k"], found["effort"]["folds"]) == (2, 4)
    kinds = [(member["fold"], member["member"]) for member in found["members"]]
    assert kinds == [(1, 0), (2, 0), (3, 0), (4, 0), (0, 0), (0, 1)]
    assert {member["candidate"] for member in found["members"]} == {found["slot"]}
    rows = refits(calm, "calm")
    assert len(rows) in (N_REFITS, N_REFITS + 1)  # the chosen one may be another than the first
    assert sum(row["params"]["fold"] > 0 for row in rows) == N_FOLDS


def test_what_the_search_went_through_does_not_change_the_submission(calm: Place) -> None:
    """After a release or a crash a slot's trial has another number; the seeds are as before."""
    search_again(calm, "again")
    assert {row["trial"] for row in rows_of(url_of(calm, "again"), "digits")} > set(range(N_TRIALS))
    calm.run(*command(calm, "again"))
    chosen = manifest(calm, "again")
    assert chosen["slot"] == manifest(calm, "calm")["slot"]
    numbers = {row["slot"]: row["trial"] for row in rows_of(url_of(calm, "again"), "digits")}
    assert chosen["trial"] == numbers[chosen["slot"]]  # the newest of its slot
    submissions = [(calm.folder / n / "submission.csv").read_bytes() for n in ("again", "calm")]
    assert submissions[0] == submissions[1]
    assert manifest(calm, "again")["training_seeds"] == manifest(calm, "calm")["training_seeds"]


def test_killed_in_its_folds_it_goes_on_to_the_same_bytes(calm: Place) -> None:
    """As if the machine had lost its power; and with more workers than the calm one had."""
    with held(calm, "killed", "--workers", 2) as running:
        pids = [w.pid for w in look(url_of(calm, "killed"), "digits.finalize").workers]
        running.send(signal.SIGKILL)
        running.process.wait()
        for pid in pids:
            if pid is not None and is_alive(pid):
                os.kill(pid, signal.SIGKILL)
    n_done = len(on_folds(calm, "killed", "COMPLETE"))
    check_submission(calm, "killed")
    assert manifest(calm, "killed")["effort"] is None
    calm.run(*command(calm, "killed", "--workers", 2))
    assert outputs(calm, "killed") == outputs(calm, "calm")
    rows = refits(calm, "killed")
    assert {row["reason"] for row in rows if row["state"] == "FAIL"} <= {
        "lost",
        "crashed",
        "released",
    }  # a worker that is killed late has seen its supervisor go
    assert 0 < n_done < len(on_folds(calm, "killed", "COMPLETE")) == N_FOLDS


def test_ctrl_c_keeps_the_first_submission_and_the_same_command_goes_on(calm: Place) -> None:
    """Exit code 130 at once; what was trained is not trained again."""
    with held(calm, "stopped", "--workers", 2) as running:
        running.send(signal.SIGINT)
        done = running.wait()
    assert done.code == 130
    assert "the same command goes on from here" in done.err
    check_submission(calm, "stopped")
    assert (manifest(calm, "stopped")["effort"], manifest(calm, "stopped")["expected"]) == (
        None,
    ) * 2
    assert not on_folds(calm, "stopped", "RUNNING")
    before = {row["trial"] for row in on_folds(calm, "stopped", "COMPLETE")}
    calm.run(*command(calm, "stopped"))
    assert outputs(calm, "stopped") == outputs(calm, "calm")
    after = on_folds(calm, "stopped", "COMPLETE")
    assert len(after) == N_FOLDS
    assert before < {row["trial"] for row in after}


def test_quick_ends_with_the_first_and_a_later_finalize_replaces_it(calm: Place) -> None:
    """Once more there is nothing to do, and nothing is trained."""
    calm.run(*command(calm, "quick", "--quick"))
    check_submission(calm, "quick")
    assert len(refits(calm, "quick")) == 1
    first = manifest(calm, "quick")
    assert (first["effort"], first["expected"], len(first["members"])) == (None, None, 1)
    calm.run(*command(calm, "quick"))
    assert outputs(calm, "quick") == outputs(calm, "calm")
    paths = [calm.folder / "quick" / name for name in ("manifest.json", *first["outputs"])]
    before, n_fits = [path.read_bytes() for path in paths], fits(calm)
    again = calm.run(*command(calm, "quick"))
    assert "already" in again.err
    assert fits(calm) == n_fits
    assert [path.read_bytes() for path in paths] == before


def test_second_machine_takes_its_share(calm: Place) -> None:
    """A worker that is started by hand while the folds are trained, with a work dir of its own."""
    where = ["--storage", url_of(calm, "shared"), "--study", "digits.finalize"]
    with held(calm, "shared") as running:
        with calm.start("worker", *where, "--workers", 1, "--work-dir", "elsewhere") as second:
            # Each stage has new workers of the first machine, too: wait for this one.
            own = f":{second.process.pid}"
            second.wait_until(lambda: any(w.endswith(own) for w in workers_of(calm, "shared")))
            (calm.folder / "hold").unlink()
            assert second.wait().code == 0
        assert running.wait().code == 0
    by = {row["worker"] for row in on_folds(calm, "shared", "COMPLETE")}
    assert any(worker.endswith(own) for worker in by)
    assert len(on_folds(calm, "shared", "COMPLETE")) == N_FOLDS
    assert outputs(calm, "shared") == outputs(calm, "calm")


def test_companion_is_listed_but_never_meant_by_leaving_the_name_out(calm: Place) -> None:
    """It is no search: it is not finalized itself, and gets no slots by hand."""
    storage = ["--storage", url_of(calm, "calm")]
    names = [row["study"] for row in calm.json("list", *storage)]
    assert names == ["digits", "digits.finalize"]
    assert calm.json("status", *storage)["study"] == "digits"
    for verb in ("finalize", "run"):
        refused = calm.run(*verb.split(), *storage, "--study", "digits.finalize", code=1)
        assert "is the finalize of 'digits'" in refused.error
        assert refused.hint == "study finalize --study digits"


def test_more_folds_than_a_class_has_rows_are_refused_before_training(calm: Place) -> None:
    """One line, and no companion is made."""
    refused = calm.run(*command(calm, "many", "--folds", 61), code=1)
    assert "61 folds need 61 labelled rows of each class" in refused.error
    assert [row["study"] for row in calm.json("list", "--storage", url_of(calm, "many"))] == [
        "digits"
    ]


def test_search_is_deleted_with_its_companion(calm: Place) -> None:
    """Which is of no use without it; its trials are counted in the line."""
    storage = ["--storage", url_of(calm, "deleted", like="calm")]
    n_trials = N_TRIALS + len(refits(calm, "deleted"))
    done = calm.run("delete", *storage, "--study", "digits", "--yes")
    assert done.err.strip() == f"deleted 'digits' ({n_trials} trials)"
    assert calm.json("list", *storage) == []
    check_submission(calm, "calm")  # outputs stay
