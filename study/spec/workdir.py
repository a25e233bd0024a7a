"""The work dir of a study: where its workers' logs and its trials' checkpoints lie.

Decides the paths and nothing else. What belongs to one study stands below a folder called after
the study's token, so that a work dir that an earlier study of the same name has left is no danger.
"""

import hashlib
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

LONGEST, CUT = 240, 200  # bytes; file systems end names at 255, and `.work` comes behind


def folder_name(name: str) -> str:
    """Return `name` as that of one folder below another, whoever wrote it into the database.

    The names of our own studies are folders' names already, and stay. Others are escaped; long ones
    are cut, and end with a hash of the whole.
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
    """Paths below a work dir; nothing is made by asking for one.

    Attributes:
        root: The folder that `--work-dir` names.
        token: Of the study; random, made with it.
    """

    root: Path
    token: str

    @property
    def own(self) -> Path:
        """What belongs to this study alone."""
        return self.root / folder_name(self.token[:12])

    @property
    def marker(self) -> Path:
        """A file that is there for whoever sees the work dir that the study began with."""
        return self.own / "marker"

    def worker_log(self, index: int) -> Path:
        """What a worker process of this machine prints between its trials."""
        return self.own / f"worker-{folder_name(socket.gethostname())}-{index}.log"

    def attempt_log(self, trial: int) -> Path:
        """What an attempt prints."""
        return self.own / "logs" / f"trial-{int(trial)}.log"

    @property
    def slots(self) -> Path:
        """The folder whose folders are `slot_dir`s."""
        return self.own / "slots"

    def slot_dir(self, slot: int) -> Path:
        """The checkpoints of all attempts at a slot."""
        return self.slots / str(int(slot))

    def attempt_dir(self, slot: int, trial: int) -> Path:
        """The checkpoints of one attempt, which nobody else writes."""
        return self.slot_dir(slot) / f"trial-{int(trial)}"
