"""What a session left set: told to a board that was reset, it stands there as it stood before."""

import numpy as np
import pytest

from hwloop.link import protocol as wire
from hwloop.link.frames import Frame
from hwloop.link.protocol import Command, Status
from hwloop.mock.bench import Bench, BenchConfig
from hwloop.mock.board import SimulatedBoard
from hwloop.runlog.standing import Standing
from tests.contract.stories import Story
from tests.unit.mock.talking import Host


@pytest.mark.parametrize("seed", range(6))
def test_a_board_that_was_reset_comes_to_where_it_was(seed):
    board, standing = SimulatedBoard(Bench(BenchConfig("hwloop-16x4"))), Standing()
    story = Story(board.bench.geometry, seed)
    story.tighten()
    for _ in range(40):
        story.rng.choice([story.ports, story.route, story.compensate, story.read, story.hold])()
    for frame in story.frames:
        reply: Frame = board.handle(frame, 0.0)
        if frame.kind in wire.SEQUENCED and reply.status == Status.OK:
            standing.note([(Command(frame.kind), frame.payload)])
    again = Host()
    again.open()
    for kind, payload in standing.requests(board.bench.geometry.max_frame_bytes):
        again.done(kind, payload)
    found = again.board.bench
    assert found.outputs_routed == board.bench.outputs_routed
    for name, value in vars(board.bench.connection).items():
        assert np.array_equal(getattr(found.connection, name), value), name
    registers = again.board.panel.registers
    assert np.array_equal(registers.compensation_code, board.panel.registers.compensation_code)
    assert np.array_equal(registers.limits, board.panel.registers.limits)
