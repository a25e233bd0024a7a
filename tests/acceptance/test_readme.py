"""The documents say what is: commands parse, examples run, the files that are named exist."""

import csv
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

from study.cli.app import app
from tests.acceptance.processes import ROOT, Place

HOSTED = (ROOT / "docs" / "hosted-notebook.md").read_text(encoding="utf-8")
PAGES = "\n".join(
    path.read_text(encoding="utf-8")
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
)
MOST_README_LINES = 200
DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    "benchmarks/README.md",
    *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
]
SIDE = 4


def blocks(language: str, text: str = PAGES) -> list[str]:
    """Return the fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def study_commands(text: str = PAGES) -> list[list[str]]:
    """Return the words of each `study ...` line in the shell blocks, without what follows `>`."""
    whole = [block.replace("\\\n", " ") for block in blocks("sh", text)]
    lines = [line for block in whole for line in block.splitlines()]
    words = [shlex.split(line.partition(" > ")[0], comments=True) for line in lines]
    return [found[1:] for found in words if found[:1] == ["study"]]


def parse(words: list[str]) -> None:
    """Parse one command line as the program does, and run nothing."""
    group: Any = typer.main.get_command(app)
    with group.commands[words[0]].make_context(words[0], words[1:]):
        pass


def write_competition(folder: Path) -> None:
    """Write 40 labelled and 6 unlabelled images: bright above or bright below."""
    pixels = [f"pixel{n}" for n in range(SIDE * SIDE)]
    half = SIDE * SIDE // 2

    def image(n: int) -> list[int]:
        rows = [200 + n % 50] * half, [n % 40] * half
        return rows[n % 2] + rows[1 - n % 2]

    tables: dict[str, list[list[object]]] = {
        "train.csv": [["label", *pixels], *([n % 2, *image(n)] for n in range(40))],
        "test.csv": [[*pixels], *([*image(n)] for n in range(40, 46))],
        "sample_submission.csv": [["ImageId", "Label"], *([n, 0] for n in range(1, 7))],
    }
    folder.mkdir()
    for name, rows in tables.items():
        with (folder / name).open("w", newline="") as file:
            csv.writer(file).writerows(rows)


def test_there_are_commands_to_check() -> None:
    """The parser of the pages finds what a reader sees."""
    assert len(study_commands()) > 50
    assert {words[0] for words in study_commands()} >= {"run", "check", "worker", "finalize"}


@pytest.mark.parametrize("words", study_commands(), ids=" ".join)
def test_command_of_the_pages_parses(words: list[str]) -> None:
    """Every `study ...` line in the README and in docs/ names options that exist."""
    parse(words)


def test_readme_is_short() -> None:
    """It says what this is, and leads to the pages."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= MOST_README_LINES
    pages = {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")}
    assert [page for page in sorted(pages) if f"({page})" not in "\n".join(lines)] == []


def test_hosted_notebook_installs_what_the_program_needs() -> None:
    """By the ranges of pyproject.toml, but for what such a machine brings along."""
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    there = ("tensorflow>", "keras>", "numpy>", "pandas>", "scipy>")
    missing = [one for one in needed if f'"{one}"' not in HOSTED and not one.startswith(there)]
    assert missing == []


@pytest.mark.parametrize("line", ["run --dta x", "run --n-trials many", "copy", "watch now"])
def test_wrong_command_does_not_parse(line: str) -> None:
    """The check can fail: an unknown option, a wrong value, a missing one, a word too many."""
    with pytest.raises(Exception, match=r"(?i)no such option|valid|missing|unexpected"):
        parse(line.split())


def test_model_of_the_pages_is_the_example() -> None:
    """What the page shows as examples/mlp.py is that file, and under 15 lines."""
    example = (ROOT / "examples" / "mlp.py").read_text(encoding="utf-8")
    assert example in blocks("python")
    assert len(example.splitlines()) < 15


@pytest.mark.trains
@pytest.mark.timeout(240)
def test_model_of_the_pages_makes_a_submission_from_another_folder(place: Place) -> None:
    """The page's own-model example runs on a reader's data, from a folder of the reader's."""
    (example,) = [block for block in blocks("python") if "def build(" in block]
    (place.folder / "examples").mkdir()
    (place.folder / "examples" / "mlp.py").write_text(example)
    write_competition(place.folder / "digits")
    (command,) = [c for c in study_commands() if "--model" in c and "--finalize" in c]
    done = place.run(*command, "--n-trials", 2, "--epochs", 2, "--workers", 1)
    with (place.folder / command[command.index("--out") + 1] / "submission.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["ImageId", "Label"]
    assert [row[0] for row in rows[1:]] == ["1", "2", "3", "4", "5", "6"]
    assert {row[1] for row in rows[1:]} <= {"0", "1"}
    assert "kaggle competitions submit" in done.err


def test_objective_of_the_pages_runs(place: Place) -> None:
    """The page's own-objective example runs with the command beneath it."""
    (example,) = [block for block in blocks("python") if "class Hill" in block]
    (place.folder / "hill.py").write_text(example)
    (command,) = [c for c in study_commands() if "hill.py:Hill" in c]
    place.run(*command, "--workers", 1)
    status = place.json("status", "--study", "hill")
    assert status["complete"] == status["n_slots"] == 20


def test_space_of_the_pages_narrows_the_default(place: Place) -> None:
    """The page's TOML is understood, and changes what it names."""
    example = next(block for block in blocks("toml") if "n_blocks" in block)
    (place.folder / "space.toml").write_text(example)
    done = place.run("space", "--objective", "digits-cnn", "--space", "space.toml")
    assert "n_blocks = 2\n" in done.out
    assert "batch_size = [64, 128]\n" in done.out


@pytest.mark.parametrize("document", DOCUMENTS)
def test_files_that_a_document_names_exist(document: str) -> None:
    """Links and `room/file.py` in the documents lead somewhere."""
    text = (ROOT / document).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    named = re.findall(
        r"`((?:study|storage|objectives|tests|benchmarks|examples)/[\w/]+\.py)", text
    )
    folder = (ROOT / document).parent
    missing = [link for link in links if not (folder / link).exists()]
    assert missing + [name for name in named if not (ROOT / name).is_file()] == []


def test_tests_that_guarantees_name_exist() -> None:
    """Each `file.py::test` in docs/guarantees.md is a test that pytest would collect."""
    text = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:unit|integration|acceptance)/\w+\.py)::(\w+)`", text)
    assert len(named) > 30
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not re.search(rf"^\s*(?:def|class) {name}\b", (ROOT / "tests" / file).read_text(), re.M)
    ]
    assert missing == []
