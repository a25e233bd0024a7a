"""Decode one PNG, JPEG, GIF or BMP file to brightness.

It defines grey, and handles features that TensorFlow's decoder ignores: the orientation of a photo,
the transparent colour of a PNG, the palette of a BMP. Other losses are returned as remarks.
"""

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objectives.files.limits import MIB, MOST_IMAGE_PIXELS, refuse_memory

LUMINANCE = (0.299, 0.587, 0.114)  # weights of red, green and blue: ITU-R BT.601
WHITE = 255.0
PNG, JPEG, GIF, BMP = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"BM"
_PIXEL_BYTES = 16  # memory for one pixel: as colours, as floats, and resized
_BYTE_BYTES = 5  # memory for one byte of the file: text in a PNG is copied that often
_ROWS_AT_ONCE = 256
_PNG_DEPTH = 24  # offset of the byte with the bits per value
DARK = 4096  # 12 bits, which many scanners and cameras write as 16 bits

ANIMATED = "animated, so its first picture is taken"
BLACKENED = "has transparent parts, which become black; convert it to .png for white"
DIM = "16 bits a pixel, but no value above 4095, so nearly black"


def decode_grey(content: bytes, tf: Any) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Return brightness, 0..255, of shape (height, width), and remarks.

    Args:
        tf: TensorFlow, which the caller has imported.

    Raises:
        ValueError: Not such an image, damaged, or too large; the message has the reason.
        DataError: There is too little memory for the pixels.
    """
    remarks: tuple[str, ...] = ()
    try:
        width, height = _declared_size(content)
        _refuse_large(width, height)
        refuse_memory(f"{len(content) // MIB} MiB", _BYTE_BYTES * len(content))
        if content.startswith(GIF):
            content, remarks = _first_of_gif(content)
        if content.startswith(PNG) and content[_PNG_DEPTH] == 16:
            found = tf.io.decode_png(content, dtype=tf.uint16).numpy()
            remarks = (DIM,) if 0 < found.max() < DARK else ()
            return _grey(_keyed(found, content), 257), remarks
        if content.startswith(BMP):
            image = _decode_bmp(content, tf)
        else:
            image = tf.io.decode_image(content, expand_animations=False).numpy()
    except (tf.errors.ResourceExhaustedError, MemoryError):
        raise ValueError(f"{width}x{height} pixels need more memory than available") from None
    except (tf.errors.InvalidArgumentError, struct.error, IndexError):
        raise ValueError("no PNG, JPEG, GIF or BMP image, or damaged") from None
    if content.startswith(PNG):
        image = _keyed(image, content)
    elif content.startswith(JPEG):
        image = _upright(image, _orientation(content))
    return _grey(image), remarks


def _declared_size(content: bytes) -> tuple[int, int]:
    """Return width and height from a file's header, before it is decoded."""
    if content.startswith(PNG):
        width, height = struct.unpack_from(">II", content, 16)
    elif content.startswith(GIF):
        width, height = struct.unpack_from("<HH", content, 6)
    elif content.startswith(BMP):
        width, height = struct.unpack_from("<ii", content, 18)
    else:
        height, width = _jpeg_size(content)
    return abs(width), abs(height)


def _jpeg_size(content: bytes) -> tuple[int, int]:
    for marker, at in _jpeg_segments(content):
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", content, at + 3)
            return height, width
    raise IndexError("no size in it")


def _jpeg_segments(content: bytes) -> Iterator[tuple[int, int]]:
    """Yield marker and offset of each segment; skip bytes between segments, as libjpeg does."""
    at = 2 if content.startswith(JPEG) else len(content)
    while (at := content.find(b"\xff", at)) >= 0:
        while content[at] == 0xFF:
            at += 1
        marker, at = content[at], at + 1
        yield marker, at
        if marker > 0x01 and marker not in range(0xD0, 0xD8):  # other markers have no length
            at += struct.unpack_from(">H", content, at)[0]


def _refuse_large(width: int, height: int) -> None:
    if width * height > MOST_IMAGE_PIXELS:
        most = MOST_IMAGE_PIXELS // 1_000_000
        raise ValueError(f"{width}x{height} pixels, but at most {most} million are read")
    refuse_memory(f"{width}x{height} pixels", _PIXEL_BYTES * width * height)


def _grey(image: NDArray[Any], scale: float = 1) -> NDArray[np.float32]:
    """Return brightness of shape (height, width); transparent parts become white.

    Args:
        image: Shape (height, width, channels): grey, grey and alpha, RGB or RGBA.
        scale: Divisor that brings the values to 0..255.
    """
    grey = np.empty(image.shape[:2], np.float32)
    for row in range(0, len(grey), _ROWS_AT_ONCE):  # floats of all rows would take much memory
        some = slice(row, row + _ROWS_AT_ONCE)
        grey[some] = _grey_rows(image[some].astype(np.float32) / np.float32(scale))
    return grey


def _grey_rows(image: NDArray[np.float32]) -> NDArray[np.float32]:
    channels = image.shape[-1]
    colours = image[..., :3] if channels >= 3 else image[..., :1]
    weights = np.array(LUMINANCE if channels >= 3 else (1.0,), np.float32)
    grey: NDArray[np.float32] = colours @ weights
    if channels in (2, 4):
        alpha = image[..., -1] / np.float32(255)
        grey = grey * alpha + np.float32(WHITE) * (1 - alpha)
    return grey


def _png_key(content: bytes) -> tuple[int, ...]:
    """Return the transparent colour of a PNG without alpha channel; empty if it has none.

    TensorFlow supports transparent colours of palettes only.
    """
    at = len(PNG)
    while content[25] in (0, 2) and at + 8 <= len(content):
        (length,), kind = struct.unpack_from(">I", content, at), content[at + 4 : at + 8]
        if kind == b"IDAT":
            break
        if kind == b"tRNS":
            scale = {1: 255, 2: 85, 4: 17}.get(content[_PNG_DEPTH], 1)
            body = content[at + 8 : at + 8 + length]
            return tuple(value * scale for value in struct.unpack(f">{len(body) // 2}H", body))
        at += length + 12
    return ()


def _keyed(image: NDArray[Any], content: bytes) -> NDArray[Any]:
    """Return the image of a PNG with an alpha channel for its transparent colour, if it has one."""
    key = _png_key(content)
    if len(key) != image.shape[-1]:
        return image
    most = np.iinfo(image.dtype).max
    alpha = np.where((image == np.array(key)).all(axis=-1, keepdims=True), 0, most)
    return np.concatenate([image, alpha.astype(image.dtype)], axis=-1)


def _orientation(content: bytes) -> int:
    """Return the EXIF orientation of a JPEG, 1 to 8; 1 is upright."""
    for marker, at in _jpeg_segments(content):
        if marker == 0xDA:  # the pixels follow
            break
        if marker == 0xE1 and content[at + 2 : at + 8] == b"Exif\0\0":
            (length,) = struct.unpack_from(">H", content, at)
            try:
                return _tiff_orientation(content[at + 8 : at + length])
            except struct.error:
                break
    return 1


def _tiff_orientation(tiff: bytes) -> int:
    order = "<" if tiff.startswith(b"II") else ">"
    (at,) = struct.unpack_from(f"{order}I", tiff, 4)
    (n_entries,) = struct.unpack_from(f"{order}H", tiff, at)
    for n in range(n_entries):
        tag, _, _, value = struct.unpack_from(f"{order}HHIH", tiff, at + 2 + 12 * n)
        if tag == 0x0112:
            return int(value)
    return 1


def _upright(image: NDArray[Any], orientation: int) -> NDArray[Any]:
    if orientation in (5, 6, 7, 8):
        image = image.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return image


def _decode_bmp(content: bytes, tf: Any) -> NDArray[Any]:
    """Return a BMP's pixels; TensorFlow returns palette indexes, and padding as alpha."""
    (size,) = struct.unpack_from("<I", content, 14)
    bits, packing = struct.unpack_from("<HI", content, 28)
    if size < 40 or bits not in (8, 24, 32) or packing not in (0, 3):
        raise ValueError("an old or compressed kind of BMP; convert it to .png")
    image: NDArray[Any] = tf.io.decode_image(content, expand_animations=False).numpy()
    if bits == 8:
        n_colours = struct.unpack_from("<I", content, 46)[0] or 256
        palette = np.frombuffer(content, np.uint8, 4 * n_colours, 14 + size).reshape(-1, 4)
        colours: NDArray[Any] = palette[image[..., 0], 2::-1]
        return colours
    has_alpha = size >= 56 and packing == 3 and struct.unpack_from("<I", content, 66)[0]
    return image if bits == 24 or has_alpha else image[..., :3]


def _first_of_gif(content: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Return a GIF with the first picture only, as decoding all takes memory; and remarks."""
    n_pictures, is_transparent, end = 0, False, len(content)
    at = 13 + (3 << (content[10] & 7) + 1 if content[10] & 0x80 else 0)
    while at + 1 < len(content) and content[at] != 0x3B and n_pictures < 2:
        if content[at] == 0x21:
            if content[at + 1] == 0xF9 and n_pictures == 0:
                is_transparent = bool(content[at + 3] & 1)
            at += 2
        else:
            n_pictures += 1
            if n_pictures == 1:
                _refuse_large(*struct.unpack_from("<HH", content, at + 5))
            flags = content[at + 9]
            at += 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
        while at < len(content) and content[at]:  # blocks, each after its length
            at += content[at] + 1
        at += 1
        end = at if n_pictures == 1 else end
    remarks = [ANIMATED] if n_pictures > 1 else []
    return content[:end] + b";", (*remarks, *([BLACKENED] if is_transparent else []))
