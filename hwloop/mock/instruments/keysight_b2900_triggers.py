"""Trigger system of the Keysight B2900: INITiate, FETCh?, READ?, MEASure?, *TRG.

Source: Agilent B2900 Series SCPI Command Reference B2910-90030, chapters 2 (reset settings) and 4. A run that INITiate
starts is over, in modelled time, before the next command is read. CALCulate, pulses, digital I/O and LXI events are not
simulated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwloop.mock.instruments.keysight_b2900_data import ELEMENT_NAMES, ELEMENTS, READING_AVAILABLE, Data
from hwloop.mock.instruments.scpi import Answer, Command
from hwloop.mock.instruments.scpi_kinds import ChannelList, Integer, Kind, Number, Optional, ScpiError, Word
from hwloop.mock.instruments.sweep_settings import SweepSettings

if TYPE_CHECKING:
    from hwloop.mock.instruments.keysight_b2900 import KeysightB2901A

# Operation status: the actions of channel 1 are idle, or wait for a trigger.
TRANSITION_IDLE, TRANSITION_WAITS, ACQUIRE_IDLE, ACQUIRE_WAITS = 1 << 1, 1 << 2, 1 << 4, 1 << 5
MOST_COUNTS, MOST_STEPS = 100_000, 2500
SOURCES = Word(
    "AINTernal", "BUS", "TIMer", "INTernal1", "INTernal2", "LAN", *(f"EXTernal{n}" for n in range(1, 15))
)  # fmt: skip
ACTIONS = ("ACQ", "TRAN")


@dataclass
class Layer:
    """ARM or TRIGger settings of one action."""

    source: str = "AINT"
    count: float = 1
    delay_seconds: float = 0.0
    timer_seconds: float = 2e-5


class Triggers:
    """Trigger system of one channel, with its sweeps."""

    def __init__(self, smu: KeysightB2901A, data: Data):
        self._smu, self._data = smu, data
        self.layers = {(layer, action): Layer() for layer in ("ARM", "TRIG") for action in ACTIONS}
        self.sweeps = SweepSettings(smu, MOST_STEPS, 1, MOST_STEPS, log_best_is_auto=True)
        self.reset()

    def reset(self) -> None:
        """*RST."""
        for layer in self.layers.values():
            vars(layer).update(vars(Layer()))
        self.sweeps.reset()
        self._armed: tuple[bool, bool] | None = None
        self._show_idle()

    # Running.
    def initiate(self, channels: list[int] | None, sources: bool = True, acquires: bool = True) -> None:
        """INITiate of the transient (source) and acquire (measure) actions: run, or wait for *TRG."""
        _own(channels)
        if not self._smu.core.settings.output_on:
            if not self._smu.output_auto:
                raise ScpiError(-221)
            self._smu.put_output(True)
        self._armed = (sources, acquires)
        self._show_idle()
        wanted = [action for action, on in zip(ACTIONS, (acquires, sources), strict=True) if on]
        if any(self.layers[layer, action].source not in ("AINT", "TIM") for layer, action in self.layers
               if action in wanted):  # fmt: skip
            return
        self._run()

    def bus(self) -> None:
        """*TRG."""
        if self._armed is None or not any(layer.source == "BUS" for layer in self.layers.values()):
            raise ScpiError(-211)
        self._run()

    def abort(self, channels: list[int] | None) -> None:
        """ABORt."""
        _own(channels)
        self._armed = None
        self._show_idle()

    def _show_idle(self) -> None:
        sources, acquires = self._armed or (False, False)
        operation = self._smu.registers["OPERation"]
        for waits, idle_bit, waiting_bit in (
            (sources, TRANSITION_IDLE, TRANSITION_WAITS),
            (acquires, ACQUIRE_IDLE, ACQUIRE_WAITS),
        ):
            operation.put(idle_bit, not waits)
            operation.put(waiting_bit, waits)

    def _run(self) -> None:
        smu, core = self._smu, self._smu.core
        (sources, acquires), self._armed = self._armed, None
        self._show_idle()
        source = core.settings.source
        function = core.function(source)
        levels = self.sweeps.levels(source) if sources else None
        steps = self._total("TRAN") if sources else 0
        readings = self._total("ACQ") if acquires else 0
        acquire = self.layers["TRIG", "ACQ"]
        started = smu.clock_seconds
        self._data.samples = []
        for number in range(max(steps, readings)):
            if acquire.source == "TIM":
                core.wait(max(0.0, started + number * acquire.timer_seconds - smu.clock_seconds))
            if levels is not None and number < steps:
                function.level = float(levels[number % len(levels)])
            elif levels is None and sources and number == 0 and function.triggered_level:
                function.level = function.triggered_level
            core.wait(acquire.delay_seconds)
            if number < readings:
                self._data.keep(core.measure())
            else:
                core.touch()
            if smu.trips and core.last_limited:
                smu.trip()
                break
        smu.registers["MEASurement"].put(READING_AVAILABLE, bool(self._data.samples))

    def _total(self, action: str) -> int:
        arms, triggers = self.layers["ARM", action].count, self.layers["TRIG", action].count
        return int(min(arms * triggers, MOST_COUNTS))

    def _fetch(self, channels: list[int] | None, whole: bool, elements: set[str] | None) -> Answer:
        _own(channels)
        samples = self._data.samples if whole else self._data.samples[-1:]
        return self._data.written(samples, elements or self._data.elements)

    def _read(self, channels: list[int] | None, whole: bool, elements: set[str] | None) -> Answer:
        if any(layer.source not in ("AINT", "TIM") for layer in self.layers.values()):
            raise ScpiError(-214)
        self.initiate(channels)
        return self._fetch(channels, whole, elements)

    def _measure(self, channels: list[int] | None, elements: set[str] | None) -> Answer:
        """One spot measurement of what is asked for, whatever SENSe:FUNCtion says."""
        _own(channels)
        smu = self._smu
        if not smu.core.settings.output_on:
            smu.put_output(True)
        sensed, smu.sensed = smu.sensed, smu.sensed | ({"VOLT", "CURR", "RES"} & (elements or self._data.elements))
        self._data.samples = []
        self._data.keep(smu.core.measure())
        smu.sensed = sensed
        smu.trip()
        return self._data.written(self._data.samples, elements or self._data.elements)

    # The tree.
    def commands(self) -> list[Command]:
        """Commands of these subsystems."""
        return [*self._trigger_commands(), *self._reading_commands(), *self._sweep_commands()]

    def _trigger_commands(self) -> list[Command]:
        listed = (Optional(ChannelList()),)
        commands = []
        for spelling, sources, acquires in (("[:ALL]", True, True), (":TRANsient", True, False),
                                            (":ACQuire", False, True)):  # fmt: skip
            actions = [action for action, on in zip(ACTIONS, (acquires, sources), strict=True) if on]
            commands += [
                Command(f":INITiate[:IMMediate]{spelling}", listed,
                        lambda channels, s=sources, a=acquires: self.initiate(channels, s, a)),
                Command(f":ABORt{spelling}", listed, self.abort),
            ]  # fmt: skip
            for layer, name in (("ARM", "ARM"), ("TRIG", "TRIGger")):
                head, layers = f":{name}#1{spelling}", [self.layers[layer, action] for action in actions]
                commands += [
                    self._of_all(f"{head}:COUNt", Integer(1, MOST_COUNTS, 1, infinite=True), layers, "count"),
                    self._of_all(f"{head}:DELay", Number(0.0, 100e3, 0.0, "S"), layers, "delay_seconds"),
                    self._of_all(f"{head}:TIMer", Number(2e-5, 100e3, 2e-5, "S"), layers, "timer_seconds"),
                    self._of_all(f"{head}:SOURce[:SIGNal]", SOURCES, layers, "source"),
                ]
        return commands

    def _of_all(self, pattern: str, kind: Kind, layers: list[Layer], name: str) -> Command:
        """A setting of several layers at once; the query asks for the first of them."""
        one = self._smu.setting(pattern, kind, layers[0], name)

        def put(value: object) -> None:
            for layer in layers:
                setattr(layer, name, value)

        return Command(one.pattern, one.kinds, put, one.ask, one.ask_kinds)

    def _reading_commands(self) -> list[Command]:
        listed = (Optional(ChannelList()),)
        choices = [("", None), *((f":{ELEMENT_NAMES[element]}", {element}) for element in ELEMENTS)]
        commands = []
        for tail, elements in choices:
            tail = f"{tail}[:DC]" if tail in (":VOLTage", ":CURRent") else tail
            commands.append(Command(f":MEASure{tail}", ask=lambda c, e=elements: self._measure(c, e), ask_kinds=listed))
            for shape, whole in (("[:SCALar]", False), (":ARRay", True)):
                for name, take in (("FETCh", self._fetch), ("READ", self._read)):
                    commands.append(Command(f":{name}{shape}{tail}", ask_kinds=listed,
                                            ask=lambda c, take=take, w=whole, e=elements: take(c, w, e)))  # fmt: skip
        return commands

    def _sweep_commands(self) -> list[Command]:
        smu, head, steps = self._smu, "[:SOURce#1]", Integer(1, MOST_STEPS, 1)
        return [
            *self.sweeps.commands(),
            smu.setting(f"{head}:SWEep:STAir", Word("SINGle", "DOUBle"), self.sweeps, "stair"),
            smu.setting(f"{head}:VOLTage:POINts", steps, self.sweeps, "points"),
            smu.setting(f"{head}:CURRent:POINts", steps, self.sweeps, "points"),
        ]


def _own(channels: list[int] | None) -> None:
    """A channel list of a one-channel instrument. Raises ScpiError."""
    if channels not in (None, [1]):
        raise ScpiError(-222)
