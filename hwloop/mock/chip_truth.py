"""What the cells of one simulated chip have in common, by its serial number: what its calibration is there to find out.

Sizes are assumed, as no source gives them for chips of one process: they are small against what cells differ by.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hwloop.mock.board_truth import Parameter
from hwloop.mock.kinetics import COMPLIANCE_SIEMENS_PER_VOLT, GATE_THRESHOLD_VOLTS
from hwloop.mock.randomness import derive_many, normal_many, stream

THRESHOLD_SPREAD_VOLTS, SLOPE_SPREAD = 0.015, 0.02
TEMPERATURE_SPREAD_PER_KELVIN = 0.0002
CURVATURE_SPREAD = 0.08
_CUT = 3.0
_DOMAIN = 4


@dataclass(frozen=True)
class ChipTruth:
    """Of arrays A and B (2,): compliance is slope × (gate − threshold); mean relative temperature coefficient of the
    conductance; and of the chip, how many times the nominal I–V curvature it has."""

    gate_threshold_volts: np.ndarray
    gate_siemens_per_volt: np.ndarray
    temperature_per_kelvin: np.ndarray
    curvature_scale: float

    def parameters(self) -> Iterator[Parameter]:
        """All of them, one by one, by the names of calibration files; 0 is array A, 1 array B."""
        for array in range(2):
            yield Parameter(f"gate_threshold_volts[{array}]", float(self.gate_threshold_volts[array]), "V")
            yield Parameter(f"gate_siemens_per_volt[{array}]", float(self.gate_siemens_per_volt[array]), "S/V")
            yield Parameter(f"temperature_per_kelvin[{array}]", float(self.temperature_per_kelvin[array]), "1/K")
        yield Parameter("curvature_scale", self.curvature_scale, "1")


def draw_chip(serial: int, spread: bool) -> ChipTruth:
    """The chip with this serial number; the nominal one where chips do not differ."""
    keys = derive_many(stream(_DOMAIN, serial), np.arange(7, dtype=np.uint64))
    draws = np.clip(normal_many(keys), -_CUT, _CUT) if spread else np.zeros(7)
    return ChipTruth(
        gate_threshold_volts=GATE_THRESHOLD_VOLTS + THRESHOLD_SPREAD_VOLTS * draws[:2],
        gate_siemens_per_volt=COMPLIANCE_SIEMENS_PER_VOLT * (1.0 + SLOPE_SPREAD * draws[2:4]),
        temperature_per_kelvin=TEMPERATURE_SPREAD_PER_KELVIN * draws[4:6],
        curvature_scale=float(1.0 + CURVATURE_SPREAD * draws[6]),
    )
