"""A simulated Keithley 2602B, 2612B or 2636B: bytes in, bytes out, message by message, as the reference manual says.

The manual is the Series 2600B reference manual (2600BS-901-01), sections "TSP command reference" and "Status model".
Not there: TSP-Link, tspnet, the USB drive, calibration, contact check, and menus of the front panel.
"""

from __future__ import annotations

from collections.abc import Callable

from hwloop.mock.instruments.faults import Faults, PowerLossError
from hwloop.mock.instruments.terminals import Terminals
from hwloop.mock.instruments.tolerance import Keys, LinearError
from hwloop.mock.instruments.tsp.channel import Channel
from hwloop.mock.instruments.tsp.errors import TEXTS, ErrorQueue, TspError
from hwloop.mock.instruments.tsp.lua import LuaEngine
from hwloop.mock.instruments.tsp.models import MODELS
from hwloop.mock.instruments.tsp.output import Output
from hwloop.mock.instruments.tsp.panel import Panel
from hwloop.mock.instruments.tsp.scripts import FACTORY, Scripts
from hwloop.mock.instruments.tsp.smu import Smu
from hwloop.mock.instruments.tsp.status import OPERATION_COMPLETE, StatusModel
from hwloop.mock.instruments.tsp.timebase import Timebase
from hwloop.mock.instruments.tsp.tree import Attribute, Group, Node, number, number_argument, switch
from hwloop.mock.instruments.tsp.triggers import Triggers

FIRMWARE = "3.4.0"
_CHANNELS = ("smua", "smub")
_MESSAGE_SECONDS = 300e-6  # from a message's end to the end of a simple command, data sheet: command processing
_LONGEST_LINE_BYTES = 64 * 1024


class Keithley2600B:
    """Two channels and a script engine. `terminals`: what hangs at channels A and B; hidden errors follow the serial.

    `clock_seconds` is modelled time: it advances with integration, settling and delays, never with the wall.
    """

    def __init__(
        self,
        model: str,
        serial_number: int,
        terminals: tuple[Terminals, Terminals],
        seed: int = 0,
        line_hertz: float = 50.0,
    ):
        self.model, self.serial_number = MODELS[model], serial_number
        self.faults = Faults()
        self._line_hertz = line_hertz
        self._received = b""
        self._timebase = Timebase()
        self._errors = ErrorQueue()
        self._status = StatusModel(_CHANNELS, self._timebase.watch)
        self._output = Output()
        keys = Keys.of(model, serial_number, seed)
        self.smus = []
        for name, end in zip(_CHANNELS, terminals, strict=True):
            channel = Channel(
                self.model, keys.part(name), end, self._timebase, line_hertz, lambda: not self.faults.interlock_open
            )
            self.smus.append(Smu(name, channel, self._timebase, self._status, self.faults.count_reading))
        self._timebase.held.extend(smu.channel for smu in self.smus)
        self._triggers = Triggers(self._timebase)
        self._panel = Panel(_CHANNELS)
        self._prompts = Group("localnode", prompts=Attribute(False, switch), showerrors=Attribute(False, switch))
        self._engine = LuaEngine(self._report, self._output.text, self._output.number, self._watch)
        self._scripts = Scripts(self._engine, self._output.text)
        self._timer_began = 0.0
        self._publish()

    # -- the bench's side -----------------------------------------------------------------------------------------
    @property
    def identity(self) -> str:
        """The reply to *IDN?, without its end."""
        return f"Keithley Instruments Inc., Model {self.model.name}, {self.serial_number}, {FIRMWARE}"

    @property
    def clock_seconds(self) -> float:
        """Modelled time since power-on."""
        return self._timebase.seconds

    def say(self, data: bytes) -> bytes:
        """Takes bytes as they come, returns what the instrument answers to the messages that they complete.

        Raises PowerLossError where `faults` say that the power is gone, in the middle of a script too.
        """
        *lines, self._received = (self._received + data).split(b"\n")
        if len(self._received) > _LONGEST_LINE_BYTES:
            self._received = b""
            self._report(TspError(-363))
        for line in lines:
            self._message(line.rstrip(b"\r").decode("latin-1"))
        return self._output.take()

    def forget_input(self) -> None:
        """A new controller: a half message, and what the last one did not read, are dropped."""
        self._received = b""
        self._output.clear()

    def hidden_error(self, channel: str, role: str, quantity: str, full_scale: float) -> LinearError:
        """The truth of a range: `channel` "smua", `role` "source" or "measure", `quantity` "v" or "i"."""
        unit = next(smu.channel for smu in self.smus if smu.name == channel)
        return (unit if role == "source" else unit.meter).errors[quantity, full_scale]

    def push_error(self, code: int, text: str = "") -> None:
        """An error of the manual's list enters the queue, with its bit in the standard event register."""
        self._report(TspError(code, text=text or TEXTS[code]))

    # -- messages -------------------------------------------------------------------------------------------------
    def _message(self, line: str) -> None:
        self._watch()
        if self.faults.interlock_open:
            for smu in self.smus:
                smu.channel.interlock_opened()
        self._timebase.seconds += _MESSAGE_SECONDS
        was_busy = self._timebase.is_busy
        errors_before = len(self._errors)
        try:
            if not self._scripts.takes(line) and line.strip():
                self._command(line.strip())
        except TspError as error:
            self._report(error)
        if was_busy and self._timebase.is_watched:
            self._timebase.catch_up()  # what runs in the background had its visible moment
        if self._prompts.showerrors:
            while len(self._errors) > 0:
                self._output.text("{:g}\t{}\t{:g}\t{:g}\n".format(*self._errors.next()))
        if self._prompts.prompts:
            prompt = ">>>>" if self._scripts.is_loading else "TSP?" if len(self._errors) > errors_before else "TSP>"
            self._output.text(prompt + "\n")

    def _command(self, line: str) -> None:
        if line == "abort":
            for smu in self.smus:
                smu.abort()
        elif line.startswith("*"):
            for part in line.split(";"):
                self._common_command(part.strip())
        else:
            self._engine.execute(line)

    def _common_command(self, command: str) -> None:
        word, _, parameter = command.partition(" ")
        word = word.upper()
        if word in self._queries():
            self._output.text(self._queries()[word]() + "\n")
        elif word in self._actions():
            self._actions()[word]()
        elif word in ("*ESE", "*SRE"):
            chosen = number(0, 255)(parameter.strip() or None)
            (self._status.standard.set_enable if word == "*ESE" else self._status.set_request_enable)(chosen)
        else:
            raise TspError(-285, text=f"TSP Syntax error at line 1: unexpected symbol near `{command[:1]}'")

    def _queries(self) -> dict[str, Callable[[], str]]:
        standard = self._status.standard
        return {
            "*IDN?": lambda: self.identity,
            "*ESE?": lambda: f"{standard.enable:d}",
            "*ESR?": lambda: f"{int(standard.read_event()):d}",
            "*SRE?": lambda: f"{self._status.request_enable:d}",
            "*STB?": lambda: f"{self._status_byte():d}",
            "*OPC?": self._complete,
            "*TST?": lambda: "0",
        }

    def _actions(self) -> dict[str, Callable[[], None]]:
        return {
            "*CLS": self._clear,
            "*RST": self._reset,
            "*OPC": self._operation_complete,
            "*WAI": self._timebase.catch_up,
            "*TRG": self._triggers.command,
        }

    def _complete(self) -> str:
        self._timebase.catch_up()
        return "1"

    def _operation_complete(self, *_: object) -> None:
        self._timebase.catch_up()
        self._status.standard.happen(OPERATION_COMPLETE)

    def _clear(self) -> None:
        self._status.clear()
        self._errors.clear()
        self._output.clear()

    def _reset(self, *_: object) -> None:
        for smu in self.smus:
            smu.reset()
        self._triggers.reset()
        self._output.format.reset()
        self._panel.reset()

    def _status_byte(self) -> int:
        self._timebase.watch()
        return self._status.status_byte(len(self._errors) > 0, self._output.is_waiting)

    # -- the object tree ------------------------------------------------------------------------------------------
    def _publish(self) -> None:
        publish = self._engine.set_global
        channels = {smu.name: smu.node() for smu in self.smus}
        tree = {
            **channels,
            "errorqueue": Node(
                "errorqueue",
                getters={"count": lambda: float(len(self._errors))},
                objects={"next": lambda *_: tuple(self._errors.next()), "clear": lambda *_: self._errors.clear()},
            ),
            "format": self._output.node(),
            "status": self._status.node(self._status_byte),
            "localnode": self._localnode(),
            "timer": self._timer(),
            "trigger": self._triggers.node(
                lambda nodes: self._engine.table([self._engine.publish(node) for node in nodes])
            ),
            "script": self._scripts.node(),
            **self._panel.nodes(),
            "printnumber": self._output.print_number,
            "printbuffer": self._output.print_buffer,
            "delay": self._delay,
            "waitcomplete": lambda *_: self._timebase.catch_up(),
            "opc": self._operation_complete,
            "reset": self._reset,
        }
        for name, item in tree.items():
            publish(name, item)
        self._engine.execute("node = {[1] = localnode}")
        for name in tree:
            self._engine.execute(f"if localnode ~= {name} then rawset(localnode, '{name}', {name}) end")
        self._engine.execute(FACTORY)

    def _localnode(self) -> Node:
        facts = {
            "model": self.model.name,
            "serialno": str(self.serial_number),
            "version": FIRMWARE,
            "revision": FIRMWARE,
            "linefreq": self._line_hertz,
            "description": f"Keithley Instruments SMU {self.model.name} - {self.serial_number}",
        }
        node = self._prompts.node(reset=self._reset)
        node.getters.update({name: lambda value=value: value for name, value in facts.items()})
        return node

    def _timer(self) -> Node:
        def restart(*_: object) -> None:
            self._timer_began = self._timebase.seconds

        elapsed = Node("timer.measure", objects={"t": lambda *_: self._timebase.seconds - self._timer_began})
        return Node("timer", objects={"reset": restart, "measure": elapsed})

    def _delay(self, *arguments: object) -> None:
        seconds = number(0, 100_000)(number_argument(arguments, 1))
        self._timebase.catch_up()
        self._timebase.spend(seconds)

    def _report(self, error: TspError) -> None:
        self._errors.push(error)
        self._status.error(error.number)

    def _watch(self) -> None:
        if self.faults.is_off:
            raise PowerLossError
