"""Two creators of one study at once: who comes second adds nothing unless it agrees."""

from typing import Any

import pytest

from storage.errors import StorageError
from study.errors import StudyError
from study.run import create as creating
from study.run.create import Request, create_or_resume
from study.spec.open import OpenStudy
from study.spec.spec import Given


def create(url: str, n_trials: int, seed: int) -> OpenStudy:
    """What `study create` does."""
    given = Given(objective="synthetic", seed=seed)
    return create_or_resume(Request(url, "s", None, given, n_trials), lambda line: None)


def come_between(monkeypatch: pytest.MonkeyPatch, url: str, n_trials: int, seed: int) -> None:
    """Let another creator define the study while the next one tries its objective out."""

    def other(*_: Any) -> None:
        monkeypatch.undo()
        create(url, n_trials, seed)

    monkeypatch.setattr(creating, "expected_trial_s", other)


def test_creator_that_is_refused_raises_no_budget(
    storage_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has seen no study when it began; the spec is compared where the slots are planned."""
    come_between(monkeypatch, storage_url, 3, seed=1)
    with pytest.raises(StudyError, match="has seed 1; this command says 2"):
        create(storage_url, 9, seed=2)
    assert create(storage_url, 3, seed=1).n_slots == 3


def test_creator_that_agrees_raises_the_budget_and_lowers_none(
    storage_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a command does that finds the study there."""
    come_between(monkeypatch, storage_url, 3, seed=1)
    assert create(storage_url, 9, seed=1).n_slots == 9
    with pytest.raises(StorageError, match="would lower its budget"):
        create(storage_url, 4, seed=1)
