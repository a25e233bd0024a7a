"""What the commands at the end of a study do.

Imports stand inside the commands, so that `study --help` stays quick.
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.cli.opened import keep_to_cpu, open_by_url, settings_for, use_all_cores
from study.machine.placing import Placing
from study.options import (
    DEFAULT_DRAIN_S,
    DEFAULT_RECYCLE_AFTER,
    DEFAULT_STORAGE,
    DEFAULT_WAIT_S,
    Budget,
    Competition,
    Data,
    DrainTimeout,
    Ensemble,
    Folds,
    Longer,
    Out,
    Quick,
    Quiet,
    RecycleAfter,
    Repeats,
    Seeds,
    Storage,
    Study,
    TopK,
    Verbose,
    Wait,
    WorkDir,
    expand,
)
from study.spec.spec import Told
from study.text import harmless

if TYPE_CHECKING:
    from study.report.evidence import Evidence
    from study.run.run import Ended
    from study.spec.open import OpenStudy
    from study.view.console import View
    from study.worker.told import Settings


@expand
def finalize_command(
    storage: Storage = DEFAULT_STORAGE,
    study: Study = None,
    data: Data = None,
    out: Out = Path("out"),
    quick: Quick = False,
    budget_s: Budget = None,
    work_dir: WorkDir = None,
    competition: Competition = "digit-recognizer",
    top_k: TopK = None,
    folds: Folds = None,
    repeats: Repeats = None,
    longer: Longer = None,
    seeds: Seeds = None,
    ensemble: Ensemble = None,
    recycle_after: RecycleAfter = DEFAULT_RECYCLE_AFTER,
    drain_s: DrainTimeout = DEFAULT_DRAIN_S,
    wait_s: Wait = DEFAULT_WAIT_S,
    quiet: Quiet = False,
    verbose: Verbose = False,
    *,
    placing: Placing,
    told: Told,
) -> int:
    """Write submission.csv and model.keras: of the best trial first, then better ones."""
    from study.finalize.finalize import Wanted, finalize
    from study.spec.open import with_code
    from study.view.console import View

    keep_to_cpu(placing)
    use_all_cores()
    opened = with_code(open_by_url(storage, study, data, wait_s), told)
    wanted = Wanted(
        out=out,
        settings_of=partial(
            settings_for,
            work_dir=work_dir,
            recycle_after=recycle_after,
            drain_s=drain_s,
            wait_s=wait_s,
            placing=placing,
        ),
        competition=competition,
        quick=quick,
        budget_s=budget_s,
        sizes={
            "top_k": top_k,
            "folds": folds,
            "repeats": repeats,
            "longer": longer,
            "seeds": seeds,
            "ensemble": ensemble,
        },
    )
    return finalize(opened, wanted, View(quiet=quiet, verbose=verbose))


@expand
def report_command(
    storage: Storage = DEFAULT_STORAGE,
    study: Study = None,
    data: Data = None,
    out: Out = Path("out"),
    *,
    told: Told,
) -> int:
    """Write report.html: what was found, and how far it is to be trusted."""
    from study.finalize.outfolder import sole_writer
    from study.finalize.outputs import Outputs
    from study.view.console import View

    opened = open_by_url(storage, study, data)
    outputs = Outputs(out, opened, View().say)
    with sole_writer(out, opened.name, View().say, waits=False):
        dataset, evidence = _what_folds_say(opened, told)
        outputs.write_report(evidence, dataset)
    print(f"{outputs.report} ready", file=sys.stderr)
    return 0


def _what_folds_say(opened: "OpenStudy", told: "Told") -> "tuple[Any, Evidence | None]":
    """Return data and evidence; without the data, which may be on another machine, neither."""
    from objectives.errors import ObjectiveError
    from study.errors import StudyError
    from study.finalize.finalize import read_evidence
    from study.spec.open import load, with_code

    if opened.spec.data is None or opened.spec.refits is not None:
        return None, None
    if told != Told():
        opened = with_code(opened, told)
    try:
        loaded = load(opened)
    except (ObjectiveError, StudyError) as error:
        print(harmless(f"without pictures and candidates: {error}"), file=sys.stderr)
        return None, None
    return loaded.dataset, read_evidence(opened, loaded)


def finalize_after(
    opened: "OpenStudy",
    ended: "Ended",
    view: "View",
    budget_s: float | None,
    *,
    settings_of: "Callable[[OpenStudy], Settings]",
    **how: Any,
) -> int:
    """Finalize the study of a run that has ended, in what is left of its time.

    Returns:
        The finalize's exit code, or the run's where that was not 0.
    """
    from study.finalize.finalize import Wanted, finalize

    left_s = None
    if opened.spec.timeout_s is not None:
        left_s = max(0.0, opened.spec.timeout_s - opened.registry().look().used_s)
    wanted = Wanted(settings_of=settings_of, budget_s=budget_s, left_s=left_s, **how)
    return finalize(opened, wanted, view) or ended.code
