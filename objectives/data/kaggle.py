"""Download a competition's files with Kaggle's client, which has the user's credentials.

Known failures of the client become one line with a hint. The client is not a dependency: it is used
if it is installed.
"""

import re
import shutil
import subprocess
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from objectives.data.write import SAMPLE, TEST, TRAIN, put_files
from objectives.errors import DataError
from objectives.files.atomic import make_folder
from objectives.files.limits import MIB
from objectives.files.openfile import open_member, open_zip

CLIENT = "kaggle"
SITE = "www.kaggle.com"
NEEDED = (TRAIN, TEST)


def fetch_competition(
    name: str, data_dir: Path, say: Callable[[str], None], *, overwrite: bool
) -> None:
    """Download the files of a competition and put them into `data_dir`.

    Raises:
        DataError: The client is missing or failed, or another file exists; nothing was written.
    """
    if not name.replace("-", "").replace("_", "").isalnum() or name.startswith("-"):
        raise DataError(
            f"{name!r} is not a data set and cannot be a competition's name",
            "demo, mnist, or the last part of a competition's address: digit-recognizer",
        )
    client = shutil.which(CLIENT)
    if client is None:
        raise DataError(
            f"'{name}' is a competition of Kaggle, and its client '{CLIENT}' is not installed",
            f"pip install {CLIENT}, or download in the browser and unzip",
        )
    with _place_in(data_dir) as place:
        _download(client, name, place)
        found = _find(name, place)
        written = put_files(found, overwrite=overwrite)
    where = f"{'written to' if written else 'unchanged in'} {data_dir}"
    say(f"{name}: {', '.join(path.name for path in found)} {where}")


@contextmanager
def _place_in(data_dir: Path) -> Iterator[Path]:
    """Yield a hidden folder in `data_dir`; remove both if `data_dir` is new and stays empty."""
    is_new = not data_dir.exists()
    make_folder(data_dir, "--data")
    try:
        place = Path(tempfile.mkdtemp(prefix=".download-", dir=data_dir))
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"--data {data_dir}: {reason}", "another folder for --data") from error
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        if is_new:
            with suppress(OSError):  # it is not empty
                data_dir.rmdir()


def _download(client: str, name: str, place: Path) -> None:
    command = [client, "competitions", "download", "-c", name, "-p", str(place)]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
        )
    except OSError as error:
        raise DataError(f"{client}: cannot be run: {error.strerror or error}") from error
    if done.returncode != 0 or not any(place.iterdir()):
        # Some versions exit with 0 after a failure.
        raise _failure(name, f"{done.stdout}\n{done.stderr}")


def _failure(name: str, said: str) -> DataError:
    """Return the failure as one line, by words in the client's output."""
    page = f"https://{SITE}/competitions/{name}"
    token = f"a token from https://{SITE}/settings into ~/.kaggle/kaggle.json"
    by_hand = f"download in the browser: {page}/data"
    known = (
        (
            r"find kaggle\.json|authenticat|must log in|auth login|missing (username|key)",
            "Kaggle's client has no credentials",
            f"{token}, or KAGGLE_USERNAME and KAGGLE_KEY, or: kaggle auth login",
        ),
        (
            r"max retries|resolve|connection|unreachable|timed out",
            "Kaggle cannot be reached from here",
            f"once with a network, or {by_hand}; 'study fetch demo' needs none",
        ),
        (r"\b401\b", "Kaggle does not accept the credentials", f"new ones: {token}"),
        (
            r"\b403\b|accept this competition",
            "Kaggle refuses the files: the competition's rules were not accepted by this account",
            f"accept them on {page}/rules, then the same command",
        ),
        (r"\b404\b", "Kaggle has no competition of that name", "demo, mnist or digit-recognizer"),
    )
    for words, message, hint in known:
        if re.search(words, said, re.IGNORECASE):
            return DataError(f"{name}: {message}", hint)
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    last = lines[-1] if lines else "it said nothing"
    return DataError(f"{name}: Kaggle's client failed: {last}", by_hand)


def _find(name: str, place: Path) -> dict[Path, Callable[[Path], None]]:
    """Return a writer for each downloaded CSV file, zipped or not, by target path."""
    data_dir = place.parent
    found: dict[Path, Callable[[Path], None]] = {}
    for path in sorted(place.iterdir()):
        if path.is_file() and zipfile.is_zipfile(path):
            with _damage(path.name), open_zip(path) as packed:
                for member in packed.namelist():
                    if member in (TRAIN, TEST, SAMPLE):
                        found[data_dir / member] = partial(_unzip, path, member)
        elif path.name in (TRAIN, TEST, SAMPLE):
            found[data_dir / path.name] = partial(shutil.copyfile, path)
    missing = [needed for needed in NEEDED if data_dir / needed not in found]
    if missing:
        raise DataError(
            f"{name}: no {missing[0]} among Kaggle's files of it",
            "a competition of images in CSV files, such as digit-recognizer; or images: study "
            "from-images FOLDER",
        )
    return found


def _unzip(archive: Path, member: str, target: Path) -> None:
    hint = "download in the browser and unzip"
    with (
        _damage(member),
        open_zip(archive) as packed,
        open_member(packed, member, member, hint) as source,
    ):
        n_bytes, left = packed.getinfo(member).file_size, shutil.disk_usage(target.parent).free
        if n_bytes > left:
            text = f"{n_bytes / MIB:,.0f} MiB unpacked, and {left / MIB:,.0f} MiB are left"
            raise DataError(f"{member}: {text} in {target.parent}", "--data DIR, elsewhere")
        with target.open("xb") as file:
            shutil.copyfileobj(source, file)


@contextmanager
def _damage(name: str) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DataError(f"{name}: the download is damaged", "the same command again") from error
