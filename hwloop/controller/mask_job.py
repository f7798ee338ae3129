"""`array mask`: the chip's list of cells that are not used; no board is opened."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from hwloop import rig
from hwloop.array.cellmap import GOOD, MASKED, CellMap
from hwloop.config import RunSettings
from hwloop.controller.array_job import ArrayResult
from hwloop.controller.cells import array_names
from hwloop.errors import UsageError
from hwloop.link.protocol import BOARDS


def mask_array(
    settings: RunSettings, arrays: str, rows: range | None, columns: range | None, clear: bool,
    status_list: Path | None,
) -> ArrayResult:
    """Change or list the chip's map of bad cells. Raises UsageError where the rig does not say which chip it is."""
    path = map_path(settings)
    geometry = BOARDS[settings.rig.board.name]
    cell_map = CellMap(geometry.rows, geometry.columns)
    if path.exists():
        cell_map.import_list(path)
    lines: list[str] = []
    if status_list:
        lines.append(f"imported   {cell_map.import_list(status_list):,} entries of {status_list}")
    if rows is not None or columns is not None or clear:
        chosen = np.unique(np.concatenate([
            cell_map.cells_of(name, row, column, "array mask")
            for name in array_names(arrays)
            for row in (rows if rows is not None else (None,))
            for column in (columns if columns is not None else (None,))
        ]))
        cell_map.mark(chosen, GOOD if clear else MASKED)
        lines.append(f"{'unmasked' if clear else 'masked':<10} {len(chosen):,} cells")
    if lines and settings.dry_run:
        lines.append("dry run    the map was left as it is")
    elif lines:
        cell_map.save(path)
    counts = dict(sorted(Counter(cell_map.status.values()).items()))
    lines.append(
        "bad cells  " + (", ".join(f"{count:,} {reason}" for reason, count in counts.items()) or "none on the map")
    )
    lines.append(f"map        {path}")
    facts = {"map": path, "bad_cells": counts, "total": len(cell_map.status), "dry_run": settings.dry_run}
    return ArrayResult(facts, tuple(lines))


def map_path(settings: RunSettings) -> Path:
    """Where the chip's map is. Raises UsageError where the rig does not say which chip it is, or nothing is kept."""
    if rig.is_forgotten(settings):
        raise UsageError(
            "this rig's simulated chip is forgotten at the end, and its map with it; keep it with --state PATH"
        )
    serial = settings.rig.array.serial
    if serial is None and not settings.rig.board.is_simulated:
        raise UsageError("the map belongs to a chip: say in the rig which one it is, [array] serial")
    return rig.cell_map_path(settings, rig.DEFAULT_SERIAL if serial is None else serial)
