"""Text from elsewhere: a terminal obeys nothing in it, a spreadsheet runs none of it."""

import csv
import io
import random

import pytest

from study.spec.workdir import folder_name
from study.text import harmless, harmless_cell, harmless_csv, harmless_lines

TRICKS = {
    "colour": "\x1b[31mred",
    "clear": "\x1b[2J\x1b[H",
    "title": "\x1b]0;owned\x07",
    "link": "\x1b]8;;http://evil\x1b\\text\x1b]8;;\x1b\\",
    "device string": "\x1bP+q544e\x1b\\",
    "one-byte CSI": "\x9b31m",
    "overwrite": "failed\rdone  ",
    "backspace": "bad\b\b\bgood",
    "delete": "\x7f",
    "zero": "a\x00b",
    "right to left": "\u202egnp.exe",
    "isolate": "\u2066x\u2069",
    "line separator": "a\u2028b",
    "half of a pair": "\ud83d",
}


@pytest.mark.parametrize("trick", TRICKS.values(), ids=TRICKS)
def test_nothing_is_obeyed_and_nothing_is_hidden(trick: str) -> None:
    """Each such character is there, as its code; what is left can be printed and written."""
    for shown in (harmless(trick), harmless_lines(trick), harmless_cell(trick)):
        assert shown.isprintable()
        assert shown != trick
        assert "\\" in shown
        shown.encode()


@pytest.mark.parametrize("text", ["digits", "Jürgen's 数字 🙂", "a\\b", "[red]", "1/2 = 50 %", ""])
def test_text_of_any_language_stays(text: str) -> None:
    """Only what is obeyed is changed."""
    assert harmless(text) == harmless_lines(text) == text


def test_line_ends_stay_where_lines_are_meant() -> None:
    """And are shown where one line is."""
    assert harmless_lines("a\n\tb\n") == "a\n\tb\n"
    assert harmless("a\n\tb") == "a\\n\\tb"


@pytest.mark.parametrize(
    "cell",
    [
        "=1+1",
        "+A1",
        "-A1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        " =1",
        "\uff1d1+1",
        "-2+3+cmd|' /C calc'!A0",
    ],
)
def test_formula_is_text(cell: str) -> None:
    """An apostrophe before it makes every spreadsheet take it so."""
    assert harmless_cell(cell).startswith("'")


PARTED = {
    'a;=HYPERLINK("http://evil")': """a;'=HYPERLINK("http://evil")""",
    'a;"=1+1"': """a;'"=1+1\"""",
    "a; \uff1d1": "a;' \uff1d1",
    "a\t@SUM(A1)\n-A1": "a\t'@SUM(A1)\n'-A1",
    "1;+A1;x;-B2": "1;'+A1;x;'-B2",
    "a; b=c; d-e;": "a; b=c; d-e;",
}


@pytest.mark.parametrize(("cell", "wanted"), PARTED.items())
def test_formula_behind_a_semicolon_is_text(cell: str, wanted: str) -> None:
    """A German spreadsheet parts cells there, and at a tab, whatever is quoted."""
    assert harmless_cell(cell) == wanted


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_no_reader_of_a_table_finds_a_formula(delimiter: str) -> None:
    """Cells of many makings, read with any delimiter."""
    pieces = ["=1", "+1x", "@A", "-A1", ";", "\t", "\n", '"', " ", ",", "x", "'"]
    draw = random.Random(7)
    rows = [["".join(draw.choices(pieces, k=5)) for _ in range(4)] for _ in range(2000)]
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows([[0, *row, 1] for row in rows])
    text = harmless_csv(written.getvalue())
    read = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    found = [cell for row in read for cell in row if cell.lstrip()[:1] in tuple("=+-@")]
    assert found == []


@pytest.mark.parametrize("cell", ["-inf", "-1.5", "+3e-4", "nan", "digits", "a=b", "", "lost"])
def test_what_is_no_formula_stays(cell: str) -> None:
    """Numbers that are written as text most of all: scripts read them."""
    assert harmless_cell(cell) == cell


@pytest.mark.parametrize(
    "name",
    [
        "../../x",
        "/etc/x",
        "..",
        ".",
        "",
        ".hidden",
        "a/../../b",
        "a\\..\\b",
        "a\x00b",
        "a\nb",
        "..\x1b",
    ],
)
def test_no_name_leads_out_of_the_folder(name: str) -> None:
    """One step below, whatever a database holds; the names that `create` allows stay."""
    found = folder_name(name)
    assert found
    assert found.isprintable()
    assert not {"/", "\\"} & set(found)
    assert not found.startswith(".")


@pytest.mark.parametrize("name", ["学" * 100, "😀" * 400, "/" * 300, "a" * 512, "\udcff" * 200])
def test_long_name_of_another_program_fits(name: str) -> None:
    """With what is put behind it; two that differ at their ends have two folders."""
    found = folder_name(name)
    assert len(f"{found}.work".encode()) <= 255
    assert found != folder_name(f"{name[:-1]}b")
    assert folder_name(name) == found


@pytest.mark.parametrize("name", ["digits", "my study", "a.b", "数字", "50% (2)"])
def test_names_that_create_allows_stay(name: str) -> None:
    """Their work dirs are found again."""
    assert folder_name(name) == name


def test_whole_file_stays_one() -> None:
    """Quotes, commas and lines inside cells too; a header is a row."""
    text = 'a,"=b",c\n1,"x, ""y""\nz",-2\n"=HYPERLINK(""http://evil"")",,\n'
    wanted = 'a,\'=b,c\n1,"x, ""y""\nz",-2\n"\'=HYPERLINK(""http://evil"")",,\n'
    assert harmless_csv(text) == wanted


def test_cell_may_be_long() -> None:
    """Longer than Python's csv takes unasked: anybody may write such an attribute."""
    text = f"a\n{'x' * 200_000}\n"
    assert harmless_csv(text) == text
