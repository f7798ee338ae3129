"""How a run came down, iteration by iteration, beside float64 on the same data and start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hwloop.apps.pictures.figure import ANALOG_COLOUR, REFERENCE_COLOUR, clear_frame, new_figure
from hwloop.runlog.record import Convergence

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_convergence(curves: Sequence[Convergence]) -> Figure:
    """The quantity of `curves` against the iteration; several curves (folds) are drawn thin, with their mean on top.

    A run that is not finished may have no iterations of one kind yet: those curves are empty, and left out.
    """
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(4.0)
    axes = figure.subplots()
    styles = (
        ("analog", ANALOG_COLOUR, "-", [curve.analog for curve in curves]),
        ("float64 reference", REFERENCE_COLOUR, "--", [curve.reference for curve in curves]),
    )
    for name, colour, line, series in styles:
        series = [values for values in series if len(values)]
        if not series:
            continue
        mean = np.mean(series, axis=0) if len({len(values) for values in series}) == 1 else None
        single = len(series) == 1
        for values in () if single else series:
            iterations = np.arange(1, len(values) + 1)
            axes.plot(iterations, values, color=colour, linestyle=line, linewidth=0.8, alpha=0.45)
        if mean is not None:
            label = f"{name}, {'' if single else 'mean '}{mean[-1]:.4f} at the end"
            iterations = np.arange(1, len(mean) + 1)
            axes.plot(
                iterations, mean, color=colour, linestyle=line, linewidth=2.0, marker="o", markersize=4, label=label
            )
        else:
            axes.plot([], [], color=colour, linestyle=line, label=name)  # runs of unequal length have no mean
    unit = curves[0].unit
    axes.set_xlabel("iteration")
    axes.set_ylabel(curves[0].quantity if unit == "1" else f"{curves[0].quantity} ({unit})")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, title=", ".join(curve.label for curve in curves))
    clear_frame(axes)
    return figure
