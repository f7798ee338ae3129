"""When the parts of a run were worked on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hwloop.apps.pictures.figure import ANALOG_COLOUR, LIMIT_COLOUR, REFERENCE_COLOUR, clear_frame, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_UNITS = ((2 * 86400.0, 86400.0, "days"), (2 * 3600.0, 3600.0, "hours"), (120.0, 60.0, "minutes"))


@dataclass(frozen=True)
class Span:
    """From when to when something was worked on, seconds since the beginning; `marks` are moments in it.

    Spans of one label share a line.
    """

    label: str
    begin_seconds: float
    end_seconds: float
    marks: tuple[float, ...] = ()


def timeline_inches(spans: Sequence[Span]) -> float:
    """How tall a picture of these spans is."""
    return 0.9 + 0.42 * len({span.label for span in spans})


def draw_timeline(spans: Sequence[Span], pauses: Sequence[tuple[float, float]] = ()) -> Figure:
    """Bars of `spans`, first on top, on one time axis; `pauses` (begin, end), when nobody worked on it, are grey."""
    from matplotlib.ticker import MaxNLocator

    longest = max(span.end_seconds for span in spans)
    scale, unit = next(((per, name) for least, per, name in _UNITS if longest >= least), (1.0, "seconds"))
    lines = list(dict.fromkeys(span.label for span in spans))
    figure = new_figure(timeline_inches(spans))
    axes = figure.subplots()
    for place, label in enumerate(lines):
        axes.annotate(label, (0.0, place - 0.3), va="bottom", ha="left", fontsize=9)
    for span in spans:
        place = lines.index(span.label)
        # However short, it is seen.
        width = max(span.end_seconds - span.begin_seconds, longest / 300)
        axes.barh(place, width / scale, left=span.begin_seconds / scale, height=0.5, color=ANALOG_COLOUR, alpha=0.55)
        marks = np.asarray(span.marks) / scale
        axes.plot(marks, np.full(len(marks), place), "|", color=REFERENCE_COLOUR, markersize=11, markeredgewidth=1.2)
    for begin_seconds, end_seconds in pauses:
        axes.axvspan(begin_seconds / scale, end_seconds / scale, color=LIMIT_COLOUR, alpha=0.25, linewidth=0)
    axes.set_ylim(len(lines) - 0.5, -0.95)
    axes.set_xlim(left=0.0)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(f"{unit} since the beginning")
    clear_frame(axes)
    return figure
