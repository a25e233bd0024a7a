"""The work dir: which checkpoints stay in it, and what is said where it is another one."""

import signal
from pathlib import Path

import pytest

from tests.acceptance.processes import Place
from tests.acceptance.synthetic import expected, look, once_each, results, rows_of, slots

N_SLOTS = 6
# A checkpoint as trainings leave it, and one that a killed process has half written; slot 2 fails,
# after a slot has completed, and slot 4 diverges.
CHECKPOINTED = """
import math
from objectives.base import Fitted
from objectives.synthetic import SyntheticObjective

class make(SyntheticObjective):
    def note(self, slot, attempt, trial):
        self.slot = slot
        super().note(slot, attempt, trial)

    def fit(self, params, dataset, *, resume_dir, **rest):
        fitted = super().fit(params, dataset, resume_dir=resume_dir, **rest)
        if resume_dir is not None:
            resume_dir.mkdir(parents=True)
            for name in ("epoch-0001.ckpt", "epoch-0002.ckpt.part"):
                (resume_dir / name).write_text("a state")
        if self.slot == 2:
            raise ValueError("no such thing")
        return Fitted(value=math.nan, model=None) if self.slot == 4 else fitted
"""
ALL = {str(slot) for slot in range(N_SLOTS)}


@pytest.mark.parametrize("keep", ["all", "none", "best"])
def test_checkpoints_that_are_to_be_kept_are_there(
    place: Place, sqlite_url: str, keep: str
) -> None:
    """And no other, but those of a failed slot: `study retry` goes on from them."""
    (place.folder / "mine.py").write_text(CHECKPOINTED)
    where = ["--storage", sqlite_url, "--study", "s", "--objective", "mine.py:make"]
    sizes = ["--n-trials", N_SLOTS, "--workers", 2, "--work-dir", "work"]
    place.run("run", *where, *sizes, "--keep-checkpoints", keep, code=3)
    status = look(sqlite_url, "s")
    assert status.reasons == {"error": 1, "infeasible": 1}
    assert status.best is not None
    assert status.best.slot not in (2, 4)
    best = str(status.best.slot)
    found = folders(place)
    assert set(found) == {"all": ALL, "none": {"2"}, "best": {"2", best}}[keep]
    whole, half = "epoch-0001.ckpt", "epoch-0002.ckpt.part"
    assert found["2"] == {whole, half}
    if keep != "none":
        assert found[best] == ({whole} if keep == "best" else {whole, half})


def folders(place: Place) -> dict[str, set[str]]:
    """The slots that have a folder, and the names of the files in it."""
    (own,) = (place.folder / "work").iterdir()
    kept = (own / "slots").iterdir()
    return {folder.name: {path.name for path in files_below(folder)} for folder in kept}


def files_below(folder: Path) -> list[Path]:
    """All files in a folder and in those below it."""
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("second", ["one", "two"])
def test_work_dir_that_the_study_did_not_begin_with_is_named(
    place: Place, sqlite_url: str, second: str
) -> None:
    """By the run that works there, and by none in the first one; the study ends exact."""
    where = ["--storage", sqlite_url, "--study", "s", "--workers", 2]
    defining = place.synthetic(sleep_s=1, n_steps=20)
    with place.start("run", *where, "--n-trials", N_SLOTS, *defining, "--work-dir", "one") as first:
        first.wait_until(lambda: slots(place.ledger_lines(), "start").total() >= 4)
        first.send(signal.SIGTERM)
        begun = first.wait()
    assert begun.code == 0
    assert not look(sqlite_url, "s").done
    done = place.run("run", *where, "--work-dir", second)
    line = f"{second} is not the work dir in which the study began"
    said = [x for x in (begun.err + done.err).splitlines() if "is not the work dir" in x]
    assert len(said) == (1 if second == "two" else 0)
    assert all(line in x and "start from the beginning here" in x for x in said)
    assert results(rows_of(sqlite_url, "s")) == expected(N_SLOTS)
    assert slots(place.ledger_lines(), "end", "complete") == once_each(N_SLOTS)
    assert look(sqlite_url, "s").attempts == N_SLOTS
