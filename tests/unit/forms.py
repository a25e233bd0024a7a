"""One small competition in the forms that people publish: the same images, labels and ids in each.

A form is a function that writes the files of the competition into a folder, and the words that the
program must have said of it.
"""

import csv
import gzip
import io
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

SIDE, N_PIXELS, N_TRAIN, N_TEST = 4, 16, 40, 8
_random = np.random.default_rng(7)
IMAGES = _random.integers(1, 256, (N_TRAIN, N_PIXELS))
IMAGES[:, [0, -1]] = 0  # corners are black, as in most files of this kind
IMAGES[0, :3] = (0, 255, 0)
LABELS = [n % 4 for n in range(N_TRAIN)]
TEST_IMAGES = _random.integers(1, 256, (N_TEST, N_PIXELS))
TEST_IMAGES[:, [0, -1]] = 0
ANSWERS = [n % 4 for n in range(N_TEST)]

Rows = list[list[object]]
Form = tuple[Callable[[Path], None], tuple[str, ...]]

PIXELS = [f"pixel{n}" for n in range(N_PIXELS)]
TRAIN_ROWS: Rows = [[label, *image] for label, image in zip(LABELS, IMAGES.tolist(), strict=True)]
TEST_ROWS: Rows = TEST_IMAGES.tolist()
TRAIN_HEADER = ["label", *PIXELS]


def csv_text(header: Sequence[str] | None, rows: Rows, delimiter: str = ",") -> str:
    """Return rows as the text of a CSV file."""
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
    if header is not None:
        writer.writerow(header)
    writer.writerows(rows)
    return file.getvalue()


def plain(folder: Path) -> None:
    """Write the competition as Kaggle does."""
    put(folder, csv_text(TRAIN_HEADER, TRAIN_ROWS), csv_text(PIXELS, TEST_ROWS))


def put(folder: Path, train: str | bytes, test: str | bytes, names: str = "{}.csv") -> None:
    """Write two files."""
    for name, content in (("train", train), ("test", test)):
        raw = content.encode() if isinstance(content, str) else content
        (folder / names.format(name)).write_bytes(raw)


def named(pixels: Sequence[str], label: str = "label", *, last: bool = False) -> Form:
    """Return the form with other names, the label last if need be."""

    def write(folder: Path) -> None:
        header = [*pixels, label] if last else [label, *pixels]
        rows = [[*row[1:], row[0]] if last else row for row in TRAIN_ROWS]
        put(folder, csv_text(header, rows), csv_text(pixels, TEST_ROWS))

    return write, ()


def without_header(*, last: bool) -> Form:
    """Return the form of EMNIST's files."""

    def write(folder: Path) -> None:
        rows = [[*row[1:], row[0]] if last else row for row in TRAIN_ROWS]
        put(folder, csv_text(None, rows), csv_text(None, TEST_ROWS))

    where = "last" if last else "first"
    return write, (f"train.csv: no header; the {where} column is taken for the label",)


def _by_pandas(names: Sequence[object]) -> list[str]:
    """Return names as pandas makes them of a first row of numbers."""
    n_times: dict[str, int] = {}
    found = []
    for name in map(str, names):
        n = n_times.get(name, 0)
        found.append(f"{name}.{n}" if n else name)
        n_times[name] = n + 1
    return found


def _first_row_as_header(folder: Path) -> None:
    train, test = _by_pandas(TRAIN_ROWS[0]), _by_pandas(TEST_ROWS[0])
    put(folder, csv_text(train, TRAIN_ROWS[1:]), csv_text(test, TEST_ROWS[1:]))


def _shuffled(folder: Path) -> None:
    order = np.random.default_rng(3).permutation(N_PIXELS)
    header = [PIXELS[n] for n in order[:5]] + ["label"] + [PIXELS[n] for n in order[5:]]
    rows: Rows = []
    for row in TRAIN_ROWS:
        pixels = [row[1 + n] for n in order]
        rows.append([*pixels[:5], row[0], *pixels[5:]])
    by_text = sorted(range(N_PIXELS), key=lambda n: PIXELS[n])
    test: Rows = [[row[n] for n in by_text] for row in TEST_ROWS]
    put(folder, csv_text(header, rows), csv_text([PIXELS[n] for n in by_text], test))


def _with_index(name: str) -> Form:
    def write(folder: Path) -> None:
        train: Rows = [[n, *row] for n, row in enumerate(TRAIN_ROWS)]
        test: Rows = [[n, *row] for n, row in enumerate(TEST_ROWS)]
        put(
            folder,
            csv_text([name, *TRAIN_HEADER], train),
            csv_text([name, *PIXELS], test),
        )

    return write, (f"column {name or 'Unnamed: 0'}: dropped; it looks like the index",)


def _packed(form: Callable[[Sequence[object]], str]) -> Form:
    def write(folder: Path) -> None:
        train: Rows = [[row[0], form(row[1:])] for row in TRAIN_ROWS]
        test: Rows = [[form(row)] for row in TEST_ROWS]
        put(folder, csv_text(["emotion", "pixels"], train), csv_text(["pixels"], test))

    return write, ("train.csv column pixels: each cell holds the 16 pixels of an image",)


def _labelled_test(label: str) -> Form:
    def write(folder: Path) -> None:
        test: Rows = [[answer, *row] for answer, row in zip(ANSWERS, TEST_ROWS, strict=True)]
        put(
            folder,
            csv_text([label, *PIXELS], TRAIN_ROWS),
            csv_text([label, *PIXELS], test),
            "fashion-mnist_{}.csv",
        )

    return write, (f"fashion-mnist_test.csv column {label}: labels",)


def _rewritten(change: Callable[[str], str | bytes], *said: str) -> Form:
    def write(folder: Path) -> None:
        train, test = csv_text(TRAIN_HEADER, TRAIN_ROWS), csv_text(PIXELS, TEST_ROWS)
        put(folder, change(train), change(test))

    return write, said


def _delimited(delimiter: str, shown: str) -> Form:
    change = lambda text: text.replace(",", delimiter)  # noqa: E731
    said = f"train.csv: columns are separated by {shown}"
    return _rewritten(change, *([said] if shown else []))


def _zipped(names: Sequence[str], members: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        texts = {"train": csv_text(TRAIN_HEADER, TRAIN_ROWS), "test": csv_text(PIXELS, TEST_ROWS)}
        for archive in names:
            with zipfile.ZipFile(folder / archive, "w", zipfile.ZIP_DEFLATED) as file:
                for name, content in texts.items():
                    if len(names) == 1 or name in archive:
                        file.writestr(members.format(name), content)

    return write


def _unpacked_beside_its_archive(folder: Path) -> None:
    plain(folder)
    _zipped(["digit-recognizer.zip"], "{}.csv")(folder)


def _headless_of_text(folder: Path) -> None:
    words = ["cat", "dog", "emu", "fox"]
    rows: Rows = [[words[int(str(row[0]))], *row[1:]] for row in TRAIN_ROWS]
    put(folder, csv_text(None, rows), csv_text(None, TEST_ROWS))


def _trailing_in_rows_alone(text: str) -> str:
    header, *rows = text.splitlines()
    return "\n".join([header, *(f"{row}," for row in rows)]) + "\n"


_BY_TEXT_17, _BY_TEXT_16 = (sorted(map(str, range(n))) for n in (17, 16))
_BY_COLUMN = [f"col{column}_row{row}" for row in range(4) for column in range(4)]

FORMS: dict[str, Form] = {
    "Kaggle's": (plain, ()),
    "1x1": named([f"{r}x{c}" for r in range(1, 5) for c in range(1, 5)]),
    "row and column": named([f"pixel_{r}_{c}" for r in range(4) for c in range(4)], "target"),
    "zero-padded": named([f"pixel_{n:04d}" for n in range(16)], "character", last=True),
    "from 1, padded": named([f"px{n:02d}" for n in range(1, 17)], "class"),
    "bare numbers": named([str(n) for n in range(16)], last=True),
    "bare numbers from 1": named([str(n) for n in range(1, 17)], "y"),
    "brackets": named([f"image[{r}][{c}]" for r in range(4) for c in range(4)], "Label"),
    "R's": named([f"V{n}" for n in range(1, 17)], "species", last=True),
    "another label": named(PIXELS, "what it is"),
    "shuffled columns": (_shuffled, ("train.csv: the pixel columns are placed by their numbers",)),
    "no header, label first": without_header(last=False),
    "no header, label last": without_header(last=True),
    "numbers for all names": (
        lambda folder: put(
            folder,
            csv_text([str(n) for n in range(17)], TRAIN_ROWS),
            csv_text([str(n) for n in range(16)], TEST_ROWS),
        ),
        ("train.csv: numbers for names; the first column is taken for the label",),
    ),
    "first row as header": (
        _first_row_as_header,
        (
            "train.csv: its header (0, 0.1, 255, 0.2, ...) is a first row",
            "test.csv: its header (",
            "it is read as row 1, so that no row is lost",
        ),
    ),
    "nameless index": _with_index(""),
    "Unnamed: 0": _with_index("Unnamed: 0"),
    "index": _with_index("index"),
    "R's row names": _with_index("X"),
    "array of pandas": (
        lambda folder: put(
            folder,
            csv_text(["", *map(str, range(17))], [[n, *row] for n, row in enumerate(TRAIN_ROWS)]),
            csv_text(["", *map(str, range(16))], [[n, *row] for n, row in enumerate(TEST_ROWS)]),
        ),
        (
            "train.csv column Unnamed: 0: dropped",
            "train.csv: numbers for names; the first column is taken for the label",
        ),
    ),
    "numbers sorted as text": (
        lambda folder: put(
            folder,
            csv_text(_BY_TEXT_17, [[row[int(n)] for n in _BY_TEXT_17] for row in TRAIN_ROWS]),
            csv_text(_BY_TEXT_16, [[row[int(n)] for n in _BY_TEXT_16] for row in TEST_ROWS]),
        ),
        ("train.csv: numbers for names; the first column is taken for the label",),
    ),
    "floats for names": named([f"{n}.0" for n in range(16)], last=True),
    "column before row": (
        lambda folder: put(
            folder,
            csv_text(["label", *_BY_COLUMN], TRAIN_ROWS),
            csv_text(_BY_COLUMN, TEST_ROWS),
        ),
        (),
    ),
    "a list in a cell, no header": (
        lambda folder: put(
            folder,
            csv_text(None, [[row[0], str(row[1:])] for row in TRAIN_ROWS]),
            csv_text(None, [[str(row)] for row in TEST_ROWS]),
        ),
        ("train.csv: no header; the other column is the label",),
    ),
    "Excel's separator": _rewritten(
        lambda text: "sep=;\n" + text.replace(",", ";"), "columns are separated by ';'"
    ),
    "a commented row, no header": (
        lambda folder: put(
            folder,
            "#" + csv_text(None, TRAIN_ROWS[5:6]) + csv_text(None, TRAIN_ROWS),
            csv_text(None, TEST_ROWS),
        ),
        ("train.csv: 1 comment line is skipped", "the first column is taken for the label"),
    ),
    "a last line of commas": _rewritten(lambda text: text + ",,,\n"),
    "pixels in a cell": _packed(lambda pixels: " ".join(map(str, pixels))),
    "a list in a cell": _packed(lambda pixels: str(list(pixels))),
    "labelled test": _labelled_test("label"),
    "labelled test, another name": _labelled_test("what it is"),
    "semicolons": _delimited(";", "';'"),
    "tabs": _delimited("\t", "'\\t'"),
    "blanks": _delimited(" ", ""),
    "blank after the delimiter": _delimited(", ", ""),
    "trailing commas": _rewritten(lambda text: text.replace("\n", ",\n")),
    "trailing commas in the rows": _rewritten(_trailing_in_rows_alone),
    "three trailing commas": _rewritten(lambda text: text.replace("\n", ",,,\n")),
    "comment": _rewritten(
        lambda text: f"# by hand\n{text}", "train.csv: 1 comment line is skipped"
    ),
    "header of np.savetxt": _rewritten(
        lambda text: f"# {text}", "train.csv: the header stands after a comment sign"
    ),
    "UTF-16": _rewritten(lambda text: text.encode("utf-16")),
    "BOM, CRLF": _rewritten(lambda text: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()),
    "floats": _rewritten(lambda text: text.replace(",", ".0,", 0).replace(",255", ",2.55e+02")),
    "one archive": (_zipped(["digit-recognizer.zip"], "digit-recognizer/{}.csv"), ()),
    "two archives": (_zipped(["train.csv.zip", "test.csv.zip"], "{}.csv"), ()),
    "archive beside its files": (_unpacked_beside_its_archive, ()),
    "gzip, capitals": (
        lambda folder: put(
            folder,
            gzip.compress(csv_text(TRAIN_HEADER, TRAIN_ROWS).encode()),
            gzip.compress(csv_text(PIXELS, TEST_ROWS).encode()),
            "MNIST_{}.CSV.gz",
        ),
        (),
    ),
    "no header, text for labels": (
        _headless_of_text,
        ("train.csv: no header; the first column is taken for the label",),
    ),
}
