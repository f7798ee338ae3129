"""Auto-ranging: bounds that no solution exceeds, and the gain that outputs, inputs and bias sources allow."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import nnls

from hwloop.array.circuit import Circuit
from hwloop.array.ranging import fit_ridge, input_gain, largest_coefficients
from hwloop.array.settings import SolverSettings

ENTRIES = st.floats(0.0, 1.0).map(lambda value: round(value, 3))


@given(
    hnp.arrays(float, (6, 3), elements=ENTRIES), hnp.arrays(float, 6, elements=st.floats(-1.0, 1.0)),
    st.floats(0.0, 2.0),
)
def test_no_coefficient_exceeds_the_bound(design, target, ridge):
    exact, _ = nnls(np.vstack([design, np.sqrt(ridge) * np.eye(3)]), np.append(target, np.zeros(3)))
    norms = (design**2).sum(axis=0) + ridge
    used = norms > 1e-6
    bound = largest_coefficients(norms[used], (design.T @ target)[used])
    assert exact[used].max(initial=0.0) <= bound * (1 + 1e-9) + 1e-12


ROW_SUM_SIEMENS = 4e-3


@pytest.fixture(scope="module")
def circuit(ideal):
    return Circuit(ideal.board, ideal.chip, SolverSettings(output_fraction=0.5))


def test_largest_output_reaches_its_aim(circuit):
    beta = input_gain(circuit, np.array([2.0]), np.array([0.1]), ROW_SUM_SIEMENS)
    output_volts = 2.0 * beta * circuit.board.scales.input_siemens / circuit.maximum_siemens
    np.testing.assert_allclose(output_volts, 0.15)


def test_inputs_and_bias_stay_within_their_converters(circuit):
    highest_volts = circuit.board.scales.input_max_volts
    assert input_gain(circuit, np.array([1e-9]), np.array([5.0]), ROW_SUM_SIEMENS)[0] == highest_volts / 5.0
    assert input_gain(circuit, np.array([1e-9]), np.array([1e-9]), 1.0, np.array([1.0]))[0] < circuit.bias_max_amps


def test_no_cell_sees_more_than_it_bears(circuit):
    """X = e1: the rows that no output holds follow their inputs, the farther the smaller S is."""
    row_sum_siemens, target = 0.3e-3, np.array([0.01, 1.0, 1.0, 1.0, 1.0, 1.0])
    beta = input_gain(circuit, target[:1], target.max(keepdims=True), row_sum_siemens)[0]
    input_siemens = circuit.board.scales.input_siemens
    output_volts = beta * target[0] * input_siemens / circuit.maximum_siemens
    free_row_volts = -input_siemens * beta * target.max() / row_sum_siemens
    assert output_volts - free_row_volts == pytest.approx(0.3)


def test_a_zero_solution_needs_no_input(circuit):
    assert input_gain(circuit, np.array([0.0, -1.0]), np.array([1.0, 0.0]), ROW_SUM_SIEMENS).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("ridge", [1e-6, 0.1, 10.0, 1e4])
def test_any_ridge_fits_onto_the_feedback_ladder(circuit, ridge):
    design = np.array([[1.0, 0.01, 0.0], [0.5, 0.02, 0.0]])
    scaled, scale, least_siemens = fit_ridge(circuit, design, ridge)
    np.testing.assert_allclose(scaled * scale, design)
    feedback = circuit.maximum_siemens**2 * ridge / (least_siemens * scale[:2] ** 2)
    assert (feedback <= circuit.board.scales.feedback_max_siemens).all()
    assert least_siemens < circuit.board.scales.compensation_max_siemens


def test_without_ridge_columns_use_the_whole_range(circuit):
    assert fit_ridge(circuit, np.array([[0.01], [0.02]]), 0.0)[1:] == (pytest.approx([0.02]), 0.0)
