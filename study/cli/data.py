"""The commands that get data: fetch and from-images write the CSV files that a study reads.

Imports stand inside the commands, so that `study --help` stays quick.
"""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from study.options import Data, Quiet, option

if TYPE_CHECKING:
    from objectives.data.write import Pictures
    from study.spec.open import Say

Answers = Annotated[
    Path | None,
    option(
        "--answers",
        "File for the true labels of the test images, if they are known; default "
        "<data>-answers.csv",
    ),
]
Overwrite = Annotated[
    bool,
    option("--overwrite", "Replace files that have other content"),
]


def fetch_command(
    name: Annotated[
        str, typer.Argument(help="demo, mnist, or a Kaggle competition, such as digit-recognizer")
    ],
    data: Data = None,
    answers: Answers = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> int:
    """Get data: the demo's digits, MNIST, or a Kaggle competition."""
    from study.view.console import View

    say = View(quiet=quiet).say
    folder = data or Path(name)
    if name in ("demo", "mnist"):
        from objectives.data.digits import bundled_digits, mnist

        pictures = bundled_digits() if name == "demo" else mnist()
        _write(name, pictures, folder, answers, say, overwrite=overwrite)
    else:
        from objectives.data.kaggle import fetch_competition

        fetch_competition(name, folder, say, overwrite=overwrite)
    say(f"next: study run --data {shlex.quote(str(folder))} --finalize")
    return 0


def from_images_command(
    folder: Annotated[
        Path, typer.Argument(help="FOLDER/<class>/*, or FOLDER/train/<class>/* and FOLDER/test")
    ],
    data: Annotated[Path, option("--data", "Folder for the CSV files")],
    answers: Answers = None,
    side: Annotated[
        int,
        option("--side", "Width and height of an image, in pixels", min=2, max=1024),
    ] = 28,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> int:
    """Make the CSV files from image files, in one folder for each class."""
    from objectives.data.images.folder import read_image_folder
    from study.view.console import View

    say = View(quiet=quiet).say
    pictures = read_image_folder(folder, side)
    _write(str(folder), pictures, data, answers, say, overwrite=overwrite)
    quoted = shlex.quote(str(data))
    say(f"next: study check --data {quoted}, then: study run --data {quoted}")
    return 0


def _write(
    name: str,
    pictures: "Pictures",
    folder: Path,
    answers: Path | None,
    say: "Say",
    *,
    overwrite: bool,
) -> None:
    from objectives.data.write import write_pictures
    from objectives.files.atomic import make_folder

    make_folder(folder, "--data")
    place = folder.resolve()
    answers = answers or place.with_name(f"{place.name}-answers.csv")
    written = write_pictures(pictures, folder, answers, overwrite=overwrite)
    for note in (*pictures.notes, *pictures.class_notes()):
        say(f"warning: {note}")
    n_train, n_test, side = len(pictures.images), len(pictures.test_images), pictures.side
    where = f"{'written to' if written else 'unchanged in'} {folder}"
    say(f"{name}: {n_train} labelled and {n_test} unlabelled images, {side}x{side}, {where}")
    if pictures.answers is not None:
        here = Path.cwd()
        shown = answers.relative_to(here) if answers.is_relative_to(here) else answers
        say(f"the true labels of the unlabelled images are in {shown}")
