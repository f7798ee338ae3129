"""Matrix ↔ siemens."""

import numpy as np

from hwloop.array.mapping import ConductanceRange, scale_columns, widen_scales


def test_every_column_uses_the_whole_range():
    design = np.array([[1.0, 0.001], [0.5, 0.004]])
    scaled, scale = scale_columns(design)
    assert (scaled.max(axis=0) == 1.0).all()
    np.testing.assert_allclose(scaled * scale, design)


def test_zero_columns_stay_zero():
    scaled, scale = scale_columns(np.zeros((2, 3, 1)))
    assert not scaled.any() and not scale.any()


def test_entries_below_the_range_become_its_minimum():
    targets = ConductanceRange(3e-6, 225e-6).targets(np.array([0.0, 0.001, 0.5, 1.0]))
    np.testing.assert_allclose(targets, [3e-6, 3e-6, 112.5e-6, 225e-6])


def test_wider_scales_leave_the_matrix_what_it_is():
    design = np.array([[1.0, 0.1, 0.0], [0.5, 0.05, 0.0]])
    scaled, scale = widen_scales(*scale_columns(design), 0.4)
    np.testing.assert_allclose(scale, [1.0, 0.4, 0.0])
    np.testing.assert_allclose(scaled * scale, design)
