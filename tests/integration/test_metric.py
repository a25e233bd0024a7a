"""What a trial is judged by: valid accuracy, or valid log loss."""

from dataclasses import replace
from pathlib import Path

import pytest

from objectives.base import Fitted
from objectives.errors import LeaseLost
from tests.conditions import seeded
from tests.integration.trainings import OPTIONS, build_linear, digest, objective_of, tiny_dataset

pytestmark = pytest.mark.trains

LOG_LOSS = replace(OPTIONS, epochs=3, metric="log_loss")


def play(folder: Path | None, stop_after: int | None = None) -> tuple[Fitted, dict[int, float]]:
    """Train by log loss; the lease is lost after an epoch, where one is given."""
    reports: dict[int, float] = {}

    def report(step: int, value: float | None) -> None:
        assert value is not None
        reports[step] = value
        if step == stop_after:
            raise LeaseLost("gone")

    objective = objective_of(build_linear, LOG_LOSS)
    fitted = objective.fit({}, tiny_dataset(), seed=seeded(1), report=report, resume_dir=folder)
    return fitted, reports


def test_log_loss_is_value_and_report_and_minimized() -> None:
    """The same training by accuracy has the same weights, and the other number as its value."""
    by_loss, reports = play(None)
    by_accuracy = objective_of(build_linear, replace(LOG_LOSS, metric="accuracy")).fit(
        {}, tiny_dataset(), seed=seeded(1), report=lambda *_: None, resume_dir=None
    )
    assert by_loss.value == reports[2] == by_loss.info["valid_loss"]
    assert by_accuracy.value == by_loss.info["valid_accuracy"]
    assert digest(replace(by_loss, value=0.0)) == digest(replace(by_accuracy, value=0.0))
    assert objective_of(build_linear, LOG_LOSS).direction == "minimize"
    assert objective_of(build_linear, OPTIONS).direction == "maximize"


def test_interrupted_training_reports_the_same_losses_again(tmp_path: Path) -> None:
    """What the checkpoint has is what was reported, whatever it is."""
    calm, expected = play(None)
    with pytest.raises(LeaseLost):
        play(tmp_path / "trial-1", stop_after=1)
    again, reports = play(tmp_path / "trial-2")
    assert again.info["resumed_epochs"] == 2
    assert (digest(again), reports) == (digest(calm), expected)
    assert again.info["valid_accuracy"] == calm.info["valid_accuracy"]
