"""Cells of a CSV file that a spreadsheet shows and does not run.

A cell that begins with one of a few characters is a formula to a spreadsheet, whoever wrote it: a
param, a name, an error's text. It gets an apostrophe before it. Numbers stay what they are.
"""

import csv
import io

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def harmless(text: str) -> str:
    """Return a cell's text so that no spreadsheet takes it for a formula."""
    if not text.lstrip(" ").startswith(FORMULA) or _is_number(text):
        return text
    return f"'{text}"


def harmless_csv(text: str) -> str:
    """Return a whole CSV file with `harmless` cells."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for row in csv.reader(io.StringIO(text, newline="")):
        writer.writerow([harmless(cell) for cell in row])
    return out.getvalue()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
