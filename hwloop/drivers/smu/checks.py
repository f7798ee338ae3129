"""Readings that some procedures cannot use: the limit acted, or nothing is connected."""

from __future__ import annotations

import numpy as np

from hwloop.drivers.smu.settings import SmuReadings
from hwloop.errors import InLimitError, OpenLeadError


def require_within_limit(resource: str, readings: SmuReadings) -> None:
    """Raises InLimitError where the limit acted in any of `readings` of the instrument at `resource`."""
    if np.any(readings.in_limit):
        first = int(np.argmax(readings.in_limit))
        raise InLimitError(
            resource, "measure",
            f"in its limit at {np.count_nonzero(readings.in_limit)} of {readings.in_limit.size} readings, first at "
            f"number {first + 1} ({readings.volts[first]:.4g} V, {readings.amps[first]:.4g} A)",
            "raise the limit, lower the level, or look for a short",
        )  # fmt: skip


def require_contact(resource: str, readings: SmuReadings, least_siemens: float) -> None:
    """Raises OpenLeadError where no reading shows a conductance of `least_siemens` or more."""
    driven = readings.volts != 0
    siemens = np.abs(readings.amps[driven] / readings.volts[driven])
    if not np.any(siemens >= least_siemens):
        most = np.nanmax(siemens, initial=0.0)
        raise OpenLeadError(
            resource, "measure", f"at most {most:.3g} S where {least_siemens:.3g} S or more are expected",
            "check the leads, the sense leads in a four-wire connection, and the routing of the board",
        )  # fmt: skip
