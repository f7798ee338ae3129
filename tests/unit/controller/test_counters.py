"""The host's clock, and counters as JSON, as a run file and as text."""

import pytest

from hwloop.controller.counters import Counters, HostClock
from hwloop.drivers.board.counters import HardwareSeconds


def counters(**changed):
    fields = dict(
        cells_written=4, pulses=2_000, row_pulses=30, reads=5, solves=6, exchanges=7, bytes_sent=8_000_000,
        bytes_received=9, payload_bytes=10, hardware_seconds=HardwareSeconds(0.1, 0.2, 0.3, 0.4, 0.5, 1.25),
        host_seconds=0.5, mock_seconds=1.5, wall_seconds=2.5,
    )  # fmt: skip
    return Counters(**{**fields, **changed})


def test_the_clock_leaves_out_what_is_paused():
    now = iter(range(100))
    clock = HostClock(lambda: next(now), lambda: 10.0)
    with clock.running():           # from 0
        with clock.paused():        # 1 to 2
            pass
    assert (clock.cpu_seconds, clock.wall_seconds) == (2, 0.0)     # 3 - 0 - (2 - 1)


def test_a_failure_still_counts():
    now = iter([1.0, 4.0])
    clock = HostClock(lambda: next(now), lambda: 0.0)
    with pytest.raises(ZeroDivisionError), clock.running():
        _ = 1 / 0
    assert clock.cpu_seconds == 3.0


def test_run_files_have_a_unit_for_every_counter_and_nothing_for_what_is_not_known():
    units = {item.name: item.unit for item in counters().quantities()}
    assert units["hardware_total_seconds"] == units["mock_seconds"] == "s"
    assert units["bytes_sent"] == units["payload_bytes"] == "byte" and units["pulses"] == "1"
    assert "mock_seconds" not in {item.name for item in counters(mock_seconds=None).quantities()}


def test_people_read_three_lines():
    text = counters().text()
    assert text.splitlines() == [
        "hardware   1.25 s on the bench (pulse 0.1, read 0.2, solve 0.3, load 0.4, link 0.5, partly hidden)",
        "work       2,000 cell pulses in 30 row pulses, 5 reads, 6 solves, 7 exchanges, 8 MB",
        "host       0.5 s of CPU in 2.5 s; simulated board 1.5 s of CPU",
    ]
    assert "simulated" not in counters(mock_seconds=None).text()
