"""Cache of checked data sets on disk: uint8 arrays that every process memory-maps.

Each data set is one folder, named after a hash of its files. The folder is written under another
name, synced and renamed, so any number of processes may write it at once. A damaged folder is
treated as missing.
"""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import time
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from objectives.data.csv.check import CsvFile, unreadable
from objectives.data.csv.competition import Competition
from objectives.errors import DataError
from objectives.files.atomic import cache_root
from objectives.files.openfile import open_file
from objectives.files.ownfile import open_regular

FORMAT = 3  # raise it when the files of a folder change, or the checks accept other data
_ARRAYS = ("images", "labels", "copies", "test_images")
_TEXTS = ("classes", "test_ids", "facts", "warnings")
_NAMES = ("id_column", "label_column", "fingerprint")
_STALE_S = 24 * 3600.0  # an unfinished folder older than this was left by a killed process
_BLOCK_BYTES = 1 << 20


def cache_key(files: Iterable[CsvFile]) -> str:
    """Return the sha256 (hex) of the files' names and bytes and of the cache's format.

    For a member of an archive, the bytes of the archive count.
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
    """Return the competition under `key`, its images memory-mapped; None if missing or damaged.

    Every byte is compared with the checksums first, through the page cache: 55 MB take 0.03 s.
    """
    folder = cache_root() / key
    try:
        with os.fdopen(open_regular(folder / "facts.json", os.O_RDONLY), "rb") as file:
            checksum, _, body = file.read().decode().partition("\n")
        if str(zlib.crc32(body.encode())) != checksum:
            return None
        facts = json.loads(body)
        checksums = facts.pop("crc32")
        arrays: dict[str, Any] = {}
        for name in _ARRAYS:
            path = folder / f"{name}.npy"
            if _crc32(path) != checksums[name]:
                return None
            arrays[name] = np.load(path, mmap_mode="r", allow_pickle=False)
        facts |= {name: tuple(facts[name]) for name in _TEXTS}
        found = Competition(**arrays, **facts)
        return found if _is_sound(found, arrays) else None
    except Exception:  # others may write there: no content of the folder may be fatal
        return None


def _is_sound(found: Competition, arrays: dict[str, Any]) -> bool:
    """Whether types, shapes and ranges are as `Competition` promises."""
    texts = [*found.classes, *found.test_ids, *found.facts, *found.warnings]
    texts += [found.id_column, found.label_column, found.fingerprint]
    n, k, side = len(found.labels), len(found.test_ids), found.images.shape[-1]
    return (
        all(isinstance(text, str) for text in texts)
        and [(array.dtype, array.shape) for array in arrays.values()] == [
            (np.uint8, (n, side, side)), (np.int64, (n,)), (np.int64, (n,)),
            (np.uint8, (k, side, side)),
        ]
        and 0 <= found.labels.min() <= found.labels.max() < len(found.classes)
        and 0 <= arrays["copies"].min() <= arrays["copies"].max() < n
    )  # fmt: skip


def store(key: str, competition: Competition) -> None:
    """Store `competition` under `key`; replace a damaged folder."""
    root = cache_root()
    fresh = root / f".new-{key[:16]}-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        for path in root.glob(".new-*"):
            with contextlib.suppress(OSError):
                if time.time() - path.lstat().st_mtime > _STALE_S:
                    _remove(path)
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
    facts = {name: getattr(competition, name) for name in (*_TEXTS, *_NAMES)} | {"crc32": {}}
    for name in _ARRAYS:
        path = folder / f"{name}.npy"
        with path.open("xb") as file:
            np.save(file, getattr(competition, name), allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        facts["crc32"][name] = _crc32(path)
    body = json.dumps(facts)
    with (folder / "facts.json").open("x", encoding="utf-8") as text:
        text.write(f"{zlib.crc32(body.encode())}\n{body}")
        text.flush()
        os.fsync(text.fileno())


def _move(fresh: Path, place: Path) -> None:
    """Rename `fresh` to `place`; if another process was first, its folder stays."""
    if os.path.lexists(place) and fetch(place.name) is None:
        aside = fresh.with_name(f"{fresh.name}-old")
        with contextlib.suppress(FileNotFoundError):
            place.rename(aside)  # existing memory maps of the old files stay valid
            _remove(aside)
    try:
        fresh.rename(place)
    except OSError:
        if fetch(place.name) is None:
            raise


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:  # `rmtree` would block on a pipe
            path.unlink()


def _crc32(path: Path) -> int:
    """Return the checksum, computed block by block to save memory."""
    checksum = 0
    with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
        while block := file.read(_BLOCK_BYTES):
            checksum = zlib.crc32(block, checksum)
    return checksum
