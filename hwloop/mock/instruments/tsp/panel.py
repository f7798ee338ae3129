"""The front panel and the rear connector: display, beeper and digital lines that keep what scripts write to them."""

from __future__ import annotations

from hwloop.mock.instruments.tsp.errors import TspError
from hwloop.mock.instruments.tsp.tree import Attribute, Group, Node, argument, choice, number, number_argument, text

_LINES = 14
_DISPLAY_CONSTANTS = {
    "SMUA": 0.0,
    "SMUB": 1.0,
    "SMUA_SMUB": 2.0,
    "USER": 3.0,
    "MEASURE_DCAMPS": 0.0,
    "MEASURE_DCVOLTS": 1.0,
    "MEASURE_OHMS": 2.0,
    "MEASURE_WATTS": 3.0,
    "DIGITS_4_5": 4.0,
    "DIGITS_5_5": 5.0,
    "DIGITS_6_5": 6.0,
}


class Panel:
    """What is shown and which lines are high; nothing of it reaches the channels."""

    def __init__(self, channels: tuple[str, ...]):
        self.shown = ""
        self._screen = Group("display", screen=Attribute(2.0, choice(0, 1, 2, 3)))
        self._digits = {name: Group(name, digits=Attribute(5.0, choice(4, 5, 6))) for name in channels}
        self._functions = {name: Group("measure", func=Attribute(1.0, choice(0, 1, 2, 3))) for name in channels}
        self._beeper = Group("beeper", enable=Attribute(1.0, choice(0, 1)))
        self._lines = 0
        self.reset()

    def reset(self) -> None:
        """As at power-on."""
        self.shown = ""
        for group in (self._screen, self._beeper, *self._digits.values(), *self._functions.values()):
            group.reset()
        self._lines = 2**_LINES - 1

    def nodes(self) -> dict[str, Node]:
        """display, beeper and digio as scripts see them."""
        channels = {name: self._digits[name].node(measure=self._functions[name].node()) for name in self._digits}
        return {
            "display": self._screen.node(
                **_DISPLAY_CONSTANTS,
                **channels,
                clear=lambda *_: self._show(""),
                settext=lambda *arguments: self._show(text(argument(arguments, 1))),
                gettext=lambda *_: self.shown,
                setcursor=lambda *_: None,
                sendkey=lambda *arguments: number_argument(arguments, 1) and None,
            ),
            "beeper": self._beeper.node(beep=self._beep),
            "digio": Node(
                "digio",
                objects={
                    "readport": lambda *_: float(self._lines),
                    "writeport": self._write_port,
                    "readbit": lambda *arguments: float(bool(self._lines & self._bit(arguments))),
                    "writebit": self._write_bit,
                },
            ),
        }

    def _show(self, shown: str) -> None:
        self.shown = shown
        self._screen.screen = 3.0

    @staticmethod
    def _beep(*arguments: object) -> None:
        number(0.001, 100)(number_argument(arguments, 1))
        number(453, 2400)(number_argument(arguments, 2))

    def _write_port(self, *arguments: object) -> None:
        self._lines = int(number(0, 2**_LINES - 1)(number_argument(arguments, 1)))

    def _write_bit(self, *arguments: object) -> None:
        bit = self._bit(arguments)
        self._lines = self._lines | bit if choice(0, 1)(number_argument(arguments, 2)) else self._lines & ~bit

    @staticmethod
    def _bit(arguments: tuple) -> int:
        line = number_argument(arguments, 1)
        if line not in range(1, _LINES + 1):
            raise TspError(1401, 1)
        return 1 << (int(line) - 1)
