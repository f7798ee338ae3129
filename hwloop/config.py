"""What a rig is: board, array, simulated environment, programming and solver, from files, environment and options.

Precedence: command line > environment (HWLOOP_*) > file > default. Unknown keys are refused with a suggestion.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TypeVar

from hwloop.errors import DataError, UsageError
from hwloop.plugins import BOARDS as BOARD_PLUGINS
from hwloop.plugins import PROGRAMMERS, SOLVERS
from hwloop.tables import (
    Source,
    choice,
    choices,
    file_path,
    integer,
    keys_of,
    number,
    plug_in,
    quantity,
    read_toml,
    record_from,
    record_with,
    refuse_unknown,
    switch,
    table_of,
    text,
)

DEFAULT_BOARD = "hwloop-128x16"
RATINGS_BOARD = "hwloop-4096x16"
# What ratings take where nothing names anything else. Their factors use little of the range, since each column is
# scaled by its largest entry; so they are written more closely: 2 % would cost 0.002 of RMSE.
RATINGS_DEFAULTS = {"board": {"name": RATINGS_BOARD}, "program": {"tolerance": 0.012}}
BOARDS = (DEFAULT_BOARD, RATINGS_BOARD, "hwloop-16x4")
# Boards on a simulated bench: the Python board, the C firmware on this PC, and in an emulated microcontroller.
SIMULATED = ("mock", "host", "emulated")
BACKENDS = (*SIMULATED, "real")
# Instruments that a simulated bench can have.
SMU_MODELS = (
    "keithley-2400", "keithley-2450", "keithley-2602b", "keithley-2636b", "keysight-b2901a", "keysight-b2911a",
)
DAQ_MODELS = ("keysight-34970a", "keysight-daq970a")
PRESETS = ("default", "ideal", "neurram", "low-yield")
EFFECTS = (
    "forming", "stochastic", "compliance_spread", "chip_spread", "relaxation", "cell_noise", "rtn", "curvature",
    "temperature", "stuck", "slow", "amplifier_gain", "amplifier_offset", "chain_noise", "converter_errors",
)  # fmt: skip

# Keys that are options of the command line too have the option's name in the environment.
_SHORT_VARIABLES = {("board", "backend"): "HWLOOP_BACKEND", ("board", "serial"): "HWLOOP_SERIAL_NUMBER"}
# Variables with a meaning of their own.
RIG_VARIABLE, SEED_VARIABLE = "HWLOOP_RIG", "HWLOOP_SEED"
_OTHER_VARIABLES = (RIG_VARIABLE, SEED_VARIABLE, "HWLOOP_DATA", "HWLOOP_CI")


@dataclass(frozen=True)
class BoardConfig:
    """Table [board]: which board, and the way to it.

    `name` picks the simulated board; a real board says what it is. `serial` is the expected serial number (mock: the
    hardware to simulate; real: refused where another answers; None takes any). `port` is "tcp:HOST:PORT", "unix:PATH"
    or a serial port. `state` makes a simulated board durable. `clock` says by what calibrations age: "bench" is for a
    simulated board that is served like a real one. `firmware` is the C firmware of backends host and
    emulated where it is not the one that `make firmware` builds.
    """

    name: str = choice(DEFAULT_BOARD, *BOARDS)
    backend: str = plug_in("mock", BOARD_PLUGINS, *BACKENDS)
    serial: int | None = integer(None, 0, 2**32 - 1)
    port: str | None = text(None)
    baud_rate: int = integer(1_000_000, 300, 12_000_000)
    reply_timeout_seconds: float = quantity("seconds", 1.0, 0.01, 60.0)
    retries: int = integer(6, 0, 100)
    state: Path | None = file_path(None)
    pristine: bool = switch(False)
    firmware: Path | None = file_path(None)
    clock: str = choice("calendar", "calendar", "bench")

    @property
    def is_simulated(self) -> bool:
        """Whether the board stands on a simulated bench, whatever it is made of."""
        return self.backend in SIMULATED

    @property
    def ages_by_bench(self) -> bool:
        """Whether its calibrations age by the board's own clock."""
        return self.is_simulated or self.clock == "bench"

    @property
    def is_firmware(self) -> bool:
        """Whether it is C firmware on a simulated bench."""
        return self.is_simulated and self.backend != "mock"


@dataclass(frozen=True)
class ArrayConfig:
    """Table [array]: the chip in the board's socket. `serial` as in [board]."""

    serial: int | None = integer(None, 0, 2**32 - 1)


@dataclass(frozen=True)
class EnvironmentConfig:
    """Table [environment]: the world round a simulated board; a real board has its own and refuses this table.

    `preset` names a device model; `off` lists the effects that are switched off;
    the temperature drifts with bench time.
    """

    preset: str = choice("default", *PRESETS)
    off: tuple[str, ...] = choices(*EFFECTS)
    temperature_celsius: float = quantity("celsius", 25.0, -40.0, 125.0)
    temperature_drift_per_hour_celsius: float = quantity("celsius", 0.0, -1000.0, 1000.0)


@dataclass(frozen=True)
class ProgramConfig:
    """Table [program]: how conductances are written and verified.

    `tolerance` is a fraction of the range conductance_min … conductance_max; targets at the minimum are accepted up
    to `hrs_limit`. A READ has three sub-averages of `averages` samples each.
    """

    strategy: str = plug_in("adaptive", PROGRAMMERS, "adaptive", "ispva", "igvva")
    tolerance: float = number(0.02, 0.0005, 0.5)
    averages: int = integer(1, 1, 1000)
    max_steps: int = integer(16, 1, 1000)
    conductance_min_siemens: float = quantity("siemens", 3e-6, 0.0, 225e-6)
    conductance_max_siemens: float = quantity("siemens", 225e-6, 1e-6, 225e-6)
    hrs_limit_siemens: float = quantity("siemens", 5e-6, 0.0, 225e-6)


@dataclass(frozen=True)
class SolverConfig:
    """Table [solver]: how the analog circuit is used, and what is done where its digital shadow disagrees.

    `averages` is two samples at least, so that the board can see an output move. `output_fraction` is the largest
    output aimed at, as a fraction of w_max. `shadow_limit` is the relative deviation from exact NNLS from which
    `shadow` acts. Solutions are taken from `output_gain` times an output as read, plus `output_offset`, where the
    board's own scales are known to be off; the offset auto-zero goes by outputs as read, which it makes zero.
    """

    method: str = plug_in("ginv", SOLVERS, "ginv")
    constraint: str = choice("rail", "rail", "rectifier")
    averages: int = integer(4, 2, 1000)
    auto_zero: bool = switch(True)
    output_fraction: float = number(0.8, 0.05, 1.0)
    repeats: int = integer(6, 0, 100)
    shadow: str = choice("off", "off", "warn", "refine", "fallback", "stop")
    shadow_limit: float = number(0.2, 0.0, 1e6)
    output_gain: float = number(1.0, 0.5, 2.0)
    output_offset_volts: float = quantity("volts", 0.0, -0.1, 0.1)


@dataclass(frozen=True)
class InstrumentConfig:
    """An instrument at one of the board's ports.

    `resource` is its VISA name; a simulated board that names none brings a simulated one along, with the number
    `serial`. Of others `serial` is what has to answer, and `driver` is forced where it is named. `visa` is the VISA
    library: "@py", or "@ivi" where one is installed.
    """

    resource: str | None = text(None)
    serial: str | None = text(None)
    driver: str | None = text(None)
    timeout_seconds: float = quantity("seconds", 5.0, 0.1, 600.0)
    visa: str = text("@py")


@dataclass(frozen=True)
class SmuConfig(InstrumentConfig):
    """Table [smu]: the source-measure unit at the board's SMU port; `model` is that of a simulated one."""

    model: str = choice("keithley-2450", *SMU_MODELS)
    channel: int = integer(1, 1, 2)


@dataclass(frozen=True)
class DaqConfig(InstrumentConfig):
    """Table [daq]: the data acquisition unit at the board's DAQ pins; `channel` is the one of pin 0, the next pins have
    the next channels; `model` is that of a simulated one."""

    model: str = choice("keysight-34970a", *DAQ_MODELS)
    channel: int = integer(101, 0, 9999)


@dataclass(frozen=True)
class CalibrationConfig:
    """Table [calibration]: what the board's codes are taken to mean.

    `use` is "newest", of every kind the newest calibration that holds, or "nominal", the board at its word. Files are
    looked for in `folder` first, and new ones go there. `allow_stale` goes on with what does not hold.
    """

    use: str = choice("newest", "newest", "nominal")
    folder: Path = file_path(Path("calibration"))
    allow_stale: bool = switch(False)


@dataclass(frozen=True)
class RigConfig:
    """One rig: `name` (built-in name or path), and one record a table."""

    name: str
    board: BoardConfig
    array: ArrayConfig
    environment: EnvironmentConfig
    program: ProgramConfig
    solver: SolverConfig
    calibration: CalibrationConfig = CalibrationConfig()
    smu: SmuConfig = SmuConfig()
    daq: DaqConfig = DaqConfig()

    @property
    def has_converter_errors(self) -> bool:
        """Whether the board's converters are off, as those of every real board are."""
        return not self.board.is_simulated or self._is_on("converter_errors")

    @property
    def has_chip_spread(self) -> bool:
        """Whether chips differ in what their cells have in common."""
        return not self.board.is_simulated or self._is_on("chip_spread")

    def _is_on(self, effect: str) -> bool:
        return self.environment.preset != "ideal" and effect not in self.environment.off


@dataclass(frozen=True)
class RunSettings:
    """How one run is made, whatever it computes. A dry run plans, and opens nothing that could drive the board."""

    rig: RigConfig
    seed: int = 0
    dry_run: bool = False


Record = TypeVar("Record")

TABLES: dict[str, type] = {
    "board": BoardConfig, "array": ArrayConfig, "environment": EnvironmentConfig, "program": ProgramConfig,
    "solver": SolverConfig, "calibration": CalibrationConfig,
    "smu": SmuConfig, "daq": DaqConfig,
}  # fmt: skip


def load_rig(
    rig: str = "default",
    environment: Mapping[str, str] | None = None,
    options: Mapping[str, Mapping[str, object]] | None = None,
    script: tuple[str, Mapping[str, object]] | None = None,
    defaults: Mapping[str, Mapping[str, object]] | None = None,
) -> RigConfig:
    """The rig `rig`: a built-in name ("default", "ideal") or the path of a TOML file.

    `environment` is that of the process; `options` are values of the command line, {table: {key: value}}; `script` is
    the name and the tables of a run script that change the rig; `defaults` are an application's own, {table: {key:
    value}}, used where nothing names anything else.
    Raises UsageError naming file, table, key, value and what is allowed.
    """
    path = rig_path(rig)
    tables = read_toml(path)
    refuse_unknown(str(path), tables, TABLES)
    layers = [("default", defaults or {}), (str(path), tables), *([script] if script else [])]
    layers += _environment_tables(environment or {})
    layers.append(("command line", options or {}))
    records = {}
    for table, record_class in TABLES.items():
        sources = [Source(f"{name} [{table}]", table_of(values, table, name)) for name, values in layers]
        records[table] = record_from(record_class, sources)
    config = RigConfig(name=rig, **records)
    _refuse_contradictions(config)
    return config


def change_rig(rig: RigConfig, tables: Mapping[str, Mapping[str, object]], where: str) -> RigConfig:
    """`rig` with other values, {table: {key: value}}, which stand at `where`. Raises UsageError as `load_rig`."""
    found = dataclasses.replace(rig, **{
        table: record_with(getattr(rig, table), Source(where, values)) for table, values in tables.items()
    })
    _refuse_contradictions(found)
    return found


def rig_path(rig: str) -> Path:
    """The file of a rig: packaged for a built-in name, else `rig` itself. Raises UsageError where there is none."""
    folder = Path(str(resources.files("hwloop") / "rigs"))
    built_in = sorted(path.stem for path in folder.glob("*.toml"))
    if rig in built_in:
        return folder / f"{rig}.toml"
    path = Path(rig).expanduser()
    if not path.is_file():
        raise UsageError(f"no rig {rig!r}: neither a file nor one of {', '.join(built_in)}")
    return path


def describe(record: object) -> dict[str, object]:
    """A record as plain values under its field names (SI, units in the names): for results and run files."""
    return dataclasses.asdict(record, dict_factory=lambda items: {name: _plain(value) for name, value in items})


def restore(record_class: type[Record], described: Mapping[str, object]) -> Record:
    """The record that `describe` gave as plain values. What it did not have then has its default.

    Raises DataError for a field that this hwloop does not have.
    """
    kinds = typing.get_type_hints(record_class)
    if unknown := sorted(described.keys() - kinds.keys()):
        raise DataError(f"a recorded {record_class.__name__} has {', '.join(unknown)}, which this hwloop does not know")
    return record_class(**{name: _restored(kinds[name], value) for name, value in described.items()})


def _restored(kind: object, value: object) -> object:
    if isinstance(value, Mapping):
        return restore(kind, value)
    if isinstance(value, list):
        return tuple(value)
    return Path(value) if value is not None and (kind is Path or Path in typing.get_args(kind)) else value


def variable_of(table: str, key: str) -> str:
    """The environment variable of a rig key: [board] port is HWLOOP_BOARD_PORT."""
    return _SHORT_VARIABLES.get((table, key), f"HWLOOP_{table}_{key}".upper())


def _environment_tables(environment: Mapping[str, str]) -> Iterable[tuple[str, Mapping[str, object]]]:
    """One layer a variable, so that a message names it."""
    known = {variable_of(table, key): (table, key) for table, record in TABLES.items() for key in keys_of(record)}
    found = {name: value for name, value in environment.items() if name.startswith("HWLOOP_")}
    refuse_unknown("environment", found, [*known, *_OTHER_VARIABLES])
    for name, value in found.items():
        if name in known:
            table, key = known[name]
            yield f"environment {name}", {table: {key: value}}


def _refuse_contradictions(config: RigConfig) -> None:
    board, program = config.board, config.program
    if board.backend == "real" and board.port is None:
        raise UsageError(f'rig {config.name}: backend is real, so [board] port is needed, such as "/dev/ttyACM0"')
    if not board.is_simulated and (board.state or board.pristine):
        raise UsageError(
            f"rig {config.name}: [board] state and pristine belong to a simulated board, backend is {board.backend}"
        )
    if board.firmware and not board.is_firmware:
        raise UsageError(
            f"rig {config.name}: [board] firmware belongs to backends host and emulated, backend is {board.backend}"
        )
    if not board.is_simulated and config.environment != EnvironmentConfig():
        raise UsageError(f"rig {config.name}: [environment] belongs to a simulated board, backend is {board.backend}")
    if not program.conductance_min_siemens < program.conductance_max_siemens:
        raise UsageError(
            f"rig {config.name}: [program] conductance_min is {program.conductance_min_siemens:.3g} S, "
            f"allowed below conductance_max, {program.conductance_max_siemens:.3g} S"
        )


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value
