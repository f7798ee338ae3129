"""Which pictures a characterization has, from what it found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hwloop.procedures.characterize_study import Study
from hwloop.runlog.record import ConductanceMaps

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_study(what: str, study: Study, maps: ConductanceMaps | None) -> dict[str, Figure]:
    """Figures by name; the chip's conductance map is always among them."""
    from hwloop.apps import pictures
    from hwloop.apps.pictures import characterization as drawn

    value = study.values
    figures: dict[str, Figure] = {}
    match what:
        case "forming":
            if np.isfinite(value("forming_volts")).any():
                figures["voltages"] = drawn.draw_cumulative({"formed": value("forming_volts")}, "forming voltage (V)")
            figures["conductance"] = drawn.draw_cumulative(
                {"before": value("before_siemens") * 1e6, "after forming and RESET": value("after_siemens") * 1e6},
                "conductance at 0.2 V (µS)", logarithmic=True,
            )
        case "iv":
            figures["loops"] = drawn.draw_switching(value("loop_volts"), value("loop_siemens"))
            states = ("after SET", "after RESET")
            figures["currents"] = drawn.draw_currents(value("low_volts"), value("low_amps"), states)
        case "gate":
            figures["curves"] = drawn.draw_gate_curves(value("gate_volts"), value("siemens"))
            figures["distributions"] = drawn.draw_cumulative(
                {f"{volts:g} V": row * 1e6 for volts, row in zip(value("gate_volts"), value("siemens"), strict=True)},
                "conductance after SET (µS)",
            )
        case "endurance":
            siemens = {"after SET": value("lrs_siemens"), "after RESET": value("hrs_siemens")}
            figures["cycles"] = drawn.draw_against_count(value("cycle"), siemens, "cycle", logarithmic=True)
            figures["distributions"] = drawn.draw_cumulative(
                {f"{name}, {when}": rows[place] * 1e6
                 for name, rows in siemens.items() for when, place in (("first cycle", 0), ("last cycle", -1))},
                "conductance at 0.2 V (µS)", logarithmic=True,
            )  # fmt: skip
        case "retention":
            targets = value("target_siemens")
            by_target = _by_target(value("siemens"), targets)
            figures["time"] = drawn.draw_retention(value("seconds"), by_target)
            figures["distributions"] = drawn.draw_cumulative(
                {name: (rows[-1] - rows[0]) * 1e6 for name, rows in by_target.items()},
                "change of conductance over the whole time (µS)",
            )
        case "noise":
            figures["readings"] = drawn.draw_readings(
                value("seconds"), value("siemens"), value("relative_sigma"), value("two_levels").astype(bool)
            )
            figures["distribution"] = drawn.draw_cumulative(
                {"cells": value("relative_sigma") * 100}, "standard deviation of the readings (%)", logarithmic=True
            )
        case "disturb":
            siemens, polarity = value("siemens"), value("polarity")
            change = siemens - siemens[0]
            figures["pulses"] = drawn.draw_against_count(
                value("pulses"),
                {"SET direction": change[:, polarity == 0], "RESET direction": change[:, polarity == 1]},
                "stress pulses", "change of conductance (µS)",
            )
    if maps is not None:
        figures["map"] = pictures.draw_conductance(maps)
    return figures


def _by_target(siemens: np.ndarray, targets: np.ndarray) -> dict[str, np.ndarray]:
    return {f"{target * 1e6:g} µS": siemens[:, targets == target] for target in np.unique(targets)}
