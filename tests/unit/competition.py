"""A folder with a competition of random images, for the tests of data and its cache."""

from pathlib import Path

import numpy as np

SIDE = 3
N_TRAIN, N_TEST = 60, 7


def write(folder: Path, *, first_pixel: int = 0, test_id: str | None = None) -> Path:
    """Write three classes (0, 5, 10) of random 3x3 images, and a sample_submission."""
    random = np.random.default_rng(1)
    pixels = [f"pixel{n}" for n in range(first_pixel, first_pixel + SIDE**2)]
    train = [["label", *pixels]]
    for row in range(N_TRAIN):
        train.append([str(row % 3 * 5), *map(str, random.integers(0, 256, SIDE**2))])
    test = [[*([test_id] if test_id else []), *pixels]]
    for row in range(N_TEST):
        ids = [f"t{row}"] if test_id else []
        test.append([*ids, *map(str, random.integers(0, 256, SIDE**2))])
    sample = [[test_id or "ImageId", "answer"]]
    sample += [[f"t{row}" if test_id else str(row + 1), "0"] for row in range(N_TEST)]
    folder.mkdir()
    for name, rows in (("train", train), ("test", test), ("sample_submission", sample)):
        (folder / f"{name}.csv").write_text("".join(",".join(row) + "\n" for row in rows))
    return folder


def edit(path: Path, row: int, new: str) -> None:
    """Replace one line of a file; 0 is the header."""
    lines = path.read_text().splitlines()
    lines[row] = new
    path.write_text("\n".join(lines) + "\n")
