"""One calibration as it is kept, a TOML file with a hash: values with units, uncertainty, and where they come from."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hwloop.calibration.kinds import KINDS
from hwloop.errors import CalibrationError

FORMAT = 1
_HASH_KEY = "sha256"
_VALUES_A_LINE = 8


@dataclass(frozen=True)
class Subject:
    """What was calibrated: `kind` "board" or "array"; `name` the type of the board, or ROWSxCOLUMNS of the array."""

    kind: str
    name: str
    serial: int

    @property
    def folder(self) -> str:
        """Its folder in a store."""
        return f"{self.name}-{self.serial}" if self.kind == "board" else f"array-{self.name}-{self.serial}"

    def __str__(self) -> str:
        return f"{self.kind} {self.name} number {self.serial}"


@dataclass(frozen=True)
class Instrument:
    """What was measured with; `role` such as "smu"."""

    role: str
    model: str
    serial: str


@dataclass(frozen=True)
class Parameter:
    """`value` of any shape, () for one number, and the half-width of its 95 % interval, same shape. `common_95` is the
    part of that which all values share: the instrument's own error, which no averaging takes away."""

    name: str
    unit: str
    value: np.ndarray
    uncertainty_95: np.ndarray
    common_95: float = 0.0

    def entries(self) -> Iterator[tuple[str, float, float]]:
        """Name with its index, value and uncertainty of every single number."""
        for index in np.ndindex(self.value.shape):
            name = f"{self.name}[{','.join(map(str, index))}]" if index else self.name
            yield name, float(self.value[index]), float(self.uncertainty_95[index])


@dataclass(frozen=True)
class Residual:
    """How far the measured points lay from the fit at most, and how far they may."""

    value: float
    limit: float
    unit: str

    @property
    def holds(self) -> bool:
        """Whether the fit describes the points."""
        return bool(self.value <= self.limit)


@dataclass(frozen=True)
class Versions:
    """What measured: the board's firmware, hash of its wire table, revision of its analog part, and hwloop."""

    firmware_version: int
    wire_hash: int
    analog_revision: int
    hwloop: str


@dataclass(frozen=True)
class Calibration:
    """One calibration. `taken` in UTC as ISO 8601; `bench_seconds` of the board's own clock then; `seconds` of bench
    and instrument time that it took; `sha256` of the file but for the line that says it, "" for one not written yet."""

    kind: str
    subject: Subject
    taken: str
    bench_seconds: float
    method: str
    instruments: tuple[Instrument, ...]
    temperature_celsius: float
    valid_days: float
    valid_celsius: tuple[float, float]
    versions: Versions
    parameters: tuple[Parameter, ...]
    residual: Residual
    seconds: float
    sha256: str = field(default="", compare=False)

    def values(self) -> dict[str, np.ndarray]:
        """Values by parameter name."""
        return {parameter.name: parameter.value for parameter in self.parameters}


def to_toml(calibration: Calibration) -> str:
    """The file, with its hash as the last line."""
    body = "\n".join(_lines(calibration)) + "\n"
    return f'{body}\n[file]\n{_HASH_KEY} = "{hashlib.sha256(body.encode()).hexdigest()}"\n'


def from_toml(text: str, where: str) -> Calibration:
    """The calibration in a file's text; `where` names the file. Raises CalibrationError where it is damaged, was
    changed, or is of a format that this hwloop does not know."""
    body, mark, _ = text.rpartition("\n[file]\n")
    try:
        tables = tomllib.loads(text)
        if tables["format"] != FORMAT:
            raise CalibrationError(
                f"{where}: format {tables['format']}, this hwloop knows {FORMAT}; use the hwloop that it is of"
            )
        told, found = tables["file"][_HASH_KEY], hashlib.sha256(body.encode()).hexdigest()
        if not mark or told != found:
            raise CalibrationError(
                f"{where}: was changed after it was written (its hash does not fit); calibrate again, or take the file "
                "back as it was"
            )
        if tables["kind"] not in KINDS:
            raise CalibrationError(f"{where}: kind {tables['kind']!r}, known are {', '.join(KINDS)}")
        return _from_tables(tables, found)
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise CalibrationError(f"{where}: no calibration that can be read ({error!r}); calibrate again") from error


def _from_tables(tables: Mapping[str, Any], sha256: str) -> Calibration:
    return Calibration(
        kind=tables["kind"], subject=Subject(**tables["subject"]), taken=tables["taken"],
        bench_seconds=float(tables["bench_seconds"]), method=tables["method"],
        instruments=tuple(Instrument(**each) for each in tables.get("instruments", ())),
        temperature_celsius=float(tables["temperature_celsius"]), valid_days=float(tables["valid"]["days"]),
        valid_celsius=(float(tables["valid"]["lowest_celsius"]), float(tables["valid"]["highest_celsius"])),
        versions=Versions(**tables["versions"]),
        parameters=tuple(_parameter(name, table) for name, table in tables["parameters"].items()),
        residual=Residual(**tables["residual"]), seconds=float(tables["seconds"]), sha256=sha256,
    )


def _parameter(name: str, table: Mapping[str, Any]) -> Parameter:
    shape = tuple(table["shape"])
    value = np.array(table["value"], float).reshape(shape)
    uncertainty = np.array(table["uncertainty_95"], float)
    spread = np.broadcast_to(uncertainty if uncertainty.ndim == 0 else uncertainty.reshape(shape), shape)
    return Parameter(name, table["unit"], value, spread, float(table["common_95"]))


def _lines(calibration: Calibration) -> Iterator[str]:
    subject, versions, residual = calibration.subject, calibration.versions, calibration.residual
    yield f"# {KINDS[calibration.kind].title} of {subject}"
    yield f"format = {FORMAT}"
    yield f"kind = {_quoted(calibration.kind)}"
    yield f"taken = {_quoted(calibration.taken)}"
    yield f"bench_seconds = {_number(calibration.bench_seconds)}"
    yield f"seconds = {_number(calibration.seconds)}"
    yield f"temperature_celsius = {_number(calibration.temperature_celsius)}"
    yield f"method = {_quoted(calibration.method)}"
    yield "\n[subject]"
    yield f"kind = {_quoted(subject.kind)}\nname = {_quoted(subject.name)}\nserial = {subject.serial}"
    yield "\n[valid]"
    low, high = calibration.valid_celsius
    yield f"days = {_number(calibration.valid_days)}"
    yield f"lowest_celsius = {_number(low)}\nhighest_celsius = {_number(high)}"
    yield "\n[versions]"
    yield f"firmware_version = {versions.firmware_version}\nwire_hash = {versions.wire_hash}"
    yield f"analog_revision = {versions.analog_revision}\nhwloop = {_quoted(versions.hwloop)}"
    for instrument in calibration.instruments:
        yield "\n[[instruments]]"
        for name, value in vars(instrument).items():
            yield f"{name} = {_quoted(value)}"
    yield "\n[residual]"
    yield f"value = {_number(residual.value)}\nlimit = {_number(residual.limit)}\nunit = {_quoted(residual.unit)}"
    for parameter in calibration.parameters:
        yield f"\n[parameters.{parameter.name}]"
        yield f"unit = {_quoted(parameter.unit)}\nshape = {list(parameter.value.shape)}"
        yield f"common_95 = {_number(parameter.common_95, 3)}"
        yield f"value = {_numbers(parameter.value, 10)}"
        spread = parameter.uncertainty_95
        alike = spread.size and np.all(np.abs(spread - spread.flat[0]) <= 1e-3 * np.abs(spread.flat[0]))
        yield f"uncertainty_95 = {_number(float(spread.max()), 3) if alike else _numbers(spread, 3)}"


def _numbers(values: np.ndarray, digits: int) -> str:
    if values.ndim == 0:
        return _number(float(values), digits)
    texts = [_number(value, digits) for value in values.ravel().tolist()]
    rows = [", ".join(texts[at : at + _VALUES_A_LINE]) for at in range(0, len(texts), _VALUES_A_LINE)]
    return "[\n  " + ",\n  ".join(rows) + ",\n]"


def _number(value: float, digits: int = 10) -> str:
    """A TOML float of so many significant digits."""
    text = f"{value:.{digits}g}"
    return text if any(mark in text for mark in ".en") else f"{text}.0"


def _quoted(text: str) -> str:
    """A TOML string: JSON's escapes are TOML's."""
    return json.dumps(text, ensure_ascii=False)
