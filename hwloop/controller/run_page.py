"""`logs report`: one HTML page about a run that needs nothing beside it; also of a run that is not finished.

Everything that comes from a run is escaped, and the page may load and run nothing.
"""

from __future__ import annotations

import html
import shlex
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from string import Template
from typing import Any

from hwloop import __version__
from hwloop.controller import run_show
from hwloop.controller.run_cells import cells_of_run
from hwloop.controller.run_pictures import Picture, pictures_of
from hwloop.controller.run_show import ShownRun
from hwloop.controller.run_summary import MAIN_METRICS, Figure, duration_text, time_text
from hwloop.runlog.record import Quantity
from hwloop.runlog.sources import RunSource, State

_MOST_ROWS = 60
_KINDS = {
    "image": "factorization of a photograph", "ratings": "factorization of ratings", "matrix": "factorization",
    "form": "forming", "program": "programming", "solve": "regression",
}


def page_of(source: RunSource) -> str:
    """The page about the run, as it stands. Raises DataError where it has no journal."""
    shown = run_show.shown_of(source)
    told = shown.summary
    cells = cells_of_run(source) if told.board else None
    drawn = pictures_of(source, told, cells)
    sections = [
        _section("Pictures", _pictures(drawn)),
        _section("Warnings and notes", _warnings(shown)),
        _section("Iterations", _iterations(shown)),
        _section("Counters", _counters(shown)),
        _section("Phases", _phases(shown)),
        _section("Inputs", _inputs(shown)),
        _section("Board and array", _board(shown)),
        _section("Configuration", _configuration(shown)),
        _section("To repeat it", _repeat(shown)),
    ]
    folder = resources.files("hwloop.controller") / "page"
    template, style = ((folder / name).read_text("utf-8") for name in ("run_page.html", "run_page.css"))
    return Template(template).substitute(
        title=html.escape(source.name), kind=html.escape(_KINDS.get(told.kind, told.kind)), style=style,
        state=html.escape(str(shown.state)), ending=html.escape(_ending(shown)), facts=_merit(shown) + _facts(shown),
        sections="\n".join(filter(None, sections)), footer=html.escape(_footer(shown)),
    )


def _section(title: str, content: str) -> str:
    return f"<section>\n<h2>{html.escape(title)}</h2>\n{content}\n</section>" if content else ""


def _ending(shown: ShownRun) -> str:
    took = duration_text(shown.summary.wall_seconds)
    if shown.state is State.COMPLETE:
        return f"complete, after {took}"
    if shown.state is State.RUNNING:
        return f"running, for {took} when this page was made"
    return shown.ending()


def _merit(shown: ShownRun) -> str:
    """The figure of merit, large, and the other figures of the result beside it."""
    told = shown.summary
    figure, last = told.figure, told.last_iteration
    shown_figures = []
    if figure is not None:
        is_so_far = told.result is None and last is not None
        so_far = f"{last.label}, iteration {last.iteration} of {last.of}" if is_so_far else ""
        shown_figures.append(_figure(figure, so_far, "main"))
    for metric in told.metrics:
        if figure is None or MAIN_METRICS.get(metric.name) != figure.name:
            title = metric.name.replace("reference_", "float64 ").replace("_", " ")
            shown_figures.append(_figure(Figure(title, float(metric.value), metric.unit), "", "other"))
    return f'<div class="merit">{"".join(shown_figures)}</div>' if shown_figures else ""


def _figure(figure: Figure, more: str, kind: str) -> str:
    value = figure.text().removeprefix(figure.name).strip()
    title = figure.name + (f", {more}" if more else "")
    return f'<div class="{kind}"><b>{html.escape(value)}</b><span>{html.escape(title)}</span></div>'


def _facts(shown: ShownRun) -> str:
    told, run = shown.summary, shown.summary.run
    return _list({
        "started": str(run.get("created", "?"))[:19].replace("T", " ") + " UTC",
        "last record": f"{time_text(told.end_ns)} UTC" if told.end_ns else None,
        "made with": run_show.versions_text(run) if run else None,
        "board": run_show.board_text(told.board) if told.board else None,
        "array": run_show.array_text(told.array) if told.array else None,
        "journal": f"{shown.source.path.name}, {told.records:,} records, {shown.bytes_:,} bytes",
    })


def _pictures(drawn: Sequence[Picture]) -> str:
    parts = []
    for kind, of_kind in (("pixels", [found for found in drawn if found.pixels]),
                          ("pictures", [found for found in drawn if not found.pixels])):
        if of_kind:
            parts.append(f'<div class="{kind}">{"".join(found.html() for found in of_kind)}</div>')
    return "\n".join(parts)


def _warnings(shown: ShownRun) -> str:
    told = shown.summary
    warnings = []
    if shown.state is not State.COMPLETE:
        warnings.append("The run is not finished: all figures are those so far.")
    if shown.is_torn:
        warnings.append(f"The journal is torn or damaged from offset {shown.end:,} on; nothing behind that is shown.")
    if told.given_up:
        cells = sum(round_.cells for round_ in told.rounds)
        share = f"{told.given_up:,} of {cells:,} cells ({told.given_up / cells:.2%})"
        warnings.append(f"{share} were given up while programming, summed over the rounds.")
    if told.refused:
        warnings.append(f"The board refused {told.refused:,} frames.")
    if told.unknown:
        warnings.append(f"Of {told.unknown:,} frames nobody knows whether they were carried out; cells were read back.")
    warnings += [f"Resumed {run_show.resumption_text(found)}." for found in told.resumptions]
    for found in told.restored:
        warnings.append(
            f"{found.get('drifted', 0):,} of {found.get('cells', 0):,} cells had drifted and were brought back with "
            f"{found.get('cell_pulses', 0):,} pulses."
        )
    lines = [f'<li class="warning">{html.escape(text)}</li>' for text in warnings]
    lines += [f"<li>{time_text(at)}: asked: {html.escape(question)}</li>" for at, question in told.consents]
    hidden = len(told.notes) - _MOST_ROWS
    lines += [f"<li>{hidden:,} earlier notes are left out</li>"] if hidden > 0 else []
    lines += [f"<li>{time_text(at)}: {html.escape(text)}</li>" for at, text in told.notes[-_MOST_ROWS:]]
    return f'<ul class="warnings">{"".join(lines)}</ul>' if lines else ""


def _iterations(shown: ShownRun) -> str:
    iterations = shown.summary.iterations
    rows = []
    for found in iterations[-_MOST_ROWS:]:
        quality = "" if found.quality is None else f"{found.quality:.4f}"
        residual = "" if found.residual is None else f"{found.residual:.5g}"
        rows.append((found.label, f"{found.iteration} of {found.of}", residual, quality, time_text(found.time_ns)))
    if not rows:
        return ""
    last = iterations[-1]
    unit = "" if last.unit == "1" else f" ({last.unit})"
    hidden = len(iterations) - len(rows)
    note = f"<p>{hidden:,} earlier iterations are left out.</p>" if hidden else ""
    titles = ("", "iteration", "relative residual", f"{last.quantity}{unit}", "at (UTC)")
    return note + _table(titles, rows, numbers={1, 2, 3})


def _counters(shown: ShownRun) -> str:
    told = shown.summary
    so_far = told.counters_so_far()
    frames = so_far.pop("frames")
    own = _list({_words(item.name): _quantity_text(item) for item in told.counters})
    read = _list({
        name: f"{value:,.6g}" if isinstance(value, float) else f"{value:,}" for name, value in so_far.items()
    } | {"frames sent": ", ".join(f"{name} {count:,}" for name, count in frames.items()) or None})
    parts = [f"<div><h3>As the run counted</h3>{own}</div>"] if told.counters else []
    parts.append(f"<div><h3>As its journal adds up</h3>{read}</div>")
    return f'<div class="tables">{"".join(parts)}</div>'


def _phases(shown: ShownRun) -> str:
    rows = [
        (phase.phase, f"{phase.done:,} of {phase.total:,}", time_text(phase.begin_ns), time_text(phase.end_ns))
        for phase in shown.summary.phases
    ]
    return _table(("phase", "done", "first news (UTC)", "last news (UTC)"), rows, numbers={1}) if rows else ""


def _inputs(shown: ShownRun) -> str:
    parts = []
    for found in shown.summary.inputs:
        where = "inside the journal" if found.get("embedded") else "not in the journal"
        parts.append(f"<h3>{html.escape(str(found.get('name')))}</h3>" + _list({
            "sha256": str(found.get("sha256")), "size": f"{found.get('bytes', 0):,} bytes, {where}",
        }))
    return "".join(parts)


def _board(shown: ShownRun) -> str:
    told = shown.summary
    if not told.board:
        return ""
    bad: dict[str, int] = {}
    for status in told.array.get("bad_cells", {}).values():
        bad[str(status)] = bad.get(str(status), 0) + 1
    chip = {"serial": told.array.get("serial"), "rows": told.array.get("rows"), "columns": told.array.get("columns")}
    chip["cells out of use"] = ", ".join(f"{count:,} {status}" for status, count in sorted(bad.items())) or "none"
    board = {name: value for name, value in told.board.items() if not isinstance(value, Mapping)}
    parts = [("board", board), ("array", chip)]
    parts += [(f"board, {name}", value) for name, value in told.board.items() if isinstance(value, Mapping)]
    return _tables(parts)


def _configuration(shown: ShownRun) -> str:
    run = shown.summary.run
    if not run:
        return ""
    tables = [("options", {**run.get("options", {}), "seed": run.get("seed")})]
    rig = run.get("rig", {})
    single = {name: value for name, value in rig.items() if not isinstance(value, Mapping)}
    tables += [(name, value) for name, value in rig.items() if isinstance(value, Mapping)]
    tables += [("rig", single)] if single else []
    return _tables(tables)


def _repeat(shown: ShownRun) -> str:
    run = shown.summary.run
    if not run:
        return ""
    lines = [("The same job on a board:", shlex.join(["hwloop", *map(str, run.get("arguments", []))]))]
    lines.append(("The same code on what was recorded, without a board:", f"hwloop replay {_quoted(shown)}"))
    if shown.resume_command:
        lines.append(("To go on with it:", shown.resume_command))
    return "".join(f"<p>{html.escape(what)}</p><pre>{html.escape(how)}</pre>" for what, how in lines)


def _quoted(shown: ShownRun) -> str:
    return shlex.quote(str(shown.source.path))


def _footer(shown: ShownRun) -> str:
    return f"Made from {shown.source.path.name} by hwloop {__version__}. Times are UTC."


def _tables(tables: Iterable[tuple[str, Mapping[str, Any]]]) -> str:
    parts = (f"<div><h3>{html.escape(title)}</h3>{_list(values)}</div>" for title, values in tables)
    return f'<div class="tables">{"".join(parts)}</div>'


def _list(values: Mapping[str, Any]) -> str:
    """A list of names and values; what is None is left out."""
    rows = (
        f"<dt>{html.escape(_words(str(name)))}</dt><dd>{html.escape(_plain(value))}</dd>"
        for name, value in values.items() if value is not None
    )
    return f"<dl>{''.join(rows)}</dl>"


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]], numbers: set[int]) -> str:
    def line(tag: str, cells: Sequence[str]) -> str:
        kinds = (' class="number"' if number in numbers else "" for number in range(len(cells)))
        written = (f"<{tag}{kind}>{html.escape(cell)}</{tag}>" for kind, cell in zip(kinds, cells, strict=True))
        return f"<tr>{''.join(written)}</tr>"

    return f'<div class="wide"><table>{line("th", titles)}{"".join(line("td", row) for row in rows)}</table></div>'


def _words(name: str) -> str:
    return name.replace("_", " ")


def _quantity_text(item: Quantity) -> str:
    value = f"{item.value:,.0f}" if float(item.value).is_integer() else f"{item.value:.6g}"
    return value if item.unit == "1" else f"{value} {item.unit}"
