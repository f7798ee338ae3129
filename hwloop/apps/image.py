"""Photographs to small matrices and back, and how good the way back is."""

from __future__ import annotations

import hashlib
import importlib.resources
import io
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwloop.errors import DataError, UsageError
from hwloop.runlog.publish import publish

DEFAULT_PATCH = 8
DEFAULT_RANK = 2
_CROP = slice(200, 456)
_SSIM_WINDOW = 7


@dataclass(frozen=True)
class Photograph:
    """A picture and where it came from.

    `pixels`: (height, width, channels) float64 in [0, 1], one channel (grey) or three (RGB).
    `sha256`: of the file's bytes.
    """

    name: str
    pixels: np.ndarray
    sha256: str


@dataclass(frozen=True)
class Storage:
    """Numbers that the factors hold, padding of odd sizes included, against numbers of the picture itself."""

    stored_numbers: int
    picture_numbers: int

    @property
    def ratio(self) -> float:
        return self.stored_numbers / self.picture_numbers


def load_photograph(path: Path | str | None = None) -> Photograph:
    """The photograph at `path`; without a path, rows and columns 200–456 of scikit-image's `hubble_deep_field`.

    Anything that Pillow reads: the first frame, turned upright by its EXIF orientation. Grey stays one channel (8 and
    16 bits keep their depth); palette, CMYK and other colour spaces become RGB (Pillow reads 16-bit colour as 8 bits).
    Transparency is composited over white, so that hidden colours do not show up.
    Raises DataError where the file is missing or not a usable picture.
    """
    if path is None:
        data = (importlib.resources.files("skimage.data") / "hubble_deep_field.jpg").read_bytes()
        pixels = _decode(data, "default photograph")[_CROP, _CROP]
        return Photograph("hubble_deep_field[200:456, 200:456]", pixels, _hex(data))
    try:
        data = Path(path).read_bytes()
    except OSError as failure:
        raise DataError(f"{path}: {failure.strerror}; give a photograph, or none for the default one") from failure
    if not data:
        raise DataError(f"{path} is empty; give a photograph")
    return Photograph(Path(path).name, _decode(data, str(path)), _hex(data))


def check_patch(shape: tuple[int, ...], patch: int, rank: int) -> None:
    """Raises UsageError where `patch` or `rank` does not fit a picture of `shape` (height, width, …)."""
    largest = max(DEFAULT_PATCH, *shape[:2])  # below the default patch, a tiny picture is padded
    if not 1 <= patch <= largest:
        raise UsageError(
            f"patch is {patch} pixels, allowed 1 to {largest} for a picture of {shape[1]}x{shape[0]}; choose another"
        )
    if not 1 <= rank <= patch:
        raise UsageError(f"rank is {rank}, allowed 1 to {patch} for a patch of {patch}x{patch}; choose another rank")


def to_patches(pixels: np.ndarray, patch: int) -> np.ndarray:
    """Every patch of every channel as its own matrix: (height, width, channels) → (matrices, patch, patch) float64.

    Order: channel, then patch row, then patch column. Sizes that are no multiple of `patch` are filled up at the bottom
    and right with the edge pixels. The result is a copy.
    """
    height, width, channels = pixels.shape
    down, across = _patch_counts(pixels.shape, patch)
    padded = np.pad(pixels, ((0, down * patch - height), (0, across * patch - width), (0, 0)), mode="edge")
    blocks = padded.reshape(down, patch, across, patch, channels).transpose(4, 0, 2, 1, 3)
    return np.array(blocks, dtype=np.float64, order="C").reshape(-1, patch, patch)


def from_patches(patches: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """The inverse of `to_patches`: (matrices, patch, patch) → `shape` (height, width, channels), padding cut off.

    Raises UsageError where the number of patches does not belong to `shape`.
    """
    height, width, channels = shape
    patch = patches.shape[1]
    down, across = _patch_counts(shape, patch)
    if patches.shape != (channels * down * across, patch, patch):
        raise UsageError(
            f"patches of shape {patches.shape} do not make a picture of {width}x{height} with {channels} channels: "
            f"expected {(channels * down * across, patch, patch)}"
        )
    blocks = patches.reshape(channels, down, across, patch, patch).transpose(1, 3, 2, 4, 0)
    return np.ascontiguousarray(blocks.reshape(down * patch, across * patch, channels)[:height, :width])


def rebuild(w: np.ndarray, h: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """The picture of the factors W (matrices, patch, k), H (matrices, k, patch) in `shape`, clipped to [0, 1]."""
    return np.clip(from_patches(w @ h, shape), 0.0, 1.0)


def psnr_db(original: np.ndarray, picture: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB: peak 1, all channels, `picture` clipped to [0, 1] and not rounded.

    Infinite where both are equal.
    """
    mean_square = float(np.mean((np.clip(picture, 0.0, 1.0) - original) ** 2))
    return -10.0 * math.log10(mean_square) if mean_square > 0.0 else math.inf


def ssim(original: np.ndarray, picture: np.ndarray) -> float:
    """Structural similarity by scikit-image (7×7 window, data range 1, mean of the channels).

    `picture` is clipped to [0, 1]. Pictures smaller than the window are extended by their edge pixels to its size.
    """
    from skimage.metrics import structural_similarity

    height, width, _ = original.shape
    missing = ((0, max(0, _SSIM_WINDOW - height)), (0, max(0, _SSIM_WINDOW - width)), (0, 0))
    pair = [np.pad(image, missing, mode="edge") for image in (original, np.clip(picture, 0.0, 1.0))]
    return float(structural_similarity(*pair, win_size=_SSIM_WINDOW, channel_axis=2, data_range=1.0))


def rmse(original: np.ndarray, picture: np.ndarray) -> float:
    """Root mean square error over all channels, peak 1; `picture` is clipped to [0, 1] and not rounded."""
    return math.sqrt(float(np.mean((np.clip(picture, 0.0, 1.0) - original) ** 2)))


def mae(original: np.ndarray, picture: np.ndarray) -> float:
    """Mean absolute error over all channels, peak 1; `picture` is clipped to [0, 1] and not rounded."""
    return float(np.mean(np.abs(np.clip(picture, 0.0, 1.0) - original)))


@dataclass(frozen=True)
class Metric:
    """A figure of (original, picture): `quantity` in `unit` for people, `key` in documents."""

    quantity: str
    unit: str
    key: str
    figure: Callable[[np.ndarray, np.ndarray], float]


METRICS = {
    "psnr": Metric("PSNR", "dB", "psnr_db", psnr_db), "ssim": Metric("SSIM", "1", "ssim", ssim),
    "rmse": Metric("RMSE", "1", "rmse", rmse), "mae": Metric("MAE", "1", "mae", mae),
}


def svd_bound_db(pixels: np.ndarray, patch: int, rank: int) -> float:
    """PSNR (dB) of the best rank-`rank` approximation of every patch, signs free: an upper bound for its factors."""
    left, singular, right = np.linalg.svd(to_patches(pixels, patch), full_matrices=False)
    best = (left[:, :, :rank] * singular[:, None, :rank]) @ right[:, :rank, :]
    return psnr_db(pixels, from_patches(best, pixels.shape))


def storage(shape: tuple[int, int, int], patch: int, rank: int) -> Storage:
    """Numbers held by the factors of a picture of `shape`: 2 · patch · rank a patch of a channel, padding included."""
    down, across = _patch_counts(shape, patch)
    return Storage(2 * patch * rank * down * across * shape[2], math.prod(shape))


def write_picture(path: Path | str, pixels: np.ndarray) -> None:
    """Writes (height, width, 1 or 3) pixels, rounded to 8 bits, as PNG.

    Raises UsageError where `path` exists or is not named .png.
    """
    from PIL import Image

    if Path(path).suffix.lower() != ".png":
        raise UsageError(f"{path} ends in {Path(path).suffix or 'nothing'!r}, allowed .png; name the picture so")

    levels = np.rint(np.clip(pixels, 0.0, 1.0) * 255.0).astype(np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(levels[:, :, 0] if levels.shape[2] == 1 else levels).save(encoded, format="PNG")
    with publish(path) as file:
        file.write(encoded.getbuffer())


def _patch_counts(shape: tuple[int, ...], patch: int) -> tuple[int, int]:
    return -(-shape[0] // patch), -(-shape[1] // patch)


def _hex(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _decode(data: bytes, where: str) -> np.ndarray:
    """File bytes to (height, width, channels) float64 in [0, 1]."""
    from PIL import Image, ImageOps

    try:
        # Pillow warns of pictures that are far too large, and refuses only twice as large ones.
        with warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning), Image.open(
            io.BytesIO(data)
        ) as opened:
            opened.load()
            image = ImageOps.exif_transpose(opened)
    except Exception as failure:  # Pillow's decoders raise almost anything on damaged bytes
        reason = "not a picture that Pillow knows" if type(failure).__name__ == "UnidentifiedImageError" else failure
        raise DataError(f"{where}: {reason}; give a photograph such as PNG, JPEG or TIFF") from failure
    if image.mode.startswith("I") or image.mode == "F":
        return _deep_grey(np.asarray(image, dtype=np.float64), image.mode, where)[:, :, None]
    if image.mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in image.info:
        coloured = image.mode not in ("LA", "La", "L", "1")
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB" if coloured else "L")
    elif image.mode == "1":
        image = image.convert("L")
    elif image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    pixels = np.asarray(image, dtype=np.float64) / 255.0
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def _deep_grey(values: np.ndarray, mode: str, where: str) -> np.ndarray:
    """Grey pictures of more than 8 bits: integers of 16 bits, or floating point in [0, 1]."""
    peak = 1.0 if mode == "F" else 65535.0
    if not (np.isfinite(values).all() and values.min() >= 0.0 and values.max() <= peak):
        raise DataError(
            f"{where}: grey values from {values.min():.6g} to {values.max():.6g}, allowed 0 to {peak:g}; "
            "save it with 8 or 16 bits"
        )
    return values / peak
