"""What the events of a run say, as groups of its run file: who, with what, how it went, and what came out."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import h5py
import numpy as np

from hwloop import __version__
from hwloop.calibration.constants import BoardConstants
from hwloop.calibration.usage import InUse
from hwloop.link.protocol import DescribeReply
from hwloop.runlog.bodies import Event
from hwloop.runlog.framing import Header
from hwloop.runlog.layout import (
    LAYOUT,
    NOTHING,
    new_group,
    plain,
    plot,
    write_axis,
    write_mapping,
    write_numbers,
    write_text,
)
from hwloop.runlog.record import RESULT, Convergence, FactorPair, Field, Quantity, RunRecord, record_from_event

_LEFT_OUT = frozenset({
    "run", "input", "cells", "calibrations", "board", "programmed", "iteration", "factors", RESULT, "end",
})
# What a viewer shows of a run unasked: the first of these that there is.
_SHOWN = (
    "convergence_1", "iterations_1", "reconstruction", "conductance_a", "reads", "pulses", "solves", "exchanges",
    "factors_1",
)
_RECONSTRUCTION = "reconstruction"


@dataclass
class Story:
    """The events of a run, gathered: the last one of those that replace one another, and lines for people.

    `lines` are (seconds since the run began, event, text).
    """

    started_ns: int
    run: Mapping[str, Any] = field(default_factory=dict)
    inputs: list[Event] = field(default_factory=list)
    board: Mapping[str, Any] = field(default_factory=dict)
    array: Mapping[str, Any] = field(default_factory=dict)
    calibrations: InUse | None = None
    iterations: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    factors: dict[str, Event] = field(default_factory=dict)
    result: RunRecord | None = None
    stopped: Mapping[str, Any] | None = None
    lines: list[tuple[float, str, str]] = field(default_factory=list)
    phases: set[str] = field(default_factory=set)

    def take(self, event: Event, time_ns: int) -> None:
        """The next event."""
        fields = event.fields
        if event.name == "run" and not self.run:
            self.run = fields
        elif event.name == "input":
            self.inputs.append(event)
        elif event.name == "cells":
            self.array = {"serial": fields["array_serial"], "bad_cells": fields["bad_cells"], **self.array}
        elif event.name == "calibrations":
            self.calibrations = InUse.recorded(fields, event.arrays)
        elif event.name == "board":
            self.board, self.array = fields["board"], fields["array"]
        elif event.name == "iteration":
            self.iterations.setdefault(fields["label"], []).append(fields)
        elif event.name == "factors":
            self.factors[fields["label"]] = event
        elif event.name == RESULT:
            self.result, self.stopped = record_from_event(event), None
        elif event.name == "stopped":
            self.stopped = fields
        elif event.name == "resumed":
            self.stopped = None
        # Phases alternate by the thousand; each is told once.
        is_told = event.name == "phase" and fields["phase"] in self.phases
        if event.name not in _LEFT_OUT and not is_told:
            self.lines.append(((time_ns - self.started_ns) * 1e-9, event.name, _line(event)))
        if event.name == "phase":
            self.phases.add(fields["phase"])

    def constants(self, describe: DescribeReply) -> BoardConstants:
        """What codes were converted by."""
        if self.calibrations is None:
            return BoardConstants.nominal(describe)
        return self.calibrations.constants(describe)

    @property
    def kind(self) -> str:
        """The kind of run; "unknown" where not even its first event was written."""
        return self.run.get("kind") or (self.result.kind if self.result else "unknown")

    def status(self) -> tuple[str, str]:
        """Whether the run is whole, and why not."""
        if self.result is not None:
            return "complete", ""
        if self.stopped is not None:
            return "stopped", str(self.stopped.get("message") or self.stopped.get("reason") or "")
        return "partial", "the journal ends before the run does: it was killed, or still goes on"


def write_head(file: h5py.File, story: Story, header: Header) -> None:
    """Root attributes, and in the entry who and when."""
    run, result = story.run, story.result
    name = str(run.get("name") or "")
    created = run.get("created") or (result.created if result else _iso(header.created_ns))
    version = run.get("hwloop") or (result.code_version if result else __version__)
    file.attrs.update(
        NX_class="NXroot", default="entry", creator="hwloop", creator_version=__version__, hwloop_layout=LAYOUT,
        file_time=created,
    )
    entry = file["entry"]
    write_text(entry, "title", f"hwloop {story.kind}" + (f" {name}" if name else ""))
    write_text(entry, "start_time", created)
    if name:
        write_text(entry, "entry_identifier", name)
    write_text(entry, "entry_identifier_uuid", str(uuid.UUID(bytes=header.run_id)))
    write_text(entry, "run_kind", story.kind)
    write_text(entry, "program_name", "hwloop").attrs["version"] = str(version)
    seed = run.get("seed", result.seed if result else 0)
    write_numbers(entry, "seed", seed, NOTHING, "seed of the simulated bench and of the start")
    status, reason = story.status()
    entry.attrs.update(status=status, status_reason=reason)
    write_text(entry, "status", status, "complete, stopped (it says why) or partial (killed, or still going on)")
    write_text(entry, "status_reason", reason)


def write_end(entry: h5py.Group, story: Story, last_ns: int) -> None:
    """When the run ended."""
    write_text(entry, "end_time", _iso(last_ns), "time of the journal's last record")
    write_numbers(entry, "duration", max(last_ns - story.started_ns, 0) * 1e-9, "s", "wall time from begin to end")


def write_contents(entry: h5py.Group, story: Story, siemens: np.ndarray | None) -> None:
    """Everything that events say. `siemens` (2, rows, columns): the last readings, where the result has no maps."""
    result = story.result
    _write_program(entry, story)
    configuration = {name: story.run[name] for name in ("options", "rig") if name in story.run}
    write_mapping(
        new_group(entry, "configuration", "NXcollection", "options of the command, and its rig"),
        result.configuration if result else configuration,
    )
    board, array = (result.board, result.array) if result else (story.board, story.array)
    instrument = new_group(entry, "board", "NXinstrument", "the board: who it is, its scales and limits")
    if "name" in board:
        write_text(instrument, "name", str(board["name"]))
    write_mapping(instrument, board)
    sample = new_group(entry, "array", "NXsample", "the chip in the board's socket, and the cells that are not used")
    write_text(sample, "name", f"array {array.get('serial', 0)}")
    write_mapping(sample, array)
    bad_cells = array.get("bad_cells") or {}
    write_numbers(sample, "bad_cell", np.array(list(bad_cells), dtype=np.uint32), NOTHING, "flat cell indices")
    write_text(sample, "bad_cell_status", list(map(str, bad_cells.values())), "why each of them is not used")
    _write_inputs(new_group(entry, "inputs", "NXcollection", "files that the run read"), story)
    for number, (label, told) in enumerate(story.iterations.items(), start=1):
        _write_iterations(entry, f"iterations_{number}", label, told)
    pairs = result.factors if result else [
        FactorPair(label, event.arrays["w"], event.arrays["h"]) for label, event in story.factors.items()
    ]
    for number, pair in enumerate(pairs, start=1):
        _write_factors(entry, f"factors_{number}", pair, None if result else story.factors[pair.label])
    for number, curve in enumerate(result.convergence if result else (), start=1):
        _write_convergence(entry, f"convergence_{number}", curve)
    for name, what in (("metrics", "how good the result is"), ("counters", "what the run cost")):
        _write_quantities(new_group(entry, name, "NXcollection", what), getattr(result, name) if result else ())
    _write_conductance(entry, result, siemens)
    _write_fields(entry, result.fields if result else ())
    _write_lines(new_group(entry, "events", "NXcollection", "what the run said while it went on"), story)


def choose_default(entry: h5py.Group) -> None:
    """What a viewer shows first."""
    shown = next((name for name in _SHOWN if name in entry), None)
    if shown is not None:
        entry.attrs["default"] = shown


def _write_program(entry: h5py.Group, story: Story) -> None:
    group = new_group(entry, "program", "NXprocess", "the program that ran, and what it was made with")
    write_text(group, "program", "hwloop")
    version = story.run.get("hwloop") or (story.result.code_version if story.result else __version__)
    write_text(group, "version", str(version))
    for name in ("python", "numpy", "scipy", "numba", "h5py", "platform", "wire_hash", "wire_revision"):
        if name in story.run:
            group.attrs[name] = str(story.run[name])
    if "arguments" in story.run:
        write_text(group, "arguments", [str(argument) for argument in story.run["arguments"]], "of the command line")


def _write_inputs(group: h5py.Group, story: Story) -> None:
    told = [(event.fields["name"], event.fields["sha256"]) for event in story.inputs]
    if story.result is not None:
        told = [(source.name, source.sha256) for source in story.result.inputs]
    write_text(group, "names", [name for name, _ in told])
    write_text(group, "sha256", [sha256 for _, sha256 in told])
    for number, event in enumerate(story.inputs, start=1):
        note = new_group(group, f"file_{number}", "NXnote")
        write_text(note, "file_name", str(event.fields["name"]))
        write_text(note, "type", "application/octet-stream")
        write_text(note, "sha256", str(event.fields["sha256"]))
        if "option" in event.fields:
            write_text(note, "option", str(event.fields["option"]), "the option that named it")
        write_numbers(note, "size", np.uint64(event.fields["bytes"]), "byte", "size of the file")
        if "data" in event.arrays:
            write_numbers(note, "data", event.arrays["data"], NOTHING, "the bytes of the file")


def _write_iterations(entry: h5py.Group, name: str, label: str, told: list[Mapping[str, Any]]) -> None:
    def values(key: str) -> np.ndarray:
        return np.array([np.nan if one.get(key) is None else one[key] for one in told], float)

    group = new_group(entry, name, "NXdata", "after each iteration on the circuit, as the run went on")
    residual, quality = values("residual"), values("quality")
    has_residual = not np.isnan(residual).all()
    plot(group, "residual" if has_residual else "quality", ["iteration"], label)
    write_text(group, "label", label)
    write_numbers(group, "iteration", values("iteration").astype(np.uint32), NOTHING, "iteration, from 1", "iteration")
    write_numbers(group, "residual", residual, NOTHING, "relative residual; nan: not told", "relative residual")
    quantity, unit = str(told[-1].get("quantity") or "quality"), str(told[-1].get("unit") or NOTHING)
    write_numbers(group, "quality", quality, unit, f"{quantity}; nan: not told", quantity)


def _write_factors(entry: h5py.Group, name: str, pair: FactorPair, so_far: Event | None) -> None:
    group = new_group(entry, name, "NXdata", "factors W H; a leading axis counts matrices")
    axes = ("matrix", "row", "component")[-np.ndim(pair.w) :]
    plot(group, "w", axes, f"factors, {pair.label}")
    write_text(group, "label", pair.label)
    for axis, length in zip(axes, np.shape(pair.w), strict=True):
        write_axis(group, axis, length)
    write_numbers(group, "w", pair.w, NOTHING, "W, ([matrix,] row, component)", "W")
    write_numbers(group, "h", pair.h, NOTHING, "H, ([matrix,] component, column)", "H")
    if so_far is not None:
        write_numbers(
            group, "iteration", np.uint32(so_far.fields["iteration"]), NOTHING, "the iteration behind them"
        )


def _write_convergence(entry: h5py.Group, name: str, curve: Convergence) -> None:
    group = new_group(entry, name, "NXdata", "after each iteration, on the circuit and in float64")
    plot(group, "analog", ["iteration"], f"{curve.quantity}, {curve.label}", ["reference"])
    write_text(group, "label", curve.label)
    iteration = np.arange(1, len(curve.analog) + 1)
    write_numbers(group, "iteration", iteration, NOTHING, "iteration, from 1", "iteration")
    write_numbers(group, "analog", curve.analog, curve.unit, "on the circuit", curve.quantity)
    write_numbers(group, "reference", curve.reference, curve.unit, "in float64", f"{curve.quantity}, float64")


def _write_quantities(group: h5py.Group, quantities: tuple[Quantity, ...]) -> None:
    for quantity in quantities:
        write_numbers(group, quantity.name, quantity.value, quantity.unit)


def _write_conductance(entry: h5py.Group, result: RunRecord | None, siemens: np.ndarray | None) -> None:
    maps = siemens
    if result is not None:
        found = result.conductance
        maps = None if found is None else (found.a_siemens, found.b_siemens)
    elif siemens is not None and np.isnan(siemens).all():
        maps = None
    for name, values in zip("ab", maps if maps is not None else (), strict=False):
        what = f"conductance at 0.2 V, array {name.upper()}"
        group = new_group(entry, f"conductance_{name}", "NXdata", f"{what}, as last read; nan: never read")
        plot(group, "conductance", ["row", "column"], what)
        write_numbers(group, "conductance", values, "S", "(row, column)", "conductance")
        for axis, length in zip(("row", "column"), np.shape(values), strict=True):
            write_axis(group, axis, length)


def _write_fields(entry: h5py.Group, fields: tuple[Field, ...]) -> None:
    group = new_group(entry, "fields", "NXcollection", "what this kind of run adds")
    for item in fields:
        if isinstance(item.values, tuple):
            write_text(group, item.name, list(item.values)).attrs["description"] = item.description
        else:
            write_numbers(group, item.name, item.values, item.unit).attrs["description"] = item.description
            if item.name == _RECONSTRUCTION:
                _write_picture(entry, item)


def _write_picture(entry: h5py.Group, item: Field) -> None:
    """The rebuilt picture, as a viewer likes it; the numbers are those of the field."""
    group = new_group(entry, _RECONSTRUCTION, "NXdata", item.description)
    values = np.asarray(item.values)
    axes = ("row", "column", "channel")[: values.ndim]
    plot(group, "picture", axes, "the picture rebuilt from the factors")
    for axis, length in zip(axes, values.shape, strict=True):
        write_axis(group, axis, length)
    group["picture"] = entry["fields"][item.name]
    is_colour = values.ndim == 3 and values.shape[-1] in (3, 4)
    group["picture"].attrs["interpretation"] = "rgb-image" if is_colour else "image"
    group.attrs["interpretation"] = "rgb-image" if is_colour else "image"


def _write_lines(group: h5py.Group, story: Story) -> None:
    seconds = np.array([line[0] for line in story.lines])
    write_numbers(group, "seconds", seconds, "s", "wall time since the run began")
    write_text(group, "event", [line[1] for line in story.lines], "name of the event")
    write_text(group, "text", [line[2] for line in story.lines], "what it says")


def _line(event: Event) -> str:
    fields = event.fields
    for name in ("text", "question", "phase", "message"):
        if name in fields:
            return str(fields[name])
    return json.dumps(dict(fields), ensure_ascii=False, default=plain) if fields else ""


def _iso(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns // 1000 / 1e6, UTC).isoformat(timespec="microseconds")
