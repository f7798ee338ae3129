"""What all pictures share: size, fonts, colours, and writing them to a file or into a page."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hwloop.runlog.publish import publish

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ANALOG_COLOUR, REFERENCE_COLOUR, LIMIT_COLOUR = "#0b6aa8", "#d1660c", "#555555"
MICROSIEMENS = 1e6
_WIDTH_INCHES, _DOTS_PER_INCH = 9.0, 100
# In a page pictures are half as wide, so that their texts are legible on a telephone.
_PAGE_WIDTH_INCHES, _PAGE_TITLE_POINTS, _PAGE_LEGEND_POINTS, _PAGE_MOST_LETTERS = 4.9, 10.0, 9.0, 52
# Colours of a picture that follow those of the page, light or dark.
_PAGE_COLOURS = {
    "#000000": "currentColor", ANALOG_COLOUR: "var(--analog)", REFERENCE_COLOUR: "var(--reference)",
    LIMIT_COLOUR: "var(--limit)",
}
_IDENTIFIER = re.compile(r'(\bid="|url\(#|href="#)')


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


def page_picture(name: str, height_inches: float, draw: Callable[[], Figure]) -> str:
    """What `draw` gives as an `<svg>` element for a page: transparent, in the page's text colour, texts as texts.

    `name` is unique in the page. Texts are taken as they are, never as formulas, and cut where they are long.
    """
    from matplotlib import rc_context
    from matplotlib.text import Text

    written = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "text.parse_math": False}):
        figure = draw()
        figure.set_size_inches(_PAGE_WIDTH_INCHES, height_inches)
        for text in figure.findobj(Text):
            text.set_fontsize(min(text.get_fontsize(), _PAGE_TITLE_POINTS))
            if len(text.get_text()) > _PAGE_MOST_LETTERS:
                text.set_text(f"{text.get_text()[:_PAGE_MOST_LETTERS]}…")
        for axes in figure.get_axes():
            for text in axes.get_legend().get_texts() if axes.get_legend() else ():
                text.set_fontsize(_PAGE_LEGEND_POINTS)
        metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(written, format="svg", transparent=True, metadata=metadata)
    svg = written.getvalue()
    svg = _IDENTIFIER.sub(rf"\g<1>{name}-", svg[svg.index("<svg") :])
    svg = re.sub(r'^<svg([^>]*?) width="[^"]*"', r"<svg\1", svg, count=1)
    svg = re.sub(r'^<svg([^>]*?) height="[^"]*"', r'<svg\1 role="img"', svg, count=1)
    for colour, of_page in _PAGE_COLOURS.items():
        svg = svg.replace(colour, of_page)
    return svg
