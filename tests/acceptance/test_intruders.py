"""Workers that do not fit the study: refused before they claim, or warned; each names what differs.

Another data set on `run` and `finalize` is in `test_main_job.py`, an objective of one's own that
was changed in `test_doors.py`.
"""

import shutil
from importlib.metadata import version
from pathlib import Path

import pytest

from storage import attrs
from tests.acceptance.processes import Place
from tests.acceptance.synthetic import change_attr, look
from tests.acceptance.test_doors import NET
from tests.acceptance.test_main_job import write_competition


@pytest.fixture(scope="module")
def with_model(shared: Place) -> Place:
    """A study 's' of two slots in `study.db`, on `data/` with the network of `net.py`."""
    write_competition(shared.folder / "data")
    (shared.folder / "net.py").write_text(NET)
    sizes = ["--n-trials", 2, "--epochs", 1]
    shared.run("create", "--study", "s", "--data", "data", "--model", "net.py:build", *sizes)
    return shared


def assert_untouched(place: Place) -> None:
    """Nothing was claimed."""
    status = look(f"sqlite:///{place.folder}/study.db", "s")
    assert (status.waiting, status.attempts) == (2, 0)


def test_worker_with_other_data_is_refused(with_model: Place) -> None:
    """One row less is another data set."""
    other = with_model.folder / "other"
    shutil.copytree(with_model.folder / "data", other)
    lines = (other / "train.csv").read_text().splitlines()
    (other / "train.csv").write_text("\n".join(lines[:-1]) + "\n")
    refused = with_model.run("worker", "--data", "other", "--workers", 1, code=1)
    assert refused.error == "study 's' was created with another data"
    assert refused.hint == "another --study name, or the data it was created with"
    assert_untouched(with_model)


@pytest.mark.parametrize(
    ("what", "was", "becomes"),
    [("network", '"relu"', '"tanh"'), ("space", "[4, 8, 12]", "[4, 8, 16]")],
)
def test_worker_with_a_changed_model_file_is_refused(
    with_model: Place, what: str, was: str, becomes: str
) -> None:
    """Under another name or the same one; its space is in the same file."""
    changed = with_model.folder / f"{what}.py"
    changed.write_text(NET.replace(was, becomes))
    assert changed.read_text() != NET
    options = ["--model", f"{what}.py:build", "--workers", 1]
    refused = with_model.run("worker", *options, code=1)
    assert refused.error == "study 's' was created with another objective's code"
    assert_untouched(with_model)


def test_worker_finds_its_model_file_changed(with_model: Place) -> None:
    """One that brings nothing reads the file that the study was created with."""
    file = with_model.folder / "net.py"
    file.write_text(NET.replace('"relu"', '"tanh"'))
    try:
        refused = with_model.run("worker", "--workers", 1, code=1)
    finally:
        file.write_text(NET)
    assert refused.error == "study 's' was created with another objective's code"
    assert_untouched(with_model)


def pretend(path: Path, **versions: str) -> None:
    """Let the study have been created by who had other versions."""
    change_attr(path, attrs.VERSIONS, **versions)


def test_worker_with_other_minor_versions_warns(place: Place) -> None:
    """It works; another patch version alone is no reason for a line."""
    place.run("create", "--study", "s", "--n-trials", 2, *place.synthetic())
    here, (major, minor, *_) = version("numpy"), version("sqlalchemy").split(".")
    other = {"numpy": "1.0.0", "keras": "2.0.1", "sqlalchemy": f"{major}.{minor}.999"}
    pretend(place.folder / "study.db", **other)
    warned = place.run("worker", "--workers", 1)
    (line,) = [line for line in warned.err.splitlines() if line.startswith("warning: ")]
    assert line.startswith("warning: results may differ in their last bits here: ")
    assert f"numpy 1.0.0 there, {here} here" in line
    assert f"keras 2.0.1 there, {version('keras')} here" in line
    assert "sqlalchemy" not in line
    assert look(f"sqlite:///{place.folder}/study.db", "s").complete == 2
