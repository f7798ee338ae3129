"""What a simulated bench is made of: the options of `mock serve`, and what a rig hands to its own board process."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

from hwloop.errors import UsageError
from hwloop.link.protocol import BOARDS
from hwloop.mock.presets import Effects, effects_of_preset

# Effects that are the board's, not the devices': finite A0, amplifier offsets, noise of the converter chains, and what
# is wrong with converters, resistors, ladders and amplifiers' speed.
BOARD_EFFECTS = ("amplifier_gain", "amplifier_offset", "chain_noise", "converter_errors")
DEVICE_EFFECTS = tuple(field.name for field in dataclasses.fields(Effects) if field.type == "bool")


@dataclass(frozen=True)
class BenchConfig:
    """One simulated bench. Serials fix the hardware, `seed` what happens to it.

    `preset` names the device model ("ideal" also takes every error of the board away); `off` lists effects that are
    switched off; temperature in °C, drifting with bench time; `pristine` starts unformed; `state` is the file of a
    durable bench, "" for one that is forgotten. Where it `continues`, the world was suspended and the Python board goes
    on as the state left it, session and all; else it is a board that was reset, as firmware always is.
    """

    board_name: str = "hwloop-128x16"
    board_serial: int = 1
    array_serial: int = 1
    seed: int = 0
    preset: str = "default"
    off: tuple[str, ...] = ()
    temperature_celsius: float = 25.0
    temperature_drift_per_hour_celsius: float = 0.0
    pristine: bool = False
    state: str = ""
    continues: bool = False

    def __post_init__(self):
        if self.board_name not in BOARDS:
            raise UsageError(f"unknown board {self.board_name!r}: choose one of {', '.join(BOARDS)}")
        for name in self.off:
            if name not in BOARD_EFFECTS + DEVICE_EFFECTS:
                known = ", ".join(DEVICE_EFFECTS + BOARD_EFFECTS)
                raise UsageError(f"unknown effect {name!r} in off: choose from {known}")

    def device_effects(self) -> Effects:
        """The device model: the preset without what is switched off."""
        switched_off = {name: False for name in self.off if name in DEVICE_EFFECTS}
        return dataclasses.replace(effects_of_preset(self.preset), **switched_off)

    def board_effect(self, name: str) -> bool:
        """Whether an effect of the board is on."""
        return self.preset != "ideal" and name not in self.off

    def to_json(self) -> str:
        """For another process."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> BenchConfig:
        """What `to_json` wrote."""
        values = json.loads(text)
        return cls(**(values | {"off": tuple(values["off"])}))


@dataclass(frozen=True)
class BenchInstrument:
    """One instrument to be served: `role` "smu" or "daq", `model` of bench_instruments.MAKERS, its serial number, and
    the port, "pty" or "tcp:HOST:PORT", 0 for a free one. With `real_time` its answers take the time that they are
    modelled to take."""

    role: str
    model: str
    serial: int
    port: str = "tcp:127.0.0.1:0"
    real_time: bool = False
