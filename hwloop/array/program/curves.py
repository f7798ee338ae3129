"""How far a nominal cell is taken by a gate voltage (SET) or a source-line amplitude (RESET), and back.

Both polarities obey one law: landing = base + an exponential overshoot that no pulse can avoid. SET ends above
the compliance `base` by a mean of σ(base), RESET above the equilibrium `base` by a share of the way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class GateCurve:
    """SET at 1.2 V: compliance against gate voltage, and the mean overshoot past it.

    Source: dG/dV_G ≈ 98 µS/V above 0.6 V and σ = max(0, 4.782 - 0.009107 G) µS, 50…225 µS (Milo 2021, CrossSim's fit).
    `spread_siemens` is what cells differ by before they have been learned. Slope and threshold are those of all cells,
    or arrays by flat cell.
    """

    siemens_per_volt: float | np.ndarray = 98e-6
    threshold_volts: float | np.ndarray = 0.6
    overshoot_siemens: float = 4.782e-6
    overshoot_slope: float = -0.009107
    spread_siemens: float = 2e-6

    @classmethod
    def of_arrays(cls, siemens_per_volt: np.ndarray, threshold_volts: np.ndarray, size: int) -> GateCurve:
        """The curves of arrays A and B, (2,) each, on a chip of `size` cells."""
        return cls(np.repeat(siemens_per_volt, size // 2), np.repeat(threshold_volts, size // 2))

    def of(self, cells: np.ndarray) -> GateCurve:
        """The curve of `cells` (n,): slope and threshold one for all, or (n,)."""
        if np.ndim(self.threshold_volts) == 0:
            return self
        return replace(
            self, siemens_per_volt=self.siemens_per_volt[cells], threshold_volts=self.threshold_volts[cells]
        )

    def volts(self, base_siemens: np.ndarray) -> np.ndarray:
        """Gate voltage of a compliance (any shape)."""
        return self.threshold_volts + base_siemens / self.siemens_per_volt

    def base(self, gate_volts: np.ndarray) -> np.ndarray:
        """Compliance (siemens) of a gate voltage (any shape)."""
        return (gate_volts - self.threshold_volts) * self.siemens_per_volt

    def overshoot(self, base_siemens: np.ndarray) -> np.ndarray:
        """Mean overshoot (siemens) past a compliance (any shape)."""
        return np.maximum(0.0, self.overshoot_siemens + self.overshoot_slope * base_siemens)


@dataclass(frozen=True)
class ResetCurve:
    """RESET of 1 µs at a gate of 2.7 V: equilibrium against amplitude, falling from 225 µS at 0.6 V to HRS at 1.8 V.

    `remaining` is the mean share of the way to the equilibrium that one pulse leaves.
    """

    start_volts: float = 0.6
    start_siemens: float = 225e-6
    siemens_per_volt: float = 185e-6
    remaining: float = 0.15
    spread_siemens: float = 7.4e-6

    def volts(self, base_siemens: np.ndarray) -> np.ndarray:
        """Amplitude of an equilibrium (any shape)."""
        return self.start_volts + (self.start_siemens - base_siemens) / self.siemens_per_volt

    def base(self, amplitude_volts: np.ndarray) -> np.ndarray:
        """Equilibrium (siemens; below zero it is mere overdrive) of an amplitude (any shape)."""
        return self.start_siemens - (amplitude_volts - self.start_volts) * self.siemens_per_volt
