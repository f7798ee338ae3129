"""The photograph, what the factors make of it, and where the two differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hwloop.apps.image import psnr_db
from hwloop.apps.pictures.figure import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LEVELS = 255.0
_SHORTEST_INCHES, _TALLEST_INCHES = 2.0, 7.0


def draw_comparison(original: np.ndarray, reconstruction: np.ndarray) -> Figure:
    """Original | reconstruction | error map of two (height, width, channels) pictures in [0, 1].

    The error is the mean over the channels of |difference|, in grey levels of 255; its scale ends at the 99.5th
    percentile, so that a few bad pixels do not hide the rest.
    """
    shown = np.clip(reconstruction, 0.0, 1.0)
    error_levels = _LEVELS * np.abs(shown - original).mean(axis=2)
    scale_levels = max(float(np.percentile(error_levels, 99.5)), 1.0)
    height, width, _ = original.shape
    figure = new_figure(min(max(2.65 * height / width + 0.45, _SHORTEST_INCHES), _TALLEST_INCHES))
    panels = figure.subplots(1, 3)
    for axes, picture in zip(panels, (original, shown), strict=False):
        axes.imshow(np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture)
    map_ = panels[2].imshow(error_levels, cmap="magma", vmin=0.0, vmax=scale_levels)
    titles = (
        f"original, {width}×{height}",
        f"reconstruction, {psnr_db(original, reconstruction):.2f} dB",
        f"error, mean {error_levels.mean():.1f} levels",
    )
    for axes, title in zip(panels, titles, strict=True):
        axes.set_title(title, fontsize=11)
        axes.set_axis_off()
    extend = "max" if error_levels.max() > scale_levels else "neither"
    # Beside the map and as tall as it, whatever the shape of the picture.
    bar = figure.colorbar(map_, cax=panels[2].inset_axes([1.03, 0.0, 0.05, 1.0]), extend=extend, extendfrac=0.03)
    bar.set_label("grey levels of 255")
    return figure
