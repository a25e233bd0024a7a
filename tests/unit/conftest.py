"""Folders that several unit tests start from: a user's own, a competition's, the cache."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.competition import write


@pytest.fixture
def own_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Work in an empty folder, and leave `sys.path` and `sys.modules` as they were."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("user_", "pkg", "sibling")):
            del sys.modules[name]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the cache folder, which is not there yet."""
    root = tmp_path / "cache"
    monkeypatch.setenv("STUDY_CACHE", str(root))
    return root


@pytest.fixture
def folder(tmp_path: Path, cache: Path) -> Path:
    """Return a folder with a sound competition."""
    return write(tmp_path / "data")
