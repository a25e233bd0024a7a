"""A small sound competition, and what may be done to the bytes of its files."""

import gzip
from collections.abc import Callable
from pathlib import Path

# Ten 2x2 images of the classes 3 and 7, three test images.
TRAIN = ["label,pixel0,pixel1,pixel2,pixel3"]
TRAIN += [f"{3 if n % 2 else 7},{n},{n + 1},{n + 2},255" for n in range(10)]
TEST = ["pixel0,pixel1,pixel2,pixel3", "100,2,3,4", "101,2,3,4", "102,2,3,4"]
SAMPLE = ["ImageId,Label", "1,0", "2,0", "3,0"]

Change = Callable[[Path], object]


def text(lines: list[str]) -> str:
    """Return the lines as a file's text."""
    return "\n".join(lines) + "\n"


def sound_folder(parent: Path) -> Path:
    """Make a folder with sound files and return it."""
    data = parent / "data"
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
