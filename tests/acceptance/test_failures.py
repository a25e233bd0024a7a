"""Trials that fail, each in its way: what is tried again, what is final, and what stops a study."""

from tests.acceptance.processes import Place
from tests.acceptance.synthetic import expected, look, results, rows_of

HEAD = """
import os
import pathlib
import sys
import time
from objectives.synthetic import SyntheticObjective

AT_WORK = "worker" in sys.orig_argv  # and not in the one batch of `run`

class make(SyntheticObjective):
    def note(self, slot, attempt, trial):
        self.slot, self.attempt = slot, attempt
        super().note(slot, attempt, trial)

    def fit(self, params, dataset, **rest):
        if AT_WORK:
            misbehave(self)
        return super().fit(params, dataset, **rest)

def misbehave(self):
"""
QUICK = ["--grace", "3s", "--heartbeat", "1s"]


def run(place: Place, url: str, body: str, *arguments: object, code: int) -> str:
    """Run a study whose trials begin with `body`; return what stands on stderr."""
    lines = "".join(f"    {line}\n" for line in body.strip().splitlines())
    (place.folder / "mine.py").write_text(HEAD + lines)
    where = ["--storage", url, "--study", "s", "--objective", "mine.py:make"]
    return place.run("run", *where, *arguments, code=code).err


def reasons(url: str) -> list[tuple[int, int, str | None]]:
    """Slot, attempt and reason of the failed trials."""
    failed = [row for row in rows_of(url, "s") if row["state"] == "FAIL"]
    return [(row["slot"], row["attempt"], row["reason"]) for row in failed]


BROKEN = """
if not pathlib.Path("mended").exists():
    raise ValueError(f"no such thing in slot {self.slot}")
"""


def test_the_same_error_from_the_start_stops_the_study(place: Place, sqlite_url: str) -> None:
    """With the tail of its traceback; no slot is spent, and once it is mended the study goes on."""
    sizes = ["--n-trials", 8, "--workers", 2, *QUICK]
    err = run(place, sqlite_url, BROKEN, *sizes, code=1)
    assert "study: error: stopped, because trials " in err
    assert "failed alike before any slot had completed: ValueError" in err
    assert "ValueError: no such thing in slot" in err
    assert "in misbehave" in err
    assert "  try: fix the cause, then the same command" in err
    status = look(sqlite_url, "s")
    assert (status.waiting, status.failed, status.complete) == (8, 0, 0)
    (place.folder / "mended").touch()
    place.run("run", "--storage", sqlite_url, "--study", "s", "--workers", 2)
    assert results(rows_of(sqlite_url, "s")) == expected(8)


FULL_DISK = """
from objectives.errors import CheckpointError
raise CheckpointError("cannot write the checkpoint: no space left")
"""


def test_checkpoint_that_cannot_be_written_ends_the_run_and_spends_no_slot(
    place: Place, sqlite_url: str
) -> None:
    """A slot that was given back is no end of a trial: the third death in a row is the last."""
    err = run(place, sqlite_url, FULL_DISK, "--n-trials", 2, "--workers", 1, *QUICK, code=1)
    assert "worker 0 died 3 times without finishing a trial" in err
    assert "no space left" in err
    status = look(sqlite_url, "s")
    assert (status.waiting, status.failed, status.attempts) == (2, 0, 0)


SOMETIMES = """
if self.slot in (1, 2, 3) and not pathlib.Path("mended").exists():
    raise ValueError("no such thing")
"""


def test_errors_after_a_slot_has_completed_are_final_until_they_are_retried(
    place: Place, sqlite_url: str
) -> None:
    """Exit code 3; `study retry` opens one slot or all of them, and their params are the same."""
    err = run(place, sqlite_url, SOMETIMES, "--n-trials", 5, "--workers", 1, *QUICK, code=3)
    assert "failed slots: 3 error" in err
    assert reasons(sqlite_url) == [(1, 1, "error"), (2, 1, "error"), (3, 1, "error")]
    where = ["--storage", sqlite_url, "--study", "s"]
    assert (
        place.run("retry", 0, *where, code=1).error
        == "trial 0 is COMPLETE; only a failed one is retried"
    )
    (place.folder / "mended").touch()
    assert place.run("retry", 1, *where).err.startswith("1 slot is open again")
    assert "has a later attempt than trial 1" in place.run("retry", 1, *where, code=1).error
    assert place.run("retry", "--failed", *where).err.startswith("2 slots are open again")
    place.run("run", *where, "--workers", 2)
    assert results(rows_of(sqlite_url, "s")) == expected(5)
    assert look(sqlite_url, "s").attempts == 8


OUT_OF_MEMORY = """
if self.slot == 1 or (self.slot == 2 and self.attempt == 1):
    raise MemoryError("no room")
"""


def test_trial_that_ran_out_of_memory_is_tried_once_more(place: Place, sqlite_url: str) -> None:
    """Alone on its device; the second time is final."""
    err = run(place, sqlite_url, OUT_OF_MEMORY, "--n-trials", 4, "--workers", 2, *QUICK, code=3)
    assert "failed slots: 1 out_of_memory" in err
    memory = "out_of_memory"
    assert sorted(reasons(sqlite_url)) == [(1, 1, memory), (1, 2, memory), (2, 1, memory)]
    assert set(results(rows_of(sqlite_url, "s"))) == {0, 2, 3}


SLOW = """
self._sleep_s = 600 if self.slot == 0 else 0
if self.slot == 2:
    time.sleep(600)
"""


def test_trial_timeout_ends_slow_trials_also_deaf_ones(place: Place, sqlite_url: str) -> None:
    """One that reports ends at a report; one that never does goes with its process."""
    limits = ["--trial-timeout", "3s", "--drain-timeout", "1s"]
    many = ["--objective-option", "n_steps=600"]
    err = run(
        place, sqlite_url, SLOW, "--n-trials", 4, "--workers", 1, *limits, *many, *QUICK, code=3
    )
    assert "failed slots: 2 timeout" in err
    assert "died" not in err
    assert reasons(sqlite_url) == [(0, 1, "timeout"), (2, 1, "timeout")]
    assert set(results(rows_of(sqlite_url, "s"))) == {1, 3}


COUNTING = """
global n_here
n_here = globals().get("n_here", 0) + 1
with open("counts", "a") as file:
    file.write(f"{os.getpid()} {n_here}\\n")
"""


def test_worker_replaces_itself_and_loses_nothing(place: Place, sqlite_url: str) -> None:
    """In the same process id, after as many trials as were asked for."""
    sizes = ["--n-trials", 7, "--workers", 1, "--recycle-after", 3]
    err = run(place, sqlite_url, COUNTING, *sizes, *QUICK, code=0)
    assert "died" not in err
    pids, counts = zip(
        *(x.split() for x in (place.folder / "counts").read_text().splitlines()), strict=True
    )
    assert len(set(pids)) == 1
    assert list(counts) == ["1", "2", "3", "1", "2", "3", "1"]
    assert results(rows_of(sqlite_url, "s")) == expected(7)
    assert look(sqlite_url, "s").workers == []
