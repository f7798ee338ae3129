"""What each programming round took, and what it gave up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hwloop.apps.pictures.figure import ANALOG_COLOUR, REFERENCE_COLOUR, clear_frame, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# More points than this show nothing more: neighbouring rounds are taken together.
_MOST_POINTS, _MOST_MARKERS = 400, 60


def draw_rounds(cells: np.ndarray, cell_pulses: np.ndarray, given_up: np.ndarray) -> Figure:
    """Pulses a cell, and cells given up, against the round; arrays (rounds,), at least one.

    Of many rounds neighbours are taken together: mean pulses a cell, sum of the cells given up.
    """
    from matplotlib.ticker import MaxNLocator

    width = -(-len(cells) // _MOST_POINTS)
    first = np.arange(0, len(cells), width)
    cells, cell_pulses, given_up = (np.add.reduceat(values, first) for values in (cells, cell_pulses, given_up))
    figure = new_figure(4.5)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    rounds = first + 1
    marker = {"marker": "o", "markersize": 3} if len(rounds) <= _MOST_MARKERS else {}
    above.plot(rounds, cell_pulses / np.maximum(cells, 1), color=ANALOG_COLOUR, linewidth=1.2, **marker)
    above.set_ylim(bottom=0.0)
    above.set_ylabel("pulses a cell")
    below.bar(rounds, given_up, width=0.8 * width, color=REFERENCE_COLOUR)
    below.set_ylim(0.0, max(1.0, 1.1 * given_up.max()))
    below.set_ylabel("given up")
    below.set_xlabel("programming round" if width == 1 else f"programming round, {width} together")
    for axes in (above, below):
        clear_frame(axes)
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    below.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True))
    return figure
