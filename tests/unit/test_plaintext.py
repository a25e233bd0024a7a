"""Logs on a page of ours: escape sequences and controls are gone, the text is there."""

import pytest

from study.text import plain


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
