"""What a process holds of the data itself, beyond the map of the cache that all workers share."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from objectives.data.cache import fetch, store
from objectives.data.csv.competition import Competition
from objectives.data.dataset import Dataset, Split
from tests.integration.trainings import OPTIONS, build_linear, objective_of

N_ROWS, N_TEST, SIDE, N_CLASSES = 42_000, 28_000, 28, 10  # those of Kaggle's digits
MOST_BYTES = 60_000_000

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="what is mapped is told apart in /proc"),
    pytest.mark.expected_skip,
    pytest.mark.trains,
]


def own_bytes() -> int:
    """Return the resident memory that no file backs: pages of the cache are not in it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (found,) = (line for line in lines if line.startswith("RssAnon:"))
    return int(found.split()[1]) * 1024


@pytest.fixture
def digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """As many images as the competition has, mapped from a cache of the test's own."""
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path))
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (N_ROWS, SIDE, SIDE), dtype=np.uint8)
    competition = Competition(
        images=images,
        labels=np.arange(N_ROWS, dtype=np.int64) % N_CLASSES,
        copies=np.arange(N_ROWS, dtype=np.int64),
        classes=tuple(str(label) for label in range(N_CLASSES)),
        test_images=images[:N_TEST],
        test_ids=tuple(str(number) for number in range(1, N_TEST + 1)),
        id_column="ImageId",
        label_column="Label",
        fingerprint="0" * 64,
        facts=(),
        warnings=(),
    )
    store("digits", competition)
    found = fetch("digits")
    assert found is not None
    rows = np.arange(N_ROWS)
    train, valid = (
        Split(found.images, found.labels, rows[picked])
        for picked in (rows % N_CLASSES > 0, rows % N_CLASSES == 0)
    )
    shared = Competition.__dataclass_fields__.keys() & Dataset.__dataclass_fields__.keys()
    facts = {name: getattr(found, name) for name in shared}
    return Dataset(**facts, train=train, valid=valid)


def test_a_training_holds_little_of_the_data(digits: Dataset) -> None:
    """All rows in place of a few take less than 60 MB more, while the training is going on."""
    objective = objective_of(build_linear, replace(OPTIONS, epochs=1))
    seen: dict[int, int] = {}

    def train(dataset: Dataset) -> None:
        def report(step: int, value: float | None) -> None:
            seen[len(dataset.train)] = own_bytes()

        params = {"units": 4, "batch_size": 1024}
        objective.fit(params, dataset, seed=1, report=report, resume_dir=None)

    few = replace(digits.train, rows=digits.train.rows[:2048])
    train(replace(digits, train=few, valid=replace(few, rows=few.rows[:1024])))
    train(digits)
    first, last = seen[2048], seen[len(digits.train)]
    assert last - first < MOST_BYTES


def test_images_that_are_held_would_be_seen(digits: Dataset) -> None:
    """As floats they are more than twice the limit; as they are mapped, nothing."""
    before = own_bytes()
    assert int(digits.images.max()) == 255  # every page is read
    mapped = own_bytes()
    held = digits.images.astype(np.float32)
    assert mapped - before < MOST_BYTES / 10
    assert own_bytes() - before > 2 * MOST_BYTES
    del held
