"""Frames straight into a simulated board: the shortest way to what it answers, with a wall clock of the test's own."""

from __future__ import annotations

import numpy as np

from hwloop.link import protocol as wire
from hwloop.link.frames import Frame
from hwloop.link.protocol import REPLY_BIT, Command, Layout, Polarity, Status, Target, TiaRange
from hwloop.mock.bench import Bench
from hwloop.mock.bench_config import BenchConfig
from hwloop.mock.board import SimulatedBoard

SESSION = 0x0B0B
VOLTS_2, GATE_2 = 26214, 26214


class Host:
    """A host that counts sequence numbers; `now` is the wall clock in seconds."""

    def __init__(self, board: SimulatedBoard | None = None, session: int = SESSION, **config):
        config.setdefault("board_name", "hwloop-16x4")
        self.board = board or SimulatedBoard(Bench(BenchConfig(**config)))
        self.session, self.sequence, self.tag, self.now = session, 0, 0, 0.0

    def ask(self, kind: Command, payload: bytes = b"") -> Frame | None:
        """The reply to an unsequenced request."""
        self.tag += 1
        return self.board.handle(Frame(kind, 0, self.session, self.tag, payload), self.now)

    def open(self, resume: int = 0) -> Frame:
        reply = self.ask(Command.OPEN, wire.OpenRequest(wire.WIRE_HASH, resume).pack())
        if reply.status == Status.OK:
            self.sequence = wire.OpenReply.unpack(reply.payload).expected_sequence
        return reply

    def command(self, kind: Command, payload: bytes = b"", sequence: int | None = None) -> Frame:
        """The reply to a sequenced command; the next number unless one is given."""
        if sequence is None:
            sequence, self.sequence = self.sequence, (self.sequence + 1) & 0xFFFF
        return self.board.handle(Frame(kind, 0, self.session, sequence, payload), self.now)

    def done(self, kind: Command, payload: bytes = b"") -> bytes:
        """The payload of the reply to a command that has to succeed."""
        reply = self.command(kind, payload)
        assert reply.status == Status.OK and reply.kind == kind | REPLY_BIT, reply
        return reply.payload

    def ticks(self, kind: Command, payload: bytes = b"") -> int:
        """Elapsed ticks of a command as it says itself; the bench's clock has to agree."""
        before = self.board.bench.ticks
        elapsed = int.from_bytes(self.done(kind, payload)[:4], "little")
        assert self.board.bench.ticks - before == elapsed
        return elapsed

    def refused(self, kind: Command, payload: bytes = b"") -> tuple[Status, wire.Refusal]:
        """Status and refusal of a command that must change nothing."""
        before = snapshot(self.board)
        reply = self.command(kind, payload)
        assert reply.status != Status.OK
        assert snapshot(self.board) == before, "a refused command changed the bench"
        return Status(reply.status), wire.Refusal.unpack(reply.payload)


def snapshot(board: SimulatedBoard) -> tuple:
    """Everything that commands can change."""
    registers = vars(board.panel.registers).values()
    return (
        board.bench.ticks,
        *(value.tobytes() if isinstance(value, np.ndarray) else value for value in registers),
        *(values.tobytes() for values in board.bench.cells.cell_state),
    )


def opened(**config) -> Host:
    host = Host(**config)
    assert host.open().status == Status.OK
    return host


def words(*values: int) -> bytes:
    return np.array(values, np.int64).astype("<u2").tobytes()


def pulse_section(
    *listed: int, array: int = 0, polarity: int = Polarity.RESET, layout: int = Layout.CELLS,
    target: int = Target.COMMON, width_ticks: int = 10, amplitude_code: int = VOLTS_2, gate_code: int = GATE_2,
) -> bytes:
    fixed = wire.PulseSection(array, polarity, layout, target, width_ticks, amplitude_code, gate_code, len(listed))
    return fixed.pack() + words(*listed)


def read_request(
    *listed: int, array: int = 0, layout: int = Layout.CELLS, averages: int = 1, sub_averages: int = 1,
    tia_range: int = TiaRange.COARSE, spread_code: int = 100,
) -> bytes:
    request = wire.ReadRequest(tia_range, sub_averages, averages, spread_code).pack()
    return request + wire.ReadSection(array, layout, len(listed)).pack() + words(*listed)


def solve_section(
    *listed: int, rows: int = 0, columns: int = 0b1, row_count: int = 1, solves: int = 1, averages: int = 1,
    settle_ticks: int = 50, constraint: int = 0, feedback: int = 0, bias_divider: int = 0,
) -> bytes:
    fixed = wire.SolveSection(
        constraint, rows, feedback, bias_divider, averages, columns, settle_ticks, row_count, solves
    )
    return fixed.pack() + words(*listed)


def mvm_section(
    *listed: int, array: int = 0, rows: int = 0, columns: int = 0b1, row_count: int = 1, products: int = 1,
    averages: int = 1, settle_ticks: int = 50, tia_range: int = TiaRange.COARSE,
) -> bytes:
    fixed = wire.MvmSection(array, rows, tia_range, 0, averages, columns, settle_ticks, row_count, products)
    return fixed.pack() + words(*listed)
