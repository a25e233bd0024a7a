"""The same commands on other competitions: other columns, sides, classes, ids and files.

Each is tiny, made here, and goes all the way from `study run --finalize` to a model for Keras.
"""

import csv
import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.acceptance.centroids import CENTROIDS
from tests.acceptance.competition import rows_in
from tests.acceptance.processes import Place

pytestmark = pytest.mark.trains

N_PER_CLASS, N_TEST_PER_CLASS = 8, 2
# One network, which trains in seconds: what is tried here is the data.
SPACE = """
n_blocks = 1
filters_1 = 8
kernel = 3
dense_units = 32
dropout = 0.0
optimizer = "adam"
learning_rate = [5e-3, 1e-2]
batch_size = 32
label_smoothing = 0.0
schedule = "cosine"
rotation = 0.0
zoom = 0.0
shift = 0.0
"""
# What Keras alone predicts for the test images, as class indexes.
INDEXES = """
import csv, json, sys
import keras
import numpy as np
model = keras.models.load_model(sys.argv[1])
rows = list(csv.reader(open(sys.argv[2])))
pixels = [n for n, name in enumerate(rows[0]) if name.startswith("pixel")]
images = np.array([[row[n] for n in pixels] for row in rows[1:]], np.uint8)
side = round(len(pixels) ** 0.5)
found = model.predict(images.reshape(-1, side, side), verbose=0)
print(json.dumps([list(found.shape), found.argmax(axis=1).tolist()]))
"""


@dataclass(frozen=True)
class Kind:
    """One kind of competition.

    Attributes:
        side: Of the images, in pixels.
        classes: In the order in which the program must have them.
        header: The submission's.
        first_pixel: Number of the first pixel's column.
        test_id: The id column of the test file, if it has one.
        sample: Whether there is a sample_submission.
        packed: Whether train.csv is gzip.
        compared: Whether the choice is also made on folds.
    """

    side: int
    classes: Sequence[str]
    header: tuple[str, str]
    first_pixel: int = 0
    test_id: str | None = None
    sample: bool = False
    packed: bool = False
    compared: bool = False

    def write(self, folder: Path) -> list[str]:
        """Write the files into `folder`, and return the ids of the test images."""
        random = np.random.default_rng(0)
        shapes = random.integers(0, 2, (len(self.classes), self.side**2)) * 200
        columns = [f"pixel{n}" for n in range(self.first_pixel, self.first_pixel + self.side**2)]

        def image(label: int) -> list[int]:
            return np.clip(shapes[label] + random.integers(0, 50, self.side**2), 0, 255).tolist()

        n = len(self.classes)
        train = [[self.classes[k % n], *image(k % n)] for k in range(N_PER_CLASS * n)]
        ids = [f"img,{k}" if self.test_id else str(k + 1) for k in range(N_TEST_PER_CLASS * n)]
        test = [[*([name] if self.test_id else []), *image(k % n)] for k, name in enumerate(ids)]
        folder.mkdir()
        write_csv(folder / "train.csv", [["label", *columns], *train])
        if self.packed:
            raw = (folder / "train.csv").read_bytes()
            (folder / "train.csv").unlink()
            (folder / "train.csv.gz").write_bytes(gzip.compress(raw))
        write_csv(
            folder / "test.csv", [[*([self.test_id] if self.test_id else []), *columns], *test]
        )
        if self.sample:
            sample = [[name, self.classes[0]] for name in ids]
            write_csv(folder / "sample_submission.csv", [list(self.header), *sample])
        answers = [[name, self.classes[k % n]] for k, name in enumerate(ids)]
        write_csv(folder.parent / "answers.csv", [list(self.header), *answers])
        return ids


KINDS = {
    "two classes that are text, ids in test, gzip, compared on folds": Kind(
        side=5, classes=["Größe", "T-shirt, short"], header=("id", "label"),
        test_id="id", sample=True, packed=True, compared=True,
    ),
    "a hundred classes, pixels from 1, no sample": Kind(
        side=9, classes=[str(7 * n) for n in range(100)], header=("ImageId", "Label"),
        first_pixel=1,
    ),
}  # fmt: skip


def write_csv(path: Path, rows: Sequence[Sequence[object]]) -> None:
    """Write rows, the header first."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_same_commands_make_a_submission(place: Place, kind: Kind) -> None:
    """Ids and columns are the competition's, labels its classes: those that the model says."""
    ids = kind.write(place.folder / "data")
    (place.folder / "my.toml").write_text(SPACE)
    sizes = ["--n-trials", 1, "--epochs", 1, "--workers", 1, "--space", "my.toml"]
    finalize = [] if kind.compared else ["--finalize", "--out", "out"]
    place.run("run", "--data", "data", *sizes, *finalize)
    if kind.compared:
        on_folds = ["--top-k", 1, "--folds", 2, "--seeds", 1]
        place.run("finalize", "--data", "data", *on_folds, "--out", "out")
        manifest = json.loads((place.folder / "out" / "manifest.json").read_text())
        assert list(manifest["recall"]) == list(kind.classes)
        assert manifest["expected"]["low"] <= manifest["expected"]["score"]
    check_form(place, kind, "out", ids)
    if kind.sample:
        rows = rows_in(place.folder / "out" / "submission.csv")[1:]
        assert labels_of_the_model(place, kind) == [row[1] for row in rows]


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_each_image_gets_its_own_label(place: Place, kind: Kind) -> None:
    """All are right where the objective cannot be wrong: none is mixed up from file to file."""
    ids = kind.write(place.folder / "data")
    (place.folder / "centroids.py").write_text(CENTROIDS)
    options = ["--objective", "centroids.py:Centroids", "--n-trials", 1, "--workers", 1]
    place.run("run", "--data", "data", *options, "--finalize", "--quick", "--out", "out")
    check_form(place, kind, "out", ids)
    rated = place.json("score", "out/submission.csv", "--answers", "answers.csv")
    assert (rated["n"], rated["n_right"]) == (len(ids), len(ids))


def check_form(place: Place, kind: Kind, out: str, ids: list[str]) -> None:
    """Fail where the submission is not one for this competition."""
    header, *rows = rows_in(place.folder / out / "submission.csv")
    assert tuple(header) == kind.header
    assert [row[0] for row in rows] == ids
    assert {row[1] for row in rows} <= set(kind.classes)


def labels_of_the_model(place: Place, kind: Kind) -> list[str]:
    """What model.keras, whose outputs have the order of the classes, makes of test.csv."""
    paths = [place.folder / "out" / "model.keras", place.folder / "data" / "test.csv"]
    found = place.run(*paths, python=("-c", INDEXES), anew=False)
    shape, indexes = json.loads(found.out)
    assert shape == [N_TEST_PER_CLASS * len(kind.classes), len(kind.classes)]
    return [kind.classes[n] for n in indexes]
