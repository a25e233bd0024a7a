"""Folders for commands to run in, and a file for the servers' databases of one module."""

from pathlib import Path

import pytest

from tests.acceptance.processes import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A place of this test's own."""
    return Place.under(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A place that the tests of a module share; they leave it as they find it."""
    return Place.under(tmp_path_factory.mktemp("shared"))
