"""The factors of a photograph in 8 bits: a small file that gives the picture back on its own.

Layout of a `.hwnmf` file, little-endian:

| bytes | field |
|---|---|
| 6 | magic "HWNMF" and 0x1A |
| 1 | version of this layout: 1 |
| 1 | channels: 1 (grey) or 3 (RGB) |
| 4 + 4 | height, width in pixels |
| 2 + 2 | patch side, rank k |
| 4 | float32 `top`: the value of code 255 |
| 4 | length of the payload in bytes |
| 4 | CRC-32 of all of the file but this field |
| … | payload: deflate (zlib) of one code a number: W by (k, patch row, matrix), then H by (k, patch column, matrix) |

A code c stands for top · (c/255)². The square gives dark patches finer steps. Matrices are in the order of
`image.to_patches`.
No scale is stored a matrix: the maxima of column j of W and row j of H are first made equal, which leaves W·H as it is
and keeps every number near or below 1, so one `top` serves the whole picture.
"""

from __future__ import annotations

import math
import struct
import zlib
from pathlib import Path

import numpy as np

from hwloop.apps.image import rebuild, storage
from hwloop.errors import DataError, UsageError
from hwloop.runlog.publish import publish

_MAGIC = b"HWNMF\x1a"
_VERSION = 1
_FIELDS = struct.Struct("<6sBBIIHHfI")
_CRC = struct.Struct("<I")
_LARGEST_CODE = 255


def write_compressed(path: Path | str, w: np.ndarray, h: np.ndarray, shape: tuple[int, int, int]) -> int:
    """Writes W (matrices, patch, k), H (matrices, k, patch) of a picture of `shape`; returns the file's size in bytes.

    Raises UsageError where `path` exists or the factors do not belong to `shape`, DataError where they are negative
    or not finite.
    """
    matrices, patch, rank = w.shape
    if h.shape != (matrices, rank, patch) or w.size + h.size != storage(shape, patch, rank).stored_numbers:
        raise UsageError(f"factors of shapes {w.shape} and {h.shape} do not belong to a picture of shape {shape}")
    if not (np.isfinite(w).all() and np.isfinite(h).all() and min(w.min(), h.min()) >= 0.0):
        raise DataError("factors hold negative or non-finite numbers; only non-negative ones can be stored in 8 bits")
    w, h = _balance(w, h)
    # Codes are made with the rounded-up float32 that the reader will use, so that none exceeds 255.
    top = np.nextafter(np.float32(max(w.max(), h.max())), np.float32(np.inf))
    payload = zlib.compress(_codes(w.transpose(2, 1, 0), top) + _codes(h.transpose(1, 2, 0), top), level=9)
    height, width, channels = shape
    fields = _FIELDS.pack(_MAGIC, _VERSION, channels, height, width, patch, rank, float(top), len(payload))
    with publish(path) as file:
        file.write(fields + _CRC.pack(zlib.crc32(payload, zlib.crc32(fields))) + payload)
    return len(fields) + _CRC.size + len(payload)


def read_compressed(path: Path | str) -> np.ndarray:
    """The picture, (height, width, channels) float64 in [0, 1], from the file alone.

    Raises DataError where the file is missing, of another kind or version, truncated or damaged.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as failure:
        raise DataError(f"{path}: {failure.strerror}; give a file written by --compressed") from failure
    head = _FIELDS.size + _CRC.size
    if data[: len(_MAGIC)] != _MAGIC:
        raise DataError(f"{path} is not a compressed picture of hwloop; give a file written by --compressed")
    if len(data) < head:
        raise DataError(f"{path} is truncated: {len(data)} bytes, the header alone has {head}; make the file again")
    fields, payload = data[: _FIELDS.size], data[head:]
    _, version, channels, height, width, patch, rank, top, length = _FIELDS.unpack(fields)
    if version != _VERSION:
        raise DataError(f"{path} has layout version {version}, this hwloop reads {_VERSION}; use the one that wrote it")
    if len(payload) != length:
        raise DataError(f"{path} holds {len(payload)} bytes of payload instead of {length}; it is truncated or damaged")
    if zlib.crc32(payload, zlib.crc32(fields)) != _CRC.unpack_from(data, _FIELDS.size)[0]:
        raise DataError(f"{path} is damaged: its CRC-32 does not match; make the file again")
    if not (height and width and channels and patch and rank and math.isfinite(top) and top > 0.0):
        raise DataError(
            f"{path} describes no picture: {width}x{height}, patch {patch}, rank {rank}, top {top:g}; make it again"
        )
    codes = _inflate(payload, storage((height, width, channels), patch, rank).stored_numbers, path)
    w_codes, h_codes = codes.reshape(2, rank, patch, -1)
    w, h = _values(w_codes, top).transpose(2, 1, 0), _values(h_codes, top).transpose(2, 0, 1)
    return rebuild(w, h, (height, width, channels))


def _balance(w: np.ndarray, h: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same product with equal maxima of W[:, :, j] and H[:, j, :]; components with a zero side drop out."""
    w_max, h_max = w.max(axis=1), h.max(axis=2)
    alive = (w_max > 0.0) & (h_max > 0.0)
    both = np.sqrt(w_max) * np.sqrt(h_max)
    w_scale = np.divide(both, w_max, out=np.zeros_like(both), where=alive)
    h_scale = np.divide(both, h_max, out=np.zeros_like(both), where=alive)
    return w * w_scale[:, None, :], h * h_scale[:, :, None]


def _codes(values: np.ndarray, top: np.float32) -> bytes:
    return np.rint(_LARGEST_CODE * np.sqrt(values / float(top))).astype(np.uint8).tobytes()


def _values(codes: np.ndarray, top: float) -> np.ndarray:
    return top * (codes / _LARGEST_CODE) ** 2


def _inflate(payload: bytes, numbers: int, path: Path | str) -> np.ndarray:
    """Exactly `numbers` codes; never inflates more than that, whatever the payload claims."""
    stream = zlib.decompressobj()
    try:
        raw = stream.decompress(payload, numbers + 1)
    except zlib.error as failure:
        raise DataError(f"{path} is damaged: {failure}; make the file again") from failure
    if len(raw) != numbers or not stream.eof:
        raise DataError(f"{path} does not hold the {numbers} codes that its header announces; make the file again")
    return np.frombuffer(raw, dtype=np.uint8)
