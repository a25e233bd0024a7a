"""Remove the checkpoints of finished slots, and check that all workers share one work dir.

A slot's folder is removed only after its result is durable. The objective decides its content.
"""

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from optuna.trial import TrialState

from objectives.files.atomic import make_folder, write_text
from objectives.files.ownfile import open_file, open_folder
from objectives.network.train.checkpoint import UNFINISHED, latest_epoch
from storage import attrs, ends
from storage.reading import Attempt, newest_by_slot, read_attempts
from study.errors import StudyError
from study.spec.open import OpenStudy, Say
from study.spec.workdir import WorkDir
from study.view.status import find_best

logger = logging.getLogger(__name__)

MARKER_S = 2.0
LONGEST = 1000  # characters; the marker may be any file


def look_for_marker(opened: OpenStudy, work: WorkDir, say: Say) -> None:
    """Warn if this work dir is not the one that the study's first worker used.

    A worker with another folder cannot resume slots that were interrupted elsewhere.

    Raises:
        StudyError: The work dir cannot be created.
    """
    make_folder(work.root, "--work-dir")
    try:
        os.close(open_folder(work.own, 1, make=True))
    except OSError as error:
        why = f"--work-dir {work.own}: {error.strerror}"
        raise StudyError(why, "another folder for --work-dir") from error
    marker, is_first = opened.registry().claim_marker()
    if is_first:
        with contextlib.suppress(OSError):  # a full disk: the other workers will warn
            write_text(work.marker, marker)
        return
    deadline = time.monotonic() + MARKER_S
    while (found := _read(work.marker)) is None and time.monotonic() < deadline:
        time.sleep(0.05)  # the first worker is writing it
    if found != marker:
        say(
            f"{work.root} is not the work dir in which the study began: slots that were "
            "interrupted elsewhere start from the beginning here (--work-dir names another)"
        )


def _read(path: Path) -> str | None:
    try:
        with open(open_file(path, 1, os.O_RDONLY), encoding="utf-8") as file:
            return file.read(LONGEST)
    except (OSError, ValueError):
        return None


def tidy(opened: OpenStudy, work: WorkDir) -> None:
    """Remove the checkpoints of final slots, according to `--keep-checkpoints`.

    Checkpoints of failed slots stay, because `study retry` resumes from them. An error is logged,
    and does not fail the trial.
    """
    try:
        _tidy(opened, work)
    except Exception as error:
        logger.warning("checkpoints were not tidied: %s", error)


def _tidy(opened: OpenStudy, work: WorkDir) -> None:
    keep = opened.spec.keep_checkpoints
    folders = _slot_folders(work)
    if not folders or keep == "all":
        return
    newest = newest_by_slot(read_attempts(opened.storage.engine, opened.study_id))
    best = _best_slots(opened, newest) if keep == "best" else set()
    for slot, folder in folders.items():
        attempt = newest.get(slot)
        if attempt is None or not attempt.is_final:
            continue
        end = ends.end_of(attempt.user_attrs.get(attrs.REASON))
        if attempt.state == TrialState.FAIL and not end.is_final:
            continue  # may be retried
        if slot in best:
            _drop_unfinished(folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _best_slots(opened: OpenStudy, newest: Mapping[int, Attempt]) -> set[int]:
    """Return the best slot of a search; of a finalize all slots, as all networks may vote."""
    if opened.spec.refits is not None:
        return set(newest)
    best = find_best(newest.values(), opened.spec.direction)
    return set() if best is None or best.slot is None else {best.slot}


def _drop_unfinished(folder: Path) -> None:
    """Remove partial files of killed processes."""
    for path in folder.glob(f"*/*{UNFINISHED}"):
        if not path.parent.is_symlink():
            path.unlink(missing_ok=True)


def resumable(opened: OpenStudy, work: WorkDir) -> dict[int, int]:
    """Return the next epoch of each open slot that can be resumed on this machine."""
    folders = _slot_folders(work)
    if not folders:
        return {}
    newest = newest_by_slot(read_attempts(opened.storage.engine, opened.study_id))
    found = {}
    for slot, folder in sorted(folders.items()):
        epoch = latest_epoch(folder)
        if epoch is not None and slot in newest and not newest[slot].is_final:
            found[slot] = epoch + 1
    return found


def _slot_folders(work: WorkDir) -> dict[int, Path]:
    try:
        handle = open_folder(work.slots, 2)
    except OSError:  # missing, or a link, which is not followed
        return {}
    try:
        found = [work.slots / name for name in os.listdir(handle) if name.isdecimal()]
    finally:
        os.close(handle)
    return {int(path.name): path for path in found if not path.is_symlink()}
