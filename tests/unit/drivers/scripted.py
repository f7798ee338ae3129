"""An instrument that answers each query from a table, and remembers what it was told: for the drivers' own messages."""

import contextlib
import re
import struct
from collections.abc import Callable, Iterator

from hwloop.drivers.instrument import parse_identity
from hwloop.drivers.smu.settings import SmuSetting
from hwloop.drivers.smu.smu import Smu
from hwloop.link.visa import VisaPort
from tests.unit.link.stand_in_instrument import StandInInstrument

NO_ERROR = '0,"No error;0;0 0"'


class Scripted:
    """Answers a SCPI message part by part. `replies` has the reply to each query by its text up to the first blank, as
    text, bytes, or something to call; a list gives one after the other and then its last one for ever."""

    def __init__(self, replies: dict[str, object]):
        self.replies = {":SYST:ERR?": NO_ERROR} | replies
        self.told: list[str] = []
        # A command that it does not know, and behind which it drops the rest of the message.
        self.drops_after_error = ""

    def __call__(self, line: str) -> bytes | None:
        parts = re.findall(r'(?:[^";]|"[^"]*")+', line)
        self.told += parts
        if self.drops_after_error in parts:
            self.replies[":SYST:ERR?"] = ['-113,"Undefined header"', NO_ERROR]
            return None
        replies = [self._reply(part) for part in parts if "?" in part]
        return b";".join(replies) + b"\n" if replies else None

    def _reply(self, query: str) -> bytes:
        reply = self.replies[query.split(" ")[0]]
        if isinstance(reply, list):
            reply = reply.pop(0) if len(reply) > 1 else reply[0]
        if isinstance(reply, Callable):
            reply = reply(query)
        return reply.encode() if isinstance(reply, str) else reply


def doubles(*rows: tuple[float, ...]) -> bytes:
    """Rows of numbers as a block of little-endian doubles."""
    values = [value for row in rows for value in row]
    data = struct.pack(f"<{len(values)}d", *values)
    length = str(len(data))
    return f"#{len(length)}{length}".encode() + data


@contextlib.contextmanager
def connected(
    driver: type[Smu], identity: str, setting: SmuSetting, replies: dict[str, object], channel: int = 1
) -> Iterator[tuple[Smu, Scripted]]:
    """A configured channel with its output on, and its instrument, which remembers what it was told since."""
    scripted = Scripted(replies)
    with StandInInstrument(scripted, identity) as instrument, VisaPort(instrument.resource, 0.5) as port:
        smu = driver(port, parse_identity(instrument.resource, port.identify()), channel)
        smu.configure(setting)
        scripted.configured = list(scripted.told)
        output = f":OUTP{smu._suffix}?"
        kept, scripted.replies[output] = scripted.replies[output], "1"
        smu.output(True)
        scripted.replies[output] = kept
        scripted.told.clear()
        yield smu, scripted
