"""The out-of-fold mistakes as pictures, those first of which the model was surest.

These are the rows to look at: mislabelled ones stand here, and what no network could read.
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
"""Of all pictures together, so that large ones do not make the page heavy."""


def mistakes(evidence: Evidence) -> NDArray[np.int64]:
    """Return the indexes into `evidence.rows` of what was got wrong, the surest first."""
    said = evidence.probabilities.argmax(axis=1)
    wrong = np.flatnonzero(said != evidence.labels)
    sureness = evidence.probabilities[wrong, said[wrong]]
    return wrong[np.argsort(-sureness, kind="stable")]


def render_gallery(evidence: Evidence, dataset: Dataset | None) -> Html:
    """Return the section's content."""
    if dataset is None:
        return tag("p", "The images were not at hand when this page was written.")
    wrong = mistakes(evidence)
    if not len(wrong):
        return tag("p", f"None: all {len(evidence.rows):,} rows were told right.")
    most = max(1, min(MOST, MOST_PIXELS // dataset.side**2))
    shown = wrong[:most]
    which = "all of them" if len(shown) == len(wrong) else f"the {len(shown)} surest"
    pictures = [_picture(evidence, dataset, int(index)) for index in shown]
    return tag(
        "div",
        tag(
            "p",
            f"{len(wrong):,} of {len(evidence.rows):,} rows were told wrong by a model that had "
            f"not learned from them. Shown: {which}, those first of which it was surest. "
            "A picture that looks right as said may be labelled wrong in train.csv.",
        ),
        tag("div", *pictures, class_="gallery"),
    )


def _picture(evidence: Evidence, dataset: Dataset, index: int) -> Html:
    row = int(evidence.rows[index])
    chances = evidence.probabilities[index]
    said = int(chances.argmax())
    label, guess = dataset.classes[int(evidence.labels[index])], dataset.classes[said]
    sure = f"{100 * float(chances[said]):.0f} %"
    # Rows count from 1 below the header, as in the errors of the data's check.
    title = f"train.csv row {row + 1}: labelled {label}, said {guess}, {sure} sure"
    image = tag("img", src=png_uri(dataset.images[row]), alt=title, title=title)
    words = tag("figcaption", tag("b", label), " said ", tag("b", guess), tag("small", sure))
    return tag("figure", image, words)


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Return a PNG file of uint8 pixels of shape (height, width), 0 is black."""
    height, width = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, DEPTH, GRAY, 0, 0, 0)
    # Before each row stands how it is filtered: not at all.
    rows = np.hstack([np.zeros((height, 1), np.uint8), pixels.astype(np.uint8)])
    packed = zlib.compress(rows.tobytes(), 9)
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def png_uri(pixels: NDArray[np.uint8]) -> str:
    """Return such an image as a `data:` URI."""
    return "data:image/png;base64," + base64.b64encode(encode_png(pixels)).decode()


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)
