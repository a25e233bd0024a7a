"""What is printed where a terminal cannot show it, and where nothing can be printed at all."""

import csv
import io
import subprocess
import sys
from collections.abc import Mapping

import pytest

from tests.acceptance.processes import Place

NAME = "数字"
OBJECTIVE = """
from objectives.base import Fitted

class Hill:
    direction, needs_data = "minimize", False
    space = {"größe": {"low": -5.0, "high": 5.0}, "art": ["π1", "π2"]}

    def load(self, data_dir):
        return None

    def fit(self, params, dataset, *, seed, report, resume_dir):
        print("∑", params)
        report(0, abs(params["größe"]))
        return Fitted(value=abs(params["größe"]), model=None)

    def predict(self, fitted, images):
        raise NotImplementedError
"""
PLAIN_C = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
LOCALES: list[Mapping[str, str]] = [
    PLAIN_C,
    {"PYTHONIOENCODING": "latin-1:strict"},
]


@pytest.mark.parametrize("locale", LOCALES)
def test_every_name_works_in_every_locale(place: Place, locale: Mapping[str, str]) -> None:
    """Made, worked on and shown there; what becomes a file is UTF-8."""
    (place.folder / "hill.py").write_text(OBJECTIVE, encoding="utf-8")
    options = ["--study", NAME, "--objective", "hill.py:Hill"]
    ran = place.run("run", *options, "--n-trials", 2, "--workers", 1, **locale)
    assert r"'\u6570\u5b57': 2 slots" in ran.err
    assert (place.folder / f"{NAME}.work").is_dir()
    assert r"\u6570\u5b57  2 of 2 done" in place.run("status", **locale).out
    assert place.json("status", "--study", NAME, **locale)["study"] == NAME
    assert r"art=\u03c0" in place.run("trials", **locale).out
    table = place.run("trials", "--csv", **locale).out
    assert "params.größe" in next(csv.reader(io.StringIO(table)))
    assert "größe" in place.run("space", **locale).out
    assert r"\u2211" in place.run("logs", "0", **locale).out
    (log,) = place.folder.rglob("trial-0.log")
    assert "∑" in log.read_text(encoding="utf-8")
    assert r"no study '\u03c0'" in place.run("status", "--study", "π", code=1, **locale).error


@pytest.fixture
def study(place: Place) -> Place:
    """A place with one study."""
    place.run("create", "--study", "s", "--n-trials", 2, *place.synthetic())
    return place


def shell(place: Place, line: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a line of a shell, in which `$S` is the program."""
    environment = {**place.environment, "S": f"{sys.executable} -m study", **variables}
    return subprocess.run(
        ["bash", "-c", line], cwd=place.folder, env=environment, capture_output=True, text=True
    )


@pytest.mark.parametrize("command", ["status --json", "trials --csv", "list", "--version"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_full_disk_behind_stdout_is_one_line(study: Place, command: str, unbuffered: str) -> None:
    """Also where Python keeps back what is printed until the end."""
    done = shell(study, f"$S {command} > /dev/full", PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 1
    assert done.stderr == "study: error: cannot write to stdout: No space left on device\n"


def test_reader_that_leaves_is_no_error(study: Place) -> None:
    """As `head` does; nothing is said."""
    done = shell(study, "$S trials --csv | head -n 0; echo ${PIPESTATUS[0]}")
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_closed_streams_are_no_danger_to_other_files(study: Place) -> None:
    """The next file that is opened, the database say, would get the number of stdout."""
    assert shell(study, "$S run --study s --workers 1 <&- >&- 2>&-").returncode == 0
    assert study.json("status")["complete"] == 2


def test_finalize_as_a_module_is_the_command(place: Place) -> None:
    """`python -m study.finalize`, in any locale."""
    done = place.run("--study", "ü", code=1, python=("-m", "study.finalize"), **PLAIN_C)
    assert "there is no storage at sqlite:///study.db" in done.error
