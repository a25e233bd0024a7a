"""The commands that change a study: stop, pause, resume, retry, delete.

Imports stand inside the commands, so that `study --help` stays quick.
"""

import shlex
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from study.cli.opened import open_by_url
from study.errors import StudyError
from study.options import DEFAULT_STORAGE, Storage, Study, Yes, option
from study.text import counted, harmless

if TYPE_CHECKING:
    from storage.rdb import SlotStorage


def stop_command(
    storage: Storage = DEFAULT_STORAGE,
    study: Study = None,
    now: Annotated[bool, option("--now", "Do not wait for the end of epochs")] = False,
) -> int:
    """Ask all workers, on any machine, to save, release and exit; run or worker goes on."""
    from study.spec.orders import stop

    opened = open_by_url(storage, study)
    asked = counted(stop(opened, now=now), "worker")
    return _say(f"asked {asked} of '{harmless(opened.name)}' to stop")


def pause_command(storage: Storage = DEFAULT_STORAGE, study: Study = None) -> int:
    """Let workers finish their trials and then wait for study resume."""
    from study.spec.orders import pause

    opened = open_by_url(storage, study)
    pause(opened, paused=True)
    return _say(f"paused '{harmless(opened.name)}'; study resume lets it go on")


def resume_command(storage: Storage = DEFAULT_STORAGE, study: Study = None) -> int:
    """Let the workers of a paused study claim trials again."""
    from study.spec.orders import pause

    opened = open_by_url(storage, study)
    pause(opened, paused=False)
    return _say(f"'{harmless(opened.name)}' goes on")


def retry_command(
    trial: Annotated[
        str | None, typer.Argument(help="Number of a failed trial, or slot:NUMBER")
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
    study: Study = None,
    failed: Annotated[bool, option("--failed", "All failed trials except infeasible ones")] = False,
) -> int:
    """Open the slot of a failed trial again, or of all failed trials."""
    from study.spec.orders import retry_failed, retry_trial

    if (trial is None) == (not failed):
        raise typer.BadParameter("name a trial, or give --failed")
    opened = open_by_url(storage, study)
    new = retry_failed(opened) if trial is None else [retry_trial(opened, trial)]
    slots = "1 slot is" if len(new) == 1 else f"{len(new)} slots are"
    return _say(f"{slots} open again; study run or study worker runs them")


def delete_command(
    storage: Storage = DEFAULT_STORAGE,
    study: Study = None,
    yes: Yes = False,
    force: Annotated[bool, option("--force", "Also while workers run")] = False,
) -> int:
    """Delete a study and its trials; data, outputs and logs stay."""
    from storage import attrs
    from storage.rdb import open_storage
    from study.spec.open import find_study, study_names
    from study.spec.spec import COMPANION

    opened = open_storage(storage, create=False)
    study_id, name = find_study(opened, study)
    doomed = [study_id]
    if name + COMPANION in study_names(opened):
        companion_id = opened.get_study_id_from_name(name + COMPANION)
        spec = opened.get_study_user_attrs(companion_id).get(attrs.SPEC)
        if isinstance(spec, dict) and spec.get("refits") == name:  # useless without its search
            doomed.append(companion_id)
    n_workers = sum(_n_at_work(opened, one) for one in doomed)
    if n_workers and not force:
        raise StudyError(
            f"study '{name}' has {counted(n_workers, 'worker')} at work",
            f"study stop --study {shlex.quote(name)}",
        )
    n_trials = sum(opened.get_n_trials(one) for one in doomed)
    if not yes:
        typer.confirm(f"delete study '{harmless(name)}' and its {n_trials} trials?", abort=True)
    for one in doomed[::-1]:
        opened.delete_study(one)
    return _say(f"deleted '{harmless(name)}' ({n_trials} trials)")


def _say(line: str) -> int:
    print(line, file=sys.stderr)
    return 0


def _n_at_work(opened: "SlotStorage", study_id: int) -> int:
    from storage import attrs
    from storage.registry import Registry
    from study.spec.spec import StudySpec

    spec = opened.get_study_user_attrs(study_id).get(attrs.SPEC)
    found = attrs.number(spec.get("grace_s")) if isinstance(spec, dict) else None
    grace_s = StudySpec.grace_s if found is None else found
    workers = Registry(opened, study_id, grace_s=grace_s).workers()
    return sum(worker.seen_s <= grace_s for worker in workers)
