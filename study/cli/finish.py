"""The commands at the end of a study: its submission and its report.

Imports stand inside the commands, so that `study --help` stays quick.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.cli.opened import open_by_url, open_to_work, use_all_cores
from study.finalize.wanted import Sizes, Wanted
from study.options import DEFAULT_STORAGE, Data, Out, Storage, Study, expand
from study.spec.spec import Told
from study.text import harmless
from study.worker.told import WorkerOptions

if TYPE_CHECKING:
    from study.report.evidence import Evidence
    from study.spec.open import OpenStudy


@expand
def finalize_command(
    storage: Storage = DEFAULT_STORAGE,
    study: Study = None,
    data: Data = None,
    *,
    wanted: Wanted,
    sizes: Sizes,
    options: WorkerOptions,
    told: Told,
) -> int:
    """Write submission.csv and model.keras, first of the best trial, then of better networks."""
    from study.finalize.finalize import finalize

    use_all_cores()
    opened, view = open_to_work(storage, study, data, options, told)
    return finalize(opened, wanted, options, view, sizes=sizes)


@expand
def report_command(
    storage: Storage = DEFAULT_STORAGE,
    study: Study = None,
    data: Data = None,
    out: Out = Path("out"),
    *,
    told: Told,
) -> int:
    """Write report.html: the results, and how reliable they are."""
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
    """Return data and evidence; neither if this machine does not have the data."""
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
        print(harmless(f"report without pictures and candidates: {error}"), file=sys.stderr)
        return None, None
    return loaded.dataset, read_evidence(opened, loaded)
