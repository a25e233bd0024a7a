"""Files that are there as a whole or not at all, whatever happens while they are written.

A file is written beside its place under a hidden name, synced and moved over it; then the folder is
synced, so that the move survives power loss too. What is in the file is its writer's matter.
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
    """Yield a path to write to; it takes the place of `path` when the block ends without an error.

    After an error `path` is as it was, and the file that was begun is gone.

    Args:
        path: The file to make or replace. Its folder must exist.

    Yields:
        A path in the same folder, hidden and with the same suffixes, at which nothing is yet.

    Raises:
        OSError: The block wrote no file, or it cannot be moved into place.
    """
    temporary = beside(path)
    try:
        yield temporary
        settle(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def beside(path: Path) -> Path:
    """Return a hidden path in the same folder, at which nothing is yet."""
    # Before the name, not after it: writers choose the format by the suffix.
    return path.with_name(f".{secrets.token_hex(4)}-{path.name}")


def sweep(folder: Path, names: Iterable[str]) -> None:
    """Remove what dead writers of files of these names have left; no living one may be there."""
    begun = re.compile(rf"(\.\d+-)?\.[0-9a-f]{{8}}-({'|'.join(map(re.escape, names))})")
    for path in folder.iterdir():
        if begun.fullmatch(path.name) and not path.is_dir():
            with suppress(OSError):  # another user's, say
                path.unlink()


def settle(temporary: Path, path: Path) -> None:
    """Move a file that is written over `path`, so that it survives power loss.

    Raises:
        OSError: It is not there, or cannot be moved.
    """
    _sync(temporary)
    os.replace(temporary, path)
    _sync(path.parent)


def write_text(path: Path, text: str) -> str:
    """Write `text` as UTF-8, line ends as they are, to `path` as a whole or not at all.

    Returns:
        The sha256 of it.

    Raises:
        OSError: The file cannot be written.
    """
    with atomic_path(path) as temporary:
        content = text.encode(errors="backslashreplace")
        temporary.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def make_folder(path: Path, flag: str) -> None:
    """Make a folder that an option names, and those above it.

    Raises:
        FileError: It cannot be made; the option is named.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise FileError(f"{flag} {path}: {reason}", f"another folder for {flag}") from error


def _sync(path: Path) -> None:
    """Flush a file or a folder to the disk."""
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
