"""Paths in the work dir: the logs of a study's workers and trials, and the checkpoints.

All files of a study are below a folder named after its token, so that files of an earlier study
with the same name are never read by mistake.
"""

import hashlib
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

LONGEST, CUT = 240, 200  # bytes; file systems allow 255, and `.work` is appended


def folder_name(name: str) -> str:
    """Return the name of a single folder for `name`, which may be any text.

    Names that are safe stay. Others are escaped; long ones are cut and end with a hash.
    """
    is_plain = name.isprintable() and not name.startswith(".") and not {"/", "\\"} & set(name)
    if not (name and is_plain):
        name = quote(name, safe=" ", errors="replace").replace(".", "%2E") or "%"
    written = name.encode()
    if len(written) <= LONGEST:
        return name
    digest = hashlib.sha256(written).hexdigest()[:16]
    return f"{written[:CUT].decode(errors='ignore')}-{digest}"


@dataclass(frozen=True)
class WorkDir:
    """Paths below the folder of `--work-dir`, for the study with this token; creates nothing."""

    root: Path
    token: str

    @property
    def own(self) -> Path:
        """The folder of this study."""
        return self.root / folder_name(self.token[:12])

    @property
    def marker(self) -> Path:
        """A file that shows a worker that this is the work dir in which the study started."""
        return self.own / "marker"

    def worker_log(self, index: int) -> Path:
        """The output of a worker process of this machine between its trials."""
        return self.own / f"worker-{folder_name(socket.gethostname())}-{index}.log"

    def attempt_log(self, trial: int) -> Path:
        """The output of an attempt."""
        return self.own / "logs" / f"trial-{int(trial)}.log"

    @property
    def slots(self) -> Path:
        """The folder of all `slot_dir`s."""
        return self.own / "slots"

    def slot_dir(self, slot: int) -> Path:
        """The checkpoints of all attempts at a slot."""
        return self.slots / str(int(slot))

    def attempt_dir(self, slot: int, trial: int) -> Path:
        """The checkpoints of one attempt, which only that attempt writes."""
        return self.slot_dir(slot) / f"trial-{int(trial)}"
