"""What a board states about itself, for tests of the driver without a board."""

from hwloop.drivers.board.scales import Scales
from hwloop.link import protocol as wire
from hwloop.mock.bench import Bench
from hwloop.mock.bench_config import BenchConfig
from hwloop.mock.commands import describe
from hwloop.mock.panel import Panel


def scales_of(board_name: str) -> Scales:
    """Scales of a kind of board as its simulation states them."""
    return Scales(wire.DescribeReply.unpack(describe(Panel(Bench(BenchConfig(board_name=board_name))))))
