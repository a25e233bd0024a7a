"""The output folder of a finalize: which study owns it, and a lock for one command at a time.

The lock is a file in the folder, so that containers and the host see the same one. It dies with its
process. What the outputs are is `outputs.py`'s.
"""

import contextlib
import errno
import fcntl
import json
import os
import shlex
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from objectives.files.atomic import make_folder, sweep
from objectives.files.ownfile import open_regular
from study.errors import StudyError
from study.machine.forks import close_withheld, withhold
from study.machine.locks import Holder, read_holder
from study.spec.workdir import folder_name

if TYPE_CHECKING:
    from study.spec.open import Say

MANIFEST = "manifest.json"
NAMES = ("submission.csv", "model.keras", "model_card.md", "report.html", MANIFEST)
LOCK = ".slot-study.lock"
POLL_S = 0.2
LARGEST = 64 << 20  # bytes of a manifest; ours are some KB


def read_manifest(out: Path) -> dict[str, Any]:
    """Return the manifest in a folder, whatever the files are; empty where there is none."""
    path = out / MANIFEST
    try:
        if not path.is_file() or path.stat().st_size > LARGEST:
            return {}
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def refuse_foreign(out: Path, study: str) -> None:
    """Refuse a folder where the outputs of another study lie.

    Raises:
        StudyError: They do.
    """
    name = read_manifest(out).get("study")
    if isinstance(name, str) and name != study:
        raise StudyError(f"{out} holds the outputs of study '{name}'", _elsewhere(out, study))


@contextlib.contextmanager
def sole_writer(out: Path, study: str, say: "Say", *, waits: bool) -> Iterator[None]:
    """Make the folder and be the only one who writes into it, in the block.

    What a killed writer has left of files that it had begun is removed.

    Args:
        out: The folder.
        study: The name of the study whose outputs are written.
        say: Is told what is waited for.
        waits: Whether to wait for another command of this study. One of another study never.

    Raises:
        StudyError: Another command writes there, or outputs of another study lie there.
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
        refuse_foreign(out, study)  # it may be another study's since
        if handle is not None:
            sweep(out, NAMES)  # of a dead writer: a living one would have the lock
        yield
    finally:
        if handle is not None:
            with contextlib.suppress(OSError):
                (out / LOCK).unlink()
            close_withheld(handle)


def _locked(out: Path, study: str, say: "Say", *, waits: bool) -> int | None:
    """Return the descriptor that has the lock; None where the file system has no locks."""
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
            os.close(handle)  # of the writer before, who has removed it
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
