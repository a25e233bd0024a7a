"""Every kind of bad input ends in one line that names file, row and column, and writes nothing."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from objectives.data.csv import check
from objectives.data.dataset import load_dataset
from objectives.errors import DataError
from tests.openfiles import open_below
from tests.unit.changes import TRAIN, Change, packed, sound_folder, text
from tests.unit.filefaults import FILE_FAULTS, HEADER_FAULTS
from tests.unit.rowfaults import ROW_FAULTS, SAMPLE_FAULTS

FAULTS = FILE_FAULTS | HEADER_FAULTS | ROW_FAULTS | SAMPLE_FAULTS


@pytest.fixture
def folder(tmp_path: Path, cache: Path) -> Path:
    """Return a folder with sound files; the cache is a folder that is not there yet."""
    return sound_folder(tmp_path)


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_one_line_and_nothing_is_written(folder: Path, fault: str) -> None:
    """File, row, column and value stand in the message; neither cache nor data is touched."""
    change, expected = FAULTS[fault]
    change(folder)
    before = sorted(folder.iterdir())
    with pytest.raises(DataError) as caught:
        load_dataset(folder)
    assert not open_below(folder)  # while the error keeps what read them alive
    message = str(caught.value)
    expected = expected.replace("{dir}", str(folder))
    assert message == expected or ("gzip data" in expected and message.startswith(expected))
    assert len(message.splitlines()) == 1
    assert caught.value.hint
    assert sorted(folder.iterdir()) == before
    assert not (folder.parent / "cache").exists()


def test_forty_kinds_at_least() -> None:
    """The table is as long as promised, and no two faults have one message."""
    assert len({message for _, message in FAULTS.values()}) == len(FAULTS) >= 40


def test_missing_folder_is_named(folder: Path) -> None:
    """A folder that is not there is an error with a hint."""
    with pytest.raises(DataError, match="nowhere: no such folder") as caught:
        load_dataset(folder / "nowhere")
    assert caught.value.hint is not None


def test_file_for_a_folder_is_named(folder: Path) -> None:
    """A file given as the folder is an error."""
    with pytest.raises(DataError, match=r"train\.csv: a file, where a folder should be"):
        load_dataset(folder / "train.csv")


def test_unreadable_file_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system says of a file that may not be read is passed on."""
    real = check.open_file

    def refuse(path: Path) -> object:
        if path.name == "test.csv":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(check, "open_file", refuse)
    with pytest.raises(DataError, match=r"test\.csv: cannot be read: Permission denied"):
        load_dataset(folder)


def test_row_after_which_gzip_breaks_is_named(folder: Path) -> None:
    """A download that broke off in the middle says how far it came."""
    rows = [f"{n % 2},{n % 251},{n * 7 % 256},{n * 31 % 256},{n % 199}" for n in range(300_000)]
    whole_file = gzip.compress(text([TRAIN[0], *rows]).encode(), 1)
    (folder / "train.csv").unlink()
    (folder / "train.csv.gz").write_bytes(whole_file[: len(whole_file) // 2])
    expected = r"^train\.csv\.gz: the gzip data is cut short, somewhere after row [1-9]\d+$"
    with pytest.raises(DataError, match=expected):
        load_dataset(folder)


def harmless(content: Callable[[str], bytes]) -> Change:
    """Return a change in train's form that leaves its content the same."""
    return lambda folder: (folder / "train.csv").write_bytes(content(text(TRAIN)))


@pytest.mark.parametrize(
    "change",
    [
        harmless(lambda t: b"\xef\xbb\xbf" + t.encode()),
        harmless(lambda t: t.replace("\n", "\r\n").encode()),
        harmless(lambda t: t.removesuffix("\n").encode()),
        harmless(lambda t: (t + "\n\n").encode()),
        harmless(lambda t: t.replace(",255", ",255.0").encode()),
        harmless(lambda t: t.replace(",255", ',"255"').replace("label", '"label"').encode()),
        harmless(lambda t: t.replace(",", ", ").encode()),
        harmless(lambda t: t.replace(",255", ",2.55e2").replace(",1,", ",+01,").encode()),
        packed("train.csv", gzip.compress),
    ],
    ids=["BOM", "CRLF", "no last LF", "blank end", "255.0", "quoted", "blanks", "2.55e2", "gzip"],
)
def test_form_does_not_change_the_content(folder: Path, change: Change) -> None:
    """Byte order mark, line ends, quotes, blanks, whole floats and gzip all read the same."""
    plain = load_dataset(folder).fingerprint
    change(folder)
    assert load_dataset(folder).fingerprint == plain


@pytest.mark.parametrize(("cell", "value"), [(b"0", 0), (b"255", 255), (b" 7 ", 7), (b"-0", 0)])
def test_pixel_value(cell: bytes, value: int) -> None:
    """Whole numbers from 0 to 255 are pixels."""
    assert check.pixel_value(cell) == value


def test_cell_table_checks_a_spelling_once() -> None:
    """A second look at the same cell costs no parsing; a bad one raises each time."""
    parsed: list[bytes] = []

    def parse(cell: bytes) -> int:
        parsed.append(cell)
        return check.pixel_value(cell)

    table = check.CellTable(parse)
    assert [table[b"12"], table[b"12"]] == [12, 12]
    assert parsed == [b"12"]
    with pytest.raises(ValueError, match="'x' is not a number"):
        table[b"x"]
    assert b"x" not in table
