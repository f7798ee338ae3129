"""What breaks, and what the host firmware makes of it: lines safe within the stated time, and the host told what
happened."""

from __future__ import annotations

import time

import numpy as np
import pytest

from hwloop.link import protocol as wire
from hwloop.link.frames import Frame
from hwloop.link.protocol import Command, Field, Layout, Polarity, ResetCause, Route, SafeReason, Status, Target
from hwloop.mock.bench import Bench
from hwloop.mock.board import SimulatedBoard
from hwloop.mock.chips import wiring
from hwloop.mock.firmware import FIRMWARE_BACKENDS
from hwloop.mock.session import DEAD_MAN_SECONDS
from tests.firmware.running import BOARD_NAME, Host, running

ROWS = wire.BOARDS[BOARD_NAME].rows
OTHER_SESSION = 0x0777
# Lines are safe within this time after the firmware is gone: its pins fall, nothing has to be sent.
GONE_SECONDS = 0.1


def words(*values: int) -> bytes:
    return np.array(values).astype("<u2").tobytes()


def pulses(count: int = 1, width_ticks: int = 100, amplitude_code: int = 20_000) -> bytes:
    """So many row pulses, each on two cells of the next row."""
    listed = [word for row in range(count) for word in (row % ROWS, 0b101)]
    section = wire.PulseSection(
        0, Polarity.SET, Layout.ROWS, Target.COMMON, width_ticks, amplitude_code, 25_000, len(listed)
    )
    return section.pack() + words(*listed)


def read(rows: int = 1, averages: int = 4) -> bytes:
    listed = [word for row in range(rows) for word in (row, 0b1111)]
    section = wire.ReadSection(0, Layout.ROWS, len(listed)).pack()
    return wire.ReadRequest(wire.TiaRange.COARSE, 1, averages, 100).pack() + section + words(*listed)


def solve(solves: int = 1) -> bytes:
    section = wire.SolveSection(wire.Constraint.RECTIFIER, wire.Rows.INDICES, 0, 0, 4, 0b11, 100, 4, solves)
    return section.pack() + words(0, 1, 2, 3) + words(*[500] * (4 * solves))


LONG = {Command.PULSE: pulses(60), Command.READ: read(ROWS), Command.SOLVE: solve(20)}
SHORT = {Command.PULSE: pulses(), Command.READ: read(), Command.SOLVE: solve()}


def wait_until(holds, seconds: float) -> float:
    """Seconds until `holds()`; fails where that takes longer."""
    start = time.monotonic()
    while not holds():
        assert time.monotonic() - start < seconds, f"not within {seconds:g} s"
        time.sleep(0.002)
    return time.monotonic() - start


def opened(firmware) -> Host:
    assert firmware.host.open().status == Status.OK
    return firmware.host


# ---- the firmware itself ----


@pytest.mark.parametrize("kind", LONG)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_killed_in_the_middle_of_a_command(kind, share):
    with running() as firmware:
        host = opened(firmware)
        host.done(kind, SHORT[kind])
        before = host.status()
        killed = firmware.kill_in_the_next_command(share)
        host.say(kind, LONG[kind])
        assert killed.wait(5)
        wait_until(lambda: not firmware.panel.lines_driven, GONE_SECONDS)
        after = host.status()
        assert (after.armed, after.safe_reason) == (0, SafeReason.WATCHDOG)
        assert (after.reset_cause, after.boot_counter) == (ResetCause.WATCHDOG, before.boot_counter + 1)
        assert (after.last_begun_kind, after.last_begun_sequence, after.last_completed) == (kind, 1, 0)
        assert after.open_session == 0
        # Nothing is carried out a second time by mistake: the session is gone.
        assert host.command(kind, LONG[kind], sequence=1).status == Status.NOT_OPEN
        assert host.open(resume=1).status == Status.NOT_OPEN
        assert host.open().status == Status.OK
        host.done(kind, SHORT[kind])
        assert firmware.panel.violations == []


def test_killed_while_nothing_happens():
    with running() as firmware:
        host = opened(firmware)
        host.done(Command.PULSE, pulses())
        host.done(Command.ROUTE, wire.RouteRequest(Route.CELL_TO_SMU, 1, 3, 2).pack())
        assert firmware.panel.routed_cell == (1, 3, 2)
        before = firmware.host.status()
        firmware.kill()
        wait_until(lambda: firmware.panel.routed_cell is None, GONE_SECONDS)
        after = host.status()
        assert (after.safe_reason, after.boot_counter) == (SafeReason.WATCHDOG, before.boot_counter + 1)
        assert (after.last_begun_kind, after.last_begun_sequence, after.last_completed) == (Command.ROUTE, 1, 1)


def test_killed_while_levels_are_held():
    with running() as firmware:
        host = opened(firmware)
        route = Command.ROUTE, wire.RouteRequest(Route.AMPLITUDE_TO_SMU, 0, 0, 2).pack()
        hold = Command.HOLD, wire.HoldRequest(wire.Hold.AMPLITUDE, 0).pack() + np.array([2, 40_000], "<u2").tobytes()
        host.done(*route)
        host.done(*hold)
        bench = firmware.panel.bench
        assert (bench.connection.route, bench.connection.amplitude_code[2]) == (Route.AMPLITUDE_TO_SMU, 40_000)
        firmware.kill()
        wait_until(lambda: bench.connection.route == Route.NOTHING, GONE_SECONDS)
        wait_until(lambda: not host.status().armed, 2.0)
        assert host.open().status == Status.OK
        host.done(*route)
        assert bench.connection.route == Route.AMPLITUDE_TO_SMU and not bench.connection.amplitude_code.any()
        assert firmware.panel.violations == []


def test_limits_that_were_tightened_are_as_compiled_in_after_a_reset():
    with running() as firmware:
        host = opened(firmware)
        host.done(Command.TIGHTEN, wire.TightenRequest(wire.LimitKind.WIDTH_TICKS, 50).pack())
        assert host.command(Command.PULSE, pulses(width_ticks=51)).status == Status.OUT_OF_RANGE
        firmware.kill()
        wait_until(lambda: not host.status().armed, 2.0)
        assert host.open().status == Status.OK
        host.done(Command.PULSE, pulses(width_ticks=51))


# ---- the link ----


def test_a_host_that_falls_silent_is_a_dead_man():
    """Two seconds of the wall clock after the last frame of the session; another host's frames do not count."""
    with running() as firmware:
        host = opened(firmware)
        host.done(Command.ROUTE, wire.RouteRequest(Route.CELL_TO_SMU, 0, 1, 1).pack())
        watching = firmware.connect(OTHER_SESSION)
        start = time.monotonic()
        while (status := watching.status()).armed:
            assert time.monotonic() - start < DEAD_MAN_SECONDS + 0.5
            time.sleep(0.05)
        assert time.monotonic() - start > DEAD_MAN_SECONDS - 0.2
        assert (status.safe_reason, status.open_session) == (SafeReason.DEAD_MAN, host.session)
        assert firmware.panel.routed_cell is None
        assert host.command(Command.PULSE, pulses()).status == Status.SAFE_LATCHED
        assert host.open(resume=1).status == Status.OK
        host.done(Command.PULSE, pulses())


def test_heartbeats_keep_it_awake():
    with running() as firmware:
        host = opened(firmware)
        for _ in range(6):
            host.say(Command.HEARTBEAT, b"", 0)
            time.sleep(wire.SESSION_HEARTBEAT_MILLISECONDS * 1e-3)
        assert host.status().armed


def test_a_link_that_is_cut_in_the_middle_of_a_command():
    """What was asked for whole is done; half a frame is not; then the dead-man grounds."""
    with running() as firmware:
        watching = firmware.connect(OTHER_SESSION)
        host = opened(firmware)
        host.say(Command.PULSE, pulses(60))
        host.connection.sendall(b"\5\5\1\1\1\3")
        host.connection.close()
        wait_until(lambda: watching.status().last_completed, 2.0)
        status = watching.status()
        assert (status.last_begun_kind, status.expected_sequence, status.armed) == (Command.PULSE, 1, 1)
        wait_until(lambda: not watching.status().armed, DEAD_MAN_SECONDS + 0.5)
        assert watching.status().safe_reason == SafeReason.DEAD_MAN
        assert not firmware.panel.lines_driven
        assert watching.open().status == Status.OK


# ---- clocks ----


def test_the_tick_counter_goes_beyond_32_bits():
    """A pulse, a reading and solves across 2**32 ticks: every reply as the Python board's, which counts without end."""
    frames = [
        (Command.WAIT, wire.WaitRequest(2**32 - 1).pack()), (Command.PULSE, pulses(3)), (Command.READ, read(3)),
        (Command.WAIT, wire.WaitRequest(2**32 - 1 - 40_000).pack()), (Command.PULSE, pulses(100)),
        (Command.SOLVE, solve(3)), (Command.WAIT, wire.WaitRequest(2**32 - 1).pack()), (Command.READ, read(2)),
    ]  # fmt: skip
    with running(preset="default") as firmware:
        python = SimulatedBoard(Bench(firmware.bench.config))
        host = opened(firmware)
        python.handle(Frame(Command.OPEN, 0, host.session, 1, wire.OpenRequest(wire.WIRE_HASH, 0).pack()), 0.0)
        for number, (kind, payload) in enumerate(frames):
            wanted = python.handle(Frame(kind, 0, host.session, number, payload), 0.0)
            assert host.command(kind, payload) == wanted
        assert host.status().ticks == python.bench.ticks > 2 * 2**32
        assert firmware.panel.violations == []


# ---- chips ----

ANSWERING = (wiring.SELECT_MODE_SWITCHES, wiring.SELECT_ADC_LOW, wiring.SELECT_TEMPERATURE)
# All switches open answer zeros: a line stuck there is found when a switch has to close.
LOOKS_SOUND_AT_REST = {(wiring.SELECT_MODE_SWITCHES, 0)}
SILENT = (
    wiring.SELECT_COLUMN_DAC, wiring.SELECT_GATE_DAC, wiring.SELECT_BIAS_DAC, wiring.SELECT_COLUMN_SELECT,
    wiring.SELECT_COLUMN_MASK, wiring.SELECT_FEEDBACK, wiring.SELECT_ROW_SELECT, wiring.SELECT_ROW_MASK,
    wiring.SELECT_COMPENSATION, wiring.SELECT_INPUT_DAC,
)  # fmt: skip


def expect_fault(firmware, host: Host, kind: Command) -> None:
    """The command that finds the chip broken says so, and everything is grounded from then on until it is mended."""
    reply = host.command(kind, SHORT[kind])
    assert reply.status == Status.FAULT
    assert not firmware.panel.lines_driven
    status = host.status()
    assert (status.armed, status.safe_reason, status.last_completed) == (0, SafeReason.FAULT, 0)
    assert (status.last_begun_kind, status.last_begun_sequence) == (kind, reply.sequence)
    assert host.command(kind, SHORT[kind]).status == Status.SAFE_LATCHED


@pytest.mark.parametrize("kind", SHORT)
@pytest.mark.parametrize("select", ANSWERING)
@pytest.mark.parametrize("level", [0, 1])
def test_what_a_chip_answers_is_stuck(kind, select, level):
    with running() as firmware:
        host = opened(firmware)
        host.done(kind, SHORT[kind])
        firmware.panel.stick(select, "miso", level)
        expect_fault(firmware, host, kind)
        if (select, level) not in LOOKS_SOUND_AT_REST:
            assert host.open().status == Status.FAULT
        firmware.panel.mend()
        assert host.open().status == Status.OK
        host.done(kind, SHORT[kind])
        assert firmware.panel.violations == []


@pytest.mark.parametrize("select", ANSWERING)
@pytest.mark.parametrize("level", [0, 1])
def test_what_a_chip_that_answers_is_told_is_stuck(select, level):
    """A command that needs the chip finds it; before that, nothing that it could drive is driven."""
    with running() as firmware:
        host = opened(firmware)
        firmware.panel.stick(select, "mosi", level)
        replies = [host.command(kind, SHORT[kind]) for kind in (Command.PULSE, Command.READ, Command.SOLVE)]
        assert Status.FAULT in [reply.status for reply in replies]
        assert not firmware.panel.lines_driven
        assert host.status().safe_reason == SafeReason.FAULT
        if (select, level) not in LOOKS_SOUND_AT_REST:
            assert host.open().status == Status.FAULT


@pytest.mark.parametrize("select", SILENT)
@pytest.mark.parametrize("level", [0, 1])
def test_what_a_chip_without_an_answer_is_told_is_stuck(select, level):
    """Nobody can see that from outside; the board goes on, and every line is grounded after each command."""
    with running() as firmware:
        host = opened(firmware)
        firmware.panel.stick(select, "mosi", level)
        for kind, payload in SHORT.items():
            assert host.command(kind, payload).status in (Status.OK, Status.FAULT)
            assert not firmware.panel.lines_driven
        assert host.ask(Command.SAFE).status == Status.OK
        assert host.status().safe_reason == SafeReason.COMMAND


@pytest.mark.parametrize("kind", SHORT)
def test_an_adc_that_lost_its_range(kind):
    """A dip of its supply: its codes would mean something else, and nothing would look wrong."""
    with running() as firmware:
        host = opened(firmware)
        host.done(kind, SHORT[kind])
        firmware.panel.forget(wiring.SELECT_ADC_LOW)
        expect_fault(firmware, host, kind)


def test_mode_switches_that_lost_what_they_hold():
    with running() as firmware:
        host = opened(firmware)
        host.done(Command.ROUTE, wire.RouteRequest(Route.OUTPUTS_TO_DAQ, 0, 0, 0).pack())
        firmware.panel.forget(wiring.SELECT_MODE_SWITCHES)
        assert host.command(Command.TEMPERATURE).status == Status.FAULT
        assert host.status().safe_reason == SafeReason.FAULT


# ---- heat ----


def test_too_hot_from_the_beginning():
    with running(temperature_celsius=90.0) as firmware:
        reply = firmware.host.open()
        assert reply.status == Status.FAULT
        refusal = wire.Refusal.unpack(reply.payload)
        assert (refusal.field, refusal.value) == (Field.TEMPERATURE, 9000)
        assert refusal.high == wire.LIMIT_TEMPERATURE_CENTICELSIUS
        assert not firmware.host.status().armed
        assert firmware.host.command(Command.PULSE, pulses()).status == Status.NOT_OPEN


def test_the_array_gets_too_hot():
    """84 °C, and half a degree more each second: the command that finds it is done, what follows is not."""
    with running(temperature_celsius=84.0, temperature_drift_per_hour_celsius=1800.0) as firmware:
        host = opened(firmware)
        host.done(Command.PULSE, pulses())
        assert host.status().armed
        host.done(Command.WAIT, wire.WaitRequest(3 * wire.TICK_HERTZ).pack())
        status = host.status()
        assert (status.armed, status.safe_reason, status.last_completed) == (0, SafeReason.TEMPERATURE, 1)
        assert host.command(Command.PULSE, pulses()).status == Status.SAFE_LATCHED
        assert host.open(resume=1).status == Status.FAULT


@pytest.mark.parametrize("backend", FIRMWARE_BACKENDS)
def test_chips_that_take_long_do_not_make_a_dead_man_of_a_host_that_speaks(backend):
    """Where simulated chips compute for longer than the dead-man, heartbeats are heard before their answer is."""
    with running(backend=backend) as firmware:
        host = opened(firmware)
        feed, slow, fed = firmware.panel.feed, [DEAD_MAN_SECONDS * 1.4], []

        def feed_slowly(data: bytes) -> bytes:
            fed.append(len(data))
            if slow and sum(fed) > 1000 and data[-1] == wiring.STREAM_FINISH:   # not a look while it is idle
                time.sleep(slow.pop())
            return feed(data)

        firmware.panel.feed = feed_slowly
        host.say(Command.READ, read(ROWS, 64))
        while (reply := host.hear(0.4)) is None:
            host.connection.sendall(Frame(Command.HEARTBEAT, 0, host.session, 0, b"").encode())
        assert not slow and reply.status == Status.OK
        assert host.status().armed


@pytest.mark.parametrize("backend", FIRMWARE_BACKENDS)
def test_a_bench_that_failed_once_is_a_fault_and_opens_again(backend, monkeypatch):
    with running(backend=backend) as firmware:
        host = opened(firmware)

        def full(_=None):
            monkeypatch.undo()
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(firmware.bench, "save_if_changed", full)
        assert host.command(Command.PULSE, pulses()).status == Status.FAULT
        assert (host.status().armed, host.status().safe_reason) == (0, SafeReason.FAULT)
        assert not firmware.panel.lines_driven
        assert host.open().status == Status.OK
        host.done(Command.PULSE, pulses())
