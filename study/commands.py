"""What each command does. Returns exit codes; raises known failures; exits nowhere.

Imports stand inside the commands: `study --help` answers before Optuna, and `study status` before
TensorFlow, could be loaded.
"""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from study.gpu import hide_gpus
from study.harmless import harmless
from study.options import (
    AS_VARIABLE,
    DEFAULT_DRAIN_S,
    DEFAULT_RECYCLE_AFTER,
    DEFAULT_STORAGE,
    DEFAULT_WAIT_S,
    Budget,
    Competition,
    Data,
    Defining,
    DrainTimeout,
    Naming,
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
    key_values,
)
from study.placing import Placing

if TYPE_CHECKING:
    from study.child import Settings
    from study.code import Told
    from study.opening import OpenStudy
    from study.spec import Given


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
    quiet: Quiet = False,
    verbose: Verbose = False,
    *,
    placing: Placing,
    defining: Defining,
) -> int:
    """Check the data, create or resume the study, work on it here, show progress."""
    from study.crew import Crew

    keep_to_cpu(placing)
    with Crew(study, defining, defining.n_trials, placing) as crew:
        from study.creating import create_or_resume
        from study.outfolder import refuse_foreign
        from study.running import View, run_workers

        use_all_cores()
        view = View(quiet=quiet, verbose=verbose)
        opened = create_or_resume(
            storage,
            study,
            data,
            defining.n_trials,
            given_by(defining),
            view.say,
            wait_s=wait_s,
            finalizes=finalize,
            placing=placing,
            crew=crew,
        )
        if finalize:  # said before the search, not after it
            refuse_foreign(out, opened.name)
        told = (work_dir, recycle_after, drain_s, wait_s, placing)
        settings = settings_for(opened, *told)
        crew.keep(len(crew.ready))  # on GPUs one was for the try-out alone
        ended = run_workers(opened, settings, view, finalizes=finalize, ready=crew.ready)
    if ended.was_asked:
        return ended.code
    if finalize:
        from study.finishing import finalize_after

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
    quiet: Quiet = False,
    *,
    defining: Defining,
) -> int:
    """Create the study with its slots, and start no worker."""
    from study.crew import Crew

    with Crew(study, defining, defining.n_trials) as crew:
        from study.creating import create_or_resume
        from study.running import View

        view = View(quiet=quiet)
        opened = create_or_resume(
            storage,
            study,
            data,
            defining.n_trials,
            given_by(defining),
            view.say,
            wait_s=wait_s,
            crew=crew,
        )
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
    naming: Naming,
) -> int:
    """Work on a study that is there; what run, compose and clusters start."""
    from study.opening import with_code
    from study.running import View, run_workers
    from study.working import run_one

    keep_to_cpu(placing)
    opened = with_code(open_by_url(storage, study, data, wait_s), told_by(naming))
    settings = settings_for(opened, work_dir, recycle_after, drain_s, wait_s, placing)
    view = View(quiet=quiet, verbose=verbose)
    if placing.workers == "1":
        return run_one(opened, settings, view)
    return run_workers(opened, settings, view).code


def keep_to_cpu(placing: Placing) -> None:
    """Heed `--cpu`, before anything is detected or loaded."""
    if placing.cpu:
        hide_gpus()


def use_all_cores() -> None:
    """Let this process, which looks after workers, predict on all cores of the machine."""
    from objectives.runtime import overlap_ops
    from study.staff import n_cores

    overlap_ops(n_cores())


def settings_for(
    opened: "OpenStudy",
    work_dir: Path | None,
    recycle_after: int,
    drain_s: float,
    wait_s: float,
    placing: Placing,
) -> "Settings":
    from study.child import Settings
    from study.errors import StudyError

    if "\0" in opened.name:
        raise StudyError(
            f"study {opened.name!r} has a name that no worker's command line can hold",
            "rename it in the dashboard: study dashboard --allow-writes",
        )
    return Settings(opened.work_dir(work_dir), recycle_after, drain_s, wait_s, placing)


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
    from study.opening import find_study
    from study.spec import check_name

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
    from objectives.space import SearchSpace, read_toml
    from study.opening import refuse_companion

    opened = open_by_url(storage, study)
    refuse_companion(opened)
    checked = SearchSpace.from_json(opened.spec.space).check(read_toml(params))
    trial = opened.slots.add(checked)
    print(f"added as trial {trial}; study run or study worker runs it", file=sys.stderr)
    return 0


def _where(opened: "OpenStudy") -> str:
    from storage.password import redact

    shown = redact(opened.storage.url)
    # A URL with a password is not printed, and without it would not work.
    words = ["--study", opened.name, *([] if "***" in shown else ["--storage", shown])]
    return shlex.join(words)


def open_by_url(
    storage: str, study: str | None, data: Path | None = None, wait_s: float = 30.0
) -> "OpenStudy":
    from storage.rdb import open_storage
    from study.opening import open_study

    return open_study(open_storage(storage, create=False, wait_s=wait_s), study, data)


def told_by(naming: Naming) -> "Told":
    from study.code import Told

    return Told(naming.objective, naming.model, key_values(naming.objective_option))


def given_by(defining: Defining) -> "Given":
    from objectives.space import read_toml
    from study.spec import Given

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
