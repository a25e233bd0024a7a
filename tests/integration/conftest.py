"""What every test on a real database may use."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from storage.database import rdbstorage
from storage.rdb import SlotStorage, open_storage
from tests.integration.planned import OPENED


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Connections of a test end with it."""
    OPENED.clear()
    yield
    for slots in OPENED:
        slots.storage.close()


@pytest.fixture
def target(storage_url: str) -> Iterator[SlotStorage]:
    """Return an empty storage on each database in turn."""
    with_storage = open_storage(storage_url)
    yield with_storage
    with_storage.close()


@pytest.fixture
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlotStorage]:
    """Return another storage, on SQLite."""
    path = tmp_path_factory.mktemp("source") / "study.db"
    with_storage = open_storage(f"sqlite:///{path}")
    yield with_storage
    with_storage.close()


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Engine]]:
    """Every engine that a test makes, also by unpickling; closed in the end."""
    made: list[Engine] = []

    def make(url: sa.URL) -> Engine:
        made.append(original(url))
        return made[-1]

    original = rdbstorage.make_engine
    monkeypatch.setattr(rdbstorage, "make_engine", make)
    yield made
    for engine in made:
        engine.dispose()
