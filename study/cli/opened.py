"""What several commands do first: open the study, and read what it is defined by."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from study.options import Defining, Naming, key_values

if TYPE_CHECKING:
    from study.spec.code import Told
    from study.spec.open import OpenStudy
    from study.spec.spec import Given


def use_all_cores() -> None:
    """Let this process, a supervisor, predict on all cores of the machine."""
    from objectives.framework.runtime import overlap_ops
    from study.machine.placing import n_cores

    overlap_ops(n_cores())


def where(opened: "OpenStudy") -> str:
    """Return the options that name a study, for a command that a user may copy."""
    from storage.database.password import redact

    shown = redact(opened.storage.url)
    # A URL with a password is not printed, and would not work without it.
    words = ["--study", opened.name, *([] if "***" in shown else ["--storage", shown])]
    return shlex.join(words)


def open_by_url(
    storage: str, study: str | None, data: Path | None = None, wait_s: float = 30.0
) -> "OpenStudy":
    from storage.rdb import open_storage
    from study.spec.open import open_study

    return open_study(open_storage(storage, create=False, wait_s=wait_s), study, data)


def told_by(naming: Naming) -> "Told":
    from study.spec.code import Told

    return Told(naming.objective, naming.model, key_values(naming.objective_option))


def given_by(defining: Defining) -> "Given":
    from objectives.space.space import read_toml
    from study.spec.spec import Given

    return Given(
        objective=defining.objective,
        model=defining.model,
        options=key_values(defining.objective_option),
        space=None if defining.space is None else read_toml(defining.space),
        seed=defining.seed,
        epochs=defining.epochs,
        precision=defining.precision,
        threads=defining.threads,
        deterministic=False if defining.no_deterministic else None,
        sampler=defining.sampler,
        pruner=defining.pruner,
        timeout_s=defining.timeout_s,
        grace_s=defining.grace_s,
        heartbeat_s=defining.heartbeat_s,
        max_attempts=defining.max_attempts,
        trial_timeout_s=defining.trial_timeout_s,
        checkpoint_every=defining.checkpoint_every,
        keep_checkpoints=defining.keep_checkpoints,
        metric=defining.metric,
    )
