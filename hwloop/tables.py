"""TOML, environment and command line to frozen dataclasses: one rule of precedence, one of refusal.

A dataclass field declares what its key may hold by one of the helpers below (`quantity`, `number`, `choice`, …). The
key is the field's name without its unit: `temperature_celsius` is `temperature = "25 C"`.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from hwloop import plugins
from hwloop.errors import UsageError
from hwloop.units import parse_quantity

Record = TypeVar("Record")
Check = Callable[[object, str], Any]


@dataclass(frozen=True)
class Source:
    """Values for one table, and where they stand, for the message: `name` is a file, an environment, a command line."""

    name: str
    values: Mapping[str, object]


def quantity(dimension: str, default: float, low: float = float("-inf"), high: float = float("inf")) -> Any:
    """A field read from a string with a unit; `low` and `high` are in SI units (°C for celsius) and allowed."""

    def check(value: object, where: str) -> float:
        found = parse_quantity(value, dimension, where)
        if not low <= found <= high:
            raise UsageError(f"{where} is {value!r}: allowed {_range(low, high)} {dimension}")
        return found

    return _field(default, check, dimension)


def number(default: float | None, low: float = float("-inf"), high: float = float("inf")) -> Any:
    """A field read from a plain number without a unit, such as a fraction; where the default is None, "none" is too."""
    return _field(default, _numeric(float, (int, float), "a number", low, high, default is None))


def integer(default: int | None, low: float = float("-inf"), high: float = float("inf")) -> Any:
    """A field read from a whole number; where the default is None, "none" is allowed as well."""
    return _field(default, _numeric(int, (int,), "a whole number", low, high, default is None))


def choice(default: str | None, *allowed: str) -> Any:
    """A field that is one of `allowed`."""

    def check(value: object, where: str) -> str:
        if value not in allowed:
            raise UsageError(f"{where} is {value!r}: allowed {', '.join(allowed)}{_suggestion(value, allowed)}")
        return str(value)

    return _field(default, check)


def plug_in(default: str, group: str, *built_in: str) -> Any:
    """A field that is one of `built_in`, or the name of a plug-in of `group` (see hwloop.plugins)."""

    def check(value: object, where: str) -> str:
        # Installed packages are looked through only where something else than what is built in is asked for.
        allowed = built_in if value in built_in else (*built_in, *plugins.names(group))
        if value not in allowed:
            raise UsageError(f"{where} is {value!r}: allowed {', '.join(allowed)}{_suggestion(value, allowed)}")
        return str(value)

    return _field(default, check)


def choices(*allowed: str, default: tuple[str, ...] = ()) -> Any:
    """A field that is a list of some of `allowed`. One string with commas is taken too."""

    def check(value: object, where: str) -> tuple[str, ...]:
        items = [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
        if not isinstance(items, list | tuple):
            raise UsageError(f"{where} is {value!r}: expected a list of some of {', '.join(allowed)}")
        for item in items:
            if item not in allowed:
                raise UsageError(f"{where} has {item!r}: allowed {', '.join(allowed)}{_suggestion(item, allowed)}")
        return tuple(items)

    return _field(default, check)


def switch(default: bool) -> Any:
    """A field that is true or false."""
    words = {"true": True, "1": True, "on": True, "yes": True, "false": False, "0": False, "off": False, "no": False}

    def check(value: object, where: str) -> bool:
        found = words.get(value.lower()) if isinstance(value, str) else value
        if not isinstance(found, bool):
            raise UsageError(f"{where} is {value!r}: expected true or false")
        return found

    return _field(default, check)


def text(default: str | None) -> Any:
    """A field that is a string."""

    def check(value: object, where: str) -> str:
        if not isinstance(value, str) or not value:
            raise UsageError(f"{where} is {value!r}: expected a string that is not empty")
        return value

    return _field(default, check)


def file_path(default: Path | None) -> Any:
    """A field that is a path, relative to the working directory."""

    def check(value: object, where: str) -> Path:
        if isinstance(value, Path):
            return value
        if not isinstance(value, str) or not value:
            raise UsageError(f"{where} is {value!r}: expected a path")
        return Path(value).expanduser()

    return _field(default, check)


def keys_of(record_class: type) -> dict[str, dataclasses.Field]:
    """The keys of a table, and the fields that they fill."""
    return {field.metadata["key"](field.name): field for field in dataclasses.fields(record_class)}


def record_from(record_class: type[Record], sources: Iterable[Source]) -> Record:
    """A `record_class` from its defaults and `sources`, the weaker first. Every value is checked, also overridden ones.

    Raises UsageError on an unknown key (with a suggestion) and on a value that does not fit, naming source and key.
    """
    keys = keys_of(record_class)
    found: dict[str, object] = {}
    for source in sources:
        refuse_unknown(source.name, source.values, keys)
        for key, value in source.values.items():
            field = keys[key]
            found[field.name] = field.metadata["check"](value, f"{source.name}: {key}")
    return record_class(**found)


def record_with(record: Record, source: Source) -> Record:
    """`record` with the values of `source`, checked in the same way."""
    keys, found = keys_of(type(record)), {}
    refuse_unknown(source.name, source.values, keys)
    for key, value in source.values.items():
        found[keys[key].name] = keys[key].metadata["check"](value, f"{source.name}: {key}")
    return dataclasses.replace(record, **found)


def refuse_unknown(where: str, names: Iterable[str], allowed: Iterable[str]) -> None:
    """Raises UsageError on the first of `names` that is not in `allowed`, with the nearest that is."""
    allowed = tuple(allowed)
    for name in names:
        if name not in allowed:
            hint = _suggestion(name, allowed) or f"; allowed: {', '.join(sorted(allowed))}"
            raise UsageError(f"{where}: unknown key {name!r}{hint}")


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises UsageError where it cannot be read or parsed, with file, line and column."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise UsageError(f"cannot read {path}: {reason}") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not TOML: {error}") from error


def table_of(values: Mapping[str, object], name: str, where: str) -> Mapping[str, object]:
    """The table `name` of `values`, empty where there is none. Raises UsageError where it is not a table."""
    table = values.get(name, {})
    if not isinstance(table, Mapping):
        raise UsageError(f"{where}: {name} is {table!r}: expected a table [{name}]")
    return table


def _field(default: object, check: Check, unit: str = "") -> Any:
    def key_of(name: str) -> str:
        return name.removesuffix(f"_{unit}") if unit else name

    return dataclasses.field(default=default, metadata={"check": check, "key": key_of})


def _numeric(
    kind: type, accepted: tuple[type, ...], expected: str, low: float, high: float, or_none: bool
) -> Check:
    def check(value: object, where: str) -> Any:
        if or_none and value == "none":
            return None
        try:
            # The environment and the command line only have strings.
            found = kind(value) if isinstance(value, (str, *accepted)) and not isinstance(value, bool) else None
        except ValueError:
            found = None
        if found is None or not (low <= found <= high and math.isfinite(found)):
            more = ", or none" if or_none else ""
            raise UsageError(f"{where} is {value!r}: expected {expected}{_bounds(low, high)}{more}")
        return found

    return check


def _bounds(low: float, high: float) -> str:
    return "" if low == float("-inf") and high == float("inf") else f", {_range(low, high)}"


def _range(low: float, high: float) -> str:
    if high == float("inf"):
        return f"{low:.10g} or more"
    return f"{high:.10g} or less" if low == float("-inf") else f"{low:.10g} to {high:.10g}"


def _suggestion(name: object, allowed: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(name), tuple(allowed), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
