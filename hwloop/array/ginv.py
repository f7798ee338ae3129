"""The analog solver: non-negative regressions on the compact GINV circuit, matrices in, coefficients out.

A design X is scaled column by column, written into both arrays as A = B = G_max·X/s, compensated so that every active
row has the same sum S, and each right side y becomes row voltages u = -β·y. Then x = w·G_max/(G_in·β·s), with a ridge λ
as feedback Gf = G_max²·λ/(S·s²) and an l1 penalty as bias Ib = G_max·G_in·β·l1/(S·s) (design notes, section 2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from hwloop.array.autozero import AutoZero
from hwloop.array.chip import Chip
from hwloop.array.loading import Load, load_banks
from hwloop.array.mapping import scale_columns
from hwloop.array.placement import Banks, check_fit, place_banks
from hwloop.array.settling import masked_settling_rate_per_second, settle_seconds, settling_rate_per_second
from hwloop.drivers.board import Board, SolveGroup, SolveOutputs
from hwloop.errors import GoalNotReachedError, UsageError
from hwloop.link.protocol import Constraint

SETTLED_REMAINDER = 3e-4        # of a step that may be left when sampling begins
SETTLE_LIMIT_SECONDS = 5e-4     # slower loops get feedback, or lose a column
MOST_ATTEMPTS = 4               # how often a matrix is tried on another bank before it is given up


@dataclass(frozen=True)
class SolverSettings:
    """How the circuit is used. `output_fraction` of w_max is the largest output aimed at; `repeats` of a flagged solve."""

    constraint: int = Constraint.RAIL
    averages: int = 4
    output_fraction: float = 0.8
    repeats: int = 6
    auto_zero: bool = True


@dataclass
class SolverTotals:
    """What happened besides solving."""

    rounds: int = 0
    banks_available: int = 0
    matrices_placed_again: int = 0
    repeated_saturated: int = 0
    repeated_unsettled: int = 0
    regularised: int = 0
    columns_left_out: int = 0


@dataclass(frozen=True)
class _Plan:
    """How the solves of one load are to be made: per bank or per solve, feedback (n, k), active columns (n, k) bool,
    wait (n,)."""

    feedback_siemens: np.ndarray
    active: np.ndarray
    wait_seconds: np.ndarray


@dataclass
class GinvSolver:
    """Solves batches of regressions on one board and chip. `on_round(done, total)` is told of progress."""

    board: Board
    chip: Chip
    settings: SolverSettings = SolverSettings()
    on_round: Callable[[int, int], None] = lambda done, total: None
    totals: SolverTotals = field(default_factory=SolverTotals)

    def __post_init__(self):
        self.auto_zero = AutoZero(self.chip.columns)

    def fits(self, m: int, k: int) -> bool:
        """Whether an m×k matrix has a place on the chip as its map stands. Raises UsageError for a rank that never has."""
        check_fit(m, k, self.chip.rows, self.chip.columns)
        return len(place_banks(self.chip.map.usable(), m, k)) > 0

    def solve_dense(self, design: np.ndarray, targets: np.ndarray, ridge: float = 0.0, l1: float = 0.0) -> np.ndarray:
        """Coefficients (b, k, n) ≥ 0 of b designs (b, m, k) with n right sides each (b, m, n).

        As many matrices as there are usable banks go onto the chip at once; one whose cells fail is placed again.
        Raises GoalNotReachedError where that does not help.
        """
        b, m, k = design.shape
        coefficients = np.zeros((b, k, targets.shape[2]))
        waiting = np.flatnonzero(design.any(axis=(1, 2)) & targets.any(axis=(1, 2)))
        attempts, total = np.zeros(b, np.int64), len(waiting)
        while len(waiting):
            banks = self._places(m, k)
            batch, waiting = waiting[: len(banks)], waiting[len(banks) :]
            banks = banks.first(len(batch))
            written, solved = self._solve_round(banks, design[batch], targets[batch], ridge, l1)
            coefficients[batch[written]] = solved[written]
            failed = batch[~written]
            attempts[failed] += 1
            if (attempts[failed] >= MOST_ATTEMPTS).any():
                raise GoalNotReachedError(
                    f"a {m}x{k} matrix could not be programmed in {MOST_ATTEMPTS} places; look at the chip with `hwloop array show`"
                )
            self.totals.matrices_placed_again += len(failed)
            waiting = np.concatenate([waiting, failed])
            self.on_round(total - len(waiting), total)
        return coefficients

    def solve_masked(
        self, design: np.ndarray, indptr: np.ndarray, indices: np.ndarray, values: np.ndarray, ridge: np.ndarray, l1: float = 0.0
    ) -> np.ndarray:
        """Coefficients (k, n) ≥ 0 of n regressions on one design (m, k), each with its own rows switched on.

        Regression j observed values[indptr[j]:indptr[j+1]] in rows indices[indptr[j]:indptr[j+1]]; `ridge` (n,).
        """
        m, k = design.shape
        n = len(indptr) - 1
        coefficients = np.zeros((k, n))
        observed = np.diff(indptr)
        live = np.flatnonzero(observed)
        if not len(live) or not design.any():
            return coefficients
        scaled, scale, load = self._load_one(design, float(ridge[live].max()))
        maximum_siemens = self.chip.settings.range.maximum_siemens
        lean = (maximum_siemens**2 / load.row_sum_siemens) / np.where(scale > 0.0, scale, np.inf) ** 2
        plan = self._plan_masked(load, scaled, indptr, indices, ridge[:, None] * lean, scale > 0.0)
        if self.settings.auto_zero:
            self._measure_offsets(load, np.zeros((1, k)))
        bounds = _masked_bounds(scaled, indptr, indices, values)
        beta = self._beta(bounds, np.maximum.reduceat(np.abs(values), indptr[:-1][live]), live, n)
        bias = self._masked_bias(load, indptr, indices, plan.feedback_siemens)
        bias = bias + l1 * lean * (self.board.scales.input_siemens * beta[:, None] / maximum_siemens) * scale
        columns, rows = load.banks.columns[0], load.banks.rows[0]

        def group(solve: int, shrink: float, wait: float) -> SolveGroup:
            own, active = slice(indptr[solve], indptr[solve + 1]), plan.active[solve]
            return SolveGroup(
                rows[indices[own]], columns[active], -(beta[solve] * shrink) * values[None, own], wait, self.settings.averages,
                self.settings.constraint, plan.feedback_siemens[solve, active], _nonzero(bias[solve, active] * shrink if l1 else bias[solve, active]),
            )

        outputs, shrinks = self._solve_until_clean(group, live, plan.wait_seconds)
        for position, solve in enumerate(live):
            gain = maximum_siemens / (self.board.scales.input_siemens * beta[solve] * shrinks[position]) if beta[solve] else 0.0
            active = plan.active[solve]
            coefficients[active, solve] = np.maximum(outputs[position].output_volts[0] * gain / scale[active], 0.0)
        self.on_round(1, 1)
        return coefficients

    def _solve_round(
        self, banks: Banks, design: np.ndarray, targets: np.ndarray, ridge: float, l1: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """One load of matrices and all of their right sides: (written (n,), coefficients (n, k, r))."""
        scaled, scale = self._scaled(design, ridge)
        conductances = self.chip.settings.range.targets(scaled)
        load = load_banks(self.board, self.chip, banks, conductances, conductances)
        maximum_siemens, input_siemens = self.chip.settings.range.maximum_siemens, self.board.scales.input_siemens
        safe = np.where(scale > 0.0, scale, np.inf)
        plan = self._plan(load, ridge * maximum_siemens**2 / load.row_sum_siemens / safe**2, scale > 0.0)
        if self.settings.auto_zero:
            self._measure_offsets(load, plan.feedback_siemens)
        norms = np.einsum("nmk,nmk->nk", scaled, scaled)
        moments = np.einsum("nmk,nmr->nkr", scaled, targets)
        bounds = (moments / np.where(norms > 0.0, norms, np.inf)[:, :, None]).max(axis=1)
        n, r = bounds.shape
        beta = self._beta(bounds.ravel(), np.abs(targets).max(axis=1).ravel(), np.arange(n * r), n * r).reshape(n, r)
        if l1:
            beta[:] = np.where(beta > 0.0, beta, np.inf).min(axis=1, keepdims=True)
            beta[~np.isfinite(beta)] = 0.0
        bias = self.auto_zero.bias_amps(load.b_siemens, banks.columns, load.row_sum_siemens, plan.feedback_siemens)
        bias = bias + l1 * maximum_siemens * input_siemens * beta[:, :1] / load.row_sum_siemens / safe
        inputs = -beta[:, :, None] * targets.transpose(0, 2, 1)

        def group(bank: int, shrink: float, wait: float) -> SolveGroup:
            active = plan.active[bank]
            return SolveGroup(
                banks.rows[bank], banks.columns[bank][active], inputs[bank] * shrink, wait, self.settings.averages,
                self.settings.constraint, _nonzero(plan.feedback_siemens[bank, active]), _nonzero(bias[bank, active]),
            )

        chosen = np.flatnonzero(load.written & plan.active.any(axis=1))
        outputs, shrinks = self._solve_until_clean(group, chosen, plan.wait_seconds)
        coefficients = np.zeros((n, scale.shape[1], r))
        for position, bank in enumerate(chosen):
            active = plan.active[bank]
            gain = np.divide(maximum_siemens, input_siemens * beta[bank] * shrinks[position], out=np.zeros(r), where=beta[bank] > 0)
            solved = outputs[position].output_volts * gain[:, None] / scale[bank, active]
            coefficients[bank, active] = np.maximum(solved, 0.0).T
        return load.written, coefficients

    def _solve_until_clean(
        self, group: Callable[[int, float, float], SolveGroup], chosen: np.ndarray, wait_seconds: np.ndarray
    ) -> tuple[list[SolveOutputs], np.ndarray]:
        """Outputs of `chosen` groups, and by how much the inputs of each were made smaller until none was flagged."""
        outputs: list[SolveOutputs | None] = [None] * len(chosen)
        shrinks, waits = np.ones(len(chosen)), wait_seconds[chosen].copy()
        flagged = np.arange(len(chosen))
        for _ in range(self.settings.repeats + 1):
            answers = self.board.solve([group(chosen[i], shrinks[i], waits[i]) for i in flagged]) if len(flagged) else []
            again = []
            for i, answer in zip(flagged, answers, strict=True):
                outputs[i] = answer
                if answer.saturated.any():
                    shrinks[i] /= 2
                    self.totals.repeated_saturated += 1
                elif answer.unsettled.any():
                    waits[i] = min(waits[i] * 3, 6e-3)
                    self.totals.repeated_unsettled += 1
                else:
                    continue
                again.append(i)
            flagged = np.array(again, np.int64)
            if not len(flagged):
                return outputs, shrinks
        raise GoalNotReachedError(
            f"{len(flagged)} of {len(chosen)} regressions still saturate or do not settle after {self.settings.repeats} repeats; "
            "the programmed matrix is too close to rank-deficient, add ridge"
        )

    def _scaled(self, design: np.ndarray, ridge: float) -> tuple[np.ndarray, np.ndarray]:
        """Scaled design and scales (…, k). A column so small that its ridge would need more feedback than the ladder has
        is mapped to less than the full range."""
        scaled, scale = scale_columns(design)
        if ridge:
            maximum_siemens = self.chip.settings.range.maximum_siemens
            # The smallest S that can be: every cell of a row at its minimum.
            least = 2 * self.chip.columns * self.chip.settings.range.minimum_siemens + self.board.scales.input_siemens
            floor = maximum_siemens * np.sqrt(ridge / (least * self.board.scales.feedback_max_siemens))
            wider = np.where(scale > 0.0, np.maximum(scale, floor), 0.0)
            scaled *= np.divide(scale, wider, out=np.zeros_like(scale), where=wider > 0.0)[..., None, :]
            scale = wider
        return scaled, scale

    def _load_one(self, design: np.ndarray, ridge: float) -> tuple[np.ndarray, np.ndarray, Load]:
        """The whole design (m, k) in one bank, placed again where cells fail: (scaled (m, k), scale (k,), load)."""
        scaled, scale = scale_columns(design)
        maximum_siemens = self.chip.settings.range.maximum_siemens
        weakest = scale[scale > 0.0].min()
        # Enough S that the strongest ridge fits onto the feedback ladder.
        least = 1.02 * maximum_siemens**2 * ridge / (weakest**2 * self.board.scales.feedback_max_siemens)
        highest = 0.98 * self.board.scales.compensation_max_siemens
        if least > highest:
            floor = maximum_siemens * np.sqrt(1.02 * ridge / (highest * self.board.scales.feedback_max_siemens))
            wider = np.where(scale > 0.0, np.maximum(scale, floor), 0.0)
            scaled *= np.divide(scale, wider, out=np.zeros_like(scale), where=wider > 0.0)
            scale, least = wider, highest
        conductances = self.chip.settings.range.targets(scaled)[None]
        for _ in range(MOST_ATTEMPTS):
            banks = self._places(*design.shape).first(1)
            load = load_banks(self.board, self.chip, banks, conductances, conductances, least)
            if load.written.all():
                return scaled, scale, load
            self.totals.matrices_placed_again += 1
        raise GoalNotReachedError(
            f"a {design.shape[0]}x{design.shape[1]} matrix could not be programmed in {MOST_ATTEMPTS} attempts; "
            "look at the chip with `hwloop array show`"
        )

    def _places(self, m: int, k: int) -> Banks:
        check_fit(m, k, self.chip.rows, self.chip.columns)
        banks = place_banks(self.chip.map.usable(), m, k)
        if not len(banks):
            raise UsageError(
                f"no place for a {m}x{k} matrix on a {self.chip.rows}x{self.chip.columns} chip with "
                f"{len(self.chip.map.status)} bad cells; use another chip or a smaller matrix"
            )
        self.totals.rounds += 1
        self.totals.banks_available = len(banks)
        return banks

    def _plan(self, load: Load, feedback_siemens: np.ndarray, active: np.ndarray) -> _Plan:
        """Feedback, active columns and wait of every bank. A loop that is too slow gets feedback first; where that is not
        enough its weakest column, nearly a copy of the others, is left out."""
        gain_bandwidth_hertz = float(self.board.describe.gain_bandwidth_hertz)
        needed_rate = -np.log(SETTLED_REMAINDER) / SETTLE_LIMIT_SECONDS
        feedback, active = feedback_siemens * active, active.copy()
        strength = load.b_siemens.sum(axis=1)
        for attempt in range(active.shape[1] + 1):
            on = active[:, None, :]
            rate = settling_rate_per_second(load.a_siemens * on, load.b_siemens * on, load.row_sum_siemens, feedback, gain_bandwidth_hertz)
            slow = (rate < needed_rate) & active.any(axis=1) & load.written
            if not slow.any():
                break
            if attempt == 0:
                extra = needed_rate / (2 * np.pi * gain_bandwidth_hertz) * strength[slow]
                feedback[slow] = np.minimum(feedback[slow] + extra * active[slow], self.board.scales.feedback_max_siemens)
                self.totals.regularised += int(slow.sum())
            else:
                weakest = np.where(active[slow], strength[slow], np.inf).argmin(axis=1)
                active[np.flatnonzero(slow), weakest] = False
                feedback *= active
                self.totals.columns_left_out += int(slow.sum())
        return _Plan(feedback, active, settle_seconds(np.where(rate > 0, rate, np.inf), SETTLED_REMAINDER))

    def _plan_masked(
        self, load: Load, scaled: np.ndarray, indptr: np.ndarray, indices: np.ndarray, feedback_siemens: np.ndarray, active: np.ndarray
    ) -> _Plan:
        """As `_plan`, for solves that each have their own rows."""
        gain_bandwidth_hertz = float(self.board.describe.gain_bandwidth_hertz)
        needed_rate = -np.log(SETTLED_REMAINDER) / SETTLE_LIMIT_SECONDS
        observed = np.diff(indptr)
        feedback = feedback_siemens * active
        for _ in range(MOST_ATTEMPTS):
            rate = masked_settling_rate_per_second(
                load.a_siemens[0] * active, indptr, indices, load.row_sum_siemens, feedback, gain_bandwidth_hertz
            )
            slow = (rate < needed_rate) & (observed > 0)
            if not slow.any():
                break
            extra = needed_rate / (2 * np.pi * gain_bandwidth_hertz) * observed[slow, None] * load.b_siemens[0].mean(axis=0)
            feedback[slow] = np.minimum(feedback[slow] + extra * active, self.board.scales.feedback_max_siemens)
            self.totals.regularised += int(slow.sum())
        wait = settle_seconds(np.where(rate > 0, rate, np.inf), SETTLED_REMAINDER)
        return _Plan(feedback, np.broadcast_to(active, feedback.shape), np.minimum(wait, 6e-3))

    def _measure_offsets(self, load: Load, feedback_siemens: np.ndarray) -> None:
        gain_bandwidth_hertz = float(self.board.describe.gain_bandwidth_hertz)
        rate = settling_rate_per_second(
            load.a_siemens, load.b_siemens, load.row_sum_siemens, np.zeros_like(feedback_siemens), gain_bandwidth_hertz
        )
        wait = settle_seconds(rate, SETTLED_REMAINDER)
        self.auto_zero.measure(self.board, load, self.settings.averages, np.where(wait <= SETTLE_LIMIT_SECONDS, wait, np.inf))

    def _masked_bias(self, load: Load, indptr: np.ndarray, indices: np.ndarray, feedback_siemens: np.ndarray) -> np.ndarray:
        """Bias K·Vos (n, k) of solves that each have their own rows."""
        volts = np.nan_to_num(self.auto_zero.offset_volts)[load.banks.columns[0]]
        conductance = load.b_siemens[0]
        a_row = conductance * volts - conductance * ((conductance @ volts) / load.row_sum_siemens)[:, None]
        sums = np.zeros((len(indptr) - 1, conductance.shape[1]))
        filled = np.flatnonzero(np.diff(indptr))
        sums[filled] = np.add.reduceat(a_row[indices], indptr[:-1][filled])
        return sums + volts * feedback_siemens

    def _beta(self, bounds: np.ndarray, largest: np.ndarray, chosen: np.ndarray, n: int) -> np.ndarray:
        """Volts a unit of y (n,): the largest that keeps outputs below their aim and inputs within the row DACs.

        A coefficient of scaled non-negative columns is at most (Xᵀy)_j/|X_j|², so no output can exceed its aim by more
        than programming errors make it.
        """
        scales, maximum_siemens = self.board.scales, self.chip.settings.range.maximum_siemens
        aim_volts = self.settings.output_fraction * scales.output_max_volts
        beta = np.zeros(n)
        bound = bounds[chosen] if len(bounds) == n else bounds
        with np.errstate(divide="ignore"):
            by_output = np.where(bound > 0.0, aim_volts * maximum_siemens / (scales.input_siemens * bound), np.inf)
            by_input = np.where(largest > 0.0, scales.input_max_volts / largest, np.inf)
        smallest = np.minimum(by_output, by_input)
        beta[chosen] = np.where(np.isfinite(smallest), smallest, 0.0)
        return beta


def _masked_bounds(scaled: np.ndarray, indptr: np.ndarray, indices: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Largest coefficient (n,) that any column of each regression can have."""
    filled = np.flatnonzero(np.diff(indptr))
    chosen = scaled[indices]
    moments = np.add.reduceat(chosen * values[:, None], indptr[:-1][filled])
    norms = np.add.reduceat(chosen**2, indptr[:-1][filled])
    bounds = np.zeros(len(indptr) - 1)
    bounds[filled] = np.divide(moments, norms, out=np.zeros_like(moments), where=norms > 0).max(axis=1)
    return bounds


def _nonzero(values: np.ndarray) -> np.ndarray | None:
    """What is zero throughout need not be sent."""
    return values if values.any() else None
