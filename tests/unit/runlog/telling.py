"""Journals of a small board with everything in them that a run can hold, told frame by frame, so that all is known."""

import numpy as np

from hwloop.drivers.board.cell_frames import pack_pulses, pack_reads
from hwloop.drivers.board.scales import Scales
from hwloop.drivers.board.solving import SolveGroup, pack_products, pack_solves
from hwloop.drivers.cells import CellPulses, Polarity
from hwloop.link import protocol as wire
from hwloop.link.protocol import Command, TiaRange
from hwloop.runlog.bodies import Replies, ReplyFrame, Requests
from hwloop.runlog.journal import JournalWriter

ROWS, COLUMNS = 16, 4
DESCRIBE = wire.DescribeReply(
    ROWS, COLUMNS, 512, 4, 0, 1, 5_000_000, 5_000_000, 2_500_000, 2_560_000, 8, 300_000, 200_000, 5_000, 50_000,
    100_000, 7_200_000, 205_000, 50_000, 10_000_000, 24, 30_400, 32_768, 43_254, 39_322, 10_000, 1_000_000, 10_240_000,
    5_000, 50_000, 8_192_000,
)
SCALES = Scales.nominal(DESCRIBE)
CREATED = "2026-03-04T05:06:07.000008+00:00"
PROGRAM = {
    "strategy": "adaptive", "tolerance": 0.02, "conductance_min_siemens": 3e-6, "conductance_max_siemens": 225e-6,
    "hrs_limit_siemens": 5e-6,
}


class Teller:
    """Writes a journal, one exchange after the other; `ticks` is the bench clock."""

    def __init__(self, path):
        self.writer = JournalWriter.create(path)
        self.exchanges, self.ticks = 0, 0

    def begin(self, kind="image", **fields):
        """Event "run", IDENTIFY, DESCRIBE, OPEN, event "board"."""
        self.event(
            "run", name="told", kind=kind, options={"rank": 2}, rig={"name": "default", "program": PROGRAM}, seed=7,
            created=CREATED, hwloop="0.1.0", python="3.11", wire_hash="b9b6463d", arguments=["factorize", kind],
            **fields,
        )
        self.event("input", {"data": np.arange(5, dtype=np.uint8)}, name="p.png", sha256="ab" * 32, bytes=5,
                   embedded=True, option="path")
        identity = wire.IdentifyReply(wire.WIRE_HASH, 65536, 1, 1, 1, b"hwloop-16x4")
        self.exchange([(Command.IDENTIFY, b"")], [identity.pack()])
        self.exchange([(Command.DESCRIBE, b"")], [DESCRIBE.pack()])
        self.exchange([(Command.OPEN, wire.OpenRequest(wire.WIRE_HASH, 0).pack())], [wire.OpenReply(0, 0, 1).pack()])
        self.event("board", board={"name": "hwloop-16x4", "serial": 1, "scales": {"rows": ROWS}},
                   array={"serial": 9, "rows": ROWS, "columns": COLUMNS, "bad_cells": {"5": "stuck high"}})
        return self

    def event(self, name, arrays=None, /, **fields):
        self.writer.event(name, fields, arrays)

    def exchange(self, requests, replies, unknown=()):
        """Requests, and one record of the replies that came (those that are not None)."""
        self.writer.requests(Requests(self.exchanges, 1, 0, requests))
        if any(reply is not None for reply in replies):
            self.replies(requests, replies, self.exchanges, unknown)
        self.exchanges += 1

    def replies(self, requests, replies, exchange, unknown=()):
        frames = []
        for index, reply in enumerate(replies):
            if reply is not None:
                if requests[index][0] in wire.SEQUENCED:
                    self.ticks += int.from_bytes(reply[:4], "little")
                frames.append(ReplyFrame(index, 0, reply, index in unknown))
        self.writer.replies(Replies(exchange, 10, 20, self.ticks, frames))

    def pulse_and_read(self, cells, amplitude_volts, gate_volts, codes, polarity=Polarity.SET, answered=True):
        """One step of write-verify: cells are pulsed (not where `amplitude_volts` is None) and read `codes` (n,)."""
        requests, replies = [], []
        if amplitude_volts is not None:
            same = (np.full(len(cells), value) for value in (polarity, amplitude_volts, gate_volts, 1e-6))
            pulses = CellPulses(cells, *same)
            for payload in pack_pulses(SCALES, pulses).payloads:
                requests.append((Command.PULSE, payload))
                replies.append(wire.PulseReply(100, 1).pack())
        packed = pack_reads(SCALES, cells, 1, 3, 0.5e-6, TiaRange.COARSE)
        done = 0
        for payload, count in zip(packed.payloads, packed.counts, strict=True):
            own = np.asarray(codes)[packed.order[done : done + count]]
            bits = np.zeros(-(-count // 16) * 16, np.uint8)
            bits[:count] = 1
            requests.append((Command.READ, payload))
            steady = np.packbits(bits, bitorder="little").tobytes()
            replies.append(wire.ReadReply(200).pack() + own.astype("<u2").tobytes() + steady)
            done += count
        self.exchange(requests, replies if answered else [None] * len(replies))

    def programmed(self, number, cells, target_siemens, accepted):
        outcome = np.where(accepted, 0, 2).astype(np.int8)
        self.event(
            "programmed",
            {"cells": cells.astype(np.uint32), "target_siemens": np.asarray(target_siemens, np.float32),
             "outcome": outcome},
            round=number, cells=len(cells), accepted=int(np.sum(accepted)), given_up=int(np.sum(~accepted)), steps=1,
            cell_pulses=len(cells), row_pulses=2,
        )

    def solve(self, groups, output_codes, flags):
        """A SOLVE of `groups`; one (n, k) array of output codes and one (n, 2) array of flags a group."""
        payloads = pack_solves(SCALES, groups).payloads
        assert len(payloads) == 1
        self.exchange([(Command.SOLVE, payloads[0])], [wire.SolveReply(500, 100).pack() + _answer(output_codes, flags)])

    def multiply(self, array, rows, columns, input_volts, output_codes, tia_range):
        payloads = pack_products(SCALES, array, rows, columns, input_volts, tia_range, 4, 5e-6).payloads
        flags = [np.zeros((len(input_volts), 2), bool)]
        self.exchange([(Command.MVM, payloads[0])], [wire.MvmReply(300, 50).pack() + _answer([output_codes], flags)])

    def close(self):
        self.writer.close()


def _answer(output_codes, flags):
    words = b""
    for codes, pair in zip(output_codes, flags, strict=True):
        bits = np.zeros(-(-2 * len(codes) // 16) * 16, np.uint8)
        bits[: 2 * len(codes)] = np.ravel(pair)
        words += np.asarray(codes).astype("<i2").tobytes() + np.packbits(bits, bitorder="little").tobytes()
    return words


def tell_everything(path, result=None):
    """A journal with two programming rounds, solves, products, compensation, temperature, iterations, factors, and,
    where there is one, a result; gives the teller, closed."""
    teller = Teller(path).begin()
    rng = np.random.default_rng(3)
    teller.event("phase", phase="circuit", done=0, total=2)
    cells = np.arange(0, 2 * ROWS * COLUMNS, 3)
    target = rng.uniform(10e-6, 200e-6, len(cells))
    codes = np.rint(target / SCALES.siemens_from_read_codes(1, TiaRange.COARSE, 0)).astype(int)
    for number in (1, 2):
        teller.pulse_and_read(cells, None, None, codes - 5000 * (codes > 6000))
        teller.pulse_and_read(cells, 1.2, rng.uniform(1.0, 2.0, len(cells)), codes)
        teller.programmed(number, cells, target, np.ones(len(cells), bool))
    pairs = np.array([[3, 100], [4, 200]], "<u2")
    teller.exchange(
        [(Command.COMPENSATE, wire.CompensateRequest(0).pack() + pairs.tobytes())], [wire.CompensateReply(30).pack()]
    )
    teller.exchange([(Command.TEMPERATURE, b"")], [wire.TemperatureReply(10, 2512).pack()])
    plain = SolveGroup(np.array([0, 3, 5]), np.array([0, 2]), rng.uniform(-0.5, 0.5, (3, 3)), 5e-6, 4)
    ridged = SolveGroup(
        np.arange(12), np.array([1, 3]), rng.uniform(-0.5, 0.5, (1, 12)), 10e-6, 4,
        feedback_siemens=np.array([1e-6, 2e-6]), bias_amps=np.array([1e-6, -2e-6]),
    )
    teller.solve(
        [plain, ridged], [np.array([[1, 2], [3, 4], [5, -6]]), np.array([[700, 800]])],
        [np.array([[0, 0], [1, 0], [0, 1]]), np.array([[0, 0]])],
    )
    teller.multiply(1, np.array([0, 1]), np.array([0, 1, 2]), np.array([[0.1, 0.2]]), [[10, -20, 30]], TiaRange.FINE)
    teller.event("note", text="hello")
    for iteration in (1, 2):
        teller.event("iteration", label="image", iteration=iteration, of=2, residual=0.1 / iteration,
                     quality=30.0 + iteration, quantity="PSNR", unit="dB")
    teller.event("factors", {"w": np.ones((2, 8, 2)), "h": np.full((2, 2, 8), 0.5)}, label="image", iteration=2)
    if result is not None:
        told = result.to_event()
        teller.writer.event(told.name, told.fields, told.arrays)
    teller.event("end")
    teller.close()
    return teller
