"""Temperature coefficient of an array: on a simulated chip that warms up, and on one that does not."""

import numpy as np
import pytest

from hwloop.errors import CalibrationError
from hwloop.procedures.array_temperature import TemperatureProcedure, fit_temperature
from tests.unit.procedures.benches import simulated_bench


def test_cells_are_averaged_and_those_that_jumped_left_out():
    random, celsius = np.random.default_rng(1), np.linspace(25.0, 35.0, 5)
    per_kelvin = 3e-4 + 8e-4 * random.standard_normal(2000)
    siemens = 100e-6 * (1 + per_kelvin * (celsius[:, None] - 25.0)) * (1 + 0.004 * random.standard_normal((5, 2000)))
    siemens[3:, :5] *= 3.0
    siemens[:, 5:8] = np.nan
    fit = fit_temperature(celsius, siemens)
    assert fit.cells <= 1995 and abs(fit.per_kelvin - 3e-4) < 3.5 * fit.sigma < 1.5e-4


@pytest.mark.parametrize("drift", [20.0, -30.0])
def test_a_chip_that_warms_up_or_cools_down_is_found_as_it_is(drift):
    with simulated_bench(temperature_drift_per_hour_celsius=drift) as bench:
        findings = TemperatureProcedure().run(bench.tools)
    assert findings.residual.holds
    for name, value, width, truth in bench.found_and_true(findings):
        assert abs(value - truth) < 1.75 * width < 3e-4, name


def test_a_temperature_that_stands_still_is_refused_with_what_to_do():
    with simulated_bench() as bench:
        with pytest.raises(CalibrationError, match=r"from 25.00 to 25.00 C in 600 s.*temperature_drift_per_hour"):
            TemperatureProcedure().run(bench.tools)
