"""The session layer of the simulated board: exactly once, in order, one host, off by default, off by silence."""

import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from hwloop.link import protocol as wire
from hwloop.link.frames import Frame
from hwloop.link.link import Link
from hwloop.link.protocol import REPLY_BIT, SEQUENCED, Command, Field, SafeReason, Status
from hwloop.link.transport import SocketTransport
from hwloop.mock.bench_config import BenchConfig
from tests.unit.mock.talking import (
    SESSION,
    Host,
    mvm_section,
    opened,
    pulse_section,
    read_request,
    solve_section,
    words,
)


def pulses_given(host: Host, cell: int = 0) -> int:
    fresh = Host(board_name=host.board.bench.geometry.name)
    return int((host.board.bench.cells.cell_state.pulse_count - fresh.board.bench.cells.cell_state.pulse_count)[cell])


def status(host: Host) -> wire.StatusReply:
    return wire.StatusReply.unpack(host.ask(Command.STATUS).payload)


def test_a_retry_is_answered_from_the_cache():
    host = opened()
    first = host.command(Command.PULSE, pulse_section(0))
    again = host.command(Command.PULSE, pulse_section(0), sequence=0)
    assert again is first and pulses_given(host) == 1


def test_a_refused_command_uses_its_number_and_is_refused_again_alike():
    host = opened()
    first = host.command(Command.PULSE, pulse_section(999))
    assert first.status == Status.OUT_OF_RANGE
    assert host.command(Command.PULSE, pulse_section(999), sequence=0) is first
    host.done(Command.TEMPERATURE)


def test_order_is_kept():
    host = opened()
    early = host.command(Command.PULSE, pulse_section(0), sequence=2)
    assert early.status == Status.SEQUENCE_GAP and wire.Refusal.unpack(early.payload).value == 0
    assert pulses_given(host) == 0
    for sequence in (0, 1, 2):
        assert host.command(Command.PULSE, pulse_section(0), sequence=sequence).status == Status.OK
    assert pulses_given(host) == 3


@pytest.mark.parametrize("start", [0, 65530])
def test_what_has_left_the_cache_is_refused_and_never_repeated(start):
    host = opened()
    host.board._expected = host.sequence = start
    for _ in range(wire.SESSION_REPLY_CACHE + 1):
        host.done(Command.PULSE, pulse_section(0))
    stale = host.command(Command.PULSE, pulse_section(0), sequence=start)
    assert stale.status == Status.SEQUENCE_STALE
    assert host.command(Command.PULSE, pulse_section(0), sequence=(start + 1) & 0xFFFF).status == Status.OK
    assert pulses_given(host) == wire.SESSION_REPLY_CACHE + 1


def test_nothing_moves_before_a_session_is_open():
    host = Host()
    for kind in SEQUENCED:
        assert host.command(kind, b"", sequence=0).status == Status.NOT_OPEN
    assert status(host).safe_reason == SafeReason.RESET and not status(host).armed


def test_a_second_host_is_refused_while_the_first_lives_and_served_afterwards():
    first = opened()
    second = Host(first.board, session=0x0C0C)
    refused = second.open()
    assert refused.status == Status.BUSY and wire.Refusal.unpack(refused.payload).value == SESSION
    assert second.command(Command.PULSE, pulse_section(0)).status == Status.BUSY
    second.ask(Command.CLOSE)
    first.done(Command.PULSE, pulse_section(0))
    first.ask(Command.CLOSE)
    assert second.open().status == Status.OK
    assert first.command(Command.PULSE, pulse_section(0)).status == Status.BUSY
    assert first.open(resume=1).status == Status.BUSY


def test_the_dead_man_grounds_after_two_seconds_of_silence_and_not_before():
    host = opened()
    host.done(Command.COMPENSATE, words(0, 3, 500))
    host.now = 1.99
    host.board.check_dead_man(2.0)
    assert host.board.armed
    host.ask(Command.STATUS)
    host.board.check_dead_man(3.98)
    assert host.board.armed
    host.board.check_dead_man(4.0)
    assert not host.board.armed and not host.board.panel.registers.compensation_code.any()
    assert status(host).safe_reason == SafeReason.DEAD_MAN
    reply = host.command(Command.PULSE, pulse_section(0))
    assert reply.status == Status.SAFE_LATCHED and wire.Refusal.unpack(reply.payload).value == SafeReason.DEAD_MAN
    assert pulses_given(host) == 0


def test_a_heartbeat_feeds_the_dead_man_and_does_nothing_else():
    host = opened()
    ticks = host.board.bench.ticks
    for second in range(1, 20):
        host.now = float(second)
        assert host.ask(Command.HEARTBEAT) is None
        host.board.check_dead_man(second + 0.5)
    assert host.board.armed and host.board.bench.ticks == ticks


def test_frames_of_another_host_do_not_feed_the_dead_man():
    host = opened()
    stranger = Host(host.board, session=0x0C0C)
    stranger.now = 1.9
    stranger.ask(Command.HEARTBEAT)
    stranger.ask(Command.STATUS)
    host.board.check_dead_man(2.1)
    assert not host.board.armed


def test_safe_from_any_host_grounds_everything():
    host = opened()
    host.done(Command.COMPENSATE, words(0, 3, 500))
    host.done(Command.PULSE, pulse_section(0))
    registers = host.board.panel.registers
    assert registers.compensation_code[3] == 500 and registers.dac_words.any()
    host.done(Command.ROUTE, wire.RouteRequest(wire.Route.CELL_TO_SMU, 0, 1, 2).pack())
    host.done(Command.ROUTE, wire.RouteRequest(wire.Route.OUTPUTS_TO_DAQ, 0, 0, 0).pack())
    assert registers.routed_cell == (0, 1, 2) and registers.outputs_routed
    assert Host(host.board, session=0x0C0C).ask(Command.SAFE).status == Status.OK
    assert not registers.compensation_code.any() and not registers.dac_words.any()
    assert registers.routed_cell is None and not registers.outputs_routed
    assert status(host).safe_reason == SafeReason.COMMAND


def test_what_was_done_before_the_safe_state_is_still_told():
    host = opened()
    done = host.command(Command.PULSE, pulse_section(0))
    host.ask(Command.SAFE)
    assert host.command(Command.PULSE, pulse_section(0), sequence=0) is done
    assert host.command(Command.PULSE, pulse_section(0)).status == Status.SAFE_LATCHED


def test_resume_keeps_sequence_and_cache_but_not_the_compensation():
    host = opened()
    host.done(Command.COMPENSATE, words(0, 3, 500))
    done = host.command(Command.PULSE, pulse_section(0))
    host.board.ground(SafeReason.DEAD_MAN)
    assert host.open(resume=1).status == Status.OK and host.sequence == 2
    assert host.command(Command.PULSE, pulse_section(0), sequence=1) is done
    assert not host.board.panel.registers.compensation_code.any()


def test_a_repeated_opening_neither_empties_the_cache_nor_leaves_the_safe_state():
    """A duplicate of the OPEN that the network held back: executing it would let a retried pulse be given twice."""
    host = opened()
    late = Frame(Command.OPEN, 0, SESSION, host.tag, wire.OpenRequest(wire.WIRE_HASH, 0).pack())
    done = host.command(Command.PULSE, pulse_section(0))
    reply = host.board.handle(late, 0.0)
    assert wire.OpenReply.unpack(reply.payload).expected_sequence == 1
    assert host.command(Command.PULSE, pulse_section(0), sequence=0) is done and pulses_given(host) == 1
    host.ask(Command.SAFE)
    host.board.handle(late, 0.0)
    assert not host.board.armed
    assert host.open().status == Status.OK and host.board.armed and host.sequence == 0


def test_another_wire_table_is_refused_and_grounds():
    host = opened()
    reply = host.ask(Command.OPEN, wire.OpenRequest(wire.WIRE_HASH ^ 0x100, 0).pack())
    assert reply.status == Status.WIRE_MISMATCH
    assert wire.Refusal.unpack(reply.payload).value & 0xFFFFFFFF == wire.WIRE_HASH
    assert not host.board.armed and status(host).safe_reason == SafeReason.WIRE_MISMATCH


def test_another_wire_table_of_another_host_does_not_stop_the_first():
    host = opened()
    reply = Host(host.board, session=0x0C0C).ask(Command.OPEN, wire.OpenRequest(1, 0).pack())
    assert reply.status == Status.WIRE_MISMATCH and host.board.armed


def test_session_zero_is_nobody():
    host = Host(session=0)
    assert host.open().status == Status.OUT_OF_RANGE
    assert host.command(Command.PULSE, pulse_section(0)).status == Status.NOT_OPEN


def test_status_names_the_last_command():
    host = opened()
    host.done(Command.TEMPERATURE)
    host.done(Command.PULSE, pulse_section(0))
    found = status(host)
    assert (found.last_begun_kind, found.last_begun_sequence, found.last_completed) == (Command.PULSE, 1, 1)
    assert (found.open_session, found.expected_sequence, found.armed) == (SESSION, 2, 1)
    assert found.ticks == host.board.bench.ticks


def test_its_own_words_on_an_echoing_line_are_not_answered():
    host = opened()
    reply = host.command(Command.PULSE, pulse_section(0))
    assert host.board.handle(reply, 0.0) is None
    assert host.board.handle(Frame(Command.STATUS, Status.BUSY, SESSION, 1, b""), 0.0) is None


@pytest.mark.parametrize("kind", [0, 19, 100, 127])
def test_an_unknown_command(kind):
    host = opened()
    reply = host.command(kind)
    assert reply.status == Status.UNKNOWN_COMMAND and reply.kind == kind | REPLY_BIT


def test_a_model_outside_its_range_is_a_fault_that_grounds():
    """A chip colder than what its coefficients hold for: the board says so instead of dying."""
    host = opened(temperature_drift_per_hour_celsius=-1000.0)
    host.done(Command.WAIT, wire.WaitRequest(2**32 - 1).pack())
    assert host.command(Command.READ, read_request(0)).status == Status.FAULT
    assert not host.board.armed and status(host).safe_reason == SafeReason.FAULT and not status(host).last_completed
    assert host.open().status == Status.OK and not status(host).last_completed
    host.done(Command.TEMPERATURE)
    assert status(host).last_completed
    assert host.command(Command.PULSE, pulse_section(999)).status == Status.OUT_OF_RANGE
    assert status(host).last_completed, "what is refused whole leaves nothing half done"


def test_above_its_limit_the_board_grounds_once_the_command_is_answered():
    """100 °C an hour from 84 °C on: 85 °C after 36 s, 85.0078 °C a quarter of a second later."""
    host = opened(temperature_celsius=84.0, temperature_drift_per_hour_celsius=100.0)
    host.done(Command.COMPENSATE, words(0, 3, 500))
    host.done(Command.WAIT, wire.WaitRequest(36 * wire.TICK_HERTZ).pack())
    assert wire.TemperatureReply.unpack(host.done(Command.TEMPERATURE)).centicelsius == 8500
    assert host.board.armed, "at the limit, not above it"
    done = host.command(Command.WAIT, wire.WaitRequest(wire.TICK_HERTZ).pack())
    assert done.status == Status.OK and not host.board.armed
    assert status(host).safe_reason == SafeReason.TEMPERATURE and status(host).last_completed
    assert not host.board.panel.registers.compensation_code.any()
    assert host.command(Command.WAIT, b"", sequence=host.sequence - 1) is done, "and is told again"
    latched = host.command(Command.PULSE, pulse_section(0))
    assert latched.status == Status.SAFE_LATCHED
    assert wire.Refusal.unpack(latched.payload).value == SafeReason.TEMPERATURE


@pytest.mark.parametrize("resume", [0, 1])
def test_a_board_that_is_too_hot_does_not_open(resume):
    host = opened(temperature_celsius=80.0, temperature_drift_per_hour_celsius=100.0)
    host.done(Command.TEMPERATURE)
    host.done(Command.WAIT, wire.WaitRequest(360 * wire.TICK_HERTZ).pack())
    reply = host.open(resume)
    refusal = wire.Refusal.unpack(reply.payload)
    assert reply.status == Status.FAULT and Field(refusal.field) == Field.TEMPERATURE
    assert (refusal.value, refusal.low, refusal.high) == (9000, -4000, 8500)
    found = status(host)
    assert (found.armed, found.open_session, found.expected_sequence) == (0, SESSION, 2), "the session is as it was"
    assert Host(temperature_celsius=85.1).open().status == Status.FAULT


def test_a_cell_is_routed_until_the_next_command_that_drives():
    host = opened()
    registers = host.board.panel.registers
    driving = [
        (Command.PULSE, pulse_section(0)), (Command.READ, read_request(0)), (Command.MVM, mvm_section(0, 0)),
        (Command.SOLVE, solve_section(0, 0)), (Command.PULSE, b""),
    ]
    for kind, payload in driving:
        host.done(Command.ROUTE, wire.RouteRequest(wire.Route.CELL_TO_SMU, 1, 3, 2).pack())
        host.done(Command.ROUTE, wire.RouteRequest(wire.Route.OUTPUTS_TO_DAQ, 0, 0, 0).pack())
        for other, of_other in [
            (Command.WAIT, wire.WaitRequest(1).pack()), (Command.COMPENSATE, words(0, 1, 2)),
            (Command.TEMPERATURE, b""), (Command.TIGHTEN, wire.TightenRequest(0, 32000).pack()),
        ]:
            host.done(other, of_other)
        assert host.command(kind, payload + b"spoilt").status != Status.OK
        assert registers.routed_cell == (1, 3, 2), "what is refused ends nothing"
        host.done(kind, payload)
        assert registers.routed_cell is None and registers.outputs_routed
    host.done(Command.ROUTE, wire.RouteRequest(wire.Route.CELL_TO_SMU, 1, 3, 2).pack())
    host.done(Command.ROUTE, wire.RouteRequest(wire.Route.NOTHING, 0, 0, 0).pack())
    assert registers.routed_cell is None and not registers.outputs_routed


def random_payload(rng: np.random.Generator, kind: int) -> bytes:
    """Something like a payload: mostly valid fields, then perhaps doubled, cut short, changed, or plain noise."""

    def mostly(low: int, high: int, beyond: int) -> int:
        return int(rng.integers(low, high + 1)) if rng.random() < 0.93 else beyond

    rows, products = mostly(1, 3, 17), mostly(1, 3, 0)
    active = [*np.sort(rng.choice(16, rows % 16, replace=False)), *rng.integers(0, 65536, (rows % 16) * products)]
    valid = {
        Command.PULSE: lambda: pulse_section(
            *rng.integers(0, mostly(64, 64, 80), rng.integers(0, 9)), array=mostly(0, 1, 2), polarity=mostly(0, 2, 3),
            layout=mostly(0, 1, 2), target=mostly(0, 2, 3), width_ticks=mostly(1, 10_000, 65535),
            amplitude_code=mostly(0, 32768, 32769), gate_code=mostly(0, 39322, 39323),
        ),
        Command.READ: lambda: read_request(
            *rng.integers(0, mostly(64, 64, 80), 4), array=mostly(0, 1, 2), layout=mostly(0, 1, 2),
            averages=mostly(1, 9, 0), sub_averages=mostly(1, 3, 0), tia_range=mostly(0, 1, 2),
        ),
        Command.SOLVE: lambda: solve_section(
            *active, rows=mostly(0, 0, 1), columns=mostly(1, 15, 16), row_count=rows, solves=products,
            constraint=mostly(0, 2, 3), feedback=mostly(0, 0, 1), bias_divider=mostly(0, 2, 130),
        ),
        Command.MVM: lambda: mvm_section(
            *active, array=mostly(0, 1, 2), rows=mostly(0, 0, 1), columns=mostly(1, 15, 0), row_count=rows,
            products=products,
        ),
        Command.COMPENSATE: lambda: words(0, mostly(0, 15, 16), mostly(0, 1023, 1024)),
        Command.WAIT: lambda: wire.WaitRequest(int(rng.integers(0, 1000))).pack(),
        Command.TIGHTEN: lambda: wire.TightenRequest(mostly(0, 5, 6), 2 ** mostly(8, 30, 31)).pack(),
        Command.ROUTE: lambda: wire.RouteRequest(mostly(0, 14, 15), mostly(0, 1, 2), mostly(0, 15, 16), 3).pack(),
        Command.HOLD: lambda: wire.HoldRequest(mostly(0, 4, 5), 0).pack() + words(mostly(0, 3, 4), mostly(0, 2047, -1)),
        Command.SAMPLE: lambda: wire.SampleRequest(mostly(0, 2, 3), mostly(0, 1, 2), mostly(1, 9, 0)).pack(),
    }
    payload = b"" if kind not in valid else valid[kind]()
    match rng.integers(0, 12):
        case 0:
            return rng.bytes(int(rng.integers(0, 60)))
        case 1:
            return payload[: int(rng.integers(0, len(payload) + 1))]
        case 2 if payload:
            at = int(rng.integers(len(payload)))
            return payload[:at] + rng.bytes(1) + payload[at + 1 :]
        case 3:
            return payload + payload
    return payload


@pytest.mark.parametrize("seed", range(3))
def test_no_frame_whatever_is_in_it_kills_the_board_or_goes_beyond_a_limit(seed):
    rng = np.random.default_rng(seed)
    host = opened()
    bench, beyond, answered = host.board.bench, [], set()
    limits = host.board.panel.registers.limits
    compiled_in = limits.copy()
    original = bench.cells.pulse

    def watched(cells, polarity, amplitude_volts, gate_volts, width_seconds, start_tick):
        forming = np.broadcast_to(polarity == 2, np.shape(amplitude_volts))
        beyond.append((np.asarray(amplitude_volts) > np.where(forming, 3.3001, 2.5)).any())
        beyond.append((np.asarray(gate_volts) > 3.0001).any())
        beyond.append((width_seconds < 1e-7).any() or (width_seconds > 1e-3).any())
        original(cells, polarity, amplitude_volts, gate_volts, width_seconds, start_tick)

    bench.cells.pulse = watched
    kinds = [*Command, 0, 99, 255]
    for _ in range(1500):
        kind = kinds[rng.integers(len(kinds))]
        if rng.random() < 0.7:
            kind = list(SEQUENCED)[rng.integers(len(SEQUENCED))]
        sequence = host.board._expected if rng.random() < 0.9 else int(rng.integers(65536))
        session = SESSION if rng.random() < 0.97 else int(rng.integers(65536))
        reply = host.board.handle(Frame(int(kind), 0, session, sequence, random_payload(rng, kind)), 0.0)
        if reply is not None:
            answered.add((int(kind), reply.status))
            assert len(reply.payload) + 10 <= bench.geometry.max_frame_bytes
        if rng.random() < 0.05:
            limits[:] = compiled_in     # as after a reset, or soon no pulse is allowed any more
        if not host.board.armed or host.board.session != SESSION:
            host.board.armed = False
            assert host.open().status == Status.OK
    assert beyond and not any(beyond)
    assert {kind for kind in SEQUENCED if (kind, Status.OK) not in answered} == set()
    identity = wire.IdentifyReply.unpack(host.ask(Command.IDENTIFY).payload)
    assert identity.wire_hash == wire.WIRE_HASH


@pytest.fixture
def process():
    """(host's link to a simulated board in a process of its own, the process)"""
    here, there = socket.socketpair()
    running = subprocess.Popen(
        [sys.executable, "-m", "hwloop.mock.serve", str(there.fileno()), BenchConfig("hwloop-16x4").to_json()],
        pass_fds=[there.fileno()],
    )
    there.close()
    link = Link(SocketTransport(here, "process"), timeout_seconds=60)
    link.request(Command.IDENTIFY)
    yield link, running
    link.close()
    assert running.wait(20) == 0


def test_in_real_time_silence_grounds_and_heartbeats_keep_awake(process):
    link, _ = process
    link.open()
    start = time.monotonic()
    while time.monotonic() - start < 2.6:
        link.heartbeat()
        time.sleep(0.4)
    assert wire.StatusReply.unpack(link.request(Command.STATUS)).armed
    time.sleep(2.7)
    found = wire.StatusReply.unpack(link.request(Command.STATUS))
    assert not found.armed and found.safe_reason == SafeReason.DEAD_MAN


def test_noise_and_floods_on_the_socket_leave_the_process_alive(process):
    link, running = process
    rng = np.random.default_rng(0)
    for _ in range(50):
        link.transport.send(rng.bytes(5000))
    link.transport.send(b"\x01" * 3_000_000)
    identify = Frame(Command.IDENTIFY, 0, link.session, 9, b"").encode()
    link.transport.send(b"\0" + identify * 20_000)
    link.timeout_seconds = 20
    assert link.request(Command.IDENTIFY) and running.poll() is None
