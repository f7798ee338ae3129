"""The pictures of a run's page, drawn from what its journal holds so far."""

from __future__ import annotations

import base64
import contextlib
import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hwloop.apps import image, pictures
from hwloop.apps.pictures import ErrorSample, Span
from hwloop.controller.recorded_run import read_recorded_run
from hwloop.controller.run_cells import RunCells
from hwloop.controller.run_summary import REFERENCE, Iteration, RunSummary
from hwloop.errors import HwloopError
from hwloop.runlog.record import ConductanceMaps, Convergence
from hwloop.runlog.sources import RunSource, find_journal

_NONE = np.zeros(0)
# Phases of all folds share a line.
_FOLD = re.compile(r"^fold \d+, ")


@dataclass(frozen=True)
class Picture:
    """One figure: title, a sentence, and an element of HTML; `pixels` are small and stand side by side."""

    title: str
    caption: str
    element: str
    pixels: bool = False

    def html(self) -> str:
        """The `<figure>`."""
        caption = f"<figcaption><b>{html.escape(self.title)}</b>{html.escape(self.caption)}</figcaption>"
        return f"<figure>{caption}{self.element}</figure>"


def pictures_of(source: RunSource, summary: RunSummary, cells: RunCells | None) -> list[Picture]:
    """Every picture that there is something for."""
    found = [*_photographs(source, summary)] if summary.kind == "image" else []
    found += _convergence(summary)
    if cells is not None:
        found += _conductance(cells.maps)
    if summary.rounds:
        found.append(_rounds(summary))
    if cells is not None and len(cells.errors_siemens):
        found.append(_errors(summary, cells))
    if summary.phases:
        found.append(_timeline(summary))
    return found


def _conductance(maps: ConductanceMaps) -> Iterator[Picture]:
    """Both arrays up to the last row that was read: a small job leaves most of a large chip alone."""
    both = np.stack([maps.a_siemens, maps.b_siemens])
    known = np.flatnonzero(np.isfinite(both).any(axis=(0, 2)))
    if not len(known):
        return
    rows, (a_siemens, b_siemens) = both.shape[1], both[:, : known[-1] + 1]
    parts = [pictures.conductance_text(name, siemens) for name, siemens in (("A", a_siemens), ("B", b_siemens))]
    if len(a_siemens) < rows:
        parts.append(f"nothing was read beyond row {known[-1]} of {rows}")
    shown = ConductanceMaps(a_siemens, b_siemens)
    yield Picture(
        "Conductance", f"Every cell as last read: {'; '.join(parts)}.",
        pictures.page_picture("conductance", 3.6, lambda: pictures.draw_conductance(shown, summaries=False)),
    )


def _rounds(summary: RunSummary) -> Picture:
    cells, pulses, given_up = (
        np.array([getattr(told, key) for told in summary.rounds]) for key in ("cells", "cell_pulses", "given_up")
    )
    return Picture(
        "Programming rounds", f"{pulses.sum():,} pulses for {cells.sum():,} cells in {len(cells):,} rounds; "
        f"{given_up.sum():,} cells were given up.",
        pictures.page_picture("rounds", 3.4, lambda: pictures.draw_rounds(cells, pulses, given_up)),
    )


def _convergence(summary: RunSummary) -> Iterator[Picture]:
    """The figure of merit and the residual, from the iterations so far, in one picture each."""
    own = [told for told in summary.iterations if not told.is_reference]
    reference = [told for told in summary.iterations if told.is_reference]
    labels = list(dict.fromkeys(told.label for told in own)) or ["so far"]
    for key in ("quality", "residual"):
        curves = []
        for label in labels:
            # With several labels (folds) each has its own reference; with one, all there is belongs to it.
            beside = [told for told in reference if len(labels) == 1 or told.label.startswith(f"{label},")]
            pair = (_values([told for told in own if told.label == label], key), _values(beside, key))
            told = (own or reference)[0] if own or reference else None
            if told is not None and any(map(len, pair)):
                quantity, unit = (told.quantity, told.unit) if key == "quality" else ("relative residual", "1")
                curves.append(Convergence(label, quantity, *pair, unit))
        if curves:
            quantity = curves[0].quantity
            last = max(len(values) for curve in curves for values in (curve.analog, curve.reference))
            yield Picture(
                quantity[0].upper() + quantity[1:], f"After each of {last} iterations, on the circuit and in float64.",
                pictures.page_picture(key, 3.4, lambda curves=curves: pictures.draw_convergence(curves)),
            )


def _values(told: list[Iteration], key: str) -> np.ndarray:
    values = [getattr(iteration, key) for iteration in told]
    return np.array(values, float) if values and all(value is not None for value in values) else _NONE


def _errors(summary: RunSummary, cells: RunCells) -> Picture:
    program, errors = summary.run["rig"]["program"], cells.errors_siemens
    span_siemens = program["conductance_max_siemens"] - program["conductance_min_siemens"]
    tolerance_siemens = program["tolerance"] * span_siemens
    inside = float(np.mean(np.abs(errors) <= tolerance_siemens))

    def draw():
        figure = pictures.draw_programming_errors([ErrorSample("when accepted", errors)], tolerance_siemens)
        figure.get_axes()[0].get_legend().remove()      # the caption says it
        return figure

    every = "" if cells.every == 1 else f" (every {cells.every}th one)"
    return Picture(
        "Programming error", f"Conductance minus target when accepted: mean {errors.mean() * 1e6:+.2f} µS, "
        f"σ {errors.std() * 1e6:.2f} µS, {inside:.1%} of {len(errors):,} cells{every} in the window.",
        pictures.page_picture("errors", 3.2, draw),
    )


def _timeline(summary: RunSummary) -> Picture:
    begin_ns = summary.begin_ns

    def seconds(time_ns: int) -> float:
        return max(time_ns - begin_ns, 0) * 1e-9

    marks: dict[str, list[float]] = {}
    for told in summary.iterations:
        marks.setdefault(f"{told.label}, iterations", []).append(seconds(told.time_ns))
    spans = []
    for phase in summary.phases:
        # The first news of a phase comes when its first step is done; before it the one before was worked on.
        began = seconds(phase.begin_ns)
        before = [span.end_seconds for span in spans if span.end_seconds <= began]
        spans.append(Span(
            _FOLD.sub("", phase.phase), max(before, default=0.0) if phase.done else began, seconds(phase.end_ns),
            tuple(marks.get(phase.phase, ())),
        ))
    if summary.rounds:
        times = tuple(seconds(told.time_ns) for told in summary.rounds)
        spans.append(Span("programming rounds", times[0], times[-1], times[:: -(-len(times) // 300)]))
    pauses = [
        (max(seconds(told["time_ns"]) - max(float(told.get("away_seconds", 0.0)), 0.0), 0.0), seconds(told["time_ns"]))
        for told in summary.resumptions
    ]
    told = "Each bar from the beginning to the last news of it; marks are iterations and rounds."
    inches = pictures.timeline_inches(spans)
    return Picture(
        "Phases", told + (" Grey: nobody worked on the run." if pauses else ""),
        pictures.page_picture("timeline", inches, lambda: pictures.draw_timeline(spans, pauses)),
    )


def _photographs(source: RunSource, summary: RunSummary) -> Iterator[Picture]:
    """Original, reconstruction and their difference, where the run has factors and the photograph can be had."""
    factors = _factors(source, summary)
    if factors is None:
        return
    # A page without these is better than none: the photograph may be gone.
    with contextlib.suppress(HwloopError), find_journal(source.path) as path:
        with read_recorded_run(path).restored_inputs() as options:
            original = image.load_photograph(options.path).pixels
        picture = image.rebuild(*factors, original.shape)
        error, mean_levels, top_levels = pictures.error_pixels(original, picture)
        height, width, _ = original.shape
        yield _pixels("Original", f"{width} × {height}", original)
        yield _pixels("Reconstruction", f"{image.psnr_db(original, picture):.2f} dB", picture)
        yield _pixels("Error", f"mean {mean_levels:.1f}, brightest {top_levels:.0f} of 255 levels", error)


def _factors(source: RunSource, summary: RunSummary) -> tuple[np.ndarray, np.ndarray] | None:
    """W and H of the result, else the last ones that were kept."""
    record = summary.record
    if record is not None:
        return (record.factors[0].w, record.factors[0].h) if record.factors else None
    kept = None
    with source.journal() as journal:
        for _, event in journal.events("factors"):
            if REFERENCE not in event.fields["label"]:
                kept = (event.arrays["w"], event.arrays["h"])
    return kept


def _pixels(title: str, caption: str, values: np.ndarray) -> Picture:
    data = base64.b64encode(pictures.png_bytes(values)).decode("ascii")
    alt = html.escape(title)
    return Picture(title, caption, f'<img alt="{alt}" src="data:image/png;base64,{data}">', pixels=True)
