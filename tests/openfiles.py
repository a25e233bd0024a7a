"""Which files this process has open."""

import os
from contextlib import suppress
from pathlib import Path


def open_below(folder: Path) -> list[str]:
    """The files below a folder that this process has open; a deleted one has its last name."""
    found = []
    for handle in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # closed meanwhile, as the one of this listing
            found.append(os.readlink(f"/proc/self/fd/{handle}"))
    return [file for file in found if file.startswith(f"{folder}/")]
