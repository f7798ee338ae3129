"""I–V curvature of a chip: the published law, and a simulated chip against what it really has."""

import numpy as np
import pytest

from hwloop.errors import CalibrationError
from hwloop.procedures.array_curvature import CurvatureProcedure, fit_curvature, nominal_curvature
from tests.unit.procedures.benches import simulated_bench


def test_the_law_gives_back_the_published_ratios():
    siemens = np.array([10, 30, 50, 70, 90, 110]) * 1e-6
    a = nominal_curvature(siemens)
    ratios = (1 + a * 0.34**2) / (1 + a * 0.1**2)
    assert ratios == pytest.approx([1.385, 1.22, 1.11, 1.06, 1.037, 1.014])
    assert nominal_curvature(np.array([1e-6, 300e-6])) == pytest.approx(a[[0, -1]])


def test_the_scale_comes_out_of_noisy_cells_as_well_known_as_stated():
    volts, errors = np.array([0.1, 0.2, 0.34])[:, None], []
    for seed in range(40):
        random = np.random.default_rng(seed)
        at_read = random.choice([3e-6, 10e-6, 20e-6, 40e-6], 200)
        scaled = 1.07 * nominal_curvature(at_read)
        siemens = at_read * (1 + scaled * volts**2) / (1 + scaled * 0.04)
        siemens *= 1 + 1e-3 * random.standard_normal((3, 200)) * np.where(random.random(200) < 0.05, 10.0, 1.0)
        fit = fit_curvature(np.broadcast_to(volts, siemens.shape), siemens)
        errors.append((fit.scale - 1.07) / fit.sigma)
    assert 0.7 < np.sqrt(np.mean(np.square(errors))) < 1.3


def test_cells_that_do_not_conduct_teach_nothing():
    volts = np.broadcast_to(np.array([0.1, 0.2, 0.34])[:, None], (3, 50))
    with pytest.raises(CalibrationError, match="only 0 cells conduct"):
        fit_curvature(volts, np.full((3, 50), 0.1e-6))


@pytest.mark.parametrize("serial", [1, 4])
def test_a_simulated_chip_is_found_as_it_is(serial):
    with simulated_bench(array_serial=serial) as bench:
        findings = CurvatureProcedure().run(bench.tools)
    (_, value, width, truth), = bench.found_and_true(findings)
    assert abs(value - truth) < 1.75 * width
    assert width < 1e-3 and findings.residual.holds
