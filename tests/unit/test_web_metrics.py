"""What `/metrics` says of a study, and what it leaves out."""

from dataclasses import replace
from typing import cast

import pytest

from storage.registry import Seen
from study.dashboard.metrics import metrics_text
from study.dashboard.overview import Look
from study.spec.open import OpenStudy
from study.view.status import StudyStatus, WorkerStatus

WORKER = WorkerStatus("host:12", "host", 12, None, 0, 0, 2, 1.0, "training")
FAST, WAITING = replace(WORKER, images_per_s=500.0), replace(WORKER, state="waiting")


@pytest.mark.parametrize(
    ("workers", "said"),
    [([WORKER], None), ([WORKER, FAST], "500"), ([FAST, FAST], "1000"), ([WAITING], "0")],
)
def test_speed_that_nobody_knows_is_no_zero(workers: list[WorkerStatus], said: str | None) -> None:
    """As in a finalize: it trains, and does not know how fast; where nobody trains, it is 0."""
    counts = dict.fromkeys(("n_slots", "waiting", "running", "complete", "pruned", "failed"), 1)
    status = StudyStatus(
        study="s",
        **counts,
        attempts=1,
        lost=0,
        workers=workers,
        best=None,
        done=False,
        eta_s=None,
        reasons={},
        images_per_s=None,
        trial_s=None,
        seen=Seen(token="t", stop=None, used_s=60.0),
    )
    lines = metrics_text([Look(cast(OpenStudy, None), status, [])]).splitlines()
    found = [line for line in lines if line.startswith("study_images_per_second")]
    assert found == ([] if said is None else [f'study_images_per_second{{study="s"}} {said}'])
