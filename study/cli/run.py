"""What each command does. Returns exit codes; raises known failures; exits nowhere.

Imports stand inside the commands: `study --help` answers before Optuna, and `study status` before
TensorFlow, could be loaded.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from study.cli.opened import (
    _where,
    keep_to_cpu,
    open_by_url,
    settings_for,
    use_all_cores,
)
from study.machine.placing import Placing
from study.options import (
    AS_VARIABLE,
    DEFAULT_DRAIN_S,
    DEFAULT_RECYCLE_AFTER,
    DEFAULT_STORAGE,
    DEFAULT_WAIT_S,
    Budget,
    Competition,
    Data,
    DrainTimeout,
    NTrials,
    Out,
    Quick,
    Quiet,
    RecycleAfter,
    Storage,
    Study,
    Verbose,
    Wait,
    WorkDir,
    expand,
)
from study.spec.spec import Given, Told
from study.text import harmless


@expand
def run_command(
    data: Data = None,
    storage: Storage = DEFAULT_STORAGE,
    study: Study = None,
    out: Out = Path("out"),
    work_dir: WorkDir = None,
    competition: Competition = "digit-recognizer",
    finalize: Annotated[
        bool, typer.Option("--finalize", envvar="STUDY_FINALIZE", help="Then write the submission")
    ] = False,
    quick: Quick = False,
    budget_s: Budget = None,
    recycle_after: RecycleAfter = DEFAULT_RECYCLE_AFTER,
    drain_s: DrainTimeout = DEFAULT_DRAIN_S,
    wait_s: Wait = DEFAULT_WAIT_S,
    n_trials: NTrials = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    *,
    placing: Placing,
    given: Given,
) -> int:
    """Check the data, create or resume the study, work on it here, show progress."""
    from study.run.crew import Crew

    keep_to_cpu(placing)
    with Crew(study, given, n_trials, placing) as crew:
        from study.finalize.outfolder import refuse_foreign
        from study.run.create import Request, create_or_resume
        from study.run.run import run_workers
        from study.view.console import View

        use_all_cores()
        view = View(quiet=quiet, verbose=verbose)
        request = Request(storage, study, data, given, n_trials, wait_s, finalize, placing)
        opened = create_or_resume(request, view.say, crew)
        if finalize:  # said before the search, not after it
            refuse_foreign(out, opened.name)
        told = (work_dir, recycle_after, drain_s, wait_s, placing)
        settings = settings_for(opened, *told)
        crew.keep(len(crew.ready))  # on GPUs one was for the try-out alone
        ended = run_workers(opened, settings, view, finalizes=finalize, ready=crew.ready)
    if ended.was_asked:
        return ended.code
    if finalize:
        from study.cli.finish import finalize_after

        how: dict[str, Any] = {"out": out, "competition": competition, "quick": quick}
        how["settings_of"] = lambda companion: settings_for(companion, *told)
        return finalize_after(opened, ended, view, budget_s, **how)
    view.say(f"next: study {'finalize' if opened.spec.data else 'trials'} {_where(opened)}")
    return ended.code


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
    """Create the study with its slots, and start no worker."""
    from study.run.crew import Crew

    with Crew(study, given, n_trials) as crew:
        from study.run.create import Request, create_or_resume
        from study.view.console import View

        view = View(quiet=quiet)
        request = Request(storage, study, data, given, n_trials, wait_s)
        opened = create_or_resume(request, view.say, crew)
    view.say(f"next: study worker {_where(opened)}")
    return 0


@expand
def worker_command(
    storage: Storage = DEFAULT_STORAGE,
    study: Study = None,
    data: Data = None,
    work_dir: WorkDir = None,
    recycle_after: RecycleAfter = DEFAULT_RECYCLE_AFTER,
    drain_s: DrainTimeout = DEFAULT_DRAIN_S,
    wait_s: Wait = DEFAULT_WAIT_S,
    quiet: Quiet = False,
    verbose: Verbose = False,
    *,
    placing: Placing,
    told: Told,
) -> int:
    """Work on a study that is there; what run, compose and clusters start."""
    from study.run.run import run_workers
    from study.spec.open import with_code
    from study.view.console import View
    from study.worker.process import run_one

    keep_to_cpu(placing)
    opened = with_code(open_by_url(storage, study, data, wait_s), told)
    settings = settings_for(opened, work_dir, recycle_after, drain_s, wait_s, placing)
    view = View(quiet=quiet, verbose=verbose)
    if placing.workers == "1":
        return run_one(opened, settings, view)
    return run_workers(opened, settings, view).code


def copy_command(
    to: Annotated[
        str,
        typer.Option("--to", envvar="STUDY_TO", help=f"URL of the other database; {AS_VARIABLE}"),
    ],
    storage: Storage = DEFAULT_STORAGE,
    study: Study = None,
    to_study: Annotated[
        str | None,
        typer.Option("--to-study", envvar="STUDY_TO_STUDY", help="Another name over there"),
    ] = None,
) -> int:
    """Copy a study to another database, slots and all, also while workers go on with it.

    So is an SQLite file copied (--to sqlite:///copy.db): cp would miss what lies in its -wal file.
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
    params: Annotated[
        Path, typer.Option("--params", envvar="STUDY_PARAMS", help="TOML file of name = value")
    ],
    storage: Storage = DEFAULT_STORAGE,
    study: Study = None,
) -> int:
    """Put params of your own into the study, as one more slot."""
    from objectives.space.space import SearchSpace, read_toml
    from study.spec.open import refuse_companion

    opened = open_by_url(storage, study)
    refuse_companion(opened)
    checked = SearchSpace.from_json(opened.spec.space).check(read_toml(params))
    trial = opened.slots.add(checked)
    print(f"added as trial {trial}; study run or study worker runs it", file=sys.stderr)
    return 0
