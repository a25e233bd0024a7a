"""What every test on a real database may use."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from storage import backend
from tests.integration.planned import OPENED


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Connections of a test end with it."""
    OPENED.clear()
    yield
    for slots in OPENED:
        slots.storage.close()


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Engine]]:
    """Every engine that a test makes, also by unpickling; closed in the end."""
    made: list[Engine] = []

    def make(url: sa.URL) -> Engine:
        made.append(original(url))
        return made[-1]

    original = backend.make_engine
    monkeypatch.setattr(backend, "make_engine", make)
    yield made
    for engine in made:
        engine.dispose()
