"""Which checkpoints stay, and whether this worker sees those of others.

Decides when a slot's folder is removed: only after its result is durable. What is in the files is
the objective's.
"""

import shutil
from pathlib import Path

from objectives.checkpoint import UNFINISHED, latest_epoch
from storage.reading import newest_by_slot, read_attempts
from study.atomic import write_text
from study.opening import OpenStudy, Say
from study.status import find_best
from study.workdir import WorkDir


def look_for_marker(opened: OpenStudy, work: WorkDir, say: Say) -> bool:
    """Return whether the work dir is the one that the study began with; the first one is.

    A worker that sees another folder runs as well as any, but the slots that others were
    interrupted in start anew here, and it says so.
    """
    marker, is_first = opened.registry().claim_marker()
    if is_first:
        work.own.mkdir(parents=True, exist_ok=True)
        write_text(work.marker, marker)
        return True
    try:
        if work.marker.read_text(encoding="utf-8") == marker:
            return True
    except OSError:
        pass
    say(
        f"{work.root} is not the work dir that the study began with: slots that were interrupted "
        "elsewhere start anew here (--work-dir names another)"
    )
    return False


def tidy(opened: OpenStudy, work: WorkDir) -> None:
    """Remove the checkpoints of slots that are final, all but those that are to be kept."""
    keep = opened.spec.keep_checkpoints
    folders = _slot_folders(work)
    if not folders or keep == "all":
        return
    newest = newest_by_slot(read_attempts(opened.storage.engine, opened.study_id))
    best = find_best(newest.values(), opened.spec.direction) if keep == "best" else None
    for slot, folder in folders.items():
        attempt = newest.get(slot)
        is_best = best is not None and best.slot == slot
        if attempt is None or not attempt.is_final:
            continue
        if is_best:
            _drop_unfinished(folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _drop_unfinished(folder: Path) -> None:
    """Remove what a process that was killed while it wrote has left."""
    for path in folder.glob(f"*/*{UNFINISHED}"):
        path.unlink(missing_ok=True)


def resumable(opened: OpenStudy, work: WorkDir) -> dict[int, int]:
    """Return slot to next epoch of the slots to go that need not start anew on this machine."""
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
    if not work.slots.is_dir():
        return {}
    return {int(path.name): path for path in work.slots.iterdir() if path.name.isdigit()}
