"""Applications and their options, and run scripts: a TOML file that names one application, its options and its rig."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hwloop.config import TABLES
from hwloop.errors import UsageError
from hwloop.limits import SEED_MAX
from hwloop.tables import (
    Source,
    choice,
    file_path,
    integer,
    number,
    read_toml,
    record_from,
    refuse_unknown,
    switch,
    table_of,
)

# Fewest and most bits that factors are rounded to; a 17th would be below what any figure shows.
FACTOR_BITS = (1, 16)


@dataclass(frozen=True)
class ImageOptions:
    """Options of `factorize image`. `path` None is the default photograph; sizes are in pixels.

    `metric` is the figure that is taken after every iteration. Figures are taken against the photograph, or against the
    picture `reference`, of factors as they are, or rounded to `factor_bits` (see hwloop.apps.rounding).
    """

    path: Path | None = file_path(None)
    patch: int = integer(8, 1, 4096)
    rank: int = integer(2, 1)
    iterations: int = integer(6, 1, 100_000)
    metric: str = choice("psnr", "psnr", "ssim", "rmse", "mae")
    reference: Path | None = file_path(None)
    factor_bits: int | None = integer(None, *FACTOR_BITS)
    compressed: Path | None = file_path(None)
    run_file: Path | None = file_path(None)
    pictures: Path | None = file_path(None)


@dataclass(frozen=True)
class RatingsOptions:
    """Options of `factorize ratings`. `ridge` is λ a rating; None: chosen, on training data only.

    Predictions are clipped to `clip_low` … `clip_high` (None: lowest and highest rating of the data), those that
    choose the ridge always to that of the data. `metric` is the figure that is taken after every iteration and told
    first; `factor_bits` as for images.
    """

    path: Path | None = file_path(None)
    fold: str = choice("all", "all", "1", "2", "3", "4", "5")
    rank: int = integer(8, 1)
    iterations: int = integer(10, 1, 100_000)
    ridge: float | None = number(None, 0.0)
    clip_low: float | None = number(None)
    clip_high: float | None = number(None)
    metric: str = choice("rmse", "rmse", "mae")
    factor_bits: int | None = integer(None, *FACTOR_BITS)
    run_file: Path | None = file_path(None)
    pictures: Path | None = file_path(None)


@dataclass(frozen=True)
class MatrixOptions:
    """Options of `factorize matrix`. `tolerance` is the relative change that ends the iterations; 0: run them all.

    `missing`: what a sparse file does not store is unknown, not zero. With `factor_bits` the residual at the end is
    that of factors rounded to so many bits.
    """

    path: Path | None = file_path(None)
    rank: int = integer(4, 1)
    iterations: int = integer(20, 1, 100_000)
    tolerance: float = number(0.0, 0.0, 1.0)
    start: str = choice("random", "random", "nndsvd")
    ridge: float = number(0.0, 0.0)
    l1: float = number(0.0, 0.0)
    missing: bool = switch(False)
    factor_bits: int | None = integer(None, *FACTOR_BITS)
    factors: Path | None = file_path(None)
    run_file: Path | None = file_path(None)
    pictures: Path | None = file_path(None)


APPLICATIONS: dict[str, type] = {"image": ImageOptions, "ratings": RatingsOptions, "matrix": MatrixOptions}


@dataclass(frozen=True)
class RunScript:
    """A checked run script: options of one application, and the tables that change its rig. None: not said."""

    path: Path
    application: str
    options: ImageOptions | RatingsOptions | MatrixOptions
    rig: str | None
    seed: int | None
    rig_tables: Mapping[str, object]


def load_run_script(path: Path) -> RunScript:
    """Read a run script. Raises UsageError naming file, table, key, value and what is allowed."""
    name, tables = str(path), read_toml(path)
    application = tables.get("application")
    if application not in APPLICATIONS:
        raise UsageError(f"{name}: application is {application!r}: allowed {', '.join(APPLICATIONS)}")
    refuse_unknown(name, tables, ["application", "rig", "seed", application, *TABLES])
    seed = _typed(tables, "seed", int, name)
    if seed is not None and not 0 <= seed <= SEED_MAX:
        raise UsageError(f"{name}: seed is {seed}: allowed 0 to {SEED_MAX}")
    values = table_of(tables, application, name)
    return RunScript(
        path=path,
        application=application,
        options=record_from(APPLICATIONS[application], [Source(f"{name} [{application}]", values)]),
        rig=_typed(tables, "rig", str, name),
        seed=seed,
        rig_tables={table: tables[table] for table in TABLES if table in tables},
    )


def _typed(tables: Mapping[str, object], key: str, kind: type, where: str):
    value = tables.get(key)
    if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
        raise UsageError(f"{where}: {key} is {value!r}: expected a {'string' if kind is str else 'whole number'}")
    return value
