"""Payloads back into cells, codes and solves: what packing put in comes out, and cut payloads do no harm."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hwloop.drivers.board.cell_frames import pack_pulses, pack_reads
from hwloop.drivers.board.decoding import (
    unpack_compensation,
    unpack_pulses,
    unpack_read_cells,
    unpack_read_codes,
    unpack_solves,
)
from hwloop.drivers.board.solving import SolveGroup, pack_solves
from hwloop.drivers.cells import CellPulses
from hwloop.link.protocol import TiaRange
from tests.unit.runlog.telling import COLUMNS, ROWS, SCALES

CELLS = st.lists(st.integers(0, 2 * ROWS * COLUMNS - 1), min_size=1, unique=True).map(np.array)


@given(CELLS, st.data())
def test_pulses_come_out_as_they_went_in(cells, data):
    def of_cells(values):
        return np.array(data.draw(st.lists(st.sampled_from(values), min_size=len(cells), max_size=len(cells))))

    polarity, amplitude, gate = of_cells([0, 1]), of_cells([1.0, 1.2, 1.5]), of_cells([1.5, 2.0, 2.7])
    width = np.full(len(cells), data.draw(st.sampled_from([1e-6, 5e-6])))
    payloads = pack_pulses(SCALES, CellPulses(cells, polarity, amplitude, gate, width)).payloads
    found = np.concatenate([unpack_pulses(payload, ROWS, COLUMNS) for payload in payloads], axis=1)
    wanted = np.stack([
        cells, polarity, SCALES.amplitude_codes(amplitude, False, 0), SCALES.gate_codes(gate), SCALES.width_ticks(width)
    ])
    np.testing.assert_array_equal(found[:, np.argsort(found[0])], wanted[:, np.argsort(cells)])


@given(CELLS)
def test_read_cells_come_out_in_the_order_of_the_reply(cells):
    packed = pack_reads(SCALES, cells, 1, 3, 1e-6, TiaRange.COARSE)
    found = np.concatenate([unpack_read_cells(payload, ROWS, COLUMNS) for payload in packed.payloads])
    np.testing.assert_array_equal(found, cells[packed.order])


@given(st.integers(1, 5), st.integers(1, ROWS), st.integers(1, COLUMNS), st.booleans(), st.data())
def test_solves_come_out_as_they_went_in(n, m, k, ridged, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    rows, columns = np.sort(rng.permutation(ROWS)[:m]), np.sort(rng.permutation(COLUMNS)[:k])
    volts, extra = rng.uniform(-1, 1, (n, m)), {}
    if ridged:
        extra = {"feedback_siemens": rng.uniform(0, 1e-4, k), "bias_amps": rng.uniform(-1e-5, 1e-5, k)}
    payload = pack_solves(SCALES, [SolveGroup(rows, columns, volts, 1e-5, 4, **extra)]).payloads[0]
    codes, flags = rng.integers(-30000, 30000, (n, k)), rng.integers(0, 2, (n, 2)).astype(bool)
    bits = np.zeros(-(-2 * n // 16) * 16, np.uint8)
    bits[: 2 * n] = flags.ravel()
    reply = bytes(8) + codes.astype("<i2").tobytes() + np.packbits(bits, bitorder="little").tobytes()
    found = unpack_solves(payload, reply, False)
    assert found.sections[6:, 0].tolist() == [m, n] and found.sections[3, 0] == 4
    np.testing.assert_array_equal(found.inputs[1].reshape(n, m), np.broadcast_to(rows, (n, m)))
    np.testing.assert_array_equal(found.inputs[2].reshape(n, m), SCALES.solve_input_codes(volts, 0))
    np.testing.assert_array_equal(found.outputs[1].reshape(n, k), np.broadcast_to(columns, (n, k)))
    np.testing.assert_array_equal(found.outputs[2].reshape(n, k), codes)
    np.testing.assert_array_equal(found.solves[1:].T, flags)
    assert found.columns.shape[1] == (k if ridged else 0)
    assert unpack_solves(payload, b"", False).outputs.shape[1] == 0


@given(st.binary(max_size=600))
@settings(max_examples=200)
def test_any_bytes_do_no_harm(payload):
    """A journal is somebody else's file."""
    assert unpack_pulses(payload, ROWS, COLUMNS).shape[0] == 5
    assert unpack_read_cells(payload, ROWS, COLUMNS).ndim == 1
    assert unpack_compensation(payload).shape[0] == 2
    codes, steady = unpack_read_codes(payload, 40)
    assert len(codes) == len(steady) <= 40
    for is_product in (False, True):
        assert unpack_solves(payload, payload, is_product).sections.shape[0] == 8
