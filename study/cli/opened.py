"""What several commands do first: open the study, and settle what its workers are told."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from study.machine.gpus import hide_gpus
from study.machine.placing import Placing

if TYPE_CHECKING:
    from study.spec.open import OpenStudy
    from study.worker.told import Settings


def keep_to_cpu(placing: Placing) -> None:
    """Heed `--cpu`, before anything is detected or loaded."""
    if placing.cpu:
        hide_gpus()


def use_all_cores() -> None:
    """Let this process, which looks after workers, predict on all cores of the machine."""
    from objectives.framework.runtime import overlap_ops
    from study.machine.shares import n_cores

    overlap_ops(n_cores())


def settings_for(
    opened: "OpenStudy",
    work_dir: Path | None,
    recycle_after: int,
    drain_s: float,
    wait_s: float,
    placing: Placing,
) -> "Settings":
    from study.errors import StudyError
    from study.worker.told import Settings

    if "\0" in opened.name:
        raise StudyError(
            f"study {opened.name!r} has a name that no worker's command line can hold",
            "rename it in the dashboard: study dashboard --allow-writes",
        )
    return Settings(opened.work_dir(work_dir), recycle_after, drain_s, wait_s, placing)


def _where(opened: "OpenStudy") -> str:
    from storage.database.password import redact

    shown = redact(opened.storage.url)
    # A URL with a password is not printed, and without it would not work.
    words = ["--study", opened.name, *([] if "***" in shown else ["--storage", shown])]
    return shlex.join(words)


def open_by_url(
    storage: str, study: str | None, data: Path | None = None, wait_s: float = 30.0
) -> "OpenStudy":
    from storage.rdb import open_storage
    from study.spec.open import open_study

    return open_study(open_storage(storage, create=False, wait_s=wait_s), study, data)
