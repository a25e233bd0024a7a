"""An option that defines a study is declared once: a made-up one is seen where the others are."""

import html
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAST_FIELD = '    backend: str = "tensorflow"\n'
MADE_UP = """\
    n_sheep: Annotated[
        int, DefiningOption("--n-sheep", "Sheep to count before a trial", least=0)
    ] = 3
"""
COMMANDS = [
    ["create", "--help"],
    ["create", "--objective", "synthetic", "--n-trials", "2", "--n-sheep", "5"],
    ["create", "--objective", "synthetic", "--n-sheep", "7"],
    ["report"],
]
RUN = """
import json, sys
from typer.testing import CliRunner
from storage import attrs
from storage.rdb import open_storage
from study.cli.app import app

said = [CliRunner().invoke(app, words) for words in json.loads(sys.argv[1])]
storage = open_storage("sqlite:///study.db")
spec = storage.get_study_user_attrs(1)[attrs.SPEC]
print(json.dumps([[[one.exit_code, one.output] for one in said], spec]))
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A copy of the program, in which one field of `StudySpec` is declared beside the others."""
    shutil.copytree(ROOT / "study", tmp_path / "study")
    for package in ("storage", "objectives"):
        (tmp_path / package).symlink_to(ROOT / package)
    file = tmp_path / "study" / "spec" / "spec.py"
    source = file.read_text("utf-8")
    assert source.count(LAST_FIELD) == 1
    file.write_text(source.replace(LAST_FIELD, LAST_FIELD + MADE_UP), "utf-8")
    return tmp_path


def test_an_option_declared_in_one_place_is_everywhere(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the help, in the stored spec, in a refused difference and in the report's commands."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("PYTHONPATH", str(program))
    command = [sys.executable, "-P", "-c", RUN, json.dumps(COMMANDS)]
    ended = subprocess.run(command, cwd=program, capture_output=True, text=True, check=True)
    said, spec = json.loads(ended.stdout)
    assert [code for code, _ in said] == [0, 0, 1, 0], said
    shown, _, refused, _ = (" ".join(output.split()) for _, output in said)
    assert "Sheep to count before a trial (3) [env var: STUDY_N_SHEEP]" in shown
    assert spec["n_sheep"] == 5
    assert "study 'synthetic' has n_sheep 5; this command says 7" in refused
    assert "drop --n-sheep to continue this one" in refused
    report = html.unescape((program / "out" / "report.html").read_text("utf-8"))
    assert "--n-sheep 5" in report
