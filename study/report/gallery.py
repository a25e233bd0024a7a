"""Report section with pictures of wrong out-of-fold predictions, the most confident first.

Mislabelled and unreadable rows are among them.
"""

import base64
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from objectives.data.dataset import Dataset
from study.report.evidence import Evidence
from study.view.html import Html, tag

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GRAY, DEPTH = 0, 8
MOST = 60
MOST_PIXELS = 300_000
"""Of all pictures together; more would make the page slow."""


def mistakes(evidence: Evidence) -> NDArray[np.int64]:
    """Return indexes into `evidence.rows` of the wrong predictions, the most confident first."""
    said = evidence.probabilities.argmax(axis=1)
    wrong = np.flatnonzero(said != evidence.labels)
    return wrong[np.argsort(-evidence.probabilities[wrong, said[wrong]], kind="stable")]


def render_gallery(evidence: Evidence, dataset: Dataset | None) -> Html:
    """Return the pictures, or the reason why there are none."""
    if dataset is None:
        return tag("p", "The images were not available when this page was written.")
    wrong = mistakes(evidence)
    if not len(wrong):
        return tag("p", f"None: all {len(evidence.rows):,} rows were predicted correctly.")
    shown = wrong[: max(1, min(MOST, MOST_PIXELS // dataset.side**2))]
    which = "all of them" if len(shown) == len(wrong) else f"the {len(shown)} most confident"
    text = (
        f"{len(wrong):,} of {len(evidence.rows):,} rows were predicted wrong by a model that was "
        f"not trained on them. Shown: {which}, the most confident predictions first. Where the "
        "prediction looks right, the label in train.csv may be wrong."
    )
    pictures = [_picture(evidence, dataset, int(index)) for index in shown]
    return tag("div", tag("p", text), tag("div", *pictures, class_="gallery"))


def _picture(evidence: Evidence, dataset: Dataset, index: int) -> Html:
    row = int(evidence.rows[index])
    chances = evidence.probabilities[index]
    said = int(chances.argmax())
    label, guess = dataset.classes[int(evidence.labels[index])], dataset.classes[said]
    sure = f"{100 * float(chances[said]):.0f} %"
    # Rows count from 1 below the header, as in the errors of the data's check.
    title = f"train.csv row {row + 1}: labelled {label}, predicted {guess}, {sure} sure"
    source = base64.b64encode(encode_png(dataset.images[row])).decode()
    image = tag("img", src=f"data:image/png;base64,{source}", alt=title, title=title)
    words = tag("figcaption", tag("b", label), " as ", tag("b", guess), tag("small", sure))
    return tag("figure", image, words)


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Return a PNG file of uint8 pixels of shape (height, width), 0 is black."""
    height, width = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, DEPTH, GRAY, 0, 0, 0)
    # A zero byte before each row means that the row is not filtered.
    rows = np.hstack([np.zeros((height, 1), np.uint8), pixels.astype(np.uint8)])
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""))
    file = SIGNATURE
    for kind, body in chunks:
        check = struct.pack(">I", zlib.crc32(kind + body))
        file += struct.pack(">I", len(body)) + kind + body + check
    return file
