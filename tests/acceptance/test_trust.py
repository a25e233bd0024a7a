"""Whoever can write to the database alone cannot make a command run code or write a file."""

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from storage import attrs
from tests.acceptance.processes import Place
from tests.acceptance.synthetic import change_attr, look


def write_spec(place: Place, **changes: Any) -> None:
    """Change the stored spec of study 's'."""
    change_attr(place.folder / "study.db", attrs.SPEC, **changes)


def hashed(name: str, file: str | Path) -> str:
    """Return the hash that an attacker computes for the spec."""
    return hashlib.sha256(name.encode() + b"\0" + Path(file).read_bytes()).hexdigest()


COMMANDS = [
    ("run", "--study", "s"),
    ("worker", "--study", "s", "--workers", "1"),
    ("worker", "--study", "s", "--workers", "2"),
    ("replay", "0"),
    ("finalize", "--out", "o"),
]


@pytest.fixture(scope="module")
def victim(shared: Place) -> Place:
    """A study of the synthetic objective, whose ledger this machine was told of."""
    options = ["--study", "s", "--n-trials", 2, "--objective", "synthetic"]
    shared.run("create", *options)
    return shared


@pytest.mark.parametrize("kind", ["module", "file", "model"])
def test_code_that_the_database_names_is_never_run(victim: Place, kind: str) -> None:
    """Each command says so in one line; nothing is claimed."""
    pwned = victim.folder / "pwned"
    file = victim.folder / "evil.py"
    file.write_text(f"open({str(pwned)!r}, 'w')\nSPACE = {{'x': [1]}}\nbuild = open\n")
    changes: dict[str, dict[str, Any]] = {
        "module": {
            "objective": "subprocess:check_output",
            "model": None,
            "options": {"args": f"id > {pwned}", "shell": "yes"},
            "source": hashed("subprocess:check_output", subprocess.__file__),
        },
        "file": {
            "objective": f"{file}:build",
            "model": None,
            "options": {},
            "source": hashed("build", file),
        },
        "model": {
            "objective": "digits-cnn",
            "model": f"{file}:build",
            "options": {},
            "source": hashed("digits-cnn 1\0build", file),
        },
    }
    write_spec(victim, data="x", **changes[kind])
    for command in COMMANDS:
        refused = victim.run(*command, code=1)
        assert "this machine was not told to run it" in refused.error
    assert "without pictures" in victim.run("report", "--out", "report").err
    victim.run("status")
    victim.run("trials")
    assert not pwned.exists()
    status = look(f"sqlite:///{victim.folder}/study.db", "s")
    assert (status.waiting, status.attempts) == (2, 0)


def test_file_that_an_option_in_the_database_names_is_not_written(place: Place) -> None:
    """The ledger of the synthetic objective; told on the command line, it is."""
    place.run("create", "--study", "s", "--n-trials", 1, "--objective", "synthetic")
    ledger = place.folder / "ledger"
    write_spec(place, options={"ledger": str(ledger)})
    refused = place.run("worker", "--workers", 1, code=1)
    assert "option may name a file" in refused.error
    assert not ledger.exists()
    place.run("worker", "--workers", 1, "--objective-option", f"ledger={ledger}")
    assert [json.loads(line)["event"] for line in ledger.read_text().splitlines()] == [
        "start",
        "end",
    ]


def test_environment_tells_as_the_command_line_does(place: Place) -> None:
    """As compose and clusters do it: a machine that was told nothing before."""
    place.run("create", "--study", "s", "--n-trials", 1, *place.synthetic())
    elsewhere = {"XDG_STATE_HOME": str(place.folder / "state")}
    assert "not told" in place.run("worker", "--workers", 1, code=1, **elsewhere).error
    place.run(
        "worker",
        "--workers",
        2,
        STUDY_OBJECTIVE="synthetic",
        STUDY_OBJECTIVE_OPTION=f"ledger={place.ledger}",
        **elsewhere,
    )
    assert len(place.ledger_lines()) == 2
