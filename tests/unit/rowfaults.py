"""What may be wrong with a row, a cell or the sample's ids, and the line that says so.

Each change is made to the sound files of `changes.py`; the whole line must come of it.
"""

from tests.unit.changes import Change, both, columns, label, line, pixel, whole

MANY = ["label,pixel0,pixel1,pixel2,pixel3", *(f"{n},1,2,3,4" for n in range(101))]

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
    "label NaN": (label("nan"), "train.csv row 6, column label: 'nan' is not a finite number"),
    "label huge": (
        label("9" * 30),
        f"train.csv row 6, column label: '{'9' * 30}' is too large for a label",
    ),
    "label with what is not seen": (
        label("3\u200b"),
        "train.csv row 6, column label: '3\\u200b' is not printable",
    ),
    "label not UTF-8": (
        line("train.csv", 6, b"\xfe,1,2,3,4"),
        "train.csv row 6, column label: b'\\xfe' is not UTF-8",
    ),
    "one class": (
        columns("train.csv", lambda c: [c[0] if c[0] == "label" else "3", *c[1:]]),
        "train.csv column label: every row holds 3; at least 2 classes are needed",
    ),
    "too many classes": (
        whole("train.csv", MANY),
        "train.csv row 101, column label: '100' is one class more than the 100 allowed",
    ),
    "small class": (
        label("8"),
        "train.csv row 6, column label: class 8 has rows: 1; at least 5 are needed",
    ),
    "small class of text": (
        both(
            columns("train.csv", lambda c: [c[0] if c[0] == "label" else f"no {c[0]}", *c[1:]]),
            label("no3"),
        ),
        "train.csv row 6, column label: class 'no3' has rows: 1; at least 5 are needed",
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
        "sample_submission.csv: 2 rows, but test.csv has 3",
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
        "sample_submission.csv row 2, column ImageId: '2' is not an id of test.csv, column id",
    ),
}
