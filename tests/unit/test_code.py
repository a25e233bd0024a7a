"""Which code runs for a study: what this machine was told, and never what the database says."""

import hashlib
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from objectives.load import source_fingerprint
from study.errors import StudyError
from study.spec.code import Code, passed_on, remember, trusted_code
from study.spec.spec import StudySpec, Told

SYNTHETIC = StudySpec(
    objective="synthetic",
    model=None,
    options={"sleep_s": "1"},
    source=source_fingerprint("synthetic", None),
    data=None,
    space=[],
    direction="minimize",
    seed=0,
    epochs=1,
    precision="float32",
    threads=1,
)
FILE = "direction = 'minimize'\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in, on a machine that was told nothing yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "mine.py").write_text(FILE)
    return tmp_path


def spec_of(reference: str, key: str = "objective", **changes: Any) -> StudySpec:
    """The spec of a study as whoever knows the hash would write it."""
    objective, model = (reference, None) if key == "objective" else ("digits-cnn", reference)
    source = source_fingerprint(objective, model)
    spec = replace(SYNTHETIC, objective=objective, model=model, options={}, source=source)
    return replace(spec, **changes)


def test_built_in_objectives_need_not_be_told() -> None:
    """Nor their options that are no files; nothing is kept of them."""
    assert trusted_code("s", SYNTHETIC, Told()) == Code("synthetic", None, {"sleep_s": "1"})
    remember(SYNTHETIC, Code("synthetic"))
    assert not Path("state").exists()


@pytest.mark.parametrize("key", ["objective", "model"])
def test_file_that_the_database_names_is_refused(folder: Path, key: str) -> None:
    """Though it is there and has the hash: anybody can compute that."""
    spec = spec_of(f"{folder}/mine.py:attr", key)
    with pytest.raises(StudyError, match=f"created with --{key} .*not told to run it") as caught:
        trusted_code("s", spec, Told())
    assert caught.value.hint is not None
    assert caught.value.hint.startswith(f"--{key} with the FILE.py:NAME that you mean")


def test_module_that_the_database_names_is_refused_before_it_is_looked_for() -> None:
    """The attack: any function of any module, with arguments from the same row."""
    source = b"subprocess:check_output\0" + Path(subprocess.__file__).read_bytes()
    options = {"args": "id", "shell": "yes"}
    spec = replace(SYNTHETIC, objective="subprocess:check_output", options=options)
    spec = replace(spec, source=hashlib.sha256(source).hexdigest())
    with pytest.raises(StudyError, match="not told to run it"):
        trusted_code("s", spec, Told())
    with pytest.raises(StudyError, match="has objective subprocess:check_output; this command"):
        trusted_code("s", spec, Told(objective="synthetic"))


def test_what_was_told_once_is_remembered(folder: Path) -> None:
    """With the place of the file here, which need not be the creator's."""
    spec = spec_of(f"{folder}/mine.py:attr")
    (folder / "here").mkdir()
    (folder / "mine.py").rename("here/mine.py")
    spec = replace(spec, objective="/creators/mine.py:attr")
    told = trusted_code("s", spec, Told(objective="here/mine.py:attr"))
    assert told == Code(f"{folder}/here/mine.py:attr")
    assert trusted_code("s", spec, Told()) == told
    (kept,) = Path("state/slot-study/code").iterdir()
    assert kept.parent.stat().st_mode & 0o777 == 0o700


def test_what_is_remembered_is_of_this_code_alone(folder: Path) -> None:
    """Another name, other options or another hash in the spec were not told."""
    spec = spec_of(f"{folder}/mine.py:attr", options={"path": "a"})
    told = Told(objective="mine.py:attr", options={"path": "a"})
    trusted_code("s", spec, told)
    for change in ({"options": {"path": "/etc/passwd"}}, {"objective": f"{folder}/mine.py:other"}):
        with pytest.raises(StudyError, match="not told"):
            trusted_code("s", replace(spec, **change), Told())
    (folder / "mine.py").write_text("import os\n")
    with pytest.raises(StudyError, match="another objective's code"):
        trusted_code("s", spec, Told())
    with pytest.raises(StudyError, match="another objective's code"):
        trusted_code("s", spec, told)
    changed = replace(spec, source=source_fingerprint(f"{folder}/mine.py:attr", None))
    with pytest.raises(StudyError, match="not told"):
        trusted_code("s", changed, Told())


def test_options_of_ones_own_objective_are_told_with_it(folder: Path) -> None:
    """Any of them may name a file; the hint has them as a shell takes them."""
    spec = spec_of(f"{folder}/mine.py:attr", options={"a": "$(id)", "b": "2"})
    with pytest.raises(StudyError, match="option may name a file") as caught:
        trusted_code("s", spec, Told(objective="mine.py:attr"))
    hint = "--objective-option 'a=$(id)' --objective-option b=2, if you trust that"
    assert caught.value.hint == hint
    with pytest.raises(StudyError, match="has options"):
        trusted_code("s", spec, Told(objective="mine.py:attr", options={"a": "1", "b": "2"}))
    trusted_code("s", spec, Told(objective="mine.py:attr", options=dict(spec.options)))


def test_option_of_a_built_in_objective_that_names_a_file_is_told() -> None:
    """The ledger is appended to: the database must not choose the file."""
    spec = replace(SYNTHETIC, options={"sleep_s": "1", "ledger": "/etc/profile"})
    with pytest.raises(StudyError, match=r"--objective-option ledger=/etc/profile; this"):
        trusted_code("s", spec, Told())
    told = trusted_code("s", spec, Told(options=dict(spec.options)))
    assert told == trusted_code("s", spec, Told()) == Code("synthetic", None, spec.options)


def test_workers_are_told_by_their_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For this code and these options alone: the database may have others when they ask."""
    spec = spec_of(f"{folder}/mine.py:attr", options={"a": "1"})
    code = Code(f"{folder}/mine.py:attr", None, {"a": "1"})
    for name, value in passed_on(spec, code).items():
        monkeypatch.setenv(name, value)
    assert trusted_code("s", spec, Told()) == code
    assert not Path("state").exists()
    for change in ({"options": {"a": "2"}}, {"objective": f"{folder}/mine.py:other"}):
        with pytest.raises(StudyError, match="not told"):
            trusted_code("s", replace(spec, **change), Told())
    smuggled = replace(SYNTHETIC, options={"sleep_s": "0\nledger=/etc/profile"})
    for name, value in passed_on(SYNTHETIC, Code("synthetic")).items():
        monkeypatch.setenv(name, value)
    assert trusted_code("s", smuggled, Told()).options == smuggled.options  # no number: refused
    ledger = {"sleep_s": "0", "ledger": "/etc/profile"}
    with pytest.raises(StudyError, match="not told"):
        trusted_code("s", replace(SYNTHETIC, options=ledger), Told())


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"objective": 1}', b"\xff"])
def test_broken_memory_is_none(folder: Path, content: bytes) -> None:
    """The command has to be told again."""
    spec = spec_of(f"{folder}/mine.py:attr")
    trusted_code("s", spec, Told(objective="mine.py:attr"))
    (kept,) = Path("state/slot-study/code").iterdir()
    kept.write_bytes(content)
    with pytest.raises(StudyError, match="not told"):
        trusted_code("s", spec, Told())
    trusted_code("s", spec, Told(objective="mine.py:attr"))


def test_without_a_place_to_remember_in_it_works_as_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later commands are told again."""
    (folder / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "file"))
    spec = spec_of(f"{folder}/mine.py:attr")
    trusted_code("s", spec, Told(objective="mine.py:attr"))
    with pytest.raises(StudyError, match="not told"):
        trusted_code("s", spec, Told())
