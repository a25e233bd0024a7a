"""What the commands do that get data: each ends in the CSV files that a study starts from.

Imports stand inside the commands, so that `study --help` stays quick.
"""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from study.options import Data, Quiet

if TYPE_CHECKING:
    from objectives.pictures import Pictures
    from study.opening import Say

Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite", envvar="STUDY_OVERWRITE", help="Replace files that have other content"
    ),
]


def fetch_command(
    name: Annotated[
        str, typer.Argument(help="demo, mnist, or a competition of Kaggle: digit-recognizer")
    ],
    data: Data = None,
    answers: Annotated[
        Path | None,
        typer.Option(
            "--answers",
            envvar="STUDY_ANSWERS",
            help="File for the true labels of demo's and mnist's test images; default "
            "<data>-answers.csv",
        ),
    ] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> int:
    """Get data: the demo's digits, MNIST, or those of a competition on Kaggle."""
    from study.running import View

    say = View(quiet=quiet).say
    sources = {"demo": _bundled_digits, "mnist": _mnist}
    folder = data or Path(name)
    if name in sources:
        answers = answers or folder.with_name(f"{folder.resolve().name}-answers.csv")
        _write(name, sources[name](), folder, answers, say, overwrite=overwrite)
    else:
        from study.kaggleclient import fetch_competition

        fetch_competition(name, folder, say, overwrite=overwrite)
    say(f"next: study run --data {shlex.quote(str(folder))} --finalize")
    return 0


def _bundled_digits() -> "Pictures":
    from objectives.digits import bundled_digits

    return bundled_digits()


def _mnist() -> "Pictures":
    from objectives.digits import mnist

    return mnist()


def _write(
    name: str,
    pictures: "Pictures",
    folder: Path,
    answers: Path | None,
    say: "Say",
    *,
    overwrite: bool,
) -> None:
    from study.atomic import make_folder
    from study.datafiles import write_pictures

    make_folder(folder, "--data")
    written = write_pictures(pictures, folder, answers, overwrite=overwrite)
    for note in pictures.notes:
        say(f"warning: {note}")
    n_train, n_test, side = len(pictures.images), len(pictures.test_images), pictures.side
    where = f"{'written to' if written else 'there already, in'} {folder}"
    say(f"{name}: {n_train} labelled and {n_test} unlabelled images, {side}x{side}, {where}")
    if pictures.answers is not None:
        say(f"the true labels of the unlabelled are in {answers}")
