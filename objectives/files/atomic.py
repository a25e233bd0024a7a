"""Write files atomically: after a crash a file is either complete or unchanged.

A file is written under a hidden name in the same folder, synced, and renamed. Then the folder is
synced, so that the rename survives power loss.
"""

import hashlib
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from objectives.errors import DataError, FileError


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a path to write to; the file there replaces `path` at the end of the block.

    The path is in the same folder, hidden, and has the same suffixes. After an error `path` is
    unchanged, and the new file is removed.
    """
    temporary = beside(path)
    try:
        yield temporary
        settle(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def beside(path: Path) -> Path:
    """Return a new hidden path in the same folder."""
    # A prefix, not a suffix: writers choose the format by the suffix.
    return path.with_name(f".{secrets.token_hex(4)}-{path.name}")


def sweep(folder: Path, names: Iterable[str]) -> None:
    """Remove unfinished files with these names; only safe if no writer is at work there."""
    begun = re.compile(rf"(\.\d+-)?\.[0-9a-f]{{8}}-({'|'.join(map(re.escape, names))})")
    for path in folder.iterdir():
        if begun.fullmatch(path.name) and not path.is_dir():
            with suppress(OSError):  # such as another user's file
                path.unlink()


def settle(temporary: Path, path: Path) -> None:
    """Move a complete file to `path`, so that it survives power loss."""
    _sync(temporary)
    os.replace(temporary, path)
    _sync(path.parent)


def write_text(path: Path, text: str) -> str:
    """Write `text` as UTF-8 to `path`, completely or not at all; return the sha256."""
    content = text.encode(errors="backslashreplace")
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def make_folder(path: Path, flag: str) -> None:
    """Create the folder that the option `flag` names, with parents; or raise `FileError`."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise FileError(f"{flag} {path}: {reason}", f"another folder for {flag}") from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def cache_root() -> Path:
    """Return $STUDY_CACHE, else $XDG_CACHE_HOME/slot-study, else ~/.cache/slot-study."""
    try:
        if own := os.environ.get("STUDY_CACHE"):
            return Path(own).expanduser().absolute()
        if shared := os.environ.get("XDG_CACHE_HOME"):
            return Path(shared).absolute() / "slot-study"
        return Path.home() / ".cache" / "slot-study"
    except RuntimeError:
        raise DataError("there is no home folder for the cache", "set STUDY_CACHE") from None
