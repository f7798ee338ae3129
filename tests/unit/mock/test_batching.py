"""How commands are cut into frames changes no reply, no tick and no cell."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwloop.link import protocol as wire
from hwloop.link.protocol import Command, Layout, Rows, TiaRange
from tests.unit.mock.talking import mvm_section, opened, pulse_section, solve_section, words

JUST_BEFORE_THE_NEXT_SECOND = -1     # the chip's temperature takes a step there
banks = st.sampled_from([((0, 1, 2), 0b0011), ((3, 7, 8, 15), 0b1100), ((0, 5), 0b1111)])
operations = st.one_of(
    st.tuples(st.just("pulse"), st.integers(0, 1), st.integers(0, 15), st.integers(1, 15), st.integers(0, 1),
              st.integers(20000, 32000)),
    st.tuples(st.just("read"), st.integers(0, 1), st.integers(0, 15), st.integers(1, 15)),
    st.tuples(st.just("solve"), banks, st.integers(-20000, 20000)),
    st.tuples(st.just("product"), banks, st.integers(-20000, 20000)),
    st.tuples(st.just("wait"), st.sampled_from([1, 9_000, JUST_BEFORE_THE_NEXT_SECOND])),
)  # fmt: skip


class Batched:
    """Carries operations out, `together` in one frame or each in its own; collects codes and flags in order."""

    def __init__(self, **config):
        self.host = opened(**config)
        self.answers: list = []

    def run(self, kind: str, batch: list) -> None:
        getattr(self, kind)(batch)

    def pulse(self, batch):
        payload = b""
        for _, array, row, mask, polarity, amplitude in batch:
            payload += pulse_section(
                row, mask, array=array, polarity=polarity, layout=Layout.ROWS, amplitude_code=amplitude, gate_code=30000
            )
        self.host.done(Command.PULSE, payload)

    def read(self, batch):
        payload = wire.ReadRequest(TiaRange.COARSE, 3, 2, 40).pack()
        at = 0
        while at < len(batch):
            # Rows of one array that follow one another share a section.
            stop = at + 1
            while stop < len(batch) and batch[stop][1] == batch[at][1]:
                stop += 1
            listed = [word for _, _, row, mask in batch[at:stop] for word in (row, mask)]
            payload += wire.ReadSection(batch[at][1], Layout.ROWS, len(listed)).pack() + words(*listed)
            at = stop
        counts = [bin(mask).count("1") for _, _, _, mask in batch]
        reply = self.host.done(Command.READ, payload)
        n = sum(counts)
        codes = np.frombuffer(reply, "<u2", n, 4).tolist()
        steady = np.unpackbits(np.frombuffer(reply, np.uint8, -1, 4 + 2 * n), bitorder="little")[:n].tolist()
        self.answers += list(zip(codes, steady, strict=True))

    def solve(self, batch, kind=Command.SOLVE):
        payload, shapes, at = b"", [], 0
        while at < len(batch):
            # Solves of one bank that follow one another share a section.
            stop = at + 1
            while stop < len(batch) and batch[stop][1] == batch[at][1]:
                stop += 1
            rows, columns = batch[at][1]
            inputs = [(code + 100 * i) & 0xFFFF for _, _, code in batch[at:stop] for i in range(len(rows))]
            section = solve_section if kind == Command.SOLVE else mvm_section
            count = {"solves": stop - at} if kind == Command.SOLVE else {"products": stop - at}
            payload += section(*rows, *inputs, rows=Rows.INDICES, columns=columns, row_count=len(rows), averages=3,
                               settle_ticks=60, **count)
            shapes.append((stop - at, bin(columns).count("1")))
            at = stop
        reply, offset = self.host.done(kind, payload), 8
        for n, k in shapes:
            codes = np.frombuffer(reply, "<i2", n * k, offset).reshape(n, k).tolist()
            offset += 2 * n * k
            flags = int.from_bytes(reply[offset : offset + 2 * -(-n // 8)], "little")
            offset += 2 * -(-n // 8)
            self.answers += [(codes[i], flags >> 2 * i & 3) for i in range(n)]
        assert offset == len(reply)

    def product(self, batch):
        self.solve(batch, Command.MVM)

    def wait(self, batch):
        for _, ticks in batch:
            if ticks == JUST_BEFORE_THE_NEXT_SECOND:
                ticks = (-600 - self.host.board.bench.ticks) % wire.TICK_HERTZ
            self.host.done(Command.WAIT, wire.WaitRequest(ticks).pack())

    def result(self):
        bench = self.host.board.bench
        return self.answers, bench.ticks, {name: values.tolist() for name, values in bench.cells.state().items()}


@given(st.lists(operations, min_size=1, max_size=14), st.data())
@settings(max_examples=60, deadline=None)
def test_batching_changes_no_reply_no_tick_and_no_cell(listed, data):
    config = {"temperature_celsius": 0.0, "temperature_drift_per_hour_celsius": 20_000.0}
    apart, together = Batched(**config), Batched(**config)
    for operation in listed:
        apart.run(operation[0], [operation])
    batch = []
    for number, operation in enumerate(listed):
        batch.append(operation)
        last = number + 1 == len(listed) or listed[number + 1][0] != operation[0] or len(batch) == 8
        if last or data.draw(st.booleans()):
            together.run(operation[0], batch)
            batch = []
    assert together.result() == apart.result()


@pytest.mark.parametrize("kind", ["read", "solve", "product"])
def test_a_step_of_temperature_in_the_middle_of_a_frame(kind):
    """Two seconds meet within the batch: what comes after is at another temperature, in one frame or in many."""
    config = {"temperature_celsius": 0.0, "temperature_drift_per_hour_celsius": 20_000.0}
    bank = ((0, 1, 2), 0b0111)
    many = {
        "read": [("read", 0, row, 15) for row in range(8)],
        "solve": [("solve", bank, -2000)] * 8,
        "product": [("product", bank, 200)] * 8,
    }[kind]
    apart, together, steady = Batched(**config), Batched(**config), Batched(temperature_celsius=0.0)
    for batched in (apart, together, steady):
        batched.run("pulse", [("pulse", array, row, 15, 0, 30000) for array in (0, 1) for row in range(8)])
        batched.run("wait", [("wait", JUST_BEFORE_THE_NEXT_SECOND)])
    for operation in many:
        apart.run(kind, [operation])
    together.run(kind, many)
    steady.run(kind, many)
    assert together.result() == apart.result()
    assert together.answers[-1] != steady.answers[-1]
