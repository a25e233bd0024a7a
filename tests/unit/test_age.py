"""How old this process is, and how old it is taken to be where nobody says."""

import time
from pathlib import Path

import pytest

from study.machine import identity


def test_age_is_that_of_the_process_and_passes_with_time() -> None:
    """More than since the import, less than since the machine's boot."""
    first = identity.process_age_s()
    assert (
        time.monotonic() - identity._imported_at < first < time.clock_gettime(time.CLOCK_BOOTTIME)
    )
    assert identity.process_age_s() >= first


def test_without_proc_it_counts_from_the_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather too young than too old: an order from before its time must not end it."""
    monkeypatch.setattr(identity, "STAT", tmp_path / "none")
    assert 0 <= identity.process_age_s() <= time.monotonic() - identity._imported_at
