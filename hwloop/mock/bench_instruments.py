"""The instruments of a simulated bench: a source meter at its SMU port and a DAQ at its pins, served over TCP or a
pseudo-terminal beside the board."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from hwloop.errors import UsageError
from hwloop.mock.bench import Bench
from hwloop.mock.bench_config import BenchInstrument
from hwloop.mock.instruments.elements import OpenLead
from hwloop.mock.instruments.keithley_2400 import Keithley2400
from hwloop.mock.instruments.keithley_2450 import Keithley2450
from hwloop.mock.instruments.keysight_34970a import Keysight34970A
from hwloop.mock.instruments.keysight_b2900 import KeysightB2901A, KeysightB2911A
from hwloop.mock.instruments.keysight_daq970a import KeysightDaq970A
from hwloop.mock.instruments.server import Instrument, serve_instrument
from hwloop.mock.instruments.tsp.keithley_2600b import Keithley2600B
from hwloop.mock.ports import BenchPins, BenchTerminals

# By the names of rigs: what makes each of them from a bench, a serial number and a seed.
MAKERS: dict[str, Callable[[Bench, int, int], Instrument]] = {
    "keithley-2400": lambda bench, serial, seed: Keithley2400(BenchTerminals(bench), serial, seed),
    "keithley-2450": lambda bench, serial, seed: Keithley2450(BenchTerminals(bench), serial, seed),
    "keithley-2602b": lambda bench, serial, seed: _two_channels("2602B", bench, serial, seed),
    "keithley-2636b": lambda bench, serial, seed: _two_channels("2636B", bench, serial, seed),
    "keysight-b2901a": lambda bench, serial, seed: KeysightB2901A(BenchTerminals(bench), serial, seed),
    "keysight-b2911a": lambda bench, serial, seed: KeysightB2911A(BenchTerminals(bench), serial, seed),
    "keysight-34970a": lambda bench, serial, seed: Keysight34970A(serial, BenchPins(bench), seed),
    "keysight-daq970a": lambda bench, serial, seed: KeysightDaq970A(serial, BenchPins(bench), seed),
}


@contextlib.contextmanager
def served(bench: Bench, wanted: tuple[BenchInstrument, ...]) -> Iterator[dict[str, str]]:
    """The instruments at their ports, VISA resource by role. Raises UsageError, DeviceError as `serve_instrument`."""
    with contextlib.ExitStack() as stack:
        resources = {}
        for one in wanted:
            if one.model not in MAKERS:
                raise UsageError(f"no simulated instrument {one.model!r}: choose one of {', '.join(MAKERS)}")
            instrument = MAKERS[one.model](bench, one.serial, bench.config.seed)
            at = stack.enter_context(serve_instrument(instrument, one.port, bench.lock, one.real_time))
            resources[one.role] = resource_of(at.name)
        yield resources


def resource_of(name: str) -> str:
    """The VISA resource of a served instrument's "tcp:HOST:PORT" or pseudo-terminal."""
    if not name.startswith("tcp:"):
        return f"ASRL{name}::INSTR"
    host, _, number = name.removeprefix("tcp:").rpartition(":")
    return f"TCPIP::{host}::{number}::SOCKET"


def _two_channels(model: str, bench: Bench, serial: int, seed: int) -> Instrument:
    """Channel A at the port; nothing hangs at channel B."""
    return Keithley2600B(model, serial, (BenchTerminals(bench), OpenLead()), seed)
