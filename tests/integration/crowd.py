"""Many processes at once on one database, forked from a server that has done the imports."""

import json
import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from optuna.exceptions import DuplicatedStudyError
from optuna.study import StudyDirection
from optuna.trial import TrialState
from sqlalchemy.orm import configure_mappers

from storage.rdb import open_storage
from storage.reading import count_unfinished
from storage.slots.slots import Slots
from tests.integration.planned import LONG_S, RUNGS, draw, draw_on_rungs, value_of

CONTEXT = multiprocessing.get_context("forkserver")
# pytest: a process imports the main module again, which is that of whoever runs the tests.
CONTEXT.set_forkserver_preload(["pytest", "tests.integration.crowd"])
configure_mappers()  # once here, and not in each of many processes


def crowd(n_processes: int, call: Callable[..., None], *args: Any, timeout_s: float = 120) -> None:
    """Run `call(*args)` in `n_processes` that start together; all must end well in time."""
    barrier = CONTEXT.Barrier(n_processes)
    processes = [
        CONTEXT.Process(target=_start_together, args=(barrier, call, *args))
        for _ in range(n_processes)
    ]
    deadline = time.monotonic() + timeout_s
    try:
        for process in processes:
            process.start()
        for process in processes:
            process.join(max(0.0, deadline - time.monotonic()))
        assert [process.exitcode for process in processes] == [0] * n_processes
    finally:
        for process in processes:
            if process.is_alive():
                process.kill()


def _start_together(barrier: Any, call: Callable[..., None], *args: Any) -> None:
    barrier.wait(100)
    call(*args)


def open_and_claim(url: str, n_slots: int) -> None:
    """Open a database that may be empty, come to the one study, take a slot of it and finish it."""
    storage = open_storage(url)
    try:
        study_id = storage.create_new_study([StudyDirection.MAXIMIZE], "study")
    except DuplicatedStudyError:  # another was first
        study_id = storage.get_study_id_from_name("study")
    slots = Slots(storage, study_id)
    slots.plan(n_slots)
    claim = slots.claim("host:1", draw)
    assert claim is not None
    slots.finish(claim, TrialState.COMPLETE, 1.0)
    storage.close()


def work(url: str, study_id: int, ledger: str) -> None:
    """Do slots until there are none, and write what was run into a file outside the database."""
    storage = open_storage(url)
    slots = Slots(storage, study_id)
    while (claim := slots.claim(f"host:{os.getpid()}", draw)) is not None:
        append(Path(ledger), "start", claim.slot.slot, claim.slot.trial)
        for step in range(2):
            slots.report(claim, step, claim.slot.slot + step / 10)
        slots.beat(claim)
        append(Path(ledger), "end", claim.slot.slot, claim.slot.trial)
        slots.finish(claim, TrialState.COMPLETE, float(claim.slot.slot))
        slots.requeue_lost(LONG_S)
        slots.requeue_strangers()
    storage.close()


def climb(url: str, study_id: int) -> None:
    """Do slots and promote the best of them, until nothing is open and nothing is promoted."""
    storage = open_storage(url)
    slots = Slots(storage, study_id)

    def is_open() -> bool:
        return count_unfinished(storage.engine, study_id) > 0

    while is_open() or slots.promote(RUNGS) or is_open():
        while (claim := slots.claim(f"host:{os.getpid()}", draw_on_rungs)) is not None:
            slots.finish(claim, TrialState.COMPLETE, value_of(claim.slot))
    storage.close()


def append(ledger: Path, event: str, slot: int, trial: int) -> None:
    """Append one line in one write, so that lines of many processes do not mix."""
    line = json.dumps({"event": event, "slot": slot, "trial": trial, "pid": os.getpid()}) + "\n"
    file = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


def read(ledger: Path) -> list[dict[str, Any]]:
    """The lines of a ledger."""
    return [json.loads(line) for line in ledger.read_text().splitlines()]
