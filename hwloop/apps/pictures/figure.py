"""What all pictures share: size, fonts, colours, and writing them to a file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from hwloop.runlog.publish import publish

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ANALOG_COLOUR, REFERENCE_COLOUR, LIMIT_COLOUR = "#0b6aa8", "#d1660c", "#555555"
MICROSIEMENS = 1e6
_WIDTH_INCHES, _DOTS_PER_INCH = 9.0, 100


def new_figure(height_inches: float) -> Figure:
    """An empty figure of the common width; matplotlib is loaded here, by the first picture."""
    from matplotlib.figure import Figure

    return Figure(figsize=(_WIDTH_INCHES, height_inches), dpi=_DOTS_PER_INCH, layout="constrained")


def clear_frame(axes) -> None:
    """Takes away the lines that carry no information."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)


def save_figure(figure: Figure, path: Path | str) -> None:
    """Writes a PNG file; raises UsageError where `path` exists."""
    encoded = io.BytesIO()
    figure.savefig(encoded, format="png", metadata={"Software": None})
    with publish(path) as file:
        file.write(encoded.getbuffer())
