"""The constants of one board that codes are converted with: nominal ones, or those of its calibrations."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hwloop.calibration.channels import Channels, Ladders
from hwloop.link.protocol import DescribeReply

COMPENSATION_BITS, FEEDBACK_BITS = 10, 12


@dataclass(frozen=True)
class BoardConstants:
    """What the codes of a board with R rows and C columns mean.

    `tia` by range, fine first; `input_ohms` (R,); `bias_gain`, `bias_offset_amps` (C,), the offset at divider 1.
    """

    input_dac: Channels
    amplitude_dac: Channels
    gate_dac: Channels
    output_adc: Channels
    tia: tuple[Channels, Channels]
    read_volts: float
    input_ohms: np.ndarray
    compensation: Ladders
    feedback: Ladders
    bias_gain: np.ndarray
    bias_offset_amps: np.ndarray
    gain_bandwidth_hertz: float

    @classmethod
    def nominal(cls, describe: DescribeReply) -> BoardConstants:
        """What the board says in DESCRIBE that its converters are, as if it had no errors."""
        rows, columns = describe.rows, describe.columns
        return cls(
            input_dac=Channels.nominal(rows, describe.input_full_scale_microvolts * 1e-6),
            amplitude_dac=Channels.nominal(columns, describe.amplitude_full_scale_microvolts * 1e-6),
            gate_dac=Channels.nominal(1, describe.gate_full_scale_microvolts * 1e-6),
            output_adc=Channels.nominal(columns, describe.output_full_scale_microvolts * 1e-6 / describe.output_gain),
            tia=(
                Channels.nominal(columns, describe.tia_fine_nanoamps * 1e-9),
                Channels.nominal(columns, describe.tia_coarse_nanoamps * 1e-9),
            ),
            read_volts=describe.read_microvolts * 1e-6,
            input_ohms=np.full(rows, 1e9 / describe.input_nanosiemens),
            compensation=Ladders.nominal(
                rows, COMPENSATION_BITS, describe.compensation_full_scale_nanosiemens * 1e-9
            ),
            feedback=Ladders.nominal(columns, FEEDBACK_BITS, describe.feedback_full_scale_nanosiemens * 1e-9),
            bias_gain=np.ones(columns),
            bias_offset_amps=np.zeros(columns),
            gain_bandwidth_hertz=float(describe.gain_bandwidth_hertz),
        )

    def calibrated(self, found: Mapping[str, np.ndarray]) -> BoardConstants:
        """These constants with the measured parameters `found`, by the names of calibration files; what is not among
        them stays as it is. Parameters that no code is converted with are left out.
        """
        changed = {
            name: _channels(getattr(self, name), name, "volts", found)
            for name in ("input_dac", "amplitude_dac", "gate_dac", "output_adc")
        }
        changed["tia"] = tuple(
            _channels(own, f"tia_{name}", "amps", found)
            for own, name in zip(self.tia, ("fine", "coarse"), strict=True)
        )
        for name in ("compensation", "feedback"):
            if (steps := found.get(f"{name}_step_siemens")) is not None:
                changed[name] = Ladders(steps)
        for name in ("input_ohms", "bias_gain", "bias_offset_amps"):
            changed[name] = found.get(name, getattr(self, name))
        for name in ("read_volts", "gain_bandwidth_hertz"):
            if name in found:
                changed[name] = float(found[name])
        return dataclasses.replace(self, **changed)


def _channels(own: Channels, name: str, unit: str, found: Mapping[str, np.ndarray]) -> Channels:
    return Channels(
        found.get(f"{name}_gain", own.gain), found.get(f"{name}_offset_{unit}", own.offset),
        found.get(f"{name}_bend_{unit}", own.bend), own.full_scale,
    )

