"""What may be wrong with a file as a whole or with its header, and the line that says so.

Each change is made to the sound files of `changes.py`; the whole line must come of it.
"""

import gzip

from tests.unit.changes import (
    TEST,
    TRAIN,
    Change,
    as_folder,
    both,
    columns,
    flipped,
    line,
    packed,
    removed,
    text,
    whole,
)

PIXELS_5 = "pixel0,pixel1,pixel2,pixel3,pixel4"

FILE_FAULTS: dict[str, tuple[Change, str]] = {
    "train missing": (
        removed("train.csv"),
        "{dir}: no train.csv in it; there are sample_submission.csv, test.csv",
    ),
    "test missing": (
        removed("test.csv"),
        "{dir}: no test.csv in it; there are sample_submission.csv, train.csv",
    ),
    "plain and gzip": (
        whole("train.csv.gz", gzip.compress(b"x")),
        "{dir}: train.csv, train.csv.gz are both there, and which one counts is unclear",
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
    "UTF-16 without a mark": (
        whole("train.csv", "label,pixel0\n1,2\n".encode("utf-16-le")),
        "train.csv: UTF-16 text without a byte order mark",
    ),
    "UTF-16 cut short": (
        whole("train.csv", text(TRAIN).encode("utf-16")[:-1]),
        "train.csv: broken UTF-16: 'utf-16-le' codec can't decode byte 0x0a in position 0: "
        "truncated data",
    ),
    "zip that is broken": (
        both(removed("train.csv"), whole("train.csv.zip", b"PK\x03\x04abc")),
        "train.csv.zip: the zip data is broken (File is not a zip file)",
    ),
    "two train files": (
        whole("mnist_train.csv", text(TRAIN[:-1])),
        "{dir}: mnist_train.csv, train.csv are both there, and which one counts is unclear",
    ),
    "ARFF": (
        whole("train.csv", "% MNIST\n@RELATION mnist\n"),
        "train.csv: a Weka ARFF file, where CSV text should be",
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
    "header not UTF-8": (
        line("train.csv", 0, b"\xe9tiquette,pixel0,pixel1,pixel2,pixel3"),
        "train.csv column 1: the name b'\\xe9tiquette' is not UTF-8",
    ),
    "NUL in header": (
        line("train.csv", 0, "label,pixel\0,pixel1,pixel2,pixel3"),
        "train.csv column 2: the name 'pixel\\x00' is not printable",
    ),
    "no header, two likely labels": (
        whole("train.csv", [f"{n % 2},1,2,3,4,5,6,7,8,{n % 2}" for n in range(10)]),
        "train.csv: no column is called the label, and whether it is the first or the last is not "
        "clear from the values",
    ),
    "columns without names that may be ids": (
        both(
            whole("train.csv", [f"{n % 2},{n},{n},{n},255" for n in range(10)]),
            whole("test.csv", [f"{n},{line}" for n, line in enumerate(TEST[1:], 100)]),
        ),
        "test.csv: 5 columns without names, but 4 pixels are expected; the role of the others is "
        "unclear",
    ),
    "nameless column": (
        columns("train.csv", lambda cells: [cells[0], "", *cells[1:]]),
        "train.csv column 2: no name in the header",
    ),
    "one-hot labels": (
        whole("train.csv", ["a_3,a_7,pixel0,pixel1,pixel2,pixel3", *["1,0,1,2,3,4"] * 9]),
        "train.csv column a_3: the first of 2 columns of one-hot labels, up to a_7; one column "
        "with the label of each row is expected",
    ),
    "rows of several kinds": (
        columns("train.csv", lambda c: [*c, "Usage" if c[0] == "label" else f"of {c[0]}"]),
        "train.csv column Usage: the rows are of several kinds (of 7: 5, of 3: 5)",
    ),
    "two kinds of pixels": (
        columns("train.csv", lambda c: [*c, *(f"b{n}" for n in range(4))]),
        "train.csv: the columns like pixel0 or those like b0 could be the pixels",
    ),
    "a number twice": (
        line("train.csv", 0, "label,pixel_0,pixel_1,pixel_01,pixel_2"),
        "train.csv column pixel_01: has the number of pixel_1",
    ),
    "a hole in the grid": (
        line("train.csv", 0, "label,1x1,1x2,2x1,3x2"),
        "train.csv: the pixel columns go from 1x1 to 3x2, but row 2, column 2 is missing",
    ),
    "a grid that is no square": (
        whole("train.csv", ["label,1x1,1x2,1x3,2x1,2x2,2x3", "1,1,2,3,4,5,6"]),
        "train.csv: images of 2 rows and 3 columns are not square",
    ),
    "a pixel in a channel": (
        whole("train.csv", ["label,r1c1k1,r1c2k1,r2c1k1,r2c2k2", "1,1,2,3,4"]),
        "train.csv: the names of the pixel columns, r1c1k1 to r2c2k2, have more than a row and a "
        "column",
    ),
    "three columns a pixel": (
        whole("train.csv", ["label," + ",".join(f"{c}{n}" for c in "rgb" for n in range(4))]),
        "train.csv: 3 columns for each pixel (r0, g0, b0, ...), as in colour images",
    ),
    "an image of one pixel": (
        both(whole("train.csv", ["label,pixel0", "1,2"]), whole("test.csv", ["pixel0", "1"])),
        "train.csv: one pixel column, pixel0, is not an image",
    ),
    "a cell of colours": (
        whole("train.csv", ["label,pixels", '1,"[[[1, 2, 3, 4], [1, 2, 3, 4]]]"']),
        "train.csv column pixels: several values for each pixel",
    ),
    "a cell of numbers that are no square": (
        whole("train.csv", ["label,pixels", *["1,1 2 3 4 5"] * 9]),
        "train.csv column pixels: 5 numbers in a cell make no square image",
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
    "two columns that may be the id": (
        columns("test.csv", lambda cells: ["one", *cells, "other"]),
        "test.csv column other: it or one could be the id, and neither is called so",
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
        "train.csv column pixel3: pixel2 is missing before it",
    ),
    "not square": (
        whole("train.csv", [f"label,{PIXELS_5}", "1,1,2,3,4,5"]),
        "train.csv: 5 pixel columns, pixel0 to pixel4, make no square image",
    ),
    "other width": (
        whole("test.csv", ["pixel0", "1"]),
        "test.csv: 1 pixel columns (1x1), but train.csv has 4 (2x2)",
    ),
    "other names": (
        line("test.csv", 0, "pixel1,pixel2,pixel3,pixel4"),
        "test.csv column pixel1: train.csv starts with 'pixel0'",
    ),
}
