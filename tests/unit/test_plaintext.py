"""Text of others: no terminal obeys it, and no spreadsheet runs it."""

import io

import pytest

from study.csvcell import harmless, harmless_csv
from study.plaintext import PlainOut, plain


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("\x1b[31mred\x1b[0m and \x1b[1;38;5;4mblue\x1b[m", "red and blue"),
        ("\x1b]0;a title\x07left \x1b]52;c;Y2xpcGJvYXJk\x1b\\right", "left right"),
        ("\x9b2Jerased \x9d0;title\x9cand \x90q\x9c.", "erased and ."),
        ("a\x1b[2K\x1b[1A\x1b[Gb", "ab"),
        ("an end\x1b", "an end"),
        ("an end\x1b[38;5", "an end"),
        ("an open title\x1b]0;stays on its line\nnext", "an open title\nnext"),
        ("\x1bcreset \x1b(Bset \x1b7save", "reset set save"),
        ("bell\x07 back\x08 null\x00 delete\x7f", "bell back null delete"),
        ("1/3\r2/3\r3/3\n", "1/3\n2/3\n3/3\n"),
        ("windows\r\nlines\r\n", "windows\nlines\n"),
        ("tab\tand\nline, Ñ 日本 \N{PILE OF POO}", "tab\tand\nline, Ñ 日本 \N{PILE OF POO}"),
    ],
)
def test_escapes_are_gone_and_text_stays(text: str, wanted: str) -> None:
    """Colours, titles, clipboards, erased lines, and what is only half there."""
    assert plain(text) == wanted


def test_sequence_in_two_pieces_is_harmless() -> None:
    """Its first character is gone with the first piece."""
    out = io.StringIO()
    to = PlainOut(out)
    for piece in ("a\x1b", "]0;title\x07b", "\x1b[3", "1mc"):
        to.write(piece)
    to.flush()
    assert out.getvalue() == "a]0;titleb1mc"


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", "-", "+x"],
)
def test_formula_gets_an_apostrophe(text: str) -> None:
    """A spreadsheet then shows it."""
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "-1.5", "+3", "-1e-05", "-inf", "a=b", "digits", "1-2"])
def test_numbers_and_text_stay(text: str) -> None:
    """Negative numbers begin with a minus and are no formulas."""
    assert harmless(text) == text


def test_whole_file_stays_one() -> None:
    """Quotes, commas and lines inside cells too; a header is a row."""
    text = 'a,"=b",c\n1,"x, ""y""\nz",-2\n"=HYPERLINK(""http://evil"")",,\n'
    wanted = 'a,\'=b,c\n1,"x, ""y""\nz",-2\n"\'=HYPERLINK(""http://evil"")",,\n'
    assert harmless_csv(text) == wanted
