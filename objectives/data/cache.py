"""Checked competitions as uint8 arrays on disk, one folder each, memory-mapped by every process.

Decides where the cache lies, what its key is, and how a folder gets there whole: it is written
beside its place, synced and renamed, so that any number of processes may do it at once. A folder
that is not what was written is as good as none. Nothing is ever taken from it but by its key.
"""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import stat
import time
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from objectives.data.csv.check import CsvFile, unreadable
from objectives.data.csv.competition import Competition
from objectives.errors import DataError
from objectives.files.atomic import cache_root
from objectives.files.openfile import open_file

FORMAT = 3  # raise it when the files of a folder, or what the checks let pass, change
_ARRAYS = ("images", "labels", "copies", "test_images")
_TEXTS = ("classes", "test_ids", "facts", "warnings")
_FACTS = (*_TEXTS, "id_column", "label_column", "fingerprint")
_STALE_S = 24 * 3600.0  # an unfinished folder older than this was left by a killed process
_BLOCK_BYTES = 1 << 20


def cache_key(files: Iterable[CsvFile]) -> str:
    """Return the sha256 (hex) of the files' names and bytes and of the cache's format.

    Of a member of an archive it is that of the archive.

    Raises:
        DataError: A file cannot be read.
    """
    digest = hashlib.sha256(f"format {FORMAT}".encode())
    contents: dict[Path, str] = {}
    for file in files:
        try:
            if file.path not in contents:
                with open_file(file.path) as opened:
                    contents[file.path] = hashlib.file_digest(opened, "sha256").hexdigest()
        except OSError as error:
            raise unreadable(file.path, error) from None
        digest.update(f"\n{file.name} {contents[file.path]}".encode())
    return digest.hexdigest()


def fetch(key: str) -> Competition | None:
    """Return what is stored under `key`, its images memory-mapped; None where nothing sound is.

    Every byte is compared with the checksums first, through the page cache: 55 MB take 0.03 s.
    """
    folder = cache_root() / key
    try:
        facts = _read_facts(folder / "facts.json")
        checksums = facts.pop("crc32")
        if any(_crc32(folder / f"{name}.npy") != checksums[name] for name in _ARRAYS):
            return None
        arrays: dict[str, Any] = {name: _mapped(folder / f"{name}.npy") for name in _ARRAYS}
        facts |= {name: tuple(facts[name]) for name in _TEXTS}
        found = Competition(**arrays, **facts)
        return found if _is_sound(found) else None
    except Exception:  # others may write there: whatever it is, it is no reason to fail
        return None


def _is_sound(found: Competition) -> bool:
    """Whether types, shapes and ranges are those that `Competition` promises."""
    texts = [*found.classes, *found.test_ids, *found.facts, *found.warnings]
    texts += [found.id_column, found.label_column, found.fingerprint]
    n, k, side = len(found.labels), len(found.test_ids), found.images.shape[-1]
    forms = [(a.dtype, a.shape) for a in (getattr(found, name) for name in _ARRAYS)]
    return (
        all(isinstance(text, str) for text in texts)
        and forms == [
            (np.uint8, (n, side, side)), (np.int64, (n,)), (np.int64, (n,)),
            (np.uint8, (k, side, side)),
        ]
        and 0 <= found.labels.min() <= found.labels.max() < len(found.classes)
        and 0 <= found.copies.min() <= found.copies.max() < n
    )  # fmt: skip


def store(key: str, competition: Competition) -> None:
    """Put `competition` under `key`, in the place of whatever unsound thing is there.

    Raises:
        DataError: The cache folder cannot be written.
    """
    root = cache_root()
    fresh = root / f".new-{key[:16]}-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        _remove_stale(root)
        fresh.mkdir()
        _write(fresh, competition)
        _move(fresh, root / key)
    except OSError as error:
        raise DataError(
            f"cannot write the cache folder {root}: {error.strerror or 'no room for the images'}",
            hint="set STUDY_CACHE to a folder that you can write, with room for the images",
        ) from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _write(folder: Path, competition: Competition) -> None:
    checksums = {}
    for name in _ARRAYS:
        path = folder / f"{name}.npy"
        with path.open("xb") as file:
            np.save(file, getattr(competition, name), allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        checksums[name] = _crc32(path)
    facts = {name: getattr(competition, name) for name in _FACTS} | {"crc32": checksums}
    body = json.dumps(facts)
    with (folder / "facts.json").open("x", encoding="utf-8") as file:
        file.write(f"{zlib.crc32(body.encode())}\n{body}")
        file.flush()
        os.fsync(file.fileno())


def _move(fresh: Path, place: Path) -> None:
    """Rename `fresh` to `place`; where another process was first, its folder stays."""
    if os.path.lexists(place) and fetch(place.name) is None:
        aside = fresh.with_name(f"{fresh.name}-old")
        with contextlib.suppress(FileNotFoundError):
            place.rename(aside)  # maps of the old files live on until they are closed
            _remove(aside)
    try:
        fresh.rename(place)
    except OSError:
        if fetch(place.name) is None:
            raise


def _remove_stale(root: Path) -> None:
    for path in root.glob(".new-*"):
        with contextlib.suppress(OSError):
            if time.time() - path.lstat().st_mtime > _STALE_S:
                _remove(path)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:  # whatever somebody has put there: `rmtree` would wait at a pipe
            path.unlink()


def _read_facts(path: Path) -> dict[str, Any]:
    with _opened(path) as file:
        checksum, _, body = file.read().decode().partition("\n")
    if str(zlib.crc32(body.encode())) != checksum:
        raise ValueError(f"{path}: not what was written")
    facts: dict[str, Any] = json.loads(body)
    return facts


def _opened(path: Path) -> BinaryIO:
    """Open a file of the cache, and nothing that never ends or leads elsewhere."""
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise ValueError(f"{path}: not a file")
    return file


def _crc32(path: Path) -> int:
    """Return the checksum, read block by block so that it costs no memory of our own."""
    checksum = 0
    with _opened(path) as file:
        while block := file.read(_BLOCK_BYTES):
            checksum = zlib.crc32(block, checksum)
    return checksum


def _mapped(path: Path) -> NDArray[Any]:
    array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array
