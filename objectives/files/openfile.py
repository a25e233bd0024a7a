"""Open regular files of a user or a data set for reading; follow links, refuse pipes and devices.

A pipe without a writer would block for ever, and a device such as /dev/zero never ends.
"""

import io
import os
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from objectives.errors import DataError
from objectives.files.limits import MIB, MOST_ZIP_LIST

_KINDS = {
    stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device", stat.S_IFDIR: "a folder",
}  # fmt: skip


class RefusedFileError(OSError):
    """The file is not regular, or too large."""


def open_file(path: Path | str) -> io.BufferedReader:
    """Open a regular file for reading, without blocking; an OSError has a `strerror`."""
    _check_kind(os.stat(path))
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    file = open(handle, "rb")  # noqa: SIM115 - the caller closes it
    try:
        _check_kind(os.fstat(file.fileno()))
    except OSError:
        file.close()
        raise
    return file


def read_file(path: Path | str, most: int) -> bytes:
    """Return the content of a regular file of at most `most` bytes; raise OSError otherwise."""
    with open_file(path) as file:
        content = file.read(most + 1) if os.fstat(file.fileno()).st_size <= most else None
    if content is None or len(content) > most:
        limit = f"{most // MIB} MiB" if most >= MIB else f"{most >> 10} KiB"
        raise RefusedFileError(0, f"larger than {limit}, the most that is read")
    return content


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive; raise `BadZipFile` if it is none, damaged, or has too many members."""
    with open_file(path) as file, _Archive(file.raw) as readable:
        try:
            archive = zipfile.ZipFile(readable)
        except NotImplementedError as error:  # of a later version of the format
            raise zipfile.BadZipFile(str(error)) from None
        with archive:
            yield archive


def open_member(
    archive: zipfile.ZipFile, member: str, name: str, hint: str = "unzip it"
) -> IO[bytes]:
    """Open a member of an archive; raise a `DataError` if its compression is not supported."""
    try:
        if archive.getinfo(member).compress_type != zipfile.ZIP_LZMA:  # may ask for 4 GB of memory
            return archive.open(member)
    except NotImplementedError:
        pass
    except RuntimeError:  # `zipfile` needs a password
        raise DataError(f"{name}: encrypted with a password", hint) from None
    raise DataError(f"{name}: packed in a way that Python cannot read", hint)


class _Archive(io.BufferedReader):
    """A zip archive that refuses a huge list of members, which `zipfile` reads in one call."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MOST_ZIP_LIST:
            raise zipfile.BadZipFile(f"its list of members has {size // MIB} MiB")
        return super().read(size)


def _check_kind(found: os.stat_result) -> None:
    kind = stat.S_IFMT(found.st_mode)
    if kind != stat.S_IFREG:
        raise RefusedFileError(0, f"{_KINDS.get(kind, 'no file')}, where a file should be")
