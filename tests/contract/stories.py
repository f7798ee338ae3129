"""Sequences of frames that exercise a board in every command, sound and refused, the same every time."""

from __future__ import annotations

import numpy as np

from hwloop.link import protocol as wire
from hwloop.link.frames import Frame
from hwloop.link.protocol import (
    BiasDivider,
    Command,
    Constraint,
    Hold,
    Layout,
    LimitKind,
    Polarity,
    Route,
    Rows,
    Target,
)

SESSION = 0x51AB
_BIAS_FOLLOWS = 0x80


class Story:
    """Frames of one host, in order: random but sound commands, and what a board must refuse."""

    def __init__(self, geometry: wire.BoardGeometry, seed: int):
        self.geometry, self.rows, self.columns = geometry, geometry.rows, geometry.columns
        self.rng = np.random.default_rng(seed)
        self.frames: list[Frame] = []
        self.sequence = self.tag = 0
        for kind in (Command.IDENTIFY, Command.DESCRIBE, Command.STATUS):
            self.ask(kind)
        self.ask(Command.WAIT, wire.WaitRequest(1).pack())      # not open yet
        self.open()

    def ask(self, kind: int, payload: bytes = b"") -> None:
        """A request without a sequence number of its own."""
        self.tag += 1
        self.frames.append(Frame(kind, 0, SESSION, self.tag, payload))

    def open(self, resume: int = 0) -> None:
        self.ask(Command.OPEN, wire.OpenRequest(wire.WIRE_HASH, resume).pack())
        if not resume:
            self.sequence = 0

    def command(self, kind: int, payload: bytes = b"") -> None:
        """A sequenced command, which takes its number."""
        self.frames.append(Frame(kind, 0, SESSION, self.sequence, payload))
        self.sequence = (self.sequence + 1) & 0xFFFF

    def commands(self, count: int) -> None:
        """So many sound commands of all kinds."""
        kinds = (
            self.pulse, self.pulse, self.read, self.read, self.solve, self.solve, self.solve, self.multiply,
            self.compensate, self.route, self.wait, self.temperature, self.ports, self.sample,
        )  # fmt: skip
        for _ in range(count):
            self.rng.choice(kinds)()
        self.ask(Command.STATUS)

    def pulse(self) -> None:
        sections = b"".join(self._pulse_section() for _ in range(self._below(3) + 1))
        self.command(Command.PULSE, sections)

    def read(self, averages: int | None = None) -> None:
        averages = averages or self._below(6) + 1
        request = wire.ReadRequest(self._below(2), self._below(3) + 1, averages, self._below(200)).pack()
        for _ in range(self._below(2) + 1):
            layout = self._below(2)
            listed = self._cells(12) if layout == Layout.CELLS else self._row_words(4)
            request += wire.ReadSection(self._below(2), layout, len(listed)).pack() + _words(listed)
        self.command(Command.READ, request)

    def solve(self, averages: int | None = None) -> None:
        payload = b""
        for _ in range(self._below(3) + 1):
            rows, columns, solves = self._bank()
            feedback, bias, divider = self._below(2), self._below(2), self._below(BiasDivider.BY_256 + 1)
            listed, words = self._listed(rows)
            if feedback:
                words += self._integers(0, wire.LIMIT_FEEDBACK_CODE, len(columns))
            if bias:
                words += self._integers(-wire.LIMIT_BIAS_CODE, wire.LIMIT_BIAS_CODE, len(columns))
            words += self._inputs(solves * len(rows))
            payload += wire.SolveSection(
                self._below(Constraint.NONE + 1), listed, feedback, divider | bias * _BIAS_FOLLOWS,
                averages or self._below(4) + 1, _mask(columns), 50 + self._below(1000), len(rows), solves,
            ).pack() + _words(words)
        self.command(Command.SOLVE, payload)

    def multiply(self) -> None:
        payload = b""
        for _ in range(self._below(2) + 1):
            rows, columns, products = self._bank()
            listed, words = self._listed(rows)
            words += self._inputs(products * len(rows))
            payload += wire.MvmSection(
                self._below(2), listed, self._below(2), 0, self._below(4) + 1, _mask(columns), 50 + self._below(300),
                len(rows), products,
            ).pack() + _words(words)
        self.command(Command.MVM, payload)

    def compensate(self) -> None:
        rows = self.rng.permutation(self.rows)[: self._below(min(self.rows, 32)) + 1]
        codes = self.rng.integers(0, wire.LIMIT_COMPENSATION_CODE + 1, len(rows))
        pairs = np.stack([rows, codes], axis=1)
        self.command(Command.COMPENSATE, wire.CompensateRequest(self._below(2)).pack() + _words(pairs.ravel()))

    def route(self, kind: int | None = None) -> None:
        kind = self._below(Route.LOOPBACK + 1) if kind is None else kind
        row, column = self._below(self.rows), self._below(self.columns)
        if kind in (Route.REFERENCE_TO_SMU, Route.REFERENCE_TO_TIA):
            row = self._below(2)
        elif kind == Route.INPUTS_TO_DAQ:
            row -= row % 16
        self.command(Command.ROUTE, wire.RouteRequest(kind, self._below(2), row, column).pack())

    def ports(self) -> None:
        """Levels held for instruments from one route to the next, and what the ADCs see of it."""
        for _ in range(self._below(3) + 1):
            self.route(Route.INPUT_TO_SMU + self._below(Route.LOOPBACK - Route.INPUT_TO_SMU + 1))
            for _ in range(self._below(4)):
                self.hold()
            if self._below(2):
                self.compensate()
            self.sample()

    def hold(self) -> None:
        """Some channels, some of them twice."""
        what = self._below(Hold.BIAS + 1)
        channels, low, high = {
            Hold.AMPLITUDE: (self.columns, 0, 5000), Hold.GATE: (1, 0, wire.LIMIT_GATE_CODE),
            Hold.INPUT: (self.rows, -32_768, 32_767), Hold.FEEDBACK: (self.columns, 0, wire.LIMIT_FEEDBACK_CODE),
            Hold.BIAS: (self.columns, -wire.LIMIT_BIAS_CODE, wire.LIMIT_BIAS_CODE),
        }[Hold(what)]
        count = self._below(9)
        pairs = np.stack([self.rng.integers(0, channels, count), self.rng.integers(low, high + 1, count)], axis=1)
        divider = self._below(BiasDivider.BY_256 + 1) if what == Hold.BIAS else 0
        self.command(Command.HOLD, wire.HoldRequest(what, divider).pack() + _words(pairs.ravel()))

    def sample(self, averages: int | None = None) -> None:
        averages = averages or self._below(9) + 1
        self.command(Command.SAMPLE, wire.SampleRequest(self._below(3), self._below(2), averages).pack())

    def wait(self) -> None:
        self.command(Command.WAIT, wire.WaitRequest(int(10 ** self.rng.uniform(0, 7))).pack())

    def temperature(self) -> None:
        self.command(Command.TEMPERATURE)

    def retries_and_gaps(self) -> None:
        """Sequence numbers that are not the next: answered from the cache, out of it, and ahead."""
        for sequence in (self.sequence - 1, self.sequence - 3, self.sequence - 200, self.sequence + 1):
            self.frames.append(Frame(Command.TEMPERATURE, 0, SESSION, sequence & 0xFFFF, b""))
        other = Frame(Command.OPEN, 0, SESSION + 1, 1, wire.OpenRequest(wire.WIRE_HASH, 0).pack())
        self.frames += [other, Frame(Command.WAIT, 0, SESSION + 1, 0, wire.WaitRequest(9).pack())]

    def grounded_and_opened_again(self) -> None:
        self.ask(Command.SAFE)
        self.frames.append(Frame(Command.TEMPERATURE, 0, SESSION, self.sequence, b""))
        self.ask(Command.STATUS)
        self.open(resume=1)
        self.read()

    def tighten(self) -> None:
        """Limits go down, and hold."""
        for kind, value in ((LimitKind.WIDTH_TICKS, 300), (LimitKind.GATE_CODE, 35000), (LimitKind.WIDTH_TICKS, 301)):
            self.command(Command.TIGHTEN, wire.TightenRequest(kind, value).pack())
        self.ask(Command.DESCRIBE)
        self.command(Command.PULSE, self._pulse_section(width_ticks=400))

    def refusals(self) -> None:
        """One of each: a field beyond its limit, a payload of a wrong length, a command that is none."""
        beyond = self.rows * self.columns
        for bad in (
            {"array": 2}, {"polarity": 3}, {"layout": 2}, {"target": 3}, {"width_ticks": 0}, {"width_ticks": 10_001},
            {"amplitude_code": 32_769, "polarity": Polarity.RESET, "target": Target.COMMON},
            {"amplitude_code": 43_255, "polarity": Polarity.FORM, "target": Target.COMMON},
            {"gate_code": 39_323, "target": Target.COMMON}, {"listed": [1, beyond]},
            {"amplitude_code": 42_000, "polarity": Polarity.FORM, "width_ticks": 9_000, "target": Target.COMMON},
            {"layout": Layout.ROWS, "target": Target.COMMON, "listed": [self.rows, 1]},
            {"layout": Layout.ROWS, "target": Target.COMMON, "listed": [1, 0]},
            {"target": Target.COMMON, "width_ticks": 10_000, "amplitude_code": 9, "listed": [0] * 101},
        ):  # fmt: skip
            self.command(Command.PULSE, self._pulse_section(**({"listed": [0, 1]} | bad)))
        cell = wire.ReadSection(0, Layout.CELLS, 1).pack() + _words([0])
        for request in (
            wire.ReadRequest(2, 1, 1, 0), wire.ReadRequest(0, 0, 1, 0), wire.ReadRequest(0, 255, 4096, 0),
        ):  # fmt: skip
            self.command(Command.READ, request.pack() + cell)
        whole = [word for row in range(self.rows) for word in (row, (1 << self.columns) - 1)]
        sections = wire.ReadSection(0, Layout.ROWS, len(whole)).pack() + _words(whole)
        room = self.geometry.max_frame_bytes // 2
        many = sections * (1 + room // (self.rows * self.columns))
        if len(many) < self.geometry.max_frame_bytes - 20:
            self.command(Command.READ, wire.ReadRequest(0, 1, 1, 0).pack() + many)
        section = dict(
            constraint=0, rows=0, feedback=0, bias_divider=0, averages=1, column_mask=1, settle_ticks=50, row_count=1,
            solve_count=1,
        )
        for bad in (
            {"constraint": 3}, {"rows": 2}, {"feedback": 2}, {"bias_divider": 3}, {"averages": 0}, {"averages": 4097},
            {"column_mask": 0}, {"column_mask": 1 << self.columns & 0xFFFF}, {"settle_ticks": 49}, {"row_count": 0},
            {"row_count": self.rows + 1}, {"solve_count": 0},
        ):  # fmt: skip
            self.command(Command.SOLVE, wire.SolveSection(**(section | bad)).pack() + _words([0, 5]))
        self.command(Command.SOLVE, wire.SolveSection(**section).pack() + _words([self.rows, 5]))
        self.command(Command.SOLVE, wire.SolveSection(**section | {"row_count": 2}).pack() + _words([3, 3, 5, 5]))
        self.command(Command.COMPENSATE, wire.CompensateRequest(0).pack() + _words([self.rows, 0]))
        self.command(Command.COMPENSATE, wire.CompensateRequest(0).pack() + _words([0, 1024]))
        self.command(Command.ROUTE, wire.RouteRequest(15, 0, 0, 0).pack())
        self.command(Command.ROUTE, wire.RouteRequest(Route.REFERENCE_TO_TIA, 0, 2, 0).pack())
        self.command(Command.ROUTE, wire.RouteRequest(Route.INPUTS_TO_DAQ, 0, 9, 0).pack())
        self.route(Route.NOTHING)
        self.command(Command.HOLD, wire.HoldRequest(0, 0).pack() + _words([0, 1]))
        self.route(Route.CELL_TO_SMU)
        self.command(Command.HOLD, wire.HoldRequest(0, 0).pack() + _words([0, 1]))
        self.route(Route.ROW_TO_SMU)
        for what, divider, pairs in (
            (5, 0, []), (Hold.BIAS, 3, []), (Hold.GATE, 1, []), (Hold.AMPLITUDE, 0, [0, 1, self.columns, 1]),
            (Hold.AMPLITUDE, 0, [0, 43_254, 1, 43_255]), (Hold.GATE, 0, [1, 1]), (Hold.GATE, 0, [0, 39_323]),
            (Hold.INPUT, 0, [self.rows, 1]), (Hold.FEEDBACK, 0, [0, 4096]), (Hold.FEEDBACK, 0, [self.columns, 1]),
            (Hold.BIAS, 0, [0, -2048]), (Hold.BIAS, 0, [self.columns, 0]), (Hold.INPUT, 0, [3]),
        ):  # fmt: skip
            self.command(Command.HOLD, wire.HoldRequest(what, divider).pack() + _words(pairs))
        for request in ((3, 0, 1), (0, 2, 1), (0, 0, 0), (0, 0, 4097)):
            self.command(Command.SAMPLE, wire.SampleRequest(*request).pack())
        self.command(Command.ROUTE, wire.RouteRequest(1, 0, 0, self.columns).pack())
        self.command(Command.TIGHTEN, wire.TightenRequest(6, 0).pack())
        self.command(Command.TIGHTEN, wire.TightenRequest(LimitKind.GATE_CODE, 39_323).pack())
        for kind in (Command.PULSE, Command.READ, Command.SOLVE, Command.MVM, Command.COMPENSATE, Command.WAIT,
                     Command.HOLD, Command.SAMPLE):  # fmt: skip
            self.command(kind, b"\x01\x01\x01")
        self.command(Command.TEMPERATURE, b"\0")
        self.ask(99)

    def _pulse_section(self, **given) -> bytes:
        target, layout = self._below(3), self._below(2)
        fields = dict(
            array=self._below(2), polarity=self._below(3), layout=layout, target=target,
            width_ticks=1 + self._below(250), amplitude_code=self._below(32_768), gate_code=self._below(34_000),
        ) | {name: value for name, value in given.items() if name != "listed"}  # fmt: skip
        listed = given.get("listed")
        if listed is None:
            listed = self._pulsed(fields["layout"], fields["target"])
        return wire.PulseSection(*fields.values(), len(listed)).pack() + _words(listed)

    def _pulsed(self, layout: int, target: int) -> list[int]:
        if layout == Layout.CELLS:
            cells = self._cells(16)
            if target == Target.COMMON:
                return cells
            return [word for cell in cells for word in (cell, self._below(32_000))]
        words = []
        for _ in range(self._below(5) + 1):
            mask = 1 + self._below((1 << self.columns) - 1)
            codes = {Target.COMMON: 0, Target.GATE: 1, Target.AMPLITUDE: mask.bit_count()}[target]
            words += [self._below(self.rows), mask, *self._integers(0, 32_000, codes)]
        return words

    def _cells(self, most: int) -> list[int]:
        """Some in rising order, some as they come, some twice."""
        cells = self.rng.integers(0, self.rows * self.columns, self._below(most) + 1)
        cells = np.concatenate([cells, cells[0] + np.arange(3)]) % (self.rows * self.columns)
        return (np.sort(cells) if self._below(2) else cells).tolist()

    def _row_words(self, most: int) -> list[int]:
        return [
            word for _ in range(self._below(most) + 1)
            for word in (self._below(self.rows), 1 + self._below((1 << self.columns) - 1))
        ]  # fmt: skip

    def _bank(self) -> tuple[np.ndarray, np.ndarray, int]:
        """Rows, columns, and a number of solves that fits into a frame with them."""
        rows = np.sort(self.rng.permutation(self.rows)[: self._below(min(self.rows, 64)) + 1])
        if self._below(2):
            rows = np.arange(rows[0], min(rows[0] + len(rows), self.rows))
        columns = np.sort(self.rng.permutation(self.columns)[: self._below(self.columns) + 1])
        return rows, columns, 1 + self._below(max(1, min(5, self.geometry.max_frame_bytes // 10 // len(rows))))

    def _listed(self, rows: np.ndarray) -> tuple[int, list[int]]:
        """Rows as indices, or as a mask that begins a few rows before them."""
        if self._below(2):
            return Rows.INDICES, rows.tolist()
        first = max(int(rows[0]) - self._below(3), 0)
        mask = sum(1 << int(row) - first for row in rows)
        count = -(-mask.bit_length() // 16)
        return Rows.MASK, [first, count, *(mask >> 16 * word & 0xFFFF for word in range(count))]

    def _inputs(self, count: int) -> list[int]:
        largest = int(10 ** self.rng.uniform(1, 4.5))
        return self._integers(-largest, largest, count)

    def _integers(self, low: int, high: int, count: int) -> list[int]:
        return self.rng.integers(low, high + 1, count).tolist()

    def _below(self, bound: int) -> int:
        return int(self.rng.integers(bound))


def _mask(columns: np.ndarray) -> int:
    return sum(1 << int(column) for column in columns)


def _words(values) -> bytes:
    return np.array(values, np.int64).astype("<u2").tobytes()


