"""Every kind of bad input ends in one line that names file, row and column, and writes nothing."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from objectives import csvcheck
from objectives.errors import DataError
from objectives.kaggle import load_dataset

# Ten 2x2 images of the classes 3 and 7, three test images.
TRAIN = ["label,pixel0,pixel1,pixel2,pixel3"]
TRAIN += [f"{3 if n % 2 else 7},{n},{n + 1},{n + 2},255" for n in range(10)]
TEST = ["pixel0,pixel1,pixel2,pixel3", "100,2,3,4", "101,2,3,4", "102,2,3,4"]
SAMPLE = ["ImageId,Label", "1,0", "2,0", "3,0"]

Change = Callable[[Path], object]


def text(lines: list[str]) -> str:
    """Return the lines as a file's text."""
    return "\n".join(lines) + "\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with sound files; the cache is a folder that is not there yet."""
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))
    data = tmp_path / "data"
    data.mkdir()
    for name, lines in (("train", TRAIN), ("test", TEST), ("sample_submission", SAMPLE)):
        (data / f"{name}.csv").write_text(text(lines))
    return data


def whole(name: str, content: bytes | str | list[str]) -> Change:
    """Return a change that replaces a file."""
    if isinstance(content, list):
        content = text(content)
    raw = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / name).write_bytes(raw)


def line(name: str, row: int, new: bytes | str | None) -> Change:
    """Return a change that replaces one line (0 is the header), or takes it out for None."""

    def change(folder: Path) -> None:
        lines = (folder / name).read_bytes().splitlines()
        raw = new.encode() if isinstance(new, str) else new
        lines[row : row + 1] = [] if raw is None else [raw]
        (folder / name).write_bytes(b"\n".join(lines) + b"\n")

    return change


def pixel(value: bytes | str) -> Change:
    """Return a change that puts a value into train, row 4, column pixel2."""
    raw = value.encode() if isinstance(value, str) else value
    return line("train.csv", 4, b"3,1,2," + raw + b",4")


def label(value: str) -> Change:
    """Return a change that puts a value into train, row 6, column label."""
    return line("train.csv", 6, f"{value},1,2,3,4")


def columns(name: str, swap: Callable[[list[str]], list[str]]) -> Change:
    """Return a change that is made to the cells of every line."""

    def change(folder: Path) -> None:
        lines = (folder / name).read_text().splitlines()
        (folder / name).write_text(text([",".join(swap(line.split(","))) for line in lines]))

    return change


def both(*changes: Change) -> Change:
    """Return several changes as one."""
    return lambda folder: [change(folder) for change in changes]


def removed(name: str) -> Change:
    """Return a change that removes a file."""
    return lambda folder: (folder / name).unlink()


def as_folder(name: str) -> Change:
    """Return a change that puts a folder where a file was."""
    return both(removed(name), lambda folder: (folder / name).mkdir())


def packed(name: str, repack: Callable[[bytes], bytes]) -> Change:
    """Return a change that replaces NAME by NAME.gz, its bytes passed through `repack`."""

    def change(folder: Path) -> None:
        raw = (folder / name).read_bytes()
        (folder / name).unlink()
        (folder / f"{name}.gz").write_bytes(repack(raw))

    return change


def flipped(raw: bytes) -> bytes:
    """Return gzip data with a wrong checksum."""
    data = bytearray(gzip.compress(raw))
    data[-8] ^= 1
    return bytes(data)


PIXELS_5 = "pixel0,pixel1,pixel2,pixel3,pixel4"
MANY = ["label,pixel0,pixel1,pixel2,pixel3", *(f"{n},1,2,3,4" for n in range(101))]

# What is done to the sound files, and the whole line that must come of it.
FILE_FAULTS: dict[str, tuple[Change, str]] = {
    "train missing": (
        removed("train.csv"),
        "train.csv: neither it nor train.csv.gz is in {dir}",
    ),
    "test missing": (removed("test.csv"), "test.csv: neither it nor test.csv.gz is in {dir}"),
    "plain and gzip": (
        whole("train.csv.gz", gzip.compress(b"x")),
        "{dir}: train.csv and train.csv.gz are both there, and which one counts is unclear",
    ),
    "a folder": (
        as_folder("test.csv"),
        "test.csv: a folder, where a CSV file should be ({dir}/test.csv)",
    ),
    "a dead link": (
        both(removed("train.csv"), lambda d: (d / "train.csv").symlink_to("nowhere")),
        "train.csv: a link to a file that is not there ({dir}/train.csv)",
    ),
    "empty file": (whole("train.csv", ""), "train.csv: empty, 0 bytes ({dir}/train.csv)"),
    "empty gzip": (
        packed("train.csv", lambda _: gzip.compress(b"")),
        "train.csv.gz: empty, nothing inside the gzip file ({dir}/train.csv.gz)",
    ),
    "not gzip": (
        packed("train.csv", lambda raw: raw),
        "train.csv.gz: the gzip data is broken (Not a gzipped file (b'la'))",
    ),
    "gzip cut short": (
        packed("train.csv", lambda raw: gzip.compress(raw)[:-12]),
        "train.csv.gz: the gzip data is cut short",
    ),
    "gzip checksum": (packed("test.csv", flipped), "test.csv.gz: the gzip data is broken (CRC"),
    "gzip as plain": (
        whole("train.csv", gzip.compress(b"label\n1")),
        "train.csv: gzip inside, where CSV text should be",
    ),
    "gzip twice": (
        packed("test.csv", lambda raw: gzip.compress(gzip.compress(raw))),
        "test.csv.gz: gzip inside, where CSV text should be",
    ),
    "zip or xlsx": (
        whole("train.csv", b"PK\x03\x04abc"),
        "train.csv: a zip archive or an Excel workbook, where CSV text should be",
    ),
    "old Excel": (
        whole("train.csv", b"\xd0\xcf\x11\xe0abc"),
        "train.csv: an Excel workbook, where CSV text should be",
    ),
    "parquet": (
        whole("test.csv", b"PAR1abc"),
        "test.csv: a Parquet file, where CSV text should be",
    ),
    "UTF-16": (
        whole("train.csv", "label,pixel0\n1,2\n".encode("utf-16")),
        "train.csv: UTF-16 text, where CSV text should be",
    ),
    "web page": (
        whole("train.csv", "<!DOCTYPE html>\n<html>"),
        "train.csv: a web page or XML, not CSV, where CSV text should be",
    ),
    "LFS pointer": (
        whole("train.csv", "version https://git-lfs.github.com/spec/v1\noid sha256:1\n"),
        "train.csv: a Git LFS pointer, not the data, where CSV text should be",
    ),
}

HEADER_FAULTS: dict[str, tuple[Change, str]] = {
    "header only": (
        whole("train.csv", TRAIN[:1]),
        "train.csv: a header and no row below it",
    ),
    "blank header": (
        line("train.csv", 0, ""),
        "train.csv: the first line is blank; it should name the columns",
    ),
    "lone CR": (
        whole("train.csv", "\r".join(TRAIN)),
        "train.csv: lines end in a lone CR",
    ),
    "semicolons": (
        whole("train.csv", text(TRAIN).replace(",", ";")),
        "train.csv: columns are separated by ';', not by ','",
    ),
    "tabs": (
        whole("test.csv", text(TEST).replace(",", "\t")),
        "test.csv: columns are separated by '\\t', not by ','",
    ),
    "header not UTF-8": (
        line("train.csv", 0, b"\xe9tiquette,pixel0,pixel1,pixel2,pixel3"),
        "train.csv column 1: the name b'\\xe9tiquette' is not UTF-8",
    ),
    "NUL in header": (
        line("train.csv", 0, "label,pixel\0,pixel1,pixel2,pixel3"),
        "train.csv column 2: the name 'pixel\\x00' is not printable",
    ),
    "no header": (
        line("train.csv", 0, None),
        "train.csv: the first line holds numbers, where column names should be",
    ),
    "nameless column": (
        columns("train.csv", lambda cells: ["", *cells]),
        "train.csv column 1: no name in the header",
    ),
    "duplicate column": (
        line("train.csv", 0, "label,pixel0,pixel1,pixel1,pixel3"),
        "train.csv column pixel1: twice in the header, as column 3 and column 4",
    ),
    "label twice": (
        line("train.csv", 0, "label,label,pixel0,pixel1,pixel2"),
        "train.csv column label: twice in the header, as column 1 and column 2",
    ),
    "quote in header": (
        line("train.csv", 0, 'label,"pixel0,pixel1,pixel2,pixel3'),
        "train.csv column 2: '\"pixel0' has a broken quote",
    ),
    "no label": (
        columns("train.csv", lambda cells: cells[1:]),
        "train.csv: no label column; none is called 'label', and test.csv lacks none of its "
        "columns",
    ),
    "two labels": (
        whole("train.csv", ["digit,target,pixel0,pixel1,pixel2,pixel3", "1,1,1,2,3,4"]),
        "train.csv column target: it or digit could be the label; test.csv has neither",
    ),
    "strange column": (
        columns("train.csv", lambda cells: [*cells, "source"]),
        "train.csv column source: neither a pixel nor the label, label",
    ),
    "label in test": (
        columns("test.csv", lambda c: ["label" if c[0] == "pixel0" else "3", *c]),
        "test.csv column label: the label of train.csv; the test file must not have it",
    ),
    "strange column in test": (
        columns("test.csv", lambda cells: ["id", *cells, "source"]),
        "test.csv column source: neither a pixel nor the id, which is id",
    ),
    "no pixels": (
        line("train.csv", 0, "label,a,b,c,d"),
        "train.csv: no pixel columns; pixel0, pixel1, ... are expected, and the first column is "
        "'label'",
    ),
    "pixels from 2": (
        line("test.csv", 0, "pixel2,pixel3,pixel4,pixel5"),
        "test.csv column pixel2: the first pixel should be pixel0 or pixel1",
    ),
    "pixel missing": (
        line("train.csv", 0, "label,pixel0,pixel1,pixel3,pixel4"),
        "train.csv column pixel3: pixel2 should stand here, but is missing",
    ),
    "pixels out of order": (
        line("test.csv", 0, "pixel0,pixel2,pixel1,pixel3"),
        "test.csv column pixel2: pixel1 should stand here, but stands further on",
    ),
    "not square": (
        whole("train.csv", [f"label,{PIXELS_5}", "1,1,2,3,4,5"]),
        "train.csv: 5 pixel columns, pixel0 to pixel4, make no square image",
    ),
    "other width": (
        whole("test.csv", ["pixel0", "1"]),
        "test.csv: 1 pixel columns (1x1), where train.csv has 4 (2x2)",
    ),
    "other names": (
        line("test.csv", 0, "pixel1,pixel2,pixel3,pixel4"),
        "test.csv column pixel1: train.csv starts with pixel0",
    ),
}

ROW_FAULTS: dict[str, tuple[Change, str]] = {
    "short row": (
        line("train.csv", 5, "3,1,2,3"),
        "train.csv row 5, column pixel3: nothing there; the row has 4 cells, the header 5",
    ),
    "long row": (
        line("test.csv", 3, "1,2,3,4,55"),
        "test.csv row 3, column 5: '55' is too many; the row has 5 cells, the header 4",
    ),
    "blank line": (line("train.csv", 7, ""), "train.csv row 7: a blank line between the rows"),
    "rows with another delimiter": (
        line("train.csv", 2, "3;1;2;3;4"),
        "train.csv row 2, column pixel0: nothing there; the row has 1 cells, the header 5",
    ),
    "empty pixel": (pixel(""), "train.csv row 4, column pixel2: the cell is empty"),
    "NaN": (pixel("NaN"), "train.csv row 4, column pixel2: 'NaN' is not a finite number"),
    "infinite": (pixel("-inf"), "train.csv row 4, column pixel2: '-inf' is not a finite number"),
    "word": (pixel("abc"), "train.csv row 4, column pixel2: 'abc' is not a number"),
    "underscore": (pixel("1_0"), "train.csv row 4, column pixel2: '1_0' is not a number"),
    "negative": (pixel("-1"), "train.csv row 4, column pixel2: '-1' is negative"),
    "256": (pixel("256"), "train.csv row 4, column pixel2: '256' is more than 255"),
    "huge": (pixel("1e999"), "train.csv row 4, column pixel2: '1e999' is more than 255"),
    "fraction": (pixel("12.5"), "train.csv row 4, column pixel2: '12.5' is not a whole number"),
    "quoted word": (pixel('"a,b"'), "train.csv row 4, column pixel2: 'a,b' is not a number"),
    "broken quote": (pixel('"12'), "train.csv row 4, column pixel2: '\"12' has a broken quote"),
    "NUL": (pixel(b"1\x002"), "train.csv row 4, column pixel2: '1\\x002' holds a NUL byte"),
    "not UTF-8": (pixel(b"\xff"), "train.csv row 4, column pixel2: b'\\xff' is not UTF-8"),
    "other digits": (pixel("٣"), "train.csv row 4, column pixel2: '٣' is not a number"),
    "long garbage": (
        pixel("x" * 5000),
        f"train.csv row 4, column pixel2: '{'x' * 37}...' is not a number",
    ),
    "pixel in test": (
        line("test.csv", 2, "1,2,3,1000"),
        "test.csv row 2, column pixel3: '1000' is more than 255",
    ),
    "label missing": (label(""), "train.csv row 6, column label: the label is missing"),
    "label a word": (label("cat"), "train.csv row 6, column label: 'cat' is not a number"),
    "label a fraction": (
        label("3.5"),
        "train.csv row 6, column label: '3.5' is not a whole number",
    ),
    "label negative": (label("-1"), "train.csv row 6, column label: '-1' is negative"),
    "label NaN": (label("nan"), "train.csv row 6, column label: 'nan' is not a finite number"),
    "label huge": (
        label("9" * 30),
        f"train.csv row 6, column label: '{'9' * 30}' is too large for a label",
    ),
    "one class": (
        columns("train.csv", lambda c: [c[0] if c[0] == "label" else "3", *c[1:]]),
        "train.csv column label: every row holds 3; at least 2 classes are needed",
    ),
    "too many classes": (
        whole("train.csv", MANY),
        "train.csv row 101, column label: '100' is one class more than the 100 there may be",
    ),
    "small class": (
        label("8"),
        "train.csv row 6, column label: class 8 has rows: 1; 5 are the fewest",
    ),
    "test id twice": (
        columns("test.csv", lambda c: ["id" if c[0] == "pixel0" else "1", *c]),
        "test.csv row 2, column id: '1' stands in row 1 already",
    ),
}

SAMPLE_FAULTS: dict[str, tuple[Change, str]] = {
    "sample with three columns": (
        columns("sample_submission.csv", lambda cells: [*cells, "more"]),
        "sample_submission.csv: 3 columns (ImageId, Label, more); an id and a label are expected",
    ),
    "sample with a short row": (
        line("sample_submission.csv", 2, "2"),
        "sample_submission.csv row 2, column Label: nothing there; the row has 1 cells, the "
        "header 2",
    ),
    "sample with fewer rows": (
        line("sample_submission.csv", 3, None),
        "sample_submission.csv: 2 rows, where test.csv has 3",
    ),
    "sample id twice": (
        line("sample_submission.csv", 3, "1,0"),
        "sample_submission.csv row 3, column ImageId: '1' stands in row 1 already",
    ),
    "sample id missing": (
        line("sample_submission.csv", 2, ",0"),
        "sample_submission.csv row 2, column ImageId: the id is missing",
    ),
    "sample id not UTF-8": (
        line("sample_submission.csv", 2, b"\xfe,0"),
        "sample_submission.csv row 2, column ImageId: b'\\xfe' is not UTF-8",
    ),
    "sample id not the test's": (
        columns("test.csv", lambda c: [{"100": "1", "101": "9", "102": "3"}.get(c[0], "id"), *c]),
        "sample_submission.csv row 2, column ImageId: '2', but test.csv row 2, column id is '9'",
    ),
}

FAULTS = FILE_FAULTS | HEADER_FAULTS | ROW_FAULTS | SAMPLE_FAULTS


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_one_line_and_nothing_is_written(folder: Path, fault: str) -> None:
    """File, row, column and value stand in the message; neither cache nor data is touched."""
    change, expected = FAULTS[fault]
    change(folder)
    before = sorted(folder.iterdir())
    with pytest.raises(DataError) as caught:
        load_dataset(folder)
    message = str(caught.value)
    expected = expected.replace("{dir}", str(folder))
    assert message == expected or ("gzip data" in expected and message.startswith(expected))
    assert len(message.splitlines()) == 1
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
    real = Path.open

    def refuse(path: Path, mode: str) -> object:
        if path.name == "test.csv":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, mode)

    monkeypatch.setattr(Path, "open", refuse)
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
    assert csvcheck.pixel_value(cell) == value


def test_cell_table_checks_a_spelling_once() -> None:
    """A second look at the same cell costs no parsing; a bad one raises each time."""
    parsed: list[bytes] = []

    def parse(cell: bytes) -> int:
        parsed.append(cell)
        return csvcheck.pixel_value(cell)

    table = csvcheck.CellTable(parse)
    assert [table[b"12"], table[b"12"]] == [12, 12]
    assert parsed == [b"12"]
    with pytest.raises(ValueError, match="'x' is not a number"):
        table[b"x"]
    assert b"x" not in table
