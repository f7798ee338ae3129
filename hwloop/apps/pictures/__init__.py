"""Pictures of a run, 900 pixels wide: drawn on plain Figure objects, written as PNG, no window and no global state."""

from hwloop.apps.pictures.comparison import draw_comparison
from hwloop.apps.pictures.conductance import draw_conductance
from hwloop.apps.pictures.convergence import draw_convergence
from hwloop.apps.pictures.figure import save_figure
from hwloop.apps.pictures.programming import ErrorSample, draw_programming_errors

__all__ = [
    "ErrorSample", "draw_comparison", "draw_conductance", "draw_convergence", "draw_programming_errors", "save_figure",
]
