"""An engine, the image, and folders that the containers' own user can read."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from study.demo import write_data
from tests.compose.stack import IMAGE_VARIABLE, LIMIT_S, build_image, docker, engine_missing

HERE = Path(__file__).parent
SPACE = """
n_blocks = 1
filters_1 = [4, 8]
kernel = 3
dense_units = [8, 16]
optimizer = ["adam"]
batch_size = 64
rotation = 0.0
zoom = 0.0
shift = 0.0
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the limit of a wait, which shows the logs, be over before that of the test."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.timeout(3 * LIMIT_S))


@pytest.fixture(scope="session")
def image() -> str:
    """The image, built from the repository as it stands, unless one was named."""
    missing = engine_missing()
    if missing is not None:
        pytest.skip(f"no Docker engine with Compose v2 here: {missing}")
    named = os.environ.get(IMAGE_VARIABLE)
    if named:
        if named != "slot-study":
            docker("tag", named, "slot-study")
        return named
    build_image()
    return "slot-study"


@pytest.fixture
def folder(image: str) -> Iterator[Path]:
    """A folder of the test's own, which others may pass: pytest's are closed to them."""
    path = Path(tempfile.mkdtemp(prefix="study-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def digits(folder: Path) -> Path:
    """A folder with scikit-learn's digits as a competition, and a small space."""
    data = folder / "data"
    write_data(data)
    (data / "space.toml").write_text(SPACE)
    return data
