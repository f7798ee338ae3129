"""Which device effects the simulated array chip has, each with its own switch, and the named presets."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from hwloop.errors import UsageError

_FRACTIONS = ("stuck_low_fraction", "stuck_high_fraction", "slow_fraction", "rtn_fraction")


@dataclass(frozen=True)
class Effects:
    """Switches and sizes of the device effects. The defaults are the default device of the design notes, section 4.

    Raises UsageError where a size is outside its range: fractions 0…0.2, conductances 0…10 µS.
    """

    forming: bool = True              # a pristine cell needs its forming voltage; off: every cell starts formed
    stochastic: bool = True           # random SET overshoot, RESET completion, HRS and failed RESET pulses
    compliance_spread: bool = True    # cell-to-cell spread of gate threshold, RESET voltage and HRS
    chip_spread: bool = True          # chips differ in gate curve, temperature coefficient and curvature
    relaxation: bool = True           # drift after the last pulse, with the logarithm of time
    cell_noise: bool = True           # the 1/f floor
    rtn: bool = True                  # two-level telegraph noise of some cells
    curvature: bool = True            # I-V curvature; acts in the circuit, not at the read voltage
    temperature: bool = True          # a temperature coefficient a cell
    stuck: bool = True                # cells stuck low or high
    slow: bool = True                 # cells that move a third of the way a pulse

    hrs_siemens: float = 3e-6                           # median conductance after a full RESET
    relaxation_at_1_second_siemens: float = 0.4e-6      # standard deviation one second after a pulse
    relaxation_per_e_fold_siemens: float = 0.04e-6      # its growth with ln(time)
    stuck_low_fraction: float = 0.01                    # reported 0.01…0.03
    stuck_high_fraction: float = 0.005                  # reported 0.005…0.02
    slow_fraction: float = 0.05
    rtn_fraction: float = 0.10

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool):
                continue
            limit = 0.2 if field.name in _FRACTIONS else 10e-6
            if not 0.0 <= value <= limit:
                raise UsageError(f"device effect {field.name} is {value:g}, allowed 0…{limit:g}; choose a value inside")


DEFAULT = Effects()

IDEAL = Effects(
    forming=False, stochastic=False, compliance_spread=False, chip_spread=False, relaxation=False, cell_noise=False,
    rtn=False, curvature=False, temperature=False, stuck=False, slow=False, hrs_siemens=0.0,
)

PRESETS = {
    "default": DEFAULT,
    "ideal": IDEAL,
    # Peak spread 2.3 µS at 1 s and 4 µS after a day (fits of Wan 2022), for a full scale of 40 µS.
    "neurram": replace(
        DEFAULT, relaxation_at_1_second_siemens=2.3e-6, relaxation_per_e_fold_siemens=0.15e-6,
    ),
    # The upper ends of the reported fault rates.
    "low-yield": replace(DEFAULT, stuck_low_fraction=0.03, stuck_high_fraction=0.02),
}


def effects_of_preset(name: str) -> Effects:
    """The effects of a named preset. Raises UsageError for an unknown name."""
    if name not in PRESETS:
        raise UsageError(f"unknown device preset {name!r}: choose one of {', '.join(PRESETS)}")
    return PRESETS[name]
