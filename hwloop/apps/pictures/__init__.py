"""Pictures of a run, 900 pixels wide: drawn on plain Figure objects, written as PNG, no window and no global state.

For a page (`page_picture`, `png_bytes`) they are SVG and half as wide.
"""

from hwloop.apps.pictures.comparison import draw_comparison
from hwloop.apps.pictures.conductance import conductance_text, draw_conductance
from hwloop.apps.pictures.convergence import draw_convergence
from hwloop.apps.pictures.figure import page_picture, save_figure
from hwloop.apps.pictures.pixels import error_pixels, png_bytes
from hwloop.apps.pictures.programming import ErrorSample, draw_programming_errors
from hwloop.apps.pictures.rounds import draw_rounds
from hwloop.apps.pictures.timeline import Span, draw_timeline, timeline_inches

__all__ = [
    "ErrorSample", "Span", "conductance_text", "draw_comparison", "draw_conductance", "draw_convergence",
    "draw_programming_errors", "draw_rounds", "draw_timeline", "error_pixels", "page_picture", "png_bytes",
    "save_figure", "timeline_inches",
]
