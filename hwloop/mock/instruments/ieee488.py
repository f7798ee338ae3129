"""What every IEEE 488.2 instrument has: common commands, status registers, the error queue, messages in and out.

Source: IEEE 488.2 chapters 10 and 11, SCPI-1999 volume 1 chapter 9 (status) and volume 2 chapter 21 (errors).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any

from hwloop.mock.instruments.faults import Faults, PowerLossError
from hwloop.mock.instruments.scpi import Answer, Command, Scpi
from hwloop.mock.instruments.scpi_kinds import Integer, Kind, Number, Optional, ScpiError, Style, Word
from hwloop.mock.instruments.status import (
    COMMAND_ERROR,
    DEVICE_ERROR,
    ERROR_AVAILABLE,
    EVENT_SUMMARY,
    EXECUTION_ERROR,
    MASTER_SUMMARY,
    MESSAGE_AVAILABLE,
    OPERATION_COMPLETE,
    POWER_ON,
    QUERY_ERROR,
    TEXTS,
    Register,
)

LONGEST_MESSAGE_BYTES = 1 << 20


class ScpiInstrument(ABC):
    """A simulated instrument: bytes in, bytes out. Models give commands, identity, reset, and their own peculiarities.

    `registers` maps the names of SCPI status registers to their bit in the status byte.
    """

    style = Style()
    registers_of: dict[str, int] = {"QUEStionable": 8, "OPERation": 128}
    texts: dict[int, str] = {}
    queue_length = 10
    no_error = '0,"No error"'

    bytes_per_second = 1e6
    message_seconds = 5e-4

    def __init__(self, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self.clock_seconds = 0.0
        self.registers = {name: Register() for name in self.registers_of}
        self.errors: deque[tuple[int, str]] = deque()
        self._event_enable, self._service_enable, self._event = 0, 0, POWER_ON
        self._heard, self._answers = b"", 0
        self.scpi_commands = [*self.common_commands(), *self.status_commands(), *self.commands()]
        self.scpi = Scpi(self.scpi_commands, self.style)

    # What models give.
    @abstractmethod
    def commands(self) -> list[Command]:
        """The model's own tree."""

    @abstractmethod
    def identity(self) -> str:
        """The answer to *IDN?."""

    @abstractmethod
    def reset(self) -> None:
        """*RST."""

    def trigger(self) -> None:
        """*TRG."""
        raise ScpiError(-211)

    def self_test(self) -> str:
        """The answer to *TST?."""
        return "0"

    def options(self) -> str:
        """The answer to *OPT?."""
        return "0"

    # Bytes.
    def say(self, data: bytes) -> bytes:
        """Hear bytes; what is answered to the messages that they complete. Raises PowerLossError without power."""
        if self.faults.is_off:
            raise PowerLossError
        self._heard += data
        *messages, self._heard = self._heard.split(b"\n")
        if len(self._heard) > LONGEST_MESSAGE_BYTES:
            self._heard = b""
            self.push_error(-363)
        return b"".join(self._answer(message.decode("latin-1").strip()) for message in messages)

    def forget_input(self) -> None:
        """A device clear, or a new controller: a half message is dropped."""
        self._heard = b""

    def _answer(self, message: str) -> bytes:
        answers: list[bytes] = []
        self._answers = 0
        for answer in self.scpi.run(message, lambda error: self.push_error(error.code, error.detail)):
            answers.append(answer if isinstance(answer, bytes) else answer.encode("latin-1"))
            self._answers = len(answers)
        self._answers = 0
        reply = b";".join(answers) + b"\n" if answers else b""
        self.clock_seconds += self.message_seconds + (len(message) + len(reply)) / self.bytes_per_second
        return reply

    # Errors.
    def push_error(self, code: int, detail: str = "") -> None:
        """Put an error into the queue and its class into the standard event register."""
        self._event |= self.error_bit(code)
        text = self.texts.get(code) or TEXTS.get(code, "Device-specific error")
        if len(self.errors) < self.queue_length:
            self.errors.append((code, detail or text))
        else:
            self.errors[-1] = (-350, self.texts.get(-350, TEXTS[-350]))

    def error_bit(self, code: int) -> int:
        """The bit of the standard event register that an error sets; models differ for their own numbers."""
        bits = {1: COMMAND_ERROR, 2: EXECUTION_ERROR, 3: DEVICE_ERROR, 4: QUERY_ERROR}
        return bits.get(-code // 100, DEVICE_ERROR) if code < 0 else DEVICE_ERROR

    def write_error(self, code: int, text: str) -> str:
        """One error as the model writes it."""
        return f'{self.write_code(code)},"{text}"'

    def write_code(self, code: int) -> str:
        """The number of an error, or of how many there are, as the model writes it."""
        return f"{code:d}"

    def error_codes(self, count: int) -> str:
        """The numbers of up to `count` of the oldest errors, taken off the queue."""
        codes = [self.write_code(self.errors.popleft()[0]) for _ in range(min(count, len(self.errors)))]
        return ",".join(codes) or self.write_code(0)

    def error_commands(self) -> list[Command]:
        """SYSTem:ERRor, as SCPI-1999 has it."""
        return [
            Command(":SYSTem:ERRor[:NEXT]", ask=self.next_error),
            Command(":SYSTem:ERRor:ALL", ask=self.all_errors),
            Command(":SYSTem:ERRor:COUNt", ask=lambda: self.write_code(len(self.errors))),
            Command(":SYSTem:ERRor:CODE[:NEXT]", ask=lambda: self.error_codes(1)),
            Command(":SYSTem:ERRor:CODE:ALL", ask=lambda: self.error_codes(len(self.errors))),
        ]

    def next_error(self) -> str:
        """The oldest error, taken off the queue."""
        return self.write_error(*self.errors.popleft()) if self.errors else self.no_error

    def all_errors(self) -> str:
        """All errors, taken off the queue."""
        answers = [self.next_error() for _ in range(len(self.errors))]
        return ",".join(answers) or self.no_error

    # Status.
    @property
    def status_byte(self) -> int:
        """The status byte with the master summary bit."""
        byte = sum(bit for name, bit in self.registers_of.items() if self.registers[name].summary)
        byte |= ERROR_AVAILABLE * bool(self.errors) | MESSAGE_AVAILABLE * bool(self._answers)
        byte |= EVENT_SUMMARY * bool(self._event & self._event_enable)
        return byte | MASTER_SUMMARY * bool(byte & self._service_enable)

    def clear_status(self) -> None:
        """*CLS."""
        self.errors.clear()
        self._event = 0
        for register in self.registers.values():
            register.event = 0

    def common_commands(self) -> list[Command]:
        """The common commands of IEEE 488.2."""
        byte = (Integer(0, 255),)
        whole = self.style.integer
        return [
            Command("*IDN", ask=self.identity),
            Command("*RST", do=self.reset),
            Command("*CLS", do=self.clear_status),
            Command("*ESE", byte, self._put("_event_enable"), lambda: whole(self._event_enable)),
            Command("*SRE", byte, self._put("_service_enable"), lambda: whole(self._service_enable & ~64)),
            Command("*ESR", ask=self._take_event),
            Command("*STB", ask=lambda: whole(self.status_byte)),
            Command("*OPC", do=self._complete, ask=lambda: "1"),
            Command("*WAI", do=lambda: None),
            Command("*TRG", do=self.trigger),
            Command("*TST", ask=self.self_test),
            Command("*OPT", ask=self.options),
        ]

    def status_commands(self) -> list[Command]:
        """The STATus subsystem of the model's registers."""
        whole, mask = self.style.integer, (Integer(0, 65535),)

        def fields(register: Register, name: str) -> tuple:
            return mask, lambda value: setattr(register, name, value), lambda: whole(getattr(register, name))

        commands = [Command(":STATus:PRESet", do=lambda: [r.preset() for r in self.registers.values()] and None)]
        for name, register in self.registers.items():
            commands += [
                Command(f":STATus:{name}[:EVENt]", ask=lambda register=register: whole(register.take_event())),
                Command(f":STATus:{name}:CONDition", ask=lambda register=register: whole(register.condition)),
                Command(f":STATus:{name}:ENABle", *fields(register, "enable")),
            ]
            if self.has_transition_filters:
                commands += [
                    Command(f":STATus:{name}:PTRansition", *fields(register, "positive")),
                    Command(f":STATus:{name}:NTRansition", *fields(register, "negative")),
                ]
        return commands

    has_transition_filters = False

    def _take_event(self) -> str:
        event, self._event = self._event, 0
        return self.style.integer(event)

    def _complete(self) -> None:
        self._event |= OPERATION_COMPLETE

    def _put(self, name: str) -> Callable[[Any], None]:
        return lambda value: setattr(self, name, value)

    # Helpers with which models declare settings.
    def setting(
        self, pattern: str, kind: Kind, owner: object, name: str, then: Callable[[], None] | None = None
    ) -> Command:
        """A command that sets, and a query that reads, `owner.name`; the query of a number takes MIN, MAX and DEF."""

        def put(value: Any) -> None:
            old = getattr(owner, name)
            setattr(owner, name, value)
            try:
                if then is not None:
                    then()
            except ScpiError:
                setattr(owner, name, old)
                raise

        def ask(bound: float | None = None) -> Answer:
            return kind.render(getattr(owner, name) if bound is None else bound, self.style)

        if isinstance(kind, Number):
            return Command(pattern, (kind,), put, ask, (Optional(_BoundOf(kind)),))
        return Command(pattern, (kind,), put, ask)

    def inert(self, pattern: str, kind: Kind, value: Any) -> Command:
        """A setting that is kept and answered, and changes nothing that is modelled."""
        return self.setting(pattern, kind, _Kept(value), "value")


class _Kept:
    def __init__(self, value: Any):
        self.value = value


class _BoundOf:
    """MINimum, MAXimum or DEFault in a query."""

    def __init__(self, kind: Number):
        self._kind = kind
        self._word = Word("MINimum", "MAXimum", "DEFault")

    def parse(self, text: str) -> float:
        """See Kind."""
        self._word.parse(text)
        return self._kind.parse(text)

    def render(self, value: float, style: Style) -> str:
        """See Kind."""
        return self._kind.render(value, style)
