"""A simulated SCPI source meter of one channel: the core, and settings that each model's tree spells its own way."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

from hwloop.mock.instruments.faults import Faults
from hwloop.mock.instruments.ieee488 import ScpiInstrument
from hwloop.mock.instruments.scpi import Command
from hwloop.mock.instruments.scpi_kinds import Number, ScpiError, Switch
from hwloop.mock.instruments.smu_core import SmuCore
from hwloop.mock.instruments.smu_model import OTHER, VOLTS, Function, SmuModel
from hwloop.mock.instruments.terminals import Terminals

UNITS = {"VOLT": "V", "CURR": "A"}
NAMES = {"VOLT": "VOLTage", "CURR": "CURRent"}


class SmuInstrument(ScpiInstrument):
    """Models give `model`, commands and defaults; the serial number (an integer) fixes the hidden errors, the seed the
    noise. `core.hidden_error` tells the truth to tests and teachers."""

    model: SmuModel
    envelope_error = -221
    told_range_factor = 1.0  # ranges are told by their full scale, or by the most that they take

    def __init__(self, terminals: Terminals, serial_number: int, seed: int = 0):
        faults = Faults()
        self.serial_number = serial_number
        self.core = SmuCore(self.model, terminals, faults, serial_number, seed)
        for quantity in NAMES:
            self.core.settings.functions[quantity] = Function()
        super().__init__(faults)
        self.reset()

    @property
    def clock_seconds(self) -> float:
        """Modelled time since the instrument was made, in seconds."""
        return self.core.clock_seconds

    @clock_seconds.setter
    def clock_seconds(self, seconds: float) -> None:
        self.core.clock_seconds = seconds

    @property
    def source(self) -> Function:
        """Settings of the function that is sourced."""
        return self.core.function(self.core.settings.source)

    def reset_functions(self, **defaults: Function) -> None:
        """Settings of both functions as after *RST, in place: the command tree holds on to them."""
        for quantity, function in defaults.items():
            vars(self.core.function(quantity)).update(vars(function))

    # Settings that go with ranges.
    def level_kind(self, quantity: str) -> Number:
        """Levels that the present source range, or with autorange the highest one, takes."""
        function = self.core.function(quantity)

        def highest() -> float:
            if function.source_auto:
                return self.model.highest(quantity)
            return function.source_range * self.model.over_range

        return Number(lambda: -highest(), highest, 0.0, UNITS[quantity])

    def level_setting(self, pattern: str, quantity: str) -> Command:
        """The source level."""

        def apply() -> None:
            if self.core.settings.source == quantity:
                self.check_envelope()
                self.check_interlock()
                self.core.touch()

        return self.setting(pattern, self.level_kind(quantity), self.core.function(quantity), "level", apply)

    def limit_setting(self, pattern: str, quantity: str, default: float, lowest: float) -> Command:
        """The limit of `quantity` while the other one is sourced; its sign does not matter."""

        def apply() -> None:
            if self.core.settings.source != quantity:
                self.check_envelope()
                self.core.touch()

        kind = _Absolute(lowest, self.model.highest(quantity), default, UNITS[quantity])
        return self.setting(pattern, kind, self.core.function(quantity), "limit", apply)

    def check_envelope(self) -> None:
        """Raises ScpiError where level (or fixed range) and limit together are more than the output gives."""
        source = self.core.settings.source
        function, limited = self.source, OTHER[source]
        reach = abs(function.level) if function.source_auto else function.source_range
        if self.core.function(limited).limit > self.model.highest_beside(limited, reach) * (1 + 1e-9):
            raise ScpiError(self.envelope_error)

    def range_settings(self, pattern: str, auto_pattern: str, quantity: str, role: str) -> list[Command]:
        """A `role` "source" or "measure" range (the most sensitive one that takes the value), and its autorange."""
        function = self.core.function(quantity)
        ranges = self.model.ranges(quantity)
        highest = self.model.highest(quantity)
        name, auto = f"{role}_range", f"{role}_auto"

        def put(value: float) -> None:
            full_scale = ranges[self.model.range_index(quantity, value)].full_scale
            if role == "measure":
                self.check_measure_range(quantity, value)
            elif abs(function.level) > full_scale * self.model.over_range:
                self.on_range_below_level(quantity)
            setattr(function, name, full_scale)
            setattr(function, auto, False)

        def ask(bound: float | None = None) -> str:
            value = getattr(function, name) if bound is None else bound
            if bound is None and getattr(function, auto):
                value = ranges[self.present_index(quantity, role)].full_scale
            return self.style.number(value * (self.told_range_factor if bound is None else 1.0))

        kind = Number(-highest, highest, ranges[0].full_scale, UNITS[quantity])
        asked = self.setting(pattern, Number(ranges[0].full_scale, ranges[-1].full_scale, highest), function, name)
        by_hand = Command(pattern, (kind,), put, ask, asked.ask_kinds)
        return [by_hand, self.setting(auto_pattern, Switch(), function, auto)]

    def present_index(self, quantity: str, role: str) -> int:
        """The range that autorange has chosen last."""
        if role == "source":
            return self.core.source_index(quantity, self.core.function(quantity).level)
        return self.core.present_measure_index(quantity)

    def on_range_below_level(self, quantity: str) -> None:
        """A fixed source range is chosen that does not take the level: models refuse, or set the level to zero."""
        raise ScpiError(-221)

    def check_measure_range(self, quantity: str, value: float) -> None:
        """Models that refuse some measure ranges raise ScpiError."""

    # Interlock and output.
    @abstractmethod
    def interlock_error(self) -> int:
        """The model's error number for an output that the interlock blocks."""

    def check_interlock(self) -> None:
        """With the interlock open no more than the model's safe voltage: the output goes off. Raises ScpiError."""
        settings = self.core.settings
        volts = self.core.function(VOLTS)
        reach = volts.level if settings.source == VOLTS else volts.limit
        if self.faults.interlock_open and settings.output_on and abs(reach) > self.model.interlock_volts:
            self.core.set_output(False)
            raise ScpiError(self.interlock_error())

    def _answer(self, message: str) -> bytes:
        try:
            self.check_interlock()  # it may have opened since
        except ScpiError as error:
            self.push_error(error.code)
        return super()._answer(message)

    def put_output(self, on: bool) -> None:
        """Switch the output. Raises ScpiError where the interlock forbids it."""
        self.core.set_output(on)
        self.check_interlock()
        if on:
            self.core.touch()

    def when(self, value: Callable[[], bool]) -> Callable[[], str]:
        """A query that answers 1 or 0."""
        return lambda: "1" if value() else "0"


class _Absolute(Number):
    """A number whose sign does not matter."""

    def parse(self, text: str) -> float:
        """See Kind."""
        return Number.parse(self, text.strip().removeprefix("-"))
