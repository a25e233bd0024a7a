"""Find the train, test and sample submission files of a data folder by their names.

Common spellings of the names are accepted; files may be plain, `.gz`, or inside a `.zip`. Several
candidates are refused, unless their content is equal.
"""

import os
import re
import shlex
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from objectives.data.csv.check import CsvFile, unreadable
from objectives.errors import DataError
from objectives.files.openfile import open_file, open_zip

_SAMPLE = (
    "samplesubmission", "samplesubmit", "submissionsample", "examplesubmission", "submissionformat"
)  # fmt: skip
_WORDS = {"train": {"train", "training"}, "test": {"test", "testing"}}
_NO_IMAGES = frozenset({"label", "labels", "answer", "answers", "solution", "submission", "sample"})
_PICTURES = frozenset({".png", ".jpg", ".jpeg", ".gif", ".bmp"})
_MOST_NAMED, _MOST_UNREAD = 5, 20
_MOST_LOOKED_AT = 1000  # entries below a folder
_BLOCK_BYTES = 1 << 20
HINT = "--data DIR, a folder with train.csv and test.csv in it, plain, .gz or .zip"


@dataclass(frozen=True)
class Files:
    """The files of a competition.

    Attributes:
        sample: The sample submission; None if there is none.
        unread: Names of other CSV files in the folder.
    """

    train: CsvFile
    test: CsvFile
    sample: CsvFile | None
    unread: tuple[str, ...] = ()

    def present(self) -> tuple[CsvFile, ...]:
        """Return train, test and, if present, the sample."""
        return tuple(file for file in (self.train, self.test, self.sample) if file)


def find_files(data_dir: Path) -> Files:
    """Return the files in `data_dir`.

    Raises:
        DataError: The folder, train or test is missing, or several files could be one of them.
    """
    broken, found = list[DataError](), list[CsvFile]()
    try:
        if not data_dir.exists():
            raise DataError(f"{data_dir}: no such folder", HINT)
        if not data_dir.is_dir():
            raise DataError(f"{data_dir}: a file, where a folder should be", HINT)
        for path in _visible(data_dir):
            found += _csv_files(path, broken)
        train, test, sample = (
            _one_of(data_dir, found, role) for role in ("train", "test", "sample")
        )
        if train is None or test is None:
            raise broken[0] if broken else _missing(data_dir, train)
    except OSError as error:
        text = f"{data_dir}: cannot be read: {error.strerror or error}"
        raise DataError(text, "make it readable for this user, or name another folder") from None
    used = {_stem(file) for file in (train, test, sample) if file}
    unread = [file.name for file in found if _stem(file) not in used]
    if n_more := len(unread[_MOST_UNREAD:]):  # an archive may list 100,000
        unread[_MOST_UNREAD:] = [f"{n_more} more"]
    return Files(train, test, sample, tuple(unread))


def _visible(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]


def _csv_files(path: Path, broken: list[DataError]) -> Iterator[CsvFile]:
    """Yield a file whose name ends as a CSV's, or the CSVs inside an archive.

    A broken archive is only an error if a file is missing without it.
    """
    if _is_csv(path):
        yield CsvFile(path)
    elif path.name.lower().endswith(".zip") and path.is_file():
        try:
            with open_zip(path) as archive:
                members = archive.namelist()
        except zipfile.BadZipFile as error:
            text = f"{CsvFile(path).name}: the zip data is broken ({error})"
            broken.append(DataError(text, "unzip it, or download it again"))
            return
        for member in members:
            name = member.rpartition("/")[2]
            if name.lower().endswith(".csv") and not name.startswith("."):
                yield CsvFile(path, member)


def _is_csv(path: Path) -> bool:
    return path.name.lower().endswith((".csv", ".csv.gz"))


def _stem(file: CsvFile) -> str:
    """Return the name without folders and suffixes."""
    name = file.path.name if file.member is None else file.member.rpartition("/")[2]
    return re.sub(r"(?i)\.csv(\.gz)?$", "", name)


def _is_exactly(file: CsvFile, role: str) -> bool:
    """Whether a file is called `train` or `NAME_train`, or a sample by any spelling."""
    words = re.findall(r"[a-z0-9]+", _stem(file).lower())
    if role == "sample":
        return any(kind in "".join(words) for kind in _SAMPLE)
    return bool(words) and words[-1] in _WORDS[role]


def _is_loosely(file: CsvFile, role: str) -> bool:
    """Whether `train` is one word of the name, such as `train_images`."""
    words = set(re.findall(r"[a-z0-9]+", _stem(file).lower()))
    if role == "sample" or words & _NO_IMAGES:
        return False
    return {name for name in _WORDS if words & _WORDS[name]} == {role}


def _one_of(data_dir: Path, found: list[CsvFile], role: str) -> CsvFile | None:
    """Return the file of a role; None if there is none."""
    files = [file for file in found if _is_exactly(file, role)]
    files = files or [file for file in found if _is_loosely(file, role)]
    for path in (file.path for file in files):
        if not path.exists():
            text = f"{path.name}: a link to a file that is not there ({path})"
            raise DataError(text, "fix or remove the link")
        if not path.is_file():
            kind = "a folder" if path.is_dir() else "no regular file"
            text = f"{path.name}: {kind}, where a CSV file should be ({path})"
            raise DataError(text, "give it another name, and put the CSV file there")
    if len(files) > 1:  # an archive and its unpacked file count as one candidate
        by_content: dict[tuple[int, int], CsvFile] = {}
        for file in sorted(files, key=lambda one: one.member is not None):
            by_content.setdefault(_content(file), file)
        files = list(by_content.values())
    if len(files) > 1:
        # Files of one name in archives differ by their folders.
        names = [f"{one.member} in {one.path.name}" if one.member else one.name for one in files]
        both = "are both there" if len(files) == 2 else "are all there"
        raise DataError(
            f"{data_dir}: {', '.join(names[:_MOST_NAMED])} {both}, and which one counts is unclear",
            f"leave one of them in {data_dir}",
        )
    return files[0] if files else None


def _content(file: CsvFile) -> tuple[int, int]:
    """Return size and CRC-32 of the content; a `.gz` is not unpacked."""
    if file.member is not None:
        with open_zip(file.path) as archive:
            info = archive.getinfo(file.member)
        return info.file_size, info.CRC
    checksum = 0
    try:
        with open_file(file.path) as content:
            while block := content.read(_BLOCK_BYTES):
                checksum = zlib.crc32(block, checksum)
    except OSError as error:
        raise unreadable(file.path, error) from None
    return file.path.stat().st_size, checksum


def _missing(data_dir: Path, train: CsvFile | None) -> DataError:
    """Return the error for a folder without train or test, with the names of its files."""
    name = "train.csv" if train is None else "test.csv"
    there = _visible(data_dir)
    some = ", ".join(path.name + "/" * path.is_dir() for path in there[:_MOST_NAMED])
    more = f" and {len(there) - _MOST_NAMED} more" if len(there) > _MOST_NAMED else ""
    text = f"{data_dir}: no {name} in it; there {'is' if len(there) == 1 else 'are'} "
    return DataError(f"{text}{some or 'no files'}{more}", _hint_for(there, train))


def _hint_for(there: list[Path], train: CsvFile | None) -> str:
    for folder in (path for path in there if path.is_dir() and os.access(path, os.R_OK | os.X_OK)):
        if any(_is_exactly(CsvFile(path), "train") for path in folder.iterdir() if _is_csv(path)):
            return f"--data {shlex.quote(str(folder))}"
        some = islice(folder.rglob("*"), _MOST_LOOKED_AT)
        if any(path.suffix.lower() in _PICTURES for path in some):
            images = shlex.quote(str(folder.parent))
            return f"study from-images {images} --data OTHER_DIR   (makes the CSV files)"
    if any("idx" in path.name and "ubyte" in path.name for path in there):
        return "study fetch mnist --data DIR   (the same digits as CSV files)"
    if train is not None:
        return "put the images to predict into test.csv, with the same pixel columns"
    csv_files = [path.name for path in there if _is_csv(path)]
    likely = [name for name in csv_files if "train" in name.lower()] or csv_files
    if len(likely) == 1 and not _is_exactly(CsvFile(Path(likely[0])), "test"):
        return f"call {likely[0]} train.csv, and the file with the images to predict test.csv"
    return HINT
