"""Size limits for files of a user or a data set, and a check of free memory.

Real data are far below each limit. Larger files are refused with one line before they fill the
memory.
"""

import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from objectives.errors import DataError

MIB = 1 << 20

# A CSV file.
MOST_CELLS = 1_100_000  # of a row: an image of 1024x1024, the largest of `study from-images`
LONGEST_LINE = 32 * MIB  # bytes: MOST_CELLS cells of 30 characters
LONGEST_NUMBER = 128  # bytes: a double has 17 digits, and written out exactly about 60
LONGEST_TEXT = 255  # bytes of a label or a column's name, as of a folder's name
LONGEST_ID = 4096  # bytes: an id may be the path of a file
MOST_BLANK_LINES = 1 << 21  # below a table: twice the rows of an Excel sheet
MOST_ZIP_LIST = 32 * MIB  # bytes of an archive's list of members: about 300,000 members
LARGE_FILE = 1 << 30  # bytes: the first lines are checked before the whole file is hashed

# A folder of images.
MOST_IMAGE_PIXELS = 200_000_000  # the largest photos that phones take
MOST_IMAGE_BYTES = 4 * MOST_IMAGE_PIXELS  # uncompressed, with transparency
DEEPEST_FOLDERS = 64  # below the given folder: a path may have 4096 bytes
MOST_WAYS = 1000  # links to one folder: links to folders of links double with each level
MOST_ENTRIES = 5_000_000  # files and folders: ImageNet has 1.4 million; each takes 0.5 kB of memory

# Text that a person writes.
MOST_SETTINGS = 256 << 10  # bytes of --space and --params: a thousand entries take 50 kB
MOST_POINTS = 1000  # of one entry of a TOML file: dotted names take quadratic time
MOST_SOURCE = 16 * MIB  # bytes of a Python file

ROW_BYTES = 250  # memory of a row beside its pixels: label, id, digest of the image
SPARE_BYTES = 64 * MIB  # memory that the process needs to end normally

_MEMORY = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")  # of a container: its own limit


def refuse_memory(what: str, n_bytes: int) -> None:
    """Raise a `DataError` unless `n_bytes` and a reserve are free for the step named `what`."""
    left = min(_left(), default=None)
    if left is not None and left < n_bytes + SPARE_BYTES:
        needed = f"{(n_bytes + SPARE_BYTES) / MIB:,.0f} MiB"
        raise DataError(
            f"{what}: the next step needs {needed} of memory; {max(left, 0) / MIB:,.0f} MiB are "
            "left",
            "a machine or a container with more memory, or less data",
        )


def _left() -> Iterator[int]:
    """Yield the free bytes of the machine, of the container and of the process's limit."""
    with suppress(OSError, ValueError, KeyError):
        found = _numbers(_MEMORY)
        yield (found["MemAvailable:"] + found["SwapFree:"]) * 1024
    with suppress(OSError, ValueError, KeyError):  # ValueError: `max`, so no limit
        most = int((_GROUP / "memory.max").read_text())
        cached = _numbers(_GROUP / "memory.stat")
        files = cached["inactive_file"] + cached["active_file"]
        yield most - int((_GROUP / "memory.current").read_text()) + files
    with suppress(OSError, ValueError):
        most, _ = resource.getrlimit(resource.RLIMIT_AS)
        if most != resource.RLIM_INFINITY:
            taken = int(Path("/proc/self/statm").read_text().split()[0])
            yield most - taken * resource.getpagesize()


def _numbers(path: Path) -> dict[str, int]:
    """Return the second word of each line by the first."""
    words = [line.split() for line in path.read_text().splitlines()]
    return {name: int(number) for name, number, *_ in words}
