"""Which labelled images are the same, pixel by pixel.

Decides nothing but that. A network that has learned an image knows its copies as well, so
`splits.py` keeps them together, and a score counts them once.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

_DIGEST_BYTES = 16


def image_digests(images: NDArray[np.uint8]) -> list[bytes]:
    """Return a digest of each image, equal where the images are."""
    return [
        hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=_DIGEST_BYTES).digest()
        for image in images
    ]


def first_copies(digests: list[bytes]) -> NDArray[np.int64]:
    """Return of each image the first one that is equal to it: its own number where there is none.

    Args:
        digests: From `image_digests`.

    Returns:
        Shape (m,); no number is above its place.
    """
    first: dict[bytes, int] = {}
    found = [first.setdefault(digest, row) for row, digest in enumerate(digests)]
    return np.array(found, np.int64)


def n_different(copies: NDArray[np.int64]) -> int:
    """Return how many images are left where each counts once."""
    return len(np.unique(copies))
