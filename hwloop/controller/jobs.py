"""Every kind of run, by the name that its journal has: the record of its options, and the function that does it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from hwloop.errors import DataError

# Kind → module of hwloop.controller, options, function. Only the module of the kind at hand is imported.
_KINDS = {
    "image": ("image_job", "ImageOptions", "run_image"),
    "ratings": ("ratings_job", "RatingsOptions", "run_ratings"),
    "matrix": ("matrix_job", "MatrixOptions", "run_matrix"),
    "form": ("array_job", "FormOptions", "form_array"),
    "program": ("program_job", "ProgramOptions", "program_array"),
    "characterize": ("characterize_job", "CharacterizeOptions", "run_characterize"),
    "yield": ("yield_job", "YieldOptions", "run_yield"),
    "solve": ("solve_job", "SolveOptions", "run_solve"),
}


def job(kind: str) -> tuple[type, Callable[..., Any]]:
    """The options record of a kind of run, and its function of (options, settings, report, source).

    Raises DataError for a kind that this hwloop does not have.
    """
    if kind not in _KINDS:
        raise DataError(f"a run of kind {kind!r}: this hwloop has {', '.join(_KINDS)}; use the one that made it")
    module_name, options, function = _KINDS[kind]
    module = importlib.import_module(f"hwloop.controller.{module_name}")
    return getattr(module, options), getattr(module, function)
