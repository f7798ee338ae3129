"""The bench world: what serials, seed and effects decide."""

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest

from hwloop.errors import UsageError
from hwloop.link import protocol as wire
from hwloop.link.protocol import Command, Polarity
from hwloop.mock.bench import Bench
from hwloop.mock.bench_config import BOARD_EFFECTS, DEVICE_EFFECTS, BenchConfig
from tests.unit.mock.talking import mvm_section, opened, pulse_section, read_request, solve_section, words

SMALL = "hwloop-16x4"

SCRIPT = """
import hashlib, json, sys
from tests.unit.mock.test_bench import exercise
print(hashlib.sha256(exercise(**json.loads(sys.argv[1]))).hexdigest())
"""


def exercise(**config) -> bytes:
    """Every reply of a session that uses everything."""
    host = opened(**config)
    replies = b""
    for step in range(3):
        for array in (0, 1):
            replies += host.done(Command.PULSE, pulse_section(*range(64), array=array, polarity=Polarity(step % 2)))
            replies += host.done(Command.READ, read_request(*range(64), array=array, averages=2, sub_averages=3))
        replies += host.done(Command.COMPENSATE, words(step, 0, 300, 1, 300 + step))
        replies += host.done(Command.SOLVE, solve_section(0, 1, 60000, 60000, columns=3, row_count=2, settle_ticks=500))
        replies += host.done(Command.MVM, mvm_section(0, 1, 900, 900, columns=0b11, row_count=2))
        replies += host.done(Command.TEMPERATURE) + host.done(Command.WAIT, wire.WaitRequest(10**7).pack())
    return replies


def digest_in_another_process(**config) -> str:
    command = [sys.executable, "-c", SCRIPT, json.dumps(config)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def test_the_same_seed_gives_byte_identical_replies_in_every_process():
    here = hashlib.sha256(exercise(seed=7)).hexdigest()
    assert digest_in_another_process(seed=7) == here == digest_in_another_process(seed=7)


@pytest.mark.parametrize("other", [{"seed": 8}, {"array_serial": 2}, {"board_serial": 2}])
def test_another_seed_or_serial_is_another_bench(other):
    assert exercise(**other) != exercise()


def test_serials_fix_the_hardware_and_the_seed_does_not():
    benches = [Bench(BenchConfig(SMALL, seed=seed)) for seed in (0, 1)]
    for name in ("threshold_volts", "forming_volts", "rtn_depth", "temperature_per_kelvin"):
        assert np.array_equal(*(getattr(bench.cells.hardware, name) for bench in benches))
    assert np.array_equal(benches[0].truth.amplifier_offset_volts, benches[1].truth.amplifier_offset_volts)
    other_board = Bench(BenchConfig(SMALL, board_serial=2))
    assert not np.array_equal(other_board.truth.amplifier_offset_volts, benches[0].truth.amplifier_offset_volts)
    assert np.array_equal(other_board.cells.hardware.threshold_volts, benches[0].cells.hardware.threshold_volts)


def test_with_every_effect_off_readings_repeat_exactly():
    host = opened(off=(*DEVICE_EFFECTS, *BOARD_EFFECTS))
    host.done(Command.PULSE, pulse_section(*range(64), polarity=Polarity.SET))
    replies = {host.done(Command.READ, read_request(*range(64), averages=7))[4:] for _ in range(20)}
    host.done(Command.WAIT, wire.WaitRequest(2**32 - 1).pack())
    replies.add(host.done(Command.READ, read_request(*range(64)))[4:])
    assert len(replies) == 1
    codes = np.frombuffer(replies.pop(), "<u2", 64)
    assert len(set(codes.tolist())) == 1, "no cell differs from another"


@pytest.mark.parametrize("effect", ["chain_noise", "cell_noise", "relaxation", "stochastic"])
def test_an_effect_on_its_own_shows(effect):
    every = (*DEVICE_EFFECTS, "chain_noise", "amplifier_offset", "amplifier_gain")
    off = tuple(name for name in every if name != effect)
    quiet, noisy = exercise(off=every), exercise(off=off)
    assert quiet != noisy


def test_amplifier_effects_show_in_solves():
    every = ("chain_noise", "amplifier_offset", "amplifier_gain")

    def offsets(off):
        return Bench(BenchConfig(SMALL, off=off)).truth.amplifier_offset_volts

    assert not offsets(every).any() and offsets(every[:1]).all()
    assert np.abs(offsets(every[:1])).max() < 30e-6


def test_a_pristine_chip_is_unformed_and_a_formed_one_is_not():
    pristine, formed = (Bench(BenchConfig(SMALL, pristine=pristine)) for pristine in (True, False))
    assert not pristine.cells.cell_state.formed.any()
    assert (pristine.cells.conductance(np.arange(128), 0)[~pristine.cells.faults.stuck_high] < 1.1e-6).all()
    assert formed.cells.cell_state.formed[~formed.cells.faults.stuck].all()


def test_temperature_drifts_with_bench_time():
    host = opened(temperature_celsius=30.0, temperature_drift_per_hour_celsius=36.0)
    host.done(Command.WAIT, wire.WaitRequest(25 * 10**7).pack())
    assert wire.TemperatureReply.unpack(host.done(Command.TEMPERATURE)).centicelsius == 3025


@pytest.mark.parametrize(
    "options", [{"board_name": "hwloop-1x1"}, {"off": ("gravity",)}, {"preset": "perfect"}],
)
def test_a_bench_that_does_not_exist(options):
    with pytest.raises(UsageError):
        Bench(BenchConfig(**({"board_name": SMALL} | options)))


def test_a_configuration_survives_its_way_to_another_process():
    config = BenchConfig(SMALL, 3, 4, 5, "neurram", ("rtn",), 31.5, 0.5, True, "/tmp/x")
    assert BenchConfig.from_json(config.to_json()) == config
