"""Adaptive write-verify: first pulse from the gate and RESET curves, then from what each cell was seen to do.

Every pulse overshoots its base by an exponential amount, so the base is aimed below the target, where the landing
meets the window with good odds; a cell that lands too high gets a RESET, one too low a SET, both in one exchange.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from hwloop.array.program.common import (
    MAX_GATE_VOLTS,
    MAX_RESET_VOLTS,
    RESET,
    RESET_GATE_VOLTS,
    SET,
    SET_VOLTS,
    Outcome,
    ProgramResult,
    Verify,
    WriteVerify,
)
from hwloop.array.program.curves import GateCurve, ResetCurve
from hwloop.array.program.model import CellModel
from hwloop.array.program.port import ProgrammingPort


@dataclass(frozen=True)
class AdaptiveSettings:
    """Curves of a nominal cell, and how boldly to aim."""

    verify: Verify = field(default_factory=Verify)
    gate_curve: GateCurve = field(default_factory=GateCurve)
    reset_curve: ResetCurve = field(default_factory=ResetCurve)
    max_steps: int = 16
    gate_step_volts: float = 0.005          # gates are rounded to this (or 1/16 of a narrow window): cells may share
    reading_noise_siemens: float = 0.3e-6   # of one verify reading, with
    reading_noise_share: float = 0.004      # this share of the conductance added in square
    aim_overshoots: float = 1.2             # the base lies this many mean overshoots below the target, if the window is
    aim_spreads: float = 0.7                # wide enough, and keeps this many spreads of the cell off its lower edge
    patience: int = 5                       # pulses in a row without any response before a cell is given up


def settings_for(
    verify: Verify, max_steps: int = 16, gate_curve: GateCurve = GateCurve()  # noqa: B008 - frozen
) -> AdaptiveSettings:
    """Settings for a window: one far narrower than the overshoot is for cells that have none."""
    settings = AdaptiveSettings(verify, gate_curve, max_steps=max_steps)
    if verify.half_width_siemens > 0.1 * settings.gate_curve.overshoot_siemens:
        return settings
    return replace(
        settings,
        gate_curve=replace(gate_curve, overshoot_siemens=0.0, overshoot_slope=0.0, spread_siemens=0.0),
        reset_curve=ResetCurve(remaining=0.0, spread_siemens=0.0),
    )


def program(
    port: ProgrammingPort, cells: np.ndarray, target_siemens: np.ndarray, settings: AdaptiveSettings | None = None,
    model: CellModel | None = None,
) -> ProgramResult:
    """Program `cells` (n,) to `target_siemens` (n,). Raises UnformedError, LimitError and UsageError as WriteVerify.

    Keep one `model` (`new_model`) for all calls on one chip, so that later rounds start from what was learned.
    """
    settings = settings or AdaptiveSettings()
    run = WriteVerify(port, cells, target_siemens, settings.verify)
    if model is None:
        model = new_model(int(run.cells.max(initial=0)) + 1, settings)
    silent = np.zeros(run.cells.size, np.int64)
    for _ in range(settings.max_steps):
        index = run.open
        if not index.size:
            break
        now = run.conductance_siemens[index]
        is_set = now < run.low_siemens[index]
        off = is_set | (now > run.high_siemens[index])
        index, before, is_set = index[off], now[off], is_set[off]
        polarity = np.where(is_set, SET, RESET)
        base, volts, overshoot = _aim(run, index, polarity, settings, model)
        run.step(index, polarity, np.where(is_set, SET_VOLTS, volts), np.where(is_set, volts, RESET_GATE_VOLTS))
        after = run.conductance_siemens[index]
        noise = np.hypot(settings.reading_noise_siemens, settings.reading_noise_share * after)
        noise = np.minimum(noise, 0.25 * settings.verify.half_width_siemens)
        moved = np.abs(after - before) > 2 * noise
        # HRS ends a RESET early, so what lands there says nothing about the equilibrium.
        at_hrs = run.hrs[index] | (moved & (after < 2 * settings.verify.hrs_accept_siemens))
        model.learn(polarity, run.cells[index], base, overshoot, before, after, noise, is_set | ~at_hrs)
        silent[index] = np.where(moved, 0, silent[index] + 1)
        run.raise_if_unformed()
        tired = index[silent[index] >= settings.patience]
        run.give_up(tired[run.outcome[tired] == Outcome.OPEN], Outcome.NO_RESPONSE)
    return run.finish()


def new_model(size: int, settings: AdaptiveSettings) -> CellModel:
    """A model of `size` cells of which nothing is known yet."""
    return CellModel(size, (settings.gate_curve.spread_siemens, settings.reset_curve.spread_siemens))


def _aim(
    run: WriteVerify, index: np.ndarray, polarity: np.ndarray, settings: AdaptiveSettings, model: CellModel
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nominal base (siemens), voltage for it (SET: gate, RESET: amplitude) and mean overshoot (siemens), all (n,)."""
    cells, now, target = run.cells[index], run.conductance_siemens[index], run.target_siemens[index]
    gate_curve, reset_curve = settings.gate_curve.of(cells), settings.reset_curve
    half_width = settings.verify.half_width_siemens
    is_set, response = polarity == SET, model.response[cells]
    way = np.abs(now - target) + half_width
    overshoot = response * np.where(is_set, gate_curve.overshoot(target), reset_curve.remaining * way)
    room = np.maximum(half_width - settings.aim_spreads * model.base_spread(polarity, cells), 0.0)
    edge = target - np.minimum(settings.aim_overshoots * overshoot, room)
    base = now + (edge - now) / response - model.offset_siemens[polarity, cells]
    gate = gate_curve.volts(base)
    steepest_siemens_per_volt = np.max(gate_curve.siemens_per_volt)
    gate_step_volts = min(settings.gate_step_volts, 0.125 * half_width / steepest_siemens_per_volt)
    if gate_step_volts > 0:
        gate = np.rint(gate / gate_step_volts) * gate_step_volts
    gate = np.minimum(np.maximum(gate, gate_curve.threshold_volts), MAX_GATE_VOLTS)
    amplitude = np.minimum(np.maximum(reset_curve.volts(base), reset_curve.start_volts), MAX_RESET_VOLTS)
    amplitude[run.hrs[index]] = MAX_RESET_VOLTS
    base = np.where(is_set, gate_curve.base(gate), reset_curve.base(amplitude))
    overshoot = np.where(is_set, gate_curve.overshoot(base), reset_curve.remaining * np.maximum(now - base, 0.0))
    return base, np.where(is_set, gate, amplitude), overshoot
