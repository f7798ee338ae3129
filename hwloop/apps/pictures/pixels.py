"""Pictures of pixels as PNG, without a frame: for pages."""

from __future__ import annotations

import io

import numpy as np

_LEVELS = 255.0


def png_bytes(pixels: np.ndarray) -> bytes:
    """A PNG file of a (height, width, channels) picture in [0, 1]; values beyond are cut."""
    from PIL import Image

    levels = np.rint(np.clip(pixels, 0.0, 1.0) * _LEVELS).astype(np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(levels[:, :, 0] if levels.shape[2] == 1 else levels).save(encoded, format="PNG")
    return encoded.getvalue()


def error_pixels(original: np.ndarray, reconstruction: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Where two (height, width, channels) pictures in [0, 1] differ, as colours (height, width, 3).

    Also the mean difference and the one that the brightest colour stands for, in grey levels of 255.
    """
    from matplotlib import colormaps

    error_levels = _LEVELS * np.abs(np.clip(reconstruction, 0.0, 1.0) - original).mean(axis=2)
    top_levels = max(float(np.percentile(error_levels, 99.5)), 1.0)
    colours = colormaps["magma"](np.minimum(error_levels / top_levels, 1.0))[:, :, :3]
    return colours, float(error_levels.mean()), top_levels
