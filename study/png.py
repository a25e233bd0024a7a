"""Small grayscale images as PNG, and as text that a page can hold.

Nothing but zlib is needed for that: no filter, one block of pixels, eight bits each.
"""

import base64
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GRAY, DEPTH = 0, 8


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
