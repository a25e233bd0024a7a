"""The output folder of a finalize: which study owns it, and a lock for one command at a time.

The lock is a file in the folder, so containers and the host share it. It dies with its process.
"""

import contextlib
import errno
import fcntl
import json
import os
import shlex
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from objectives.files.atomic import make_folder, sweep
from objectives.files.ownfile import open_regular
from study.errors import StudyError
from study.machine.forks import close_withheld, withhold
from study.machine.locks import Holder, read_holder
from study.spec.workdir import folder_name

Say = Callable[[str], None]
MANIFEST = "manifest.json"
NAMES = ("submission.csv", "model.keras", "model_card.md", "report.html", MANIFEST)
LOCK = ".slot-study.lock"
POLL_S = 0.2
LARGEST = 64 << 20  # bytes of a manifest; usual ones have some KB


def read_manifest(out: Path) -> dict[str, Any]:
    """Return the manifest in a folder; empty if it is missing or invalid."""
    path = out / MANIFEST
    try:
        if not path.is_file() or path.stat().st_size > LARGEST:
            return {}
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def refuse_foreign(out: Path, study: str) -> None:
    """Raise a `StudyError` if the folder holds the outputs of another study."""
    name = read_manifest(out).get("study")
    if isinstance(name, str) and name != study:
        raise StudyError(f"{out} holds the outputs of study '{name}'", _elsewhere(out, study))


@contextlib.contextmanager
def sole_writer(out: Path, study: str, say: Say, *, waits: bool) -> Iterator[None]:
    """Create the folder, and hold its lock in the block.

    Removes the unfinished files of killed writers.

    Args:
        out: The folder.
        study: The name of the study whose outputs are written.
        say: Called with a line that names the command to wait for.
        waits: Whether to wait for another command of the same study.

    Raises:
        StudyError: Another command writes there, or the folder has outputs of another study.
    """
    make_folder(out, "--out")
    refuse_foreign(out, study)
    try:
        handle = _locked(out, study, say, waits=waits)
    except OSError as error:
        reason = error.strerror or error
        hint = "name another folder: --out DIR"
        if isinstance(error, PermissionError) and os.path.lexists(out / LOCK):
            hint = f"another user finalizes here, or did: remove the file then, or {hint}"
        raise StudyError(f"cannot write {out / LOCK}: {reason}", hint) from error
    try:
        refuse_foreign(out, study)  # another study may have written meanwhile
        if handle is not None:
            sweep(out, NAMES)  # of a dead writer: a living writer would hold the lock
        yield
    finally:
        if handle is not None:
            with contextlib.suppress(OSError):
                (out / LOCK).unlink()
            close_withheld(handle)


def _locked(out: Path, study: str, say: Say, *, waits: bool) -> int | None:
    """Return the descriptor with the lock; None if the file system has no locks."""
    is_said = False
    while True:
        handle = open_regular(out / LOCK, os.O_RDWR | os.O_CREAT, mode=0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_there(out / LOCK, handle):
                if os.fstat(handle).st_nlink > 1:
                    raise OSError("it is a hard link to another file")
                withhold(handle)
                os.ftruncate(handle, 0)
                os.pwrite(handle, json.dumps(asdict(Holder.here("", study))).encode(), 0)
                return handle
            os.close(handle)  # the previous writer has removed this file
        except BlockingIOError:
            holder = read_holder(handle)
            os.close(handle)
            what = f"a command of study '{holder.study}' ({holder.who}) writes into {out}"
            if not waits or holder.study not in (study, Holder.study):
                raise StudyError(what, f"wait for its end, or {_elsewhere(out, study)}") from None
            if not is_said:
                is_said = True
                say(f"waiting: {what}")
            time.sleep(POLL_S)
        except OSError as error:
            os.close(handle)
            if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
            (out / LOCK).unlink(missing_ok=True)
            say(f"the file system of {out} has no locks: let one command at a time write there")
            return None


def _is_there(path: Path, handle: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(path.lstat(), os.fstat(handle))
    return False


def _elsewhere(out: Path, study: str) -> str:
    return f"--out {shlex.quote(str(out / folder_name(study)))}"
