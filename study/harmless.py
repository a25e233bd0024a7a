"""Text from elsewhere as a terminal may have it: nothing in it is obeyed, and nothing hidden.

Study names, hosts, errors and logs come from whoever can write to the database or to a log. Escape
sequences in them could clear a screen, forge a line, set a title or paste a command. Decides which
characters are shown by their code instead; and which cells of a CSV a spreadsheet would run.
"""

import csv
import io
import re

# Beside the controls: what turns the direction of a line or breaks it unseen, and halves of pairs.
_UNSEEN = r"\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_OBEYED = re.compile(rf"[\x00-\x1f{_UNSEEN}]")
_OBEYED_IN_LINES = re.compile(rf"[\x00-\x08\x0b-\x1f{_UNSEEN}]")
# Spreadsheets take the wide forms for the plain ones. Where numbers have commas, they part cells at
# semicolons, others at tabs, and then a quote does not keep a line whole.
_FORMULA = re.compile(
    r"(^|[;\t\n])(?=[\" ]*[=+\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b])"
)
LONGEST_CELL = 2**31 - 1  # characters


def harmless(text: str) -> str:
    """Return text as one line in which every character is shown."""
    return _OBEYED.sub(_by_code, text)


def harmless_lines(text: str) -> str:
    """Return text of several lines in which nothing but line ends and tabs is obeyed."""
    return _OBEYED_IN_LINES.sub(_by_code, text)


def harmless_cell(text: str) -> str:
    """Return text that a spreadsheet takes for text: a formula gets an apostrophe before it.

    So does what would be one if cells were parted at semicolons. Numbers stay numbers, also `-inf`.
    """
    if _is_number(text):
        return harmless_lines(text)
    shown = harmless_lines(_FORMULA.sub(r"\1'", text))
    return f"'{shown}" if text[:1] in ("\t", "\r", "\n") else shown


def harmless_csv(text: str) -> str:
    """Return a whole CSV file with `harmless_cell` cells, of any length."""
    csv.field_size_limit(LONGEST_CELL)  # Python's own is 128 KB: an attribute may be longer
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for row in csv.reader(io.StringIO(text, newline="")):
        writer.writerow([harmless_cell(cell) for cell in row])
    return out.getvalue()


def _by_code(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape", "surrogatepass").decode("ascii")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
