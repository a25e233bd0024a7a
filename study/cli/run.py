"""The commands that create studies and work on them.

Each returns an exit code and raises known failures. Imports stand inside the commands: `study
--help` must not load Optuna, nor `study status` TensorFlow.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from study.cli.look import print_json
from study.cli.opened import open_by_url, open_to_work, use_all_cores, where
from study.finalize.wanted import Wanted
from study.machine.gpus import hide_gpus
from study.options import (
    AS_VARIABLE,
    DEFAULT_STORAGE,
    DEFAULT_WAIT_S,
    Data,
    Json,
    NTrials,
    Quiet,
    Storage,
    Study,
    Wait,
    expand,
    option,
)
from study.spec.spec import Given, Told
from study.text import harmless
from study.worker.told import WorkerOptions

if TYPE_CHECKING:
    from study.spec.open import OpenStudy


@expand
def run_command(
    data: Data = None,
    storage: Storage = DEFAULT_STORAGE,
    study: Study = None,
    finalize: Annotated[bool, option("--finalize", "Then write the submission")] = False,
    n_trials: NTrials = None,
    *,
    wanted: Wanted,
    options: WorkerOptions,
    given: Given,
) -> int:
    """Check the data, create or resume the study, run workers here, show progress."""
    from study.run.prewarm import Prewarm

    if options.cpu:
        hide_gpus()
    with Prewarm(study, given, n_trials, options) as prewarm:
        from study.finalize.outfolder import refuse_foreign
        from study.run.create import Request, create_or_resume
        from study.run.run import for_one_network, half, nothing, run_workers
        from study.view.console import View

        use_all_cores()
        view = View(quiet=options.quiet, verbose=options.verbose)
        wait_s = options.wait_s
        request = Request(storage, study, data, given, n_trials, wait_s, finalize, options)
        opened = create_or_resume(request, view.say, prewarm)
        if finalize:  # fails before the search, not after it
            refuse_foreign(wanted.out, opened.name)
        reserve = (for_one_network if wanted.quick else half) if finalize else nothing
        ended = run_workers(opened, options, view, reserve=reserve, prewarm=prewarm)
    if finalize and not ended.was_asked:
        from study.finalize.finalize import finalize as finalize_study

        left_s = _time_left_s(opened)
        return finalize_study(opened, wanted, options, view, left_s=left_s) or ended.code
    if not ended.was_asked:
        view.say(f"next: study {'finalize' if opened.spec.data else 'trials'} {where(opened)}")
    return ended.code


@expand
def plan_command(
    data: Data = None,
    n_trials: NTrials = None,
    as_json: Json = False,
    *,
    options: WorkerOptions,
    given: Given,
) -> int:
    """Say what a time buys: draws, rungs, folds, networks; create nothing."""
    from study.run.prewarm import Prewarm

    with Prewarm(None, given, n_trials, options) as prewarm:
        from study.run.create import Request, what_time_buys
        from study.view.console import View

        request = Request(
            DEFAULT_STORAGE, None, data, given, n_trials, finalizes=True, placing=options
        )
        found = what_time_buys(request, View(quiet=options.quiet).say, prewarm)
    if as_json:
        print_json(found.to_json())
    else:
        print("\n".join(found.lines()))
    return 0


def _time_left_s(opened: "OpenStudy") -> float | None:
    """Return the rest of the study's timeout in s; None if it has no timeout."""
    if opened.spec.timeout_s is None:
        return None
    return max(0.0, opened.spec.timeout_s - opened.registry().look().used_s)


@expand
def create_command(
    data: Data = None,
    storage: Storage = DEFAULT_STORAGE,
    study: Study = None,
    wait_s: Wait = DEFAULT_WAIT_S,
    n_trials: NTrials = None,
    quiet: Quiet = False,
    *,
    given: Given,
) -> int:
    """Create the study with its slots; start no worker."""
    from study.run.prewarm import Prewarm

    with Prewarm(study, given, n_trials) as prewarm:
        from study.run.create import Request, create_or_resume
        from study.view.console import View

        view = View(quiet=quiet)
        request = Request(storage, study, data, given, n_trials, wait_s)
        opened = create_or_resume(request, view.say, prewarm)
    view.say(f"next: study worker {where(opened)}")
    return 0


@expand
def worker_command(
    storage: Storage = DEFAULT_STORAGE,
    study: Study = None,
    data: Data = None,
    *,
    options: WorkerOptions,
    told: Told,
) -> int:
    """Work on an existing study; run, compose and clusters start this command."""
    from study.run.run import run_workers
    from study.worker.main import run_one

    opened, view = open_to_work(storage, study, data, options, told)
    if options.workers == "1":
        return run_one(opened, options, view)
    return run_workers(opened, options, view).code


def copy_command(
    to: Annotated[
        str,
        option("--to", f"URL of the other database; {AS_VARIABLE}"),
    ],
    storage: Storage = DEFAULT_STORAGE,
    study: Study = None,
    to_study: Annotated[
        str | None,
        option("--to-study", "Another name in the other database"),
    ] = None,
) -> int:
    """Copy a study with all slots to another database, also while workers run.

    Use it for SQLite files, too (--to sqlite:///copy.db): cp would miss the data in the -wal file.
    """
    from storage.copying import copy_study
    from storage.rdb import open_storage
    from study.spec.open import find_study
    from study.spec.spec import check_name

    if to_study is not None:
        check_name(to_study, "--to-study")
    source = open_storage(storage, create=False)
    _, name = find_study(source, study)
    n_trials = copy_study(source, open_storage(to), name, to_study)
    print(f"copied '{harmless(name)}': {n_trials} trials", file=sys.stderr)
    return 0


def add_command(
    params: Annotated[Path, option("--params", "TOML file of name = value")],
    storage: Storage = DEFAULT_STORAGE,
    study: Study = None,
) -> int:
    """Add params of your own to the study, as one more slot."""
    from objectives.space.space import SearchSpace, read_toml
    from study.spec.open import refuse_companion

    opened = open_by_url(storage, study)
    refuse_companion(opened)
    checked = SearchSpace.from_json(opened.spec.space).check(read_toml(params))
    trial = opened.slots.add(checked)
    print(f"added as trial {trial}; study run or study worker runs it", file=sys.stderr)
    return 0
