"""What a cell model takes from single pulses. One cell a case, in microsiemens; nominal spreads of 2 and 7.4 µS."""

import numpy as np
import pytest

from hwloop.array.program.model import RESET, SET, CellModel

CELL = 3


def learned(polarity, base, overshoot, before, after, noise=0.3, telling=True, model=None) -> CellModel:
    """The model after one pulse of one cell."""
    model = model or CellModel(5, (2e-6, 7.4e-6))
    siemens = (np.array([1e-6 * value]) for value in (base, overshoot, before, after, noise))
    model.learn(np.array([polarity]), np.array([CELL]), *siemens, np.array([telling]))
    return model


def test_a_landing_moves_the_offset_part_of_the_way_and_narrows_it():
    model = learned(SET, base=100, overshoot=4, before=10, after=107)
    # 3 µS above what was expected, of which 2² / (2² + 4² + 0.3²) is believed.
    assert model.offset_siemens[SET, CELL] == pytest.approx(3e-6 * 4 / 20.09)
    assert model.variance[SET, CELL] == pytest.approx(4e-12 * 16.09 / 20.09)
    assert not model.offset_siemens[RESET].any() and (model.variance[RESET] == 7.4e-6**2).all()


def test_no_landing_is_below_its_base_so_one_that_seems_to_be_moves_the_base():
    model = learned(SET, base=100, overshoot=4, before=10, after=90)
    assert model.offset_siemens[SET, CELL] == pytest.approx(-14e-6 * (196 - 16.09) / 196)


def test_what_does_not_tell_changes_nothing():
    model = learned(SET, base=100, overshoot=4, before=10, after=107, telling=False)
    assert not model.offset_siemens.any() and (model.variance[SET] == 4e-12).all() and (model.response == 1).all()


def test_a_set_that_covers_a_quarter_of_its_way_is_a_slow_cells_until_one_covers_it_all():
    model = learned(SET, base=100, overshoot=0.5, before=10.5, after=33)
    assert model.response[CELL] == pytest.approx(0.25) and not model.offset_siemens.any()
    learned(SET, base=100, overshoot=0.5, before=40, after=100, model=model)
    assert model.response[CELL] == 1


def test_a_reset_that_does_nothing_raises_the_offset_and_the_doubt():
    model = learned(RESET, base=50, overshoot=1, before=60, after=60)
    assert model.offset_siemens[RESET, CELL] > 5e-6
    assert model.variance[RESET, CELL] == pytest.approx(1.25 * 7.4e-6**2)
