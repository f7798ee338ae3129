"""The status model: register sets whose enabled events sum up into the next higher set and into the status byte."""

from __future__ import annotations

from collections.abc import Callable

from hwloop.mock.instruments.tsp.tree import Attribute, Group, Node, number

MEASUREMENT_SUMMARY, SYSTEM_SUMMARY, ERROR_AVAILABLE, QUESTIONABLE_SUMMARY = 1, 2, 4, 8
MESSAGE_AVAILABLE, EVENT_SUMMARY, MASTER_SUMMARY, OPERATION_SUMMARY = 16, 32, 64, 128
OPERATION_COMPLETE, QUERY_ERROR, DEVICE_ERROR, EXECUTION_ERROR, COMMAND_ERROR = 1, 4, 8, 16, 32
POWER_ON = 128
VOLTAGE_LIMIT, CURRENT_LIMIT, READING_OVERFLOW, BUFFER_AVAILABLE, INSTRUMENT = 1, 2, 128, 256, 8192
SWEEPING, MEASURING, TRIGGER_OVERRUN = 8, 16, 1024
_ALL = 0xFFFF


class RegisterSet:
    """Condition, transition filters, event and enable registers of one set; `bits` are its constants by name."""

    watch: Callable[[], None] = staticmethod(lambda: None)  # called when a program looks

    def __init__(self, bits: dict[str, int], parent: RegisterSet | None = None, parent_bit: int = 0):
        self.condition = 0
        self.event = 0
        self._bits = bits
        self._parent, self._parent_bit = parent, parent_bit
        self._filters = Group(
            "status_register",
            enable=Attribute(0.0, number(0, _ALL)),
            ptr=Attribute(float(_ALL), number(0, _ALL)),
            ntr=Attribute(0.0, number(0, _ALL)),
        )

    def set(self, bit: int, value: bool) -> None:
        """One condition bit takes a value; a filtered change of it becomes an event."""
        rose, fell = bool(value and not self.condition & bit), bool(not value and self.condition & bit)
        self.condition = self.condition | bit if value else self.condition & ~bit
        if rose and int(self._filters.ptr) & bit or fell and int(self._filters.ntr) & bit:
            self.event |= bit
        self._sum_up()

    def happen(self, bit: int) -> None:
        """An event without a lasting condition."""
        self.event |= bit
        self._sum_up()

    def read_event(self) -> float:
        """The event register, which reading clears."""
        self.watch()
        event, self.event = self.event, 0
        self._sum_up()
        return float(event)

    def clear(self) -> None:
        """Forgets the events."""
        self.event = 0
        self._sum_up()

    def reset(self) -> None:
        """Filters, enables and events as at power-on."""
        self._filters.reset()
        self.clear()

    @property
    def enable(self) -> int:
        """Which events sum up."""
        return int(self._filters.enable)

    def set_enable(self, value: float) -> None:
        """Chooses which events sum up."""
        self._filters.write("enable", value)
        self._sum_up()

    @property
    def summary(self) -> bool:
        """Whether an enabled event stands."""
        return bool(self.event & self.enable)

    def node(self, **children: Node) -> Node:
        """The set as scripts see it."""
        node = self._filters.node(**{name: float(bit) for name, bit in self._bits.items()}, **children)
        node.getters["condition"] = self._read_condition
        node.getters["event"] = self.read_event
        node.setters["enable"] = self.set_enable
        return node

    def _read_condition(self) -> float:
        self.watch()
        return float(self.condition)

    def _sum_up(self) -> None:
        if self._parent is not None:
            self._parent.set(self._parent_bit, self.summary)


class StatusModel:
    """All register sets of a two-channel instrument with `channels` ("smua", "smub"); `watch` learns that one looks."""

    def __init__(self, channels: tuple[str, ...], watch: Callable[[], None]):
        measurement_bits = {
            "VLMT": VOLTAGE_LIMIT,
            "VOLTAGE_LIMIT": VOLTAGE_LIMIT,
            "ILMT": CURRENT_LIMIT,
            "CURRENT_LIMIT": CURRENT_LIMIT,
            "ROF": READING_OVERFLOW,
            "READING_OVERFLOW": READING_OVERFLOW,
            "BAV": BUFFER_AVAILABLE,
            "BUFFER_AVAILABLE": BUFFER_AVAILABLE,
        }
        channel_bits = {name.upper(): 2 << place for place, name in enumerate(channels)}
        self._channels = channels
        self._channel_bits = channel_bits
        instrument = {"INST": INSTRUMENT, "INSTRUMENT_SUMMARY": INSTRUMENT}
        self.measurement = RegisterSet({**measurement_bits, **instrument})
        self.measurement_instrument = RegisterSet(channel_bits, self.measurement, INSTRUMENT)
        self.measurement_of = {
            name: RegisterSet(measurement_bits, self.measurement_instrument, channel_bits[name.upper()])
            for name in channels
        }
        self.measurement_kinds = {
            bit: RegisterSet(channel_bits, self.measurement, bit)
            for bit in (VOLTAGE_LIMIT, CURRENT_LIMIT, READING_OVERFLOW, BUFFER_AVAILABLE)
        }
        self.operation = RegisterSet({"SWE": SWEEPING, "SWEEPING": SWEEPING, "MEAS": MEASURING, "MEASURING": MEASURING})
        self.sweeping = RegisterSet(channel_bits, self.operation, SWEEPING)
        self.measuring = RegisterSet(channel_bits, self.operation, MEASURING)
        self.questionable = RegisterSet({"CAL": 256, "UO": 512, "OTEMP": 4096, **instrument})
        self.standard = RegisterSet(
            {
                "OPC": OPERATION_COMPLETE,
                "QYE": QUERY_ERROR,
                "DDE": DEVICE_ERROR,
                "EXE": EXECUTION_ERROR,
                "CME": COMMAND_ERROR,
                "URQ": 64,
                "PON": POWER_ON,
            }
        )
        self.system = RegisterSet({"EXT": 1})
        self.standard.happen(POWER_ON)
        self._request_enable = 0
        for registers in self._all():
            registers.watch = watch

    def measured(self, channel: str, bit: int, value: bool) -> None:
        """A channel's measurement condition changes: its own set and the summary over the channels."""
        self.measurement_of[channel].set(bit, value)
        self.measurement_kinds[bit].set(self._channel_bits[channel.upper()], value)

    def busy(self, channel: str, sweeping: bool) -> None:
        """A channel's trigger model leaves or reaches idle."""
        self.sweeping.set(self._channel_bits[channel.upper()], sweeping)

    def error(self, number: float) -> None:
        """An error came: its bit in the standard event register, by the class of its number."""
        if -200 < number < -99:
            self.standard.happen(COMMAND_ERROR)
        elif -300 < number <= -200:
            self.standard.happen(EXECUTION_ERROR)
        elif -500 < number <= -400:
            self.standard.happen(QUERY_ERROR)
        else:
            self.standard.happen(DEVICE_ERROR)

    def status_byte(self, errors: bool, messages: bool) -> int:
        """The status byte with its master summary; `errors` and `messages`: whether either queue holds something."""
        byte = (
            MEASUREMENT_SUMMARY * self.measurement.summary
            + SYSTEM_SUMMARY * self.system.summary
            + ERROR_AVAILABLE * errors
            + QUESTIONABLE_SUMMARY * self.questionable.summary
            + MESSAGE_AVAILABLE * messages
            + EVENT_SUMMARY * self.standard.summary
            + OPERATION_SUMMARY * self.operation.summary
        )
        return byte + MASTER_SUMMARY * bool(byte & self._request_enable)

    @property
    def request_enable(self) -> int:
        """Which bits of the status byte ask for service (*SRE)."""
        return self._request_enable

    def set_request_enable(self, value: float) -> None:
        """Chooses which bits ask for service."""
        self._request_enable = int(number(0, 255)(value)) & ~MASTER_SUMMARY

    def clear(self) -> None:
        """*CLS: every event register."""
        for registers in self._all():
            registers.clear()

    def reset(self) -> None:
        """status.reset(): filters, enables and events as at power-on."""
        for registers in self._all():
            registers.reset()
        self._request_enable = 0

    def node(self, status_byte) -> Node:
        """`status` as scripts see it; `status_byte()` gives the byte with both queues considered."""
        channel_nodes = {name: self.measurement_of[name].node() for name in self._channels}
        kinds = self.measurement_kinds
        node = Node(
            "status",
            getters={
                "condition": lambda: float(status_byte()),
                "request_enable": lambda: float(self.request_enable),
                "request_event": lambda: float(status_byte() & self.request_enable),
                "node_enable": lambda: float(self.request_enable),
                "node_event": lambda: float(status_byte() & self.request_enable),
            },
            setters={"request_enable": self.set_request_enable},
            objects={
                "MSB": float(MEASUREMENT_SUMMARY),
                "SSB": float(SYSTEM_SUMMARY),
                "EAV": float(ERROR_AVAILABLE),
                "QSB": float(QUESTIONABLE_SUMMARY),
                "MAV": float(MESSAGE_AVAILABLE),
                "ESB": float(EVENT_SUMMARY),
                "MSS": float(MASTER_SUMMARY),
                "OSB": float(OPERATION_SUMMARY),
                "reset": lambda *_: self.reset(),
                "measurement": self.measurement.node(
                    instrument=self.measurement_instrument.node(**channel_nodes),
                    voltage_limit=kinds[VOLTAGE_LIMIT].node(),
                    current_limit=kinds[CURRENT_LIMIT].node(),
                    reading_overflow=kinds[READING_OVERFLOW].node(),
                    buffer_available=kinds[BUFFER_AVAILABLE].node(),
                ),
                "operation": self.operation.node(sweeping=self.sweeping.node(), measuring=self.measuring.node()),
                "questionable": self.questionable.node(),
                "standard": self.standard.node(),
                "system": self.system.node(),
            },
        )
        return node

    def _all(self) -> list[RegisterSet]:
        return [
            *self.measurement_of.values(),
            self.measurement_instrument,
            *self.measurement_kinds.values(),
            self.measurement,
            self.sweeping,
            self.measuring,
            self.operation,
            self.questionable,
            self.standard,
            self.system,
        ]
