"""Matrix ↔ siemens: each column by its own maximum, so that every column uses the whole conductance range."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ConductanceRange:
    """Conductances that matrix entries are mapped to: G = x·max, and what falls below `minimum` becomes `minimum`.

    `minimum_siemens` is the HRS target (0 on an ideal board), `maximum_siemens` what an entry of 1 becomes.
    """

    minimum_siemens: float
    maximum_siemens: float

    @property
    def span_siemens(self) -> float:
        """The range that tolerances are fractions of."""
        return self.maximum_siemens - self.minimum_siemens

    def targets(self, scaled: np.ndarray) -> np.ndarray:
        """Target conductances of entries in 0…1, any shape."""
        return np.maximum(scaled * self.maximum_siemens, self.minimum_siemens)


def scale_columns(design: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(scaled, scale): `design` (…, m, k) ≥ 0 divided by the maxima (…, k) of its columns; a zero one has scale 0."""
    scale = design.max(axis=-2, initial=0.0)
    safe = np.where(scale > 0.0, scale, 1.0)
    return design / safe[..., None, :], scale


def widen_scales(scaled: np.ndarray, scale: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    """(scaled, scale) with every scale at least `least`, zero columns excepted: small columns use less of the range."""
    wider = np.where(scale > 0.0, np.maximum(scale, least), 0.0)
    share = np.divide(scale, wider, out=np.zeros_like(scale), where=wider > 0.0)
    return scaled * share[..., None, :], wider
