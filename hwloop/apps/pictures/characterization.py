"""What cells do when they are characterized: loops, currents, distributions, drift, endurance, noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hwloop.apps.pictures.figure import (
    ANALOG_COLOUR,
    LIMIT_COLOUR,
    MICROSIEMENS,
    REFERENCE_COLOUR,
    clear_frame,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MICROAMPS = 1e6
# So many single cells are drawn thin; all of them are in the median.
_MOST_CELLS = 48
_COLOURS = (ANALOG_COLOUR, REFERENCE_COLOUR, "#3b8f4a", "#8a4fa3", "#b03a48", "#6b6b2f", "#2f7f86", "#a0722a")
_THIN = {"linewidth": 0.6, "alpha": 0.3}
_CONDUCTANCE = "conductance at 0.2 V (µS)"


def draw_switching(volts: np.ndarray, siemens: np.ndarray) -> Figure:
    """Conductance (steps, cells) along a loop of pulse amplitudes (steps,): positive SET, negative RESET."""
    figure = new_figure(4.2)
    axes = figure.subplots()
    shown = _shown(siemens.shape[1])
    for part, colour, label in ((volts > 0, ANALOG_COLOUR, "SET"), (volts < 0, REFERENCE_COLOUR, "RESET")):
        axes.plot(volts[part], MICROSIEMENS * siemens[part][:, shown], color=colour, **_THIN)
        median = np.nanmedian(siemens[part], axis=1)
        axes.plot(volts[part], MICROSIEMENS * median, color=colour, linewidth=2.0, marker="o", markersize=4,
                  label=f"{label}, median of {siemens.shape[1]:,} cells")  # fmt: skip
    axes.axvline(0.0, color=LIMIT_COLOUR, linewidth=0.8)
    return _finished(figure, axes, "pulse amplitude (V): SET to the right, RESET to the left", _CONDUCTANCE)


def draw_currents(volts: np.ndarray, amps: np.ndarray, states: Sequence[str]) -> Figure:
    """Currents of cells at low voltages, both (states, voltages, cells), a panel a state."""
    figure = new_figure(4.0)
    panels = figure.subplots(1, len(states), squeeze=False)[0]
    shown = _shown(amps.shape[2])
    for place, (axes, state) in enumerate(zip(panels, states, strict=True)):
        order = np.argsort(volts[place].mean(axis=1))
        x, y = volts[place][order], _MICROAMPS * amps[place][order]
        axes.plot(x[:, shown], y[:, shown], color=_COLOURS[place], **_THIN)
        axes.plot(x.mean(axis=1), np.nanmedian(y, axis=1), color=_COLOURS[place], linewidth=2.0)
        axes.set_title(f"{state}, {amps.shape[2]:,} cells and their median", fontsize=11, loc="left")
        axes.set_xlabel("voltage (V)")
        clear_frame(axes)
    panels[0].set_ylabel("current (µA)")
    return figure


def draw_cumulative(samples: Mapping[str, np.ndarray], label: str, logarithmic: bool = False) -> Figure:
    """Cumulative distributions of samples (cells,), by name; `label` with its unit. What is not finite is left out."""
    figure = new_figure(4.0)
    axes = figure.subplots()
    for number, (name, values) in enumerate(samples.items()):
        values = np.sort(values[np.isfinite(values)])
        if logarithmic:
            values = values[values > 0.0]
        share = 100.0 * np.arange(1, values.size + 1) / max(values.size, 1)
        colour = _COLOURS[number % len(_COLOURS)]
        axes.step(values, share, where="post", color=colour, linewidth=1.5, label=f"{name} ({values.size:,} cells)")
    if logarithmic and any((values > 0.0).any() for values in samples.values()):
        axes.set_xscale("log")
    axes.set_ylim(0.0, 100.0)
    return _finished(figure, axes, label, "cells below (%)", beside=len(samples) > 2)


def draw_gate_curves(volts: np.ndarray, siemens: np.ndarray) -> Figure:
    """Conductance after SET (gate voltages, cells) against gate voltage (gate voltages,)."""
    figure = new_figure(4.2)
    axes = figure.subplots()
    axes.plot(volts, MICROSIEMENS * siemens[:, _shown(siemens.shape[1])], color=ANALOG_COLOUR, **_THIN)
    axes.plot(volts, MICROSIEMENS * _median(siemens), color=REFERENCE_COLOUR, linewidth=2.0, marker="o", markersize=4,
              label=f"median of {siemens.shape[1]:,} cells")  # fmt: skip
    return _finished(figure, axes, "gate voltage of the SET (V)", "conductance after SET (µS)")


def draw_retention(seconds: np.ndarray, siemens: Mapping[str, np.ndarray]) -> Figure:
    """Conductance (times, cells) against the logarithm of time (times,), by level; the first time is 0 and left out."""
    figure = new_figure(4.2)
    axes = figure.subplots()
    later = seconds > 0.0
    for number, (name, values) in enumerate(siemens.items()):
        colour, values = _COLOURS[number % len(_COLOURS)], MICROSIEMENS * values[later]
        axes.plot(seconds[later], values[:, _shown(values.shape[1])], color=colour, **_THIN)
        axes.plot(seconds[later], _median(values), color=colour, linewidth=2.0,
                  label=f"{name}: median of {values.shape[1]:,}")  # fmt: skip
    axes.set_xscale("log")
    return _finished(figure, axes, "time after programming (s)", _CONDUCTANCE, beside=True)


def draw_against_count(
    counts: np.ndarray, siemens: Mapping[str, np.ndarray], count_label: str, label: str = _CONDUCTANCE,
    logarithmic: bool = False,
) -> Figure:
    """Conductance (counts, cells) against a number of pulses or cycles, by name: median and the middle 90 %.

    A count of 0 is left out, as the axis is logarithmic; `logarithmic` makes the other one so, too.
    """
    figure = new_figure(4.2)
    axes = figure.subplots()
    counted = counts > 0
    for number, (name, values) in enumerate(siemens.items()):
        if not values.shape[1]:
            continue
        colour, values = _COLOURS[number % len(_COLOURS)], MICROSIEMENS * values[counted]
        low, high = np.nanpercentile(values, [5.0, 95.0], axis=1)
        axes.fill_between(counts[counted], low, high, color=colour, alpha=0.2, linewidth=0)
        axes.plot(counts[counted], _median(values), color=colour, linewidth=2.0, marker="o", markersize=3,
                  label=f"{name}: median and middle 90 % of {values.shape[1]:,} cells")  # fmt: skip
    axes.set_xscale("log")
    if logarithmic:
        axes.set_yscale("log")
    return _finished(figure, axes, count_label, label)


def draw_readings(seconds: np.ndarray, siemens: np.ndarray, sigma: np.ndarray, two_levels: np.ndarray) -> Figure:
    """Readings (readings, cells) of the noisiest cells with two levels and of a usual one, over their mean; `sigma`
    (cells,) is NaN where a cell does not count."""
    figure = new_figure(4.6)
    noisy = np.flatnonzero(two_levels)
    noisy = noisy[np.argsort(-sigma[noisy])][:2]
    usual = int(np.argsort(sigma)[np.isfinite(sigma).sum() // 2])
    chosen = [*((cell, "two levels") for cell in noisy.tolist()), (usual, "usual")]
    panels = figure.subplots(len(chosen), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (cell, name) in zip(panels, chosen, strict=True):
        values = siemens[:, cell]
        colour = REFERENCE_COLOUR if name == "two levels" else ANALOG_COLOUR
        axes.plot(seconds, 100.0 * (values / values.mean() - 1.0), color=colour, linewidth=0.9)
        axes.set_title(
            f"{name}: cell {cell} of the chosen ones, {MICROSIEMENS * values.mean():.1f} µS, sigma "
            f"{100.0 * sigma[cell]:.2f} %", fontsize=10, loc="left",
        )
        axes.set_ylabel("off mean (%)")
        clear_frame(axes)
    panels[-1].set_xlabel("bench time (s)")
    return figure


def _shown(cells: int) -> np.ndarray:
    """Places of the cells that are drawn one by one, evenly spread."""
    return np.unique(np.linspace(0, cells - 1, min(cells, _MOST_CELLS)).astype(int))


def _median(values: np.ndarray) -> np.ndarray:
    """Median over cells of (points, cells), NaN where a point has none."""
    with np.errstate(all="ignore"):
        return np.array([np.median(row[np.isfinite(row)]) if np.isfinite(row).any() else np.nan for row in values])


def _finished(figure: Figure, axes, x_label: str, y_label: str, beside: bool = False) -> Figure:
    """Labels, legend (`beside` the frame where it would cover something), and nothing that carries no information."""
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    if axes.get_legend_handles_labels()[0]:
        place = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)} if beside else {}
        axes.legend(frameon=False, fontsize=9, **place)
    clear_frame(axes)
    return figure
