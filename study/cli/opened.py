"""Opens the study that a command's options name; shared by several commands."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from study.machine.gpus import hide_gpus
from study.spec.spec import Told
from study.worker.told import WorkerOptions

if TYPE_CHECKING:
    from study.spec.open import OpenStudy
    from study.view.console import View


def use_all_cores() -> None:
    """Let this process, a supervisor, predict on all cores that it may use."""
    from objectives.framework.runtime import overlap_ops
    from study.machine.placing import n_cores

    overlap_ops(n_cores())


def where(opened: "OpenStudy") -> str:
    """Return the options that name a study, for a command in a hint."""
    from storage.database.password import redact

    shown = redact(opened.storage.url)
    # A URL with a password is left out: it must not be printed, and is useless without it.
    words = ["--study", opened.name, *([] if "***" in shown else ["--storage", shown])]
    return shlex.join(words)


def open_by_url(
    storage: str, study: str | None, data: Path | None = None, wait_s: float = 30.0
) -> "OpenStudy":
    from storage.rdb import open_storage
    from study.spec.open import open_study

    return open_study(open_storage(storage, create=False, wait_s=wait_s), study, data)


def open_to_work(
    storage: str, study: str | None, data: Path | None, options: WorkerOptions, told: Told
) -> "tuple[OpenStudy, View]":
    """Open a study to work on, with the user's code; return the command's view, too."""
    from study.spec.open import with_code
    from study.view.console import View

    if options.cpu:  # before devices are detected or a framework is loaded
        hide_gpus()
    opened = with_code(open_by_url(storage, study, data, options.wait_s), told)
    return opened, View(quiet=options.quiet, verbose=options.verbose)
