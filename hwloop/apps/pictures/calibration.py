"""What a calibration measured: points, and how far they lie from the fit; up to four traces beside each other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from hwloop.apps.pictures.figure import ANALOG_COLOUR, LIMIT_COLOUR, clear_frame, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_TRACES, MOST_CHANNELS, FEW_POINTS = 4, 64, 40
_UNIT = re.compile(r" \(([VASsHz]+|ohm|Ohm|Ω)\)$")


class Traced(Protocol):
    """Points `x`, `y` and their residuals, (n,) or (channels, n), with labels and units."""

    title: str
    x_label: str
    y_label: str
    x: np.ndarray
    y: np.ndarray
    residual: np.ndarray
    residual_unit: str


def draw_calibration(title: str, traces: Sequence[Traced]) -> Figure:
    """Measured points above, residuals below, a column for each trace; of many channels 64 evenly spread ones."""
    shown = list(traces)[:MOST_TRACES] or []
    figure = new_figure(5.2)
    figure.suptitle(title, fontsize=11)
    axes = figure.subplots(2, max(len(shown), 1), squeeze=False, height_ratios=(3, 2))
    for column, trace in enumerate(shown):
        upper, lower = axes[:, column]
        x, y, residual = (np.atleast_2d(values) for values in (trace.x, trace.y, trace.residual))
        chosen = np.unique(np.linspace(0, len(y) - 1, min(len(y), MOST_CHANNELS)).astype(int))
        for channel in chosen:
            along = x[channel] if len(x) == len(y) else x[0]
            size = 3 if y.size > FEW_POINTS else 7
            upper.plot(along, y[channel], ".", markersize=size, color=ANALOG_COLOUR, alpha=0.6)
            lower.plot(along, residual[channel], ".", markersize=size, color=ANALOG_COLOUR, alpha=0.6)
        many = f", {len(y)} channels" if len(y) > 1 else ""
        upper.set_title(f"{trace.title}{many}", fontsize=9)
        _label(upper.yaxis, trace.y_label)
        _label(lower.yaxis, f"residual ({trace.residual_unit})")
        _label(upper.xaxis, trace.x_label)
        upper.set_xlabel("")
        _label(lower.xaxis, trace.x_label)
        lower.axhline(0.0, color=LIMIT_COLOUR, linewidth=0.8)
        for one in (upper, lower):
            one.tick_params(labelsize=7)
            clear_frame(one)
    return figure


def _label(axis, label: str) -> None:
    """The label of an axis; where it ends in an SI unit, that stands at the ticks with a prefix: 5 mV, 100 uS."""
    from matplotlib.ticker import EngFormatter

    if found := _UNIT.search(label):
        axis.set_major_formatter(EngFormatter(unit=found[1], places=None, usetex=False))
        label = label[: found.start()]
    axis.set_label_text(label, fontsize=8)
