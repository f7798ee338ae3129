"""The board driver byte by byte: what calls put on the wire, and what literal replies become.

The bodies of the frames (header and payload) are written out by hand from firmware/protocol.toml; session 0x1234.
"""

import socket
import threading
import zlib

import numpy as np
import pytest
from cobs import cobs

from hwloop.drivers.board import Board, SolveGroup
from hwloop.drivers.cells import CellPulses, Polarity
from hwloop.errors import BoardError, DeviceError, LimitError, SafetyError, UsageError
from hwloop.link.link import Link
from hwloop.link.protocol import WIRE_HASH, Constraint
from hwloop.link.transport import SocketTransport

HASH = WIRE_HASH.to_bytes(4, "little").hex()
IDENTIFY = ("01 00 34 12 01 00", f"81 00 34 12 01 00 {HASH} 00 00 01 00  07 00 00 00  09 00 00 00  01 00"
            "68 77 6c 6f 6f 70 2d 31 36 78 34 00 00 00 00 00")
DESCRIBE_REPLY = (
    "82 00 34 12 02 00  10 00 04 00 {max_frame_bytes} 04 00 01 00 00 00"
    "40 4b 4c 00  40 4b 4c 00  a0 25 26 00  00 10 27 00  08 00 00 00  e0 93 04 00"
    "40 0d 03 00  88 13 00 00  50 c3 00 00  a0 86 01 00  00 dd 6d 00  c8 20 03 00"
    "50 c3 00 00  80 96 98 00  18 00 00 00  c0 76 00 00  00 80 00 00  f6 a8 00 00  9a 99 00 00"
    "10 27 00 00  40 42 0f 00  00 40 9c 00  88 13 00 00  50 c3 00 00  00 00 7d 00"
)
OPEN = (f"03 00 34 12 03 00 {HASH} 00 00", "83 00 34 12 03 00  00 00  00 00 00 00 00 00 00 00  01 00 00 00")


def on_wire(body: str) -> bytes:
    """A frame from the hexadecimal digits of its header and payload."""
    data = bytes.fromhex(body)
    return cobs.encode(data + zlib.crc32(data).to_bytes(4, "little")) + b"\0"


class Script:
    """The other end of a socket: takes exactly the bytes expected, then gives the reply that is written for them."""

    def __init__(self, max_frame_bytes: str = "00 02", open_reply: str = OPEN[1]):
        here, self._board = socket.socketpair()
        self._lines = [
            (b"\0" + on_wire(IDENTIFY[0]), on_wire(IDENTIFY[1])),
            (b"\0" + on_wire("02 00 34 12 02 00"), on_wire(DESCRIBE_REPLY.format(max_frame_bytes=max_frame_bytes))),
            (b"\0" + on_wire(OPEN[0]), on_wire(open_reply)),
        ]
        self.differing: list[tuple[str, str]] = []
        self._thread = threading.Thread(target=self._play)
        self.link = Link(SocketTransport(here, "script"), timeout_seconds=5.0, retries=0, session=0x1234)

    def expect(self, *exchanges: tuple[str, str], afresh: bool = False) -> "Script":
        """Requests that come in one piece, and their replies, which go out in one piece."""
        asked = b"".join(on_wire(request) for request, _ in exchanges)
        self._lines.append((b"\0" * afresh + asked, b"".join(on_wire(reply) for _, reply in exchanges)))
        return self

    def __enter__(self) -> Board:
        self._thread.start()
        board = Board(self.link)
        try:
            board.open()
        except BaseException:
            self.__exit__(DeviceError)
            raise
        return board

    def __exit__(self, kind, *_):
        self.link.close()
        self._thread.join(10)
        self._board.close()
        assert self.differing == []
        if kind is None:
            assert self._lines == [], "not everything expected was sent"

    def _play(self) -> None:
        while self._lines:
            expected, reply = self._lines[0]
            got = b""
            while len(got) < len(expected):
                data = self._board.recv(len(expected) - len(got))
                if not data:
                    return
                got += data
            del self._lines[0]
            if got != expected:
                self.differing.append((expected.hex(" "), got.hex(" ")))
                self._board.shutdown(socket.SHUT_RDWR)
                return
            self._board.sendall(reply)


def pulses(cells, polarity, amplitude_volts, gate_volts, width_seconds=1e-6):
    n = len(cells)
    full = (np.full(n, values) if np.isscalar(values) else np.array(values) for values in (amplitude_volts, gate_volts))
    return CellPulses(np.array(cells), np.full(n, polarity), *full, np.full(n, width_seconds))


def test_identity_and_scales():
    with Script() as board:
        assert (board.name, board.rows, board.columns) == ("hwloop-16x4", 16, 4)
        assert (board.identity.board_serial, board.identity.array_serial) == (7, 9)
        assert board.link.max_in_flight == 4
        assert board.scales.read_volts == pytest.approx(0.2)


def test_a_pulse_with_one_amplitude_and_one_gate():
    """RESET 2 V at 2.7 V, 1 µs, on all four columns of row 2: codes 0x6666 and 0x8a3d, row and mask are shortest."""
    exchange = ("05 00 34 12 00 00  00 01 01 00 0a 00 66 66 3d 8a 02 00  02 00 0f 00",
                "85 00 34 12 00 00  d2 00 00 00 01 00")
    script = Script().expect(exchange)
    with script as board:
        assert board.pulse_and_read(pulses([8, 9, 10, 11], Polarity.RESET, 2.0, 2.7), None) is None
        assert (board.counters.pulses, board.counters.row_pulses, board.counters.payload_bytes) == (4, 1, 4)
        assert board.counters.hardware_seconds.pulse == pytest.approx(21e-6)


def test_a_pulse_with_a_gate_a_cell():
    """SET 1.2 V with gates of 1 V and 1.5 V on two cells: cell and code are shortest."""
    exchange = ("05 00 34 12 00 00  00 00 00 01 0a 00 71 3d 33 33 04 00  00 00 33 33 05 00 cd 4c",
                "85 00 34 12 00 00  00 00 00 00 02 00")
    with Script().expect(exchange) as board:
        board.pulse_and_read(pulses([5, 0], Polarity.SET, 1.2, [1.5, 1.0]), None)


def test_a_pulse_with_an_amplitude_a_cell_and_formed_cells_apart():
    """RESET of array B, row 3, columns 0, 2, 3 at 1, 1.5, 2 V; forming of one cell of array A at 3.3 V and 1.6 V."""
    exchange = (
        "05 00 34 12 00 00  00 02 00 00 0a 00 f6 a8 ec 51 01 00  06 00"
        "                   01 01 01 02 0a 00 33 33 3d 8a 05 00  03 00 0d 00 33 33 cd 4c 66 66",
        "85 00 34 12 00 00  00 00 00 00 02 00",
    )
    with Script().expect(exchange) as board:
        both = CellPulses(
            np.array([6, 79, 76, 78]), np.array([2, 1, 1, 1]), np.array([3.3, 2.0, 1.0, 1.5]),
            np.array([1.6, 2.7, 2.7, 2.7]), np.full(4, 1e-6),
        )
        board.pulse_and_read(both, None)
        assert board.counters.row_pulses == 2


def test_a_reading():
    """Cells 9 and 3, asked for in that order: cell 3 reads 0x2000 = 31.25 µS, steady; cell 9 is beyond the range."""
    exchange = ("06 00 34 12 00 00  01 03 02 00 06 01  00 00 02 00  03 00 09 00",
                "86 00 34 12 00 00  10 09 00 00  00 20 ff ff  01 00")
    with Script().expect(exchange) as board:
        reads = board.pulse_and_read(None, np.array([9, 3]), averages=2, sub_averages=3, spread_siemens=1e-6)
        assert reads.conductance_siemens == pytest.approx([65535 / 65536 * 250e-6, 31.25e-6])
        assert reads.steady.tolist() == [False, True] and reads.saturated.tolist() == [True, False]
        assert board.counters.hardware_seconds.read == pytest.approx(232e-6)
        assert (board.counters.reads, board.counters.payload_bytes) == (2, 2 * 2 + 2 * 2)


def test_pulse_and_read_share_a_round_trip():
    with Script().expect(
        ("05 00 34 12 00 00  00 01 00 00 0a 00 66 66 3d 8a 01 00  08 00", "85 00 34 12 00 00  00 00 00 00 01 00"),
        ("06 00 34 12 01 00  00 01 01 00 3d 0a  01 01 02 00  00 00 07 00", "86 00 34 12 01 00  00 00 00 00"
         "01 00 02 00 03 00  07 00"),
    ) as board:
        reads = board.pulse_and_read(
            pulses([8], Polarity.RESET, 2.0, 2.7), np.array([64, 65, 66]), averages=1, sub_averages=1,
            spread_siemens=1e-6, tia_range=0,
        )
        assert reads.conductance_siemens == pytest.approx(np.array([1, 2, 3]) * 5e-6 / 65536 / 0.2)
        assert board.counters.exchanges == 2 and board.counters.frames == 2


def test_a_solve_with_its_rows_as_indices():
    """Rows 1 and 4, columns 0 and 2, ±0.5 V = ±6554; the answer 2560 is 25 mV, and saturated."""
    exchange = ("07 00 34 12 00 00  00 00 00 00 04 00 05 00 64 00 02 00 01 00  01 00 04 00  9a 19 66 e6",
                "87 00 34 12 00 00  d4 03 00 00  dc 00 00 00  00 0a 00 00  01 00")
    with Script().expect(exchange) as board:
        group = SolveGroup(np.array([1, 4]), np.array([0, 2]), np.array([[0.5, -0.5]]), 10e-6, 4)
        (outputs,) = board.solve([group])
        assert outputs.output_volts == pytest.approx(np.array([[0.025, 0.0]]))
        assert outputs.saturated.tolist() == [True] and outputs.unsettled.tolist() == [False]
        # two indices, the column mask, two inputs and two outputs
        assert board.counters.payload_bytes == 2 * 2 + 2 + 2 * 2 + 2 * 2 and board.counters.solves == 1
        # 980 ticks, of which 220 switched two rows on: those are load, the other 760 are the solve.
        seconds = board.counters.hardware_seconds
        assert (seconds.solve, seconds.load) == (pytest.approx(76e-6), pytest.approx(22e-6))


def test_solves_with_their_rows_as_a_mask_and_feedback_and_bias():
    """Eight rows from 2 on; 10 µS = 200 of the feedback ladder; 0.1 µA and -50 nA on the finest bias range."""
    exchange = (
        "07 00 34 12 00 00  01 01 01 82 02 00 0a 00 32 00 08 00 01 00  02 00 01 00 ff 00  c8 00 00 00  19 04 f4 fd"
        "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00",
        "87 00 34 12 00 00  f8 02 00 00  00 00 00 00  00 00 00 01  02 00",
    )
    with Script().expect(exchange) as board:
        group = SolveGroup(
            np.arange(2, 10), np.array([1, 3]), np.zeros((1, 8)), 0.0, 2, Constraint.RECTIFIER,
            np.array([10e-6, 0.0]), np.array([1e-7, -5e-8]),
        )
        (outputs,) = board.solve([group])
        assert outputs.output_volts == pytest.approx(np.array([[0.0, 0.0025]]))
        assert outputs.saturated.tolist() == [False] and outputs.unsettled.tolist() == [True]


def test_groups_of_solves_share_a_frame_and_an_empty_one_answers_nothing():
    exchange = (
        "07 00 34 12 00 00  00 00 00 00 02 00 01 00 32 00 01 00 02 00  00 00  00 00 01 00"
        "                   02 00 00 00 01 00 08 00 32 00 01 00 01 00  0f 00  ff ff",
        "87 00 34 12 00 00  00 00 00 00  00 00 00 00  01 00 02 00 0a 00  ff ff 00 00",
    )
    with Script().expect(exchange) as board:
        step = 2.5 / 32768
        first = SolveGroup(np.array([0]), np.array([0]), np.array([[0.0], [step]]), 5e-6, 2)
        empty = SolveGroup(np.array([0, 1]), np.array([0, 1, 2]), np.zeros((0, 2)), 5e-6, 1)
        last = SolveGroup(np.array([15]), np.array([3]), np.array([[-step]]), 5e-6, 1, Constraint.NONE)
        outputs = board.solve([first, empty, last])
        lsb_volts = 2.56 / 32768 / 8
        assert outputs[0].output_volts == pytest.approx(np.array([[1], [2]]) * lsb_volts)
        assert outputs[0].unsettled.tolist() == [True, True]
        assert outputs[1].output_volts.shape == (0, 3)
        assert outputs[2].output_volts == pytest.approx(np.array([[-1]]) * lsb_volts)


def test_a_product():
    """Array B, 0.1 V and 0.2 V on rows 0 and 1; the code -16384 is half of -50 µA."""
    exchange = ("08 00 34 12 00 00  01 00 01 00 04 00 01 00 32 00 02 00 01 00  00 00 01 00  1f 05 3d 0a",
                "88 00 34 12 00 00  00 00 00 00  00 00 00 00  00 c0  00 00")
    with Script().expect(exchange) as board:
        amps, beyond = board.multiply(1, np.array([0, 1]), np.array([0]), np.array([[0.1, 0.2]]))
        assert amps == pytest.approx(np.array([[-25e-6]])) and beyond.tolist() == [False]


def test_compensation_is_split_over_frames_of_one_load():
    """1 mS = 142 of the ladder; frames of 32 bytes take five rows each."""
    row = "{:02x} 00 8e 00"
    first = "09 00 34 12 00 00  00 00" + "".join(row.format(i) for i in range(5))
    second = "09 00 34 12 01 00  01 00" + "".join(row.format(i) for i in range(5, 7))
    script = Script(max_frame_bytes="20 00").expect(
        (first, "89 00 34 12 00 00  fa 00 00 00"), (second, "89 00 34 12 01 00  14 00 00 00")
    )
    with script as board:
        board.compensate(np.arange(7), np.full(7, 1e-3))
        assert board.counters.hardware_seconds.load == pytest.approx(27e-6)
        assert board.counters.payload_bytes == 28 and board.counters.exchanges == 1


def test_waiting_and_temperature_and_the_safe_state():
    script = (
        Script()
        .expect(("0c 00 34 12 00 00  10 27 00 00", "8c 00 34 12 00 00  10 27 00 00"))
        .expect(("0b 00 34 12 01 00", "8b 00 34 12 01 00  00 00 00 00  e3 09"))
        .expect(("0e 00 34 12 04 00", "8e 00 34 12 04 00  10 27 00 00 00 00 00 00"), afresh=True)
    )
    with script as board:
        board.wait(1e-3)
        assert board.temperature_celsius() == 25.31
        board.safe()


def test_a_long_wait_is_cut_into_what_a_word_holds():
    """300 s are 3·10⁹ ticks: 2³¹ and the rest."""
    with Script().expect(
        ("0c 00 34 12 00 00  00 00 00 80", "8c 00 34 12 00 00  00 00 00 80"),
        ("0c 00 34 12 01 00  00 5e d0 32", "8c 00 34 12 01 00  00 5e d0 32"),
    ) as board:
        board.wait(300.0)
        board.wait(0.0)


@pytest.mark.parametrize(
    ("call", "what", "value", "bound", "unit"),
    [
        (lambda b: b.pulse_and_read(pulses([0], 1, 2.6, 2.7), None), "pulse amplitude", 2.6, "0 to 2.5", "V"),
        (lambda b: b.pulse_and_read(pulses([0], 2, 3.4, 1.6), None), "forming amplitude", 3.4, "0 to 3.30002", "V"),
        (lambda b: b.pulse_and_read(pulses([0], 0, 1.2, 3.1), None), "gate voltage", 3.1, "0 to 3.00003", "V"),
        (lambda b: b.pulse_and_read(pulses([0], 0, -0.1, 3.0), None), "pulse amplitude", -0.1, "0 to 2.5", "V"),
        (lambda b: b.pulse_and_read(pulses([0], 0, np.nan, 3.0), None), "pulse amplitude", np.nan, "0 to 2.5", "V"),
        (lambda b: b.pulse_and_read(pulses([0], 0, 1.2, 1.0, 2e-3), None), "pulse width", 2e-3, "1e-07 to 0.001", "s"),
        (lambda b: b.pulse_and_read(pulses([0], 0, 1.2, 1.0, 0.0), None), "pulse width", 0.0, "1e-07 to 0.001", "s"),
        (lambda b: b.pulse_and_read(pulses([0], 2, 3.3, 1.6, 1e-3), None), "pulse amplitude^2 x width", 0.01089,
         "up to 0.00625", "V^2 s"),
        (lambda b: b.pulse_and_read(None, np.array([0]), 2000, 3), "averages x 3 sub-averages", 6000,
         "1 to 4096 in up to 255 sub-averages", "samples"),
        (lambda b: b.solve([SolveGroup(np.arange(2), np.arange(2), np.full((1, 2), 2.6), 1e-5, 4)]), "input voltage",
         2.6, "-2.49992 to 2.49992", "V"),
        (lambda b: b.solve([SolveGroup(np.arange(2), np.arange(1), np.zeros((1, 2)), 1e-5, 4,
                                       feedback_siemens=np.array([206e-6]))]),
         "feedback conductance", 206e-6, "0 to 0.00020495", "S"),
        (lambda b: b.solve([SolveGroup(np.arange(2), np.arange(1), np.zeros((1, 2)), 1e-5, 4,
                                       bias_amps=np.array([-51e-6]))]),
         "bias current", -51e-6, "-4.99756e-05 to 4.99756e-05", "A"),
        (lambda b: b.solve([SolveGroup(np.arange(2), np.arange(1), np.zeros((1, 2)), 1e-5, 0)]),
         "averages x 1 sub-averages", 0, "1 to 4096 in up to 255 sub-averages", "samples"),
        (lambda b: b.compensate(np.array([0]), np.array([7.2e-3])), "compensation conductance", 7.2e-3,
         "0 to 0.00719297", "S"),
        (lambda b: b.wait(-1.0), "wait", -1.0, "0 or more", "s"),
    ],
)  # fmt: skip
def test_what_is_beyond_a_limit_is_refused_before_anything_is_sent(call, what, value, bound, unit):
    with Script() as board:
        sent = board.link.counters.frames_sent
        with pytest.raises(LimitError) as caught:
            call(board)
        error = caught.value
        assert (error.what, error.bound, error.unit) == (what, bound, unit)
        assert error.value == pytest.approx(value, rel=1e-4, nan_ok=True)
        assert board.link.counters.frames_sent == sent


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda b: b.pulse_and_read(None, np.array([3, 128])), "cell 128 does not exist: .* cells 0 to 127"),
        (lambda b: b.pulse_and_read(None, np.array([-1])), "cell -1 does not exist"),
        (lambda b: b.pulse_and_read(None, np.array([4, 3, 4])), "cell 4 is listed 2 times"),
        (lambda b: b.pulse_and_read(pulses([4, 4], 0, 1.2, 1.0), None), "cell 4 is listed 2 times"),
        (lambda b: b.solve([SolveGroup(np.array([1, 0]), np.arange(2), np.zeros((1, 2)), 0, 1)]), "rows .*ascending"),
        (lambda b: b.solve([SolveGroup(np.array([16]), np.arange(2), np.zeros((1, 1)), 0, 1)]), "of 0 to 15"),
        (lambda b: b.solve([SolveGroup(np.array([0]), np.array([4]), np.zeros((1, 1)), 0, 1)]), "columns .* of 0 to 3"),
        (lambda b: b.solve([SolveGroup(np.arange(0), np.array([0]), np.zeros((1, 0)), 0, 1)]), "1 or more"),
        (lambda b: b.solve([SolveGroup(np.array([0]), np.array([0]), np.zeros((1, 2)), 0, 1)]), "voltages of shape"),
        (lambda b: b.solve([SolveGroup(np.array([0]), np.array([0]), np.zeros((1, 1)), 7e-3, 1)]), "7 ms to settle"),
        (lambda b: b.compensate(np.array([16]), np.array([0.0])), "rows 0 to 15"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_sent(call, says):
    with Script() as board:
        sent = board.link.counters.frames_sent
        with pytest.raises(UsageError, match=says):
            call(board)
        assert board.link.counters.frames_sent == sent


def test_nothing_to_do_is_no_exchange():
    with Script() as board:
        assert board.pulse_and_read(None, None) is None and board.solve([]) == []
        assert board.pulse_and_read(None, np.zeros(0, np.int64)) is None
        assert board.counters.exchanges == 0 and board.counters.hardware_seconds.total == 0


def test_a_reply_of_the_wrong_length_is_an_error_of_the_board():
    exchange = ("06 00 34 12 00 00  01 01 01 00 06 01  00 00 01 00  03 00", "86 00 34 12 00 00  10 09 00 00  00 20")
    with Script().expect(exchange) as board:
        with pytest.raises(BoardError, match="READ has 6 bytes, expected 8"):
            board.pulse_and_read(None, np.array([3]), 1, 1)


def test_a_session_is_opened_once():
    """After the safe state compensation is gone: going on with the same session would solve with wrong weights."""
    with Script() as board:
        with pytest.raises(SafetyError, match="opened before"):
            board.open()


def test_a_refused_opening():
    busy = "83 05 34 12 03 00  00 00 00 00  05 00 00 00  00 00 00 00 00 00 00 00"
    with pytest.raises(DeviceError, match="another host has session 5 open"):
        with Script(open_reply=busy):
            pass
