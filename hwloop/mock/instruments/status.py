"""Status registers and standard error texts of SCPI instruments.

Source: IEEE 488.2 chapter 11; SCPI-1999 volume 1 chapter 9 and volume 2 chapter 21.
"""

from __future__ import annotations

POWER_ON, COMMAND_ERROR, EXECUTION_ERROR, DEVICE_ERROR, QUERY_ERROR, OPERATION_COMPLETE = 128, 32, 16, 8, 4, 1
ERROR_AVAILABLE, MESSAGE_AVAILABLE, EVENT_SUMMARY, MASTER_SUMMARY = 4, 16, 32, 64

TEXTS = {
    -100: "Command error", -101: "Invalid character", -102: "Syntax error", -103: "Invalid separator",
    -104: "Data type error", -105: "GET not allowed", -108: "Parameter not allowed", -109: "Missing parameter",
    -110: "Command header error", -111: "Header separator error", -112: "Program mnemonic too long",
    -113: "Undefined header", -114: "Header suffix out of range", -120: "Numeric data error",
    -121: "Invalid character in number", -131: "Invalid suffix", -138: "Suffix not allowed",
    -141: "Invalid character data", -151: "Invalid string data", -171: "Invalid expression",
    -200: "Execution error", -211: "Trigger ignored", -213: "Init ignored", -214: "Trigger deadlock",
    -220: "Parameter error", -221: "Settings conflict", -222: "Data out of range", -223: "Too much data",
    -224: "Illegal parameter value", -230: "Data corrupt or stale", -241: "Hardware missing", -350: "Queue overflow",
    -363: "Input buffer overrun", -410: "Query INTERRUPTED", -420: "Query UNTERMINATED",
}  # fmt: skip


class Register:
    """A SCPI status register: condition, transition filters, event and enable, 16 bits each."""

    def __init__(self) -> None:
        self.condition = self.event = 0
        self.preset()

    def preset(self) -> None:
        """As STATus:PRESet leaves it: nothing enabled, rising edges pass."""
        self.enable, self.positive, self.negative = 0, 0x7FFF, 0

    def put(self, bits: int, on: bool) -> None:
        """Set or clear condition bits; edges that pass the filters are latched."""
        old, self.condition = self.condition, (self.condition | bits) if on else (self.condition & ~bits)
        self.event |= (self.condition & ~old & self.positive) | (old & ~self.condition & self.negative)

    def flash(self, bits: int) -> None:
        """A condition that came and went."""
        self.put(bits, True)
        self.put(bits, False)

    def take_event(self) -> int:
        """The event register, which reading clears."""
        event, self.event = self.event, 0
        return event

    @property
    def summary(self) -> bool:
        """Whether an enabled event stands."""
        return bool(self.event & self.enable)
