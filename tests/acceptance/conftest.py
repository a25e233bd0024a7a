"""Folders for commands to run in, and more time than other tests have."""

from pathlib import Path

import pytest

from tests.acceptance.processes import LIMIT_S, Place
from tests.conditions import study_variables

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the limit of a process, which shows what it printed, be over before that of the test."""
    for item in items:
        if item.path.is_relative_to(HERE) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(3 * LIMIT_S))


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A place of this test's own."""
    return place_of(request.node, tmp_path)


@pytest.fixture(scope="module")
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A place that the tests of a module share; they leave it as they find it."""
    return place_of(request.node, tmp_path_factory.mktemp("shared"))


def place_of(node: pytest.Item | pytest.Module, base: Path) -> Place:
    """Make a place; commands that train nothing are held against known values, in no conditions."""
    trains = node.get_closest_marker("trains") is not None
    return Place.under(base, study_variables() if trains else {}, trains=trains)
