"""How far programmed cells are from their targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hwloop.apps.pictures.figure import (
    ANALOG_COLOUR,
    LIMIT_COLOUR,
    MICROSIEMENS,
    REFERENCE_COLOUR,
    clear_frame,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BINS = 60


@dataclass(frozen=True)
class ErrorSample:
    """`errors_siemens` (cells,): conductance minus target, as found at `label` ("at verify", "1 s later")."""

    label: str
    errors_siemens: np.ndarray


def draw_programming_errors(samples: Sequence[ErrorSample], tolerance_siemens: float) -> Figure:
    """Histograms of up to two samples in µS with the accepted window; the outermost bins take what lies beyond them."""
    figure = new_figure(4.0)
    axes = figure.subplots()
    tolerance = MICROSIEMENS * tolerance_siemens
    edges = np.linspace(-3.0 * tolerance, 3.0 * tolerance, _BINS + 1)
    for sample, colour in zip(samples, (ANALOG_COLOUR, REFERENCE_COLOUR), strict=False):
        errors = MICROSIEMENS * sample.errors_siemens
        inside = np.mean(np.abs(errors) <= tolerance)
        axes.hist(
            np.clip(errors, edges[0], edges[-1]), bins=edges, histtype="stepfilled", alpha=0.45, color=colour,
            edgecolor=colour, linewidth=1.2,
            label=f"{sample.label}: σ {errors.std():.2f} µS, {inside:.1%} of {errors.size} cells in the window",
        )
    axes.axvspan(-tolerance, tolerance, color=LIMIT_COLOUR, alpha=0.08, linewidth=0)
    for side in (-tolerance, tolerance):
        axes.axvline(side, color=LIMIT_COLOUR, linestyle=":", linewidth=1.2)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_xlabel(f"conductance − target (µS); window ±{tolerance:.3g} µS")
    axes.set_ylabel("cells")
    top = axes.get_ylim()[1]
    axes.set_ylim(0.0, 1.25 * top)  # room for the legend above the bars
    axes.legend(frameon=False, loc="upper left")
    clear_frame(axes)
    return figure
