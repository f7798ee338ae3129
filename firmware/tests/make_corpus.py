"""Writes the seeds of the fuzzer into tests/corpus: what the driver says to a board, as records of fuzz_board.c.

Run with the project's Python from the root: python firmware/tests/make_corpus.py
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

from hwloop.drivers.board import Board, SolveGroup  # noqa: E402  (the project is found by the line above)
from hwloop.drivers.cells import CellPulses, Polarity  # noqa: E402
from hwloop.link import protocol as wire  # noqa: E402
from hwloop.link.frames import Frame, FrameReader  # noqa: E402
from hwloop.link.link import Link  # noqa: E402
from hwloop.link.protocol import Command, Constraint, TiaRange  # noqa: E402
from hwloop.mock.bench import Bench, BenchConfig  # noqa: E402
from hwloop.mock.board import SimulatedBoard  # noqa: E402

CORPUS = Path(__file__).parent / "corpus"
# Operations, and the first byte of a FRAME record, as in fuzz_board.c.
RAW, FRAME, TIME, INPUTS, BREAK_CHIPS, SILENCE_CHIPS, RESET, STEP = range(8)
RIGHT_SESSION, RIGHT_SEQUENCE, RIGHT_HASH, NO_STEP = 1, 2, 4, 8
BOARDS = ("hwloop-16x4", "hwloop-128x16", "hwloop-4096x16")
OPEN = wire.OpenRequest(wire.WIRE_HASH, 0).pack()


def record(operation: int, content: bytes = b"") -> bytes:
    """One record: operation, length, content."""
    return bytes([operation]) + len(content).to_bytes(2, "little") + content


def frame_record(kind: int, payload: bytes = b"", flags: int = 0) -> bytes:
    """A frame for the session and the place in it that are right when the fuzzer comes to it."""
    flags |= RIGHT_SESSION | (RIGHT_SEQUENCE if kind in wire.SEQUENCED else 0)
    flags |= RIGHT_HASH if kind == Command.OPEN else 0
    return record(FRAME, bytes([flags]) + wire.Header(kind, 0, 0, 1).pack() + payload)


class RecordingTransport:
    """A simulated board at once at the other end; `records` is what it was sent."""

    name = "simulated board"

    def __init__(self, board_name: str):
        self.records: list[bytes] = []
        self._board = SimulatedBoard(Bench(BenchConfig(board_name, 1, 1, 0, "ideal")))
        self._reader, self._replies = FrameReader(), b""

    def send(self, data: bytes) -> None:
        """See Transport."""
        for frame in self._reader.feed(data):
            reply = self._board.handle(frame, 0.0)
            if frame.kind != Command.HEARTBEAT:
                self.records.append(frame_record(frame.kind, frame.payload))
            self._replies += reply.encode() if reply else b""

    def receive(self, timeout_seconds: float) -> bytes:
        """See Transport."""
        replies, self._replies = self._replies, b""
        return replies

    def close(self) -> None:
        """See Transport."""


def _pulses(cells: np.ndarray, polarity: Polarity, volts: float, gate_volts: np.ndarray | float) -> CellPulses:
    n = len(cells)
    return CellPulses(
        cells, np.full(n, polarity), np.full(n, volts), np.broadcast_to(gate_volts, n).astype(float), np.full(n, 1e-6)
    )


def _program(board: Board) -> None:
    cells = np.arange(2 * board.columns)
    board.pulse_and_read(_pulses(cells, Polarity.RESET, 2.0, 2.7), cells[::3], averages=4, sub_averages=2)
    board.pulse_and_read(_pulses(cells[::2], Polarity.SET, 1.2, np.linspace(0.8, 2.0, len(cells[::2]))), None)
    board.pulse_and_read(_pulses(cells[:3], Polarity.FORM, 3.3, 1.6), cells, tia_range=TiaRange.FINE)


def _solve(board: Board) -> None:
    rows, columns = np.arange(6), np.array([0, 2])
    volts = np.linspace(-0.2, 0.1, 12).reshape(2, 6)
    bias, feedback = np.full(2, 1e-6), np.full(2, 5e-5)
    board.compensate(rows, np.linspace(1e-4, 1e-3, 6))
    board.solve([
        SolveGroup(rows, columns, volts, 5e-6, 4, Constraint.RECTIFIER, feedback, bias),
        SolveGroup(rows[::2], columns, volts[:, ::2], 5e-6, 1, Constraint.NONE),
        SolveGroup(rows, columns[:1], volts, 5e-6, 2, Constraint.RAIL),
    ])  # fmt: skip


def _multiply(board: Board) -> None:
    for array in (0, 1):
        board.multiply(array, np.array([0, 3, 9]), np.array([0, 1, 3]), np.full((3, 3), 0.05), averages=3)


def _small_commands(board: Board) -> None:
    board.wait(0.01)
    board.temperature_celsius()
    board.status()
    for kind, payload in (
        (Command.TIGHTEN, wire.TightenRequest(wire.LimitKind.GATE_CODE, 30_000).pack()),
        (Command.ROUTE, wire.RouteRequest(wire.Route.CELL_TO_SMU, 1, 3, 2).pack()),
        (Command.ROUTE, wire.RouteRequest(wire.Route.OUTPUTS_TO_DAQ, 0, 0, 0).pack()),
        (Command.ROUTE, wire.RouteRequest(wire.Route.NOTHING, 0, 0, 0).pack()),
    ):
        board.link.run([(kind, payload)])
    board.safe()


def _ports(board: Board) -> None:
    rows, columns = np.arange(16), np.arange(board.columns)
    for route in wire.Route:
        board.ports.route(route, row=int(route != wire.Route.INPUTS_TO_DAQ), column=2)
        if route < wire.Route.INPUT_TO_SMU:
            continue
        board.ports.hold_inputs(rows, np.linspace(-2.4, 2.4, 16))
        board.ports.hold_amplitudes(columns, np.full(len(columns), 3.3))
        board.ports.hold_gate(3.0)
        board.ports.hold_feedback(columns, np.full(len(columns), 1e-4))
        board.ports.hold_bias(columns, np.full(len(columns), -1e-6))
        for source in wire.SampleSource:
            board.ports.sample(source, averages=2)
    _program(board)


def _said(board_name: str, says: Callable[[Board], None]) -> bytes:
    """Records of a whole conversation, from IDENTIFY to CLOSE."""
    transport = RecordingTransport(board_name)
    with Board(Link(transport)) as board:
        says(board)
    return b"".join(transport.records)


def _pulse(*words: int, gate_code: int = 20_000) -> bytes:
    section = wire.PulseSection(
        0, Polarity.SET, wire.Layout.CELLS, wire.Target.COMMON, 10, 20_000, gate_code, len(words)
    )
    return frame_record(Command.PULSE, section.pack() + np.array(words, "<u2").tobytes())


def _at_limits() -> bytes:
    """Pulses at each limit, and one step beyond: refused, if the board is sound."""
    most = wire.LIMIT_AMPLITUDE_CODE, wire.LIMIT_GATE_CODE, wire.LIMIT_WIDTH_TICKS
    energy = (wire.LIMIT_PULSE_ENERGY + 1) << 20
    form_ticks = energy // wire.LIMIT_FORM_CODE**2
    said = [frame_record(Command.OPEN, OPEN)]
    for polarity, amplitude, gate, width, pulses in (
        (Polarity.SET, *most, 1), (Polarity.SET, most[0] + 1, 9, 9, 1), (Polarity.RESET, most[0] + 1, 9, 9, 1),
        (Polarity.RESET, 9, most[1] + 1, 9, 1), (Polarity.RESET, 9, 9, most[2] + 1, 1),
        (Polarity.FORM, wire.LIMIT_FORM_CODE, 9, form_ticks, 1), (Polarity.FORM, wire.LIMIT_FORM_CODE + 1, 9, 9, 1),
        (Polarity.FORM, wire.LIMIT_FORM_CODE, 9, form_ticks + 1, 1), (Polarity.RESET, 9, 9, most[2], 100),
        (Polarity.RESET, 9, 9, most[2], 101),
    ):  # fmt: skip
        section = wire.PulseSection(
            0, polarity, wire.Layout.CELLS, wire.Target.COMMON, width, amplitude, gate, pulses
        )
        said.append(frame_record(Command.PULSE, section.pack() + np.full(pulses, 5, "<u2").tobytes()))
    lowered = wire.TightenRequest(wire.LimitKind.GATE_CODE, 20_000).pack()
    raised = wire.TightenRequest(wire.LimitKind.GATE_CODE, 20_001).pack()
    amplitudes = np.array([5, 100, 6, 40_000], "<u2").tobytes()
    section = wire.PulseSection(0, Polarity.RESET, wire.Layout.CELLS, wire.Target.AMPLITUDE, 10, 0, 9, 4)
    return b"".join([
        *said, frame_record(Command.PULSE, section.pack() + amplitudes), frame_record(Command.TIGHTEN, lowered),
        frame_record(Command.TIGHTEN, raised), _pulse(1, 2), _pulse(1, 2, gate_code=20_001),
    ])  # fmt: skip


def _happenings() -> dict[str, bytes]:
    """What no driver does by itself: chips that break, silence, heat, resets, echoes, half frames, floods, retries."""
    begin, pulse, status = frame_record(Command.OPEN, OPEN), _pulse(1, 2, 6), frame_record(Command.STATUS)
    wait = frame_record(Command.WAIT, (1_000_000).to_bytes(4, "little"))
    coded = Frame(Command.STATUS, 0, 0x0B0B, 7, b"").encode()
    repeated = record(FRAME, bytes([RIGHT_SESSION]) + wire.Header(Command.PULSE, 0, 0, 0).pack())
    ahead = record(FRAME, bytes([RIGHT_SESSION]) + wire.Header(Command.PULSE, 0, 0, 9).pack())
    other_host = record(FRAME, bytes([RIGHT_HASH]) + wire.Header(Command.OPEN, 0, 77, 1).pack() + OPEN)
    mismatch = record(FRAME, bytes([RIGHT_SESSION]) + wire.Header(Command.OPEN, 0, 0, 1).pack() + bytes(6))
    resume = frame_record(Command.OPEN, wire.OpenRequest(wire.WIRE_HASH, 1).pack())
    safe = wire.Header(Command.SAFE, 0, 0, 1).pack()
    return {
        "dead-man": begin + pulse + record(TIME, (2001).to_bytes(2, "little")) + pulse + resume + status,
        "heat": begin + pulse + record(INPUTS, b"\1") + pulse + status + begin + record(INPUTS, b"\0") + begin + pulse,
        "broken-chips": begin + record(BREAK_CHIPS, b"\1") + pulse + record(BREAK_CHIPS, b"\0") + begin + pulse,
        "silent-chips": begin + record(SILENCE_CHIPS, b"\2") + pulse + status + begin + pulse,
        "reset": begin + pulse + record(RESET, b"\2") + pulse + status + begin + pulse,
        "half-frames": record(RAW, coded[:5]) + record(STEP) + record(RAW, coded[5:]) + record(STEP)
        + record(RAW, bytes(50)) + record(RAW, b"\xff" * 700) + record(STEP) + status,
        "echo": begin + record(FRAME, bytes([1]) + wire.Header(0x80 | Command.SAFE, 0, 0, 1).pack()) + status,
        "retries": begin + pulse * 2 + repeated * 3 + ahead + pulse * 18 + repeated,
        "two-hosts": begin + other_host + pulse + frame_record(Command.CLOSE) + other_host + pulse,
        "wire-mismatch": begin + pulse + mismatch + pulse + status,
        "safe-in-a-long-wait": begin + wait[:3] + bytes([wait[3] | NO_STEP]) + wait[4:]
        + record(FRAME, bytes([RIGHT_SESSION]) + safe) + status,
    }  # fmt: skip


def main() -> None:
    """Write every seed."""
    CORPUS.mkdir(exist_ok=True)
    for old in CORPUS.iterdir():
        old.unlink()
    says = {"program": _program, "solve": _solve, "multiply": _multiply, "small-commands": _small_commands,
            "ports": _ports}
    for number, board_name in enumerate(BOARDS):
        for name, what in says.items():
            (CORPUS / f"{board_name}-{name}").write_bytes(bytes([number]) + _said(board_name, what))
    for name, records in (_happenings() | {"at-limits": _at_limits()}).items():
        (CORPUS / name).write_bytes(b"\0" + records)


if __name__ == "__main__":
    main()
