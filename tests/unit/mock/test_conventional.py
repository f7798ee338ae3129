"""The conventional circuit: exact NNLS with ideal amplifiers, Kirchhoff's laws with real ones, and the compact one."""

import numpy as np
import pytest
from scipy.optimize import nnls

from hwloop.mock.circuit import RAIL, UNCONSTRAINED
from hwloop.mock.conventional import solve_conventional_batch
from tests.unit.mock.circuit_bench import G_IN_SIEMENS, GBW_HERTZ, Bench, draw

ROW_FEEDBACK_SIEMENS = 200e-6


def solve(bench: Bench, row_offset=None):
    row_offset = np.zeros(bench.u.shape[1]) if row_offset is None else row_offset
    return solve_conventional_batch(
        bench.a, bench.b, bench.columns, bench.u, bench.g_in, ROW_FEEDBACK_SIEMENS, bench.bias, row_offset,
        bench.offset, bench.a0, GBW_HERTZ, bench.w_max, bench.constraint,
    )  # fmt: skip


@pytest.mark.parametrize(("m", "k"), [(1, 1), (8, 2), (32, 4), (128, 8)])
def test_single_supply_is_exact_nnls(m, k):
    bench = draw(np.random.default_rng(m), m, k, n=10, constraint=RAIL)
    solves = solve(bench)
    assert solves.solved.all() and not solves.saturated.any()
    for w, u in zip(solves.w_volts, bench.u, strict=True):
        expected, _ = nnls(bench.a[:, bench.columns], -u * G_IN_SIEMENS)
        np.testing.assert_allclose(w, expected, atol=1e-9 * max(expected.max(), 1e-3))


def test_kirchhoff_at_every_node_with_finite_gain_and_offsets():
    rng = np.random.default_rng(2)
    for constraint in (RAIL, UNCONSTRAINED):
        bench = draw(rng, 20, 4, constraint=constraint, a0=1e3)
        bench = bench.but(offset=rng.normal(0, 1e-3, 4), bias=rng.normal(0, 1e-6, (1, 4)))
        bench = bench.but(b=bench.b * (1 + 0.05 * rng.standard_normal(bench.b.shape)))
        row_offset = rng.normal(0, 1e-3, 20)
        solves = solve(bench, row_offset)
        w, c, t = solves.w_volts[0], solves.c_volts[0], solves.row_volts[0]
        node = row_offset - t / bench.a0
        a, b = bench.a[:, bench.columns], bench.b[:, bench.columns]
        row = a @ w - bench.a.sum(1) * node + G_IN_SIEMENS * (bench.u[0] - node) + ROW_FEEDBACK_SIEMENS * (t - node)
        column = b.T @ t - b.sum(0) * c + bench.bias[0]
        assert np.abs(row).max() < 1e-15 and np.abs(column).max() < 1e-15
        free = (w != 0) | (constraint == UNCONSTRAINED)
        np.testing.assert_allclose(w[free], (bench.a0 * (c - bench.offset))[free], rtol=1e-9)
        assert np.all(c[~free] <= bench.offset[~free])


def test_agrees_with_the_compact_circuit_where_both_are_ideal():
    bench = draw(np.random.default_rng(3), 40, 5, n=4)
    compact = bench.solve()
    conventional = solve(bench.but(constraint=RAIL))
    np.testing.assert_allclose(conventional.w_volts, compact.w_volts, atol=1e-9)
    assert np.all(conventional.rate_per_second > 0)


def test_an_output_at_its_limit_is_flagged():
    bench = draw(np.random.default_rng(4), 10, 2, constraint=RAIL, w_max=0.01)
    solves = solve(bench)
    assert solves.saturated[0] and solves.w_volts.max() == 0.01
