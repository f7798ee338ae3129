"""The state of both arrays, cell by cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hwloop.apps.pictures.figure import MICROSIEMENS, new_figure
from hwloop.runlog.record import ConductanceMaps

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_conductance(maps: ConductanceMaps, summaries: bool = True) -> Figure:
    """Arrays A and B in µS on one scale, rows to the right so that thousands of them fit; cells never read are grey.

    Above each array stands its summary, or only its name.
    """
    from matplotlib import colormaps

    palette = colormaps["viridis"].with_extremes(bad="#c8c8c8")
    figure = new_figure(4.2)
    panels = figure.subplots(2, 1, sharex=True, sharey=True)
    both = [MICROSIEMENS * maps.a_siemens.T, MICROSIEMENS * maps.b_siemens.T]
    known = np.concatenate([values[np.isfinite(values)] for values in both])
    top = _scale_end(known)
    extend = "max" if known.size and known.max() > top else "neither"
    for axes, name, values in zip(panels, "AB", both, strict=True):
        map_ = axes.imshow(values, cmap=palette, vmin=0.0, vmax=top, aspect="auto", origin="lower")
        title = conductance_text(name, values / MICROSIEMENS) if summaries else f"array {name}"
        axes.set_title(title, fontsize=11, loc="left")
        axes.set_ylabel("column")
        axes.set_yticks(range(0, values.shape[0], max(1, values.shape[0] // 4)))
    panels[1].set_xlabel("row")
    figure.colorbar(map_, ax=list(panels), extend=extend, pad=0.01, aspect=30).set_label("conductance at 0.2 V (µS)")
    return figure


def _scale_end(known: np.ndarray) -> float:
    """The largest value, unless a few cells stuck high would squeeze the scale of all others."""
    if not known.size or known.max() <= 0.0:
        return 1.0
    usual = float(np.percentile(known, 99.0))
    return usual if 0.0 < 1.2 * usual < known.max() else float(known.max())


def conductance_text(name: str, siemens: np.ndarray) -> str:
    """ "array A: median 45 µS, 3 to 225 µS", of conductances of any shape, NaN where not read."""
    values = MICROSIEMENS * siemens
    cells, finite = values.size, values[np.isfinite(values)]
    if not finite.size:
        return f"array {name}: not read"
    unread = f", {cells - finite.size} cells not read" if finite.size < cells else ""
    return f"array {name}: median {np.median(finite):.0f} µS, {finite.min():.0f} to {finite.max():.0f} µS{unread}"
