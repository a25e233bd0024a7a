"""Files of a person or a data set that are too large or no files: one line, in bounded memory."""

import gzip
import os
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from objectives.data.csv import form
from objectives.data.csv.folder import find_files
from objectives.data.dataset import load_dataset
from objectives.data.images.files import scan_folder
from objectives.errors import DataError, ModelError, SpaceError
from objectives.files import limits, openfile
from objectives.files.limits import refuse_memory
from objectives.files.openfile import RefusedFileError, open_file, read_file
from objectives.source import source_bytes
from objectives.space.space import parse_space, read_toml
from study.view.score import ScoreError, score
from tests.unit.changes import TEST, TRAIN, Change, label, line, pixel, sound_folder, text, whole

CHECK = """
import resource, sys
from pathlib import Path
from objectives.errors import DataError
from objectives.data.dataset import load_dataset
taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + (400 << 20),) * 2)
try:
    load_dataset(Path(sys.argv[1]))
except DataError as error:
    print(error)
"""
TOO_LONG = "is longer than 32 MiB, the most that is read"


@pytest.fixture
def folder(tmp_path: Path, cache: Path) -> Path:
    """Return a folder with sound files."""
    return sound_folder(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process stands in /proc")
@pytest.mark.expected_skip
@pytest.mark.parametrize(
    ("start", "bomb", "message"),
    [
        ("", b"a", f"train.csv.gz: the first line {TOO_LONG}"),
        (text(TRAIN) + "3,", b"1", f"train.csv.gz: row 11 {TOO_LONG}"),
        ("#", b"x", f"train.csv.gz: the first line {TOO_LONG}"),
        ("", b"3,1\r", "train.csv.gz: lines end in a lone CR"),
        ("", b",", "train.csv.gz: the first line is longer"),
        ("", b'"",', "train.csv.gz: the first line is longer"),
        ("", b"\xff\xfe", f"train.csv.gz: the first line {TOO_LONG}"),
    ],
)
def test_line_of_gigabytes_is_refused_in_bounded_memory(
    folder: Path, start: str, bomb: bytes, message: str
) -> None:
    """4 GiB of one line, some MB on the disk: 400 MiB are enough to say so."""
    part = gzip.compress(bomb * ((16 << 20) // len(bomb)), 1)
    (folder / "train.csv").unlink()
    (folder / "train.csv.gz").write_bytes(gzip.compress(start.encode()) + part * 256)
    command = [sys.executable, "-c", CHECK, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(message)


LARGE: dict[str, tuple[Change, str]] = {
    "cells of a header": (whole("train.csv", "," * 1_200_000), "train.csv: the first line has mor"),
    "cells of a row": (line("train.csv", 4, "1," * 1_200_000), "train.csv: row 4 has more than 1,"),
    "quoted cells": (line("train.csv", 4, '"",' * 1_200_000), "train.csv: row 4 has more than 1,1"),
    "words of a header": (whole("train.csv", "a " * 1_200_000), "train.csv: the first line has m"),
    "digits of a pixel": (pixel("1" * 5000), "train.csv row 4, column pixel2: '1111"),
    "digits of a label": (label("1" * 5000), "train.csv row 6, column label: '1111"),
    "letters of a label": (label("x" * 300), "train.csv row 6, column label: 'xxxx"),
    "letters of an id": (line("sample_submission.csv", 2, "x" * 5000 + ",0"), "sample_submission"),
    "letters of a name": (line("train.csv", 0, "x" * 300 + ",a,b,c,d"), "train.csv column 1: the "),
    "digits of names": (line("train.csv", 0, ",".join(["1" * 5000] * 5)), "train.csv column 1: "),
    "digits of a repeated name": (line("train.csv", 0, f"0,0.{'1' * 5000},a,b,c"), "train.csv col"),
    "digits behind a comment sign": (
        whole("train.csv", "#" + ",".join(["1" * 5000] * 5) + "\n1,2,3,4,5\n"),
        "train.csv: a header and no row below it",
    ),
}


@pytest.mark.parametrize("kind", LARGE)
def test_what_is_too_large_is_one_short_line(folder: Path, kind: str) -> None:
    """The file, and row and column where there is one; never the whole cell."""
    change, start = LARGE[kind]
    change(folder)
    with pytest.raises(DataError) as caught:
        load_dataset(folder)
    message = str(caught.value)
    assert message.startswith(start)
    assert len(message) < 200
    assert message.isprintable()
    assert caught.value.hint


def test_blank_lines_have_an_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many as an empty sheet has are none of the table; more are refused where they begin."""
    monkeypatch.setattr(limits, "MOST_BLANK_LINES", 100)
    train = folder / "train.csv"
    sound = train.read_text()
    train.write_text(sound + "\n" * 100)
    assert len(load_dataset(folder).labels) == 10
    train.write_text(sound + "\n" * 102)
    with pytest.raises(DataError, match=r"^train\.csv row 11: more than 100 blank lines$"):
        load_dataset(folder)


def test_honest_cells_are_not_refused(folder: Path) -> None:
    """An image of 224x224 in a quoted cell; pixels with all digits that a double has."""
    row = ", ".join(str(n % 256) for n in range(224 * 224 - 1))
    train = [f'{n % 2},"[{n}, {row}]"' for n in range(20)]
    (folder / "train.csv").write_text(text(["label,pixels", *train]))
    (folder / "test.csv").write_text(text(["pixels", *(f'"[{n}, {row}]"' for n in (50, 51, 52))]))
    assert load_dataset(folder).side == 224
    exact = [",".join(str(Decimal(n / 255)) for n in range(k, k + 4)) for k in range(100, 120)]
    (folder / "train.csv").write_text(
        text([TRAIN[0], *(f"{n % 2},{cells}" for n, cells in enumerate(exact))])
    )
    (folder / "test.csv").write_text(text([TEST[0], *exact[-3:]]))
    assert load_dataset(folder).images[1].ravel().tolist() == [101, 102, 103, 104]


def test_members_of_an_archive_have_limits(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long list of them is not read; LZMA would say itself how much memory it takes."""
    content = (folder / "train.csv").read_text()
    (folder / "train.csv").unlink()
    with zipfile.ZipFile(folder / "data.zip", "w", zipfile.ZIP_LZMA) as packed:
        packed.writestr("train.csv", content)
    with pytest.raises(DataError, match=r"train\.csv in data\.zip: packed in a way"):
        load_dataset(folder)
    with zipfile.ZipFile(folder / "data.zip", "w") as packed:
        for n in range(50):
            packed.writestr(f"{'x' * 60_000}{n}.csv", "")
        packed.writestr("../train.csv", content)
    found = find_files(folder)
    assert found.train.name == "train.csv in data.zip"
    assert len(found.unread) == 21
    assert all(len(name) < 150 for name in found.unread)
    monkeypatch.setattr(openfile, "MOST_ZIP_LIST", 2 << 20)
    with pytest.raises(DataError, match=r"^data\.zip: the zip data is broken \(its list of memb"):
        load_dataset(folder)


def test_archive_of_a_later_version_is_broken(folder: Path) -> None:
    """Python's reader calls that not implemented, whatever is asked of the archive."""
    with zipfile.ZipFile(folder / "data.zip", "w") as packed:
        packed.writestr("train.csv", (folder / "train.csv").read_text())
    (folder / "train.csv").unlink()
    content = bytearray((folder / "data.zip").read_bytes())
    content[content.index(b"PK\1\2") + 6] = 239
    (folder / "data.zip").write_bytes(content)
    with pytest.raises(DataError, match=r"^data\.zip: the zip data is broken \(zip file version"):
        load_dataset(folder)


def test_memory_is_asked_for_before_it_is_taken(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is needed and what there is stand in the line; with enough of it nothing is said."""
    monkeypatch.setattr(limits, "_left", lambda: iter([500 << 20, 90 << 20]))
    refuse_memory("x", 20 << 20)
    with pytest.raises(
        DataError, match=r"^x: the next step needs 94 MiB of memory; 90 MiB are left"
    ):
        refuse_memory("x", 30 << 20)
    monkeypatch.setattr(form, "_ROWS_A_LOOK", 5)
    monkeypatch.setattr(limits, "_left", lambda: iter([1 << 20]))
    with pytest.raises(
        DataError, match=r"^train\.csv row 5: the next step needs 64 MiB of memory;"
    ):
        load_dataset(folder)
    monkeypatch.undo()
    with pytest.raises(DataError, match="the next step needs"):  # of this machine
        refuse_memory("x", 1 << 60)


def pipe(path: Path) -> None:
    """Make a pipe that nobody writes into."""
    os.mkfifo(path)


def of_socket(path: Path) -> None:
    """Make a socket's file."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(path))  # its name may have some 100 bytes


ODD: dict[str, Callable[[Path], object]] = {
    "a pipe": pipe,
    "a socket": of_socket,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a folder": Path.mkdir,
}


@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_file_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Neither as data, nor as settings, nor as a model, nor as a submission."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "odd.py"
    ODD[kind](path)
    said = f"{kind}, where a file should be"
    with pytest.raises(RefusedFileError, match=said):
        open_file(path)
    with pytest.raises(SpaceError, match=f"odd.py: cannot be read: {said}$"):
        read_toml(path)
    with pytest.raises(ModelError, match=f"odd.py: cannot be read: {said}$"):
        source_bytes(str(path))
    with pytest.raises(ScoreError, match=f"odd.py: cannot be read: {said}"):
        score(path, path)


def test_file_is_not_read_beyond_its_limit(tmp_path: Path) -> None:
    """A file of many gigabytes that takes no room on the disk is refused by its size."""
    path = tmp_path / "x"
    with path.open("wb") as file:
        file.truncate(1 << 20)
        assert len(read_file(path, 1 << 20)) == 1 << 20
        file.truncate(1 << 36)
    with pytest.raises(RefusedFileError, match="larger than 1 MiB, the most that is read"):
        read_file(path, 1 << 20)


SETTINGS: dict[str, tuple[str, str]] = {
    "lists": ("a = " + "[" * 5000 + "]" * 5000, "x.toml: lists or tables are nested too deep"),
    "tables": ("a = " + "{a=" * 5000, "x.toml: lists or tables are nested too deep"),
    "digits": ("a = {low = 0.0, high = " + "9" * 5000 + "}", "x.toml: a number has thousands of"),
    "hex digits": ("a = 0x" + "f" * 9000, "x.toml: a number has thousands of digits"),
    "no float": ("a = {low = 0.0, high = 1" + "0" * 400 + "}", "search space, a: `high` is a fin"),
    "dotted names": ("a." * 20000 + "b = 1", "x.toml: more than 1000 dots in one entry (at li"),
    "entries": ("a = 1\n" * 100_000, "x.toml: cannot be read: larger than 256 KiB, the most that"),
    "a long choice": (f'a = ["{"x" * 9000}", "{"x" * 9000}"]', "search space, a: choice 'xxx"),
    "a long name": ("a" * 9000 + " = 1", "search space: a name has 1 to 512 characters, not 'aa"),
    "a long key": ("a = {" + "b" * 9000 + " = 1}", "search space, a: unknown key 'bbb"),
    "not UTF-8": ("\udcff", "x.toml: not UTF-8 text: invalid start byte"),
}


@pytest.mark.parametrize("kind", SETTINGS)
def test_settings_have_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """What is nested, repeated or written without end is one short line."""
    monkeypatch.chdir(tmp_path)
    content, start = SETTINGS[kind]
    Path("x.toml").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(SpaceError) as caught:
        parse_space(read_toml("x.toml"))
    assert str(caught.value).startswith(start)
    assert len(str(caught.value)) < 400


def test_a_value_of_many_choices_is_told_by_some(tmp_path: Path) -> None:
    """A space of ten thousand choices is one; who brings another value is not shown all."""
    path = tmp_path / "x.toml"
    path.write_text(f"a = {list(range(10_000))}\n")
    with pytest.raises(SpaceError) as caught:
        parse_space(read_toml(path)).check({"a": "x" * 9000})
    assert "18, 19 and 9980 more" in str(caught.value)
    assert len(str(caught.value)) < 400


def images(root: Path, *names: str) -> Path:
    """Make empty files below `root`."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def linked(root: Path, name: str, to: str | Path) -> Path:
    """Make a link below a folder of two classes."""
    images(root, "a/1.png", "b/1.png", "b/more/1.png")
    (root / name).symlink_to(to)
    return root


def test_links_of_a_person_are_followed(tmp_path: Path) -> None:
    """A class on another disk, links within, the folder itself; what is no image is not read."""
    images(tmp_path / "disk", "a/1.png", "other/2.png")
    (tmp_path / "disk/a/2.png").symlink_to("../a/1.png")
    root = linked(tmp_path / "x", "c", tmp_path / "disk/a")
    for name, to in (("a/2.png", "../b/1.png"), ("a/README", "/etc/passwd"), ("d", "b")):
        (root / name).symlink_to(to)
    (tmp_path / "link").symlink_to("x")
    for folder in (root, tmp_path / "link"):
        scan_folder(folder)


@pytest.mark.parametrize(
    ("name", "to", "said"),
    [
        ("a/2.png", "../../other/2.png", "a link out of {root}, to {top}/other/2.png"),
        ("a/2.png", "/dev/zero", "a link out of {root}, to /dev/zero"),
        ("a/more", "../../other", "a link out of {root}, to {top}/other"),
        ("b/more/x", "/", "a link out of {root}, to /"),
        ("a/up", "..", "a link to a folder that contains it"),
        ("b/more/up", "..", "a link to a folder that contains it"),
        ("up", "..", "a link to a folder that contains it"),
        ("c", "/", "a link to a folder that contains it"),
        ("a/2.png", "2.png", "cannot be read: Too many levels of symbolic links"),
    ],
)
def test_link_of_a_stranger_is_one_line(tmp_path: Path, name: str, to: str, said: str) -> None:
    """An archive may hold one that leads out of it, or into itself."""
    images(tmp_path, "other/2.png")
    root = linked(tmp_path / "x", name, to)
    with pytest.raises(DataError) as caught:
        scan_folder(root)
    assert str(caught.value) == f"{root}/{name}: {said.format(root=root, top=tmp_path)}"


def test_walk_through_a_folder_has_an_end(tmp_path: Path) -> None:
    """Links that double with each level, and a thousand nested folders."""
    root = images(tmp_path / "x", "a/30/1.png")
    for n in range(30):
        (root / f"a/{n}").mkdir()
        for name in "lr":
            (root / f"a/{n}/{name}").symlink_to(f"../{n + 1}")
    with pytest.raises(DataError, match=f"links lead to {root}/a/30 in more than 1000 ways$"):
        scan_folder(root)
    deep = images(tmp_path / "y", "a/" + "x/" * 500 + "1.png")
    with pytest.raises(DataError, match=r"/x: more than 64 nested folders$"):
        scan_folder(deep)
