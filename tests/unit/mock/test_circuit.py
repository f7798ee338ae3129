"""The compact circuit against least squares, Kirchhoff's laws and an enumeration of all amplifier states."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from hwloop.mock.circuit import RAIL, RECTIFIER, UNCONSTRAINED, mvm, settled_fraction
from tests.unit.mock.circuit_bench import (
    G_IN_SIEMENS,
    GBW_HERTZ,
    column_residuals,
    compensated,
    draw,
    enumerate_rest_points,
)

CONSTRAINTS = [RAIL, RECTIFIER, UNCONSTRAINED]


def relative(found, expected):
    scale = np.abs(expected).max()
    return np.abs(found - expected).max() / (scale if scale > 0 else 1.0)


def common_row_sum(bench):
    return bench.a.sum(1)[0] + bench.b.sum(1)[0] + bench.g_in + bench.compensation[0]


class TestLeastSquares:
    @settings(max_examples=150, deadline=None)
    @given(seed=st.integers(0, 2**32), k=st.integers(1, 8), extra=st.integers(0, 248), rows_on=st.floats(0.3, 1.0))
    def test_rectifier_is_exact_nnls(self, seed, k, extra, rows_on):
        """Any size, square ones too, columns in any order, neighbours grounded, some rows switched off."""
        rng = np.random.default_rng(seed)
        bench = draw(rng, k + extra, k)
        on = np.sort(rng.permutation(k + extra)[: max(k, int(rows_on * (k + extra)))])
        bench = bench.but(a=bench.a[on], b=bench.b[on], u=bench.u[:, on], compensation=bench.compensation[on])
        solves = bench.solve()
        expected, _ = nnls(bench.a[:, bench.columns], -bench.u[0] * G_IN_SIEMENS)
        assert solves.solved.all() and not solves.saturated.any()
        assert relative(solves.w_volts[0], expected) <= 1e-9

    def test_one_by_one_to_256_by_8_without_neighbours(self):
        rng = np.random.default_rng(1)
        for m, k in [(1, 1), (2, 1), (2, 2), (8, 2), (64, 4), (256, 1), (256, 8)]:
            bench = draw(rng, m, k, columns=k, n=5)
            for w, u in zip(bench.solve().w_volts, bench.u, strict=True):
                expected, _ = nnls(bench.a[:, bench.columns], -u * G_IN_SIEMENS)
                assert relative(w, expected) <= 1e-9

    def test_uncompensated_rows_are_weighted_by_their_row_sum(self):
        bench = draw(np.random.default_rng(2), 40, 4)
        bench = bench.but(compensation=np.zeros(40))
        root = 1 / np.sqrt(bench.a.sum(1) + bench.b.sum(1) + G_IN_SIEMENS)
        expected, _ = nnls(root[:, None] * bench.a[:, bench.columns], -root * bench.u[0] * G_IN_SIEMENS)
        assert relative(bench.solve().w_volts[0], expected) <= 1e-9

    def test_feedback_is_a_ridge(self):
        """Gf = α²λ/S: the ridge λ of the problem in X, where A = αX."""
        rng = np.random.default_rng(3)
        bench = draw(rng, 30, 5)
        alpha, ridge = 225e-6, rng.uniform(0.01, 1.0, 5)
        bench = bench.but(feedback=alpha**2 * ridge / common_row_sum(bench))
        x = bench.a[:, bench.columns] / alpha
        stacked = np.vstack([x, np.diag(np.sqrt(ridge))])
        expected, _ = nnls(stacked, np.concatenate([-bench.u[0] * G_IN_SIEMENS / alpha, np.zeros(5)]))
        assert relative(bench.solve().w_volts[0], expected) <= 1e-9

    def test_bias_is_an_l1_penalty(self):
        """½‖Aw + G_in u‖² + S Ib Σw: optimal where the gradient is ≥ 0, and 0 on what is not zero."""
        bench = draw(np.random.default_rng(4), 30, 5)
        penalty = 0.02 * np.abs(bench.a[:, bench.columns].T @ (G_IN_SIEMENS * bench.u[0])).max()
        bench = bench.but(bias=np.full((1, 5), penalty / common_row_sum(bench)))
        w = bench.solve().w_volts[0]
        a = bench.a[:, bench.columns]
        gradient = a.T @ (a @ w + G_IN_SIEMENS * bench.u[0]) + penalty
        assert np.all(gradient >= -1e-12 * penalty)
        assert np.abs(gradient[w > 0]).max() <= 1e-9 * penalty

    def test_dual_supply_is_ordinary_least_squares(self):
        bench = draw(np.random.default_rng(5), 50, 6, n=3, constraint=UNCONSTRAINED)
        expected = np.linalg.lstsq(bench.a[:, bench.columns], -G_IN_SIEMENS * bench.u.T, rcond=None)[0].T
        assert (expected < 0).any()
        assert relative(bench.solve().w_volts, expected) <= 1e-9

    def test_square_system_comes_out_of_the_same_solve(self):
        """A = Q, B = g·I: Q w + G_in u = 0, with w ≥ 0 by complementarity."""
        rng = np.random.default_rng(6)
        x = rng.uniform(0, 1, (20, 5))
        gram = x.T @ x * 20e-6
        u = -rng.uniform(-0.3, 1, (1, 5))
        row_sum = gram.sum(1) + 100e-6 + G_IN_SIEMENS
        bench = compensated(gram, 5, u, b=100e-6 * np.eye(5), compensation=row_sum.max() - row_sum)
        free = bench.but(constraint=UNCONSTRAINED).solve()
        np.testing.assert_allclose(gram @ free.w_volts[0], -G_IN_SIEMENS * u[0], rtol=1e-9)
        w = bench.solve().w_volts[0]
        slack = gram @ w + G_IN_SIEMENS * u[0]
        assert (w == 0).any() and np.all(slack[w == 0] >= 0) and np.abs(slack[w > 0]).max() < 1e-15

    def test_rank_deficient_and_empty_columns(self):
        """Two equal columns: any share of them is optimal; a column without conductance stays at 0 V."""
        rng = np.random.default_rng(7)
        x = rng.uniform(0, 200e-6, (12, 4))
        x[:, 2], x[:, 3] = x[:, 0], 0.0
        target = x @ np.array([0.3, 0.5, 0.2, 0.0]) * rng.uniform(0.9, 1.1, 12) / G_IN_SIEMENS
        bench = compensated(x, 4, -target[None, :])
        for constraint in CONSTRAINTS:
            solves = bench.but(constraint=constraint, w_max=100.0).solve()
            assert solves.solved[0] and solves.w_volts[0, 3] == 0.0
            _, best = nnls(x[:, :3], -bench.u[0] * G_IN_SIEMENS)
            found = np.linalg.norm(x @ solves.w_volts[0] + bench.u[0] * G_IN_SIEMENS)
            assert found <= best * (1 + 1e-9)

    def test_rail_is_nnls_but_for_the_leak_of_blocked_columns(self):
        """0.1 % median, 0.5 % at most (design notes, section 2)."""
        rng = np.random.default_rng(8)
        errors = []
        for _ in range(100):
            bench = draw(rng, int(rng.integers(16, 128)), 4, constraint=RAIL, columns=4)
            expected, _ = nnls(bench.a[:, bench.columns], -bench.u[0] * G_IN_SIEMENS)
            if (expected == 0).any():
                errors.append(relative(bench.solve().w_volts[0], expected))
        assert len(errors) > 10
        assert np.median(errors) < 3e-3 and max(errors) < 2e-2 and max(errors) > 1e-5


class TestKirchhoff:
    @pytest.mark.parametrize("constraint", CONSTRAINTS)
    def test_every_amplifier_state_enumerated(self, constraint):
        """Finite A0, offsets, A ≠ B, bias, feedback, saturation: the rest point is the one that exists."""
        rng = np.random.default_rng(9)
        saturated = blocked = 0
        for _ in range(40):
            k = int(rng.integers(1, 4))
            bench = draw(
                rng, int(rng.integers(k, 12)), k, columns=k + 2, constraint=constraint, a0=1e3,
                offset=rng.normal(0, 1e-3, k), bias=rng.normal(0, 1e-6, (1, k)),
                feedback=rng.uniform(0, 2e-6, k), w_max=0.15,
            )  # fmt: skip
            bench = bench.but(b=bench.b * (1 + 0.05 * rng.standard_normal(bench.b.shape)))
            solves = bench.solve()
            found = enumerate_rest_points(bench)
            assert solves.solved[0]
            assert min(relative(solves.w_volts[0], w) for w in found) < 1e-9
            assert solves.saturated[0] == (np.abs(solves.w_volts[0]) == 0.15).any()
            saturated += solves.saturated[0]
            blocked += (solves.w_volts[0] == 0).any()
        assert saturated > 3 and (blocked > 3 or constraint == UNCONSTRAINED)

    @pytest.mark.parametrize("curvature", [False, True])
    @pytest.mark.parametrize("constraint", CONSTRAINTS)
    def test_currents_balance_and_amplifiers_obey(self, constraint, curvature):
        rng = np.random.default_rng(10)
        for m, k in [(1, 1), (8, 2), (8, 2), (70, 8), (128, 16), (20, 4)]:
            offset = rng.normal(0, 1e-4, k)
            bench = draw(
                rng, m, k, constraint=constraint, curvature=curvature, a0=1e4, offset=offset, w_max=2.5,
                feedback=rng.uniform(0, 1e-5, k), bias=rng.normal(0, 1e-7, (1, k)),
            )  # fmt: skip
            bench = bench.but(b=bench.b * (1 + 0.02 * rng.standard_normal(bench.b.shape)))
            solves = bench.solve()
            assert solves.solved[0] and not solves.saturated[0]
            w, c = solves.w_volts[0], solves.c_volts[0]
            # the current that one volt of imbalance would drive, as the scale of rounding and of Newton's last step
            residual = column_residuals(bench, w, c) / bench.b[:, bench.columns].sum(0)
            off = w == 0 if constraint != UNCONSTRAINED else np.zeros(k, dtype=bool)
            if constraint == RECTIFIER:
                np.testing.assert_allclose(c, offset - w / 1e4, atol=1e-15)
                assert np.all(residual[off] >= -1e-11)
                residual = residual[~off]
            else:
                np.testing.assert_allclose(c[~off], (offset - w / 1e4)[~off], atol=1e-15)
                assert np.all(c[off] >= offset[off])
            assert np.abs(residual).max(initial=0.0) < 2e-12

    def test_curvature_matters_by_about_a_percent(self):
        """1.4 % median on 8×2 if calibrated at 0 V and ignored; less here, with conductances of 0.2 V."""
        rng = np.random.default_rng(12)
        shifts = []
        for _ in range(60):
            bench = draw(rng, 8, 2, w_max=3.0)
            scale = 0.25 / max(bench.solve().w_volts.max(), 0.05)
            bench = bench.but(u=bench.u * scale)
            shifts.append(relative(bench.but(curvature=True).solve().w_volts, bench.solve().w_volts))
        assert 2e-4 < np.median(shifts) < 3e-2

    def test_volts_far_beyond_the_read_range_still_converge(self):
        """Lone low-conductance rows see most of their 2.5 V input while the output stands at its limit."""
        conductance = np.array([[3e-6, 8e-6], [5e-6, 3e-6]])
        bench = compensated(conductance, 2, np.array([[-2.5, -2.5]]), curvature=True, constraint=RAIL, w_max=0.3)
        solves = bench.solve()
        assert solves.solved[0] and solves.saturated[0]
        assert np.abs(column_residuals(bench, solves.w_volts[0], solves.c_volts[0])).max() < 1e-15


class TestBatch:
    @settings(max_examples=30, deadline=None)
    @given(
        seed=st.integers(0, 2**32), constraint=st.sampled_from(CONSTRAINTS), curvature=st.booleans(),
        n=st.integers(2, 9), w_max=st.sampled_from([0.4, 3.0]),
    )  # fmt: skip
    def test_a_solve_does_not_depend_on_its_company(self, seed, constraint, curvature, n, w_max):
        rng = np.random.default_rng(seed)
        batch = draw(
            rng, 20, 4, n=n, constraint=constraint, curvature=curvature, a0=1e5, w_max=w_max,
            offset=rng.normal(0, 5e-6, 4), bias=rng.normal(0, 1e-7, (n, 4)),
        )  # fmt: skip
        together = batch.solve()
        for s in range(n):
            alone = batch.but(u=batch.u[s : s + 1], bias=batch.bias[s : s + 1]).solve()
            for one, many in zip(alone, together, strict=True):
                assert np.array_equal(one[0], many[s])

    def test_no_solve_and_no_row(self):
        bench = draw(np.random.default_rng(1), 4, 2, n=1)
        assert bench.but(u=np.empty((0, 4)), bias=np.empty((0, 2))).solve().w_volts.shape == (0, 2)
        none = np.empty((0, 16))
        solves = bench.but(a=none, b=none, u=np.empty((1, 0)), compensation=np.empty(0)).solve()
        assert solves.solved[0] and np.all(solves.w_volts == 0) and solves.rate_per_second[0] == math.inf


class TestSettling:
    def test_rate_is_that_of_the_free_columns(self):
        rng = np.random.default_rng(13)
        for constraint in (RAIL, RECTIFIER):
            bench = draw(rng, 20, 5, constraint=constraint)
            bench = bench.but(b=bench.b * (1 + 0.1 * rng.standard_normal(bench.b.shape)))
            solves = bench.solve()
            a, b = bench.a[:, bench.columns], bench.b[:, bench.columns]
            weight = 1 / (bench.a.sum(1) + bench.b.sum(1) + bench.g_in + bench.compensation)
            q, k = b.T @ (weight[:, None] * a), np.diag(b.sum(0)) - b.T @ (weight[:, None] * b)
            on = solves.w_volts[0] > 0
            if constraint == RAIL:
                loop = np.linalg.solve(k, q)[np.ix_(on, on)]
            else:
                loop = np.linalg.solve(k[np.ix_(on, on)], q[np.ix_(on, on)])
            expected = 2 * math.pi * GBW_HERTZ * np.linalg.eigvals(loop).real.min()
            assert solves.rate_per_second[0] == pytest.approx(expected, rel=1e-9)

    def test_opposed_arrays_report_an_unstable_loop(self):
        a = np.array([[20e-6, 200e-6], [200e-6, 20e-6]])
        opposed = np.ascontiguousarray(a[:, ::-1])
        bench = compensated(a, 2, np.array([[-0.1, -0.2]]), b=opposed, constraint=UNCONSTRAINED)
        assert bench.solve().rate_per_second[0] < 0

    def test_settled_fraction(self):
        assert settled_fraction(1e6, 6.9e-6) == pytest.approx(0.999, abs=1e-4)
        assert settled_fraction(math.inf, 0.0) == 1.0
        assert settled_fraction(-1.0, 1.0) == settled_fraction(0.0, 1.0) == 0.0


class TestPublishedFigures:
    """Numbers of the design notes, section 2, in the sizes that they were quoted for."""

    @staticmethod
    def noisy(rng, m, k, residual, columns=None):
        x = rng.uniform(3e-6, 225e-6, (m, columns or k))
        clean = x[:, :k] @ rng.uniform(0.2, 1.0, k)
        noise = rng.standard_normal(m)
        y = clean + residual * np.linalg.norm(clean) / np.linalg.norm(noise) * noise
        u = -y / G_IN_SIEMENS
        return compensated(x, k, u[None, :])

    def test_compensation_left_out(self):
        """x wrong by 0.4, 1.7 and 3.2 % at 5, 20 and 50 % residual; here 4 of 16 columns."""
        rng = np.random.default_rng(14)
        medians = []
        for residual in (0.05, 0.2, 0.5):
            errors = []
            for _ in range(60):
                bench = self.noisy(rng, 64, 4, residual, columns=16)
                errors.append(relative(bench.but(compensation=np.zeros(64)).solve().w_volts, bench.solve().w_volts))
            medians.append(np.median(errors))
        assert medians[0] < medians[1] < medians[2]
        np.testing.assert_array_less(np.abs(np.log(np.array(medians) / [0.004, 0.017, 0.032])), np.log(2.0))

    def test_finite_gain(self):
        """A0 = 1e3/1e4/1e5 on 32×4: 3.2/0.31/0.03 %; here 4 of 16 columns."""
        rng = np.random.default_rng(15)
        for a0, percent in ((1e3, 3.2), (1e4, 0.31), (1e5, 0.03)):
            errors = []
            for _ in range(60):
                bench = self.noisy(rng, 32, 4, 0.05, columns=16)
                errors.append(relative(bench.but(a0=a0, constraint=RAIL).solve().w_volts, bench.solve().w_volts))
            assert 0.4 * percent < 100 * np.median(errors) < 2.5 * percent

    def test_grounded_neighbours(self):
        """An 8×2 bank in 16 columns: offset error ×4.6, settling to 0.1 % 2.7 → 12.9 µs."""
        rng = np.random.default_rng(16)
        error_ratio, alone_seconds, bank_seconds = [], [], []
        for _ in range(100):
            bank = self.noisy(rng, 8, 2, 0.05, columns=16)
            alone = compensated(np.ascontiguousarray(bank.a[:, :2]), 2, bank.u)
            offset = rng.normal(0, 1e-4, 2)
            shift = [relative(b.but(offset=offset).solve().w_volts, b.solve().w_volts) for b in (alone, bank)]
            error_ratio.append(shift[1] / shift[0])
            alone_seconds.append(math.log(1e3) / alone.solve().rate_per_second[0])
            bank_seconds.append(math.log(1e3) / bank.solve().rate_per_second[0])
        assert 3.0 < np.median(error_ratio) < 7.0
        assert 1.5e-6 < np.median(alone_seconds) < 4.5e-6
        assert 8e-6 < np.median(bank_seconds) < 20e-6


class TestMatrixVectorProduct:
    def test_column_currents(self):
        rng = np.random.default_rng(17)
        conductance, volts = rng.uniform(3e-6, 225e-6, (30, 16)), rng.uniform(-0.2, 0.2, (4, 30))
        np.testing.assert_allclose(mvm(conductance, volts, 0.0), volts @ conductance, rtol=1e-12)

    def test_curvature_vanishes_at_the_read_voltage(self):
        conductance = np.random.default_rng(18).uniform(3e-6, 225e-6, (30, 16))
        volts = np.full((1, 30), 0.2)
        np.testing.assert_allclose(mvm(conductance, volts, 1.0), volts @ conductance, rtol=1e-12)
        assert np.all(mvm(conductance, 0.5 * volts, 1.0) < 0.5 * volts @ conductance)
