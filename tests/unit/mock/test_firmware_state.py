"""A durable bench under C firmware: its cells survive a kill of everything; the session dies, as on a real board."""

import signal

import numpy as np
import pytest

from hwloop.errors import DeviceError
from hwloop.link import protocol as wire
from hwloop.link.link import Link
from hwloop.link.protocol import Command, Polarity, ResetCause
from hwloop.mock.bench import Bench
from hwloop.mock.bench_config import BenchConfig
from hwloop.mock.bench_state import read_state
from hwloop.mock.firmware import Firmware, find_firmware
from tests.unit.mock.killing import ForkedBoard
from tests.unit.mock.talking import opened, pulse_section

SMALL = "hwloop-16x4"


@pytest.fixture(params=["host", "emulated"])
def firmware(request) -> Firmware:
    try:
        return find_firmware(request.param, SMALL)
    except DeviceError as error:
        pytest.skip(str(error))


def status(link: Link) -> wire.StatusReply:
    return wire.StatusReply.unpack(link.request(Command.STATUS))


@pytest.mark.parametrize("continues", [False, True])
def test_cells_survive_and_the_board_is_one_that_was_reset(tmp_path, firmware, continues):
    path = tmp_path / "chip"
    config = BenchConfig(SMALL, state=str(path), continues=continues)
    reference = opened()
    first = ForkedBoard(config, firmware)
    link = Link(first.transport, timeout_seconds=20)
    link.open()
    for cell in range(5):
        section = pulse_section(cell, polarity=Polarity.SET)
        assert link.run([(Command.PULSE, section)]) == [reference.done(Command.PULSE, section)]
    before = status(link)
    first.kill()
    assert first.wait() == -signal.SIGKILL
    assert read_state(path).records
    second = ForkedBoard(config, firmware)
    link = Link(second.transport, timeout_seconds=20)
    after = status(link)
    assert (after.boot_counter, after.reset_cause) == (before.boot_counter + 1, ResetCause.POWER)
    assert (after.armed, after.open_session) == (0, 0)
    # The firmware says that a command is completed after its cells were pulsed: the kill came between, or later.
    assert (after.last_begun_kind, after.last_begun_sequence) == (Command.PULSE, 4)
    link.open()
    link.run([(Command.WAIT, wire.WaitRequest(10_000_000).pack())])
    ticks = status(link).ticks
    link.close()
    assert second.wait() == 0
    assert [entry.name for entry in tmp_path.iterdir()] == ["chip"]
    bench = Bench(config)
    assert bench.ticks >= ticks > 10_000_000, "time that passed counts at the end in order"
    for name, values in reference.board.bench.cells.cell_state._asdict().items():
        assert np.array_equal(values, getattr(bench.cells.cell_state, name)), name
