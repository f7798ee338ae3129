"""The trigger model of the simulated 2600B: sweeps on the instrument's own buffers, their time, and stimuli."""

import numpy as np
import pytest

from hwloop.mock.instruments.elements import Resistor
from hwloop.mock.instruments.terminals import Operating
from hwloop.mock.instruments.tsp.keithley_2600b import Keithley2600B

SWEEP = (
    "smua.trigger.source.{kind} smua.trigger.source.action = smua.ENABLE "
    "smua.trigger.measure.iv(smua.nvbuffer1, smua.nvbuffer2) smua.trigger.measure.action = smua.ENABLE "
    "smua.trigger.count = {points} smua.source.output = 1 "
)


class Recorder:
    """A resistor that remembers the levels it was driven to, and for how long."""

    def __init__(self, ohms: float = 10e3):
        self.ohms = ohms
        self.held: list[tuple[float, float]] = []
        self.released = 0

    def drive_volts(self, volts, limit_amps, seconds, remote_sense):
        self.held.append((volts, seconds))
        return Operating(volts, volts / self.ohms, False)

    def drive_amps(self, amps, limit_volts, seconds, remote_sense):
        self.held.append((amps, seconds))
        return Operating(amps * self.ohms, amps, False)

    def release(self):
        self.released += 1


def tell(instrument: Keithley2600B, *lines: str) -> str:
    return instrument.say("".join(line + "\n" for line in lines).encode()).decode("latin-1")


def column(instrument: Keithley2600B, name: str, points: int) -> np.ndarray:
    return np.array(tell(instrument, f"printbuffer(1, {points}, {name})").split(","), float)


@pytest.fixture
def smu() -> Keithley2600B:
    return Keithley2600B("2602B", 7, (Resistor(10e3), Resistor(1e3)))


def test_a_sweep_of_1001_points_is_one_trigger_and_one_transfer_and_nearly_all_integration(smu):
    tell(smu, "smua.measure.autozero = smua.AUTOZERO_OFF smua.measure.nplc = 1 smua.measure.rangei = 1e-3")
    tell(smu, "smua.source.rangev = 1 smua.nvbuffer1.collectsourcevalues = 1 format.data = format.REAL64")
    tell(smu, SWEEP.format(kind="linearv(-1, 1, 1001)", points=1001))
    before = smu.clock_seconds
    data = smu.say(b"smua.trigger.initiate() waitcomplete() printbuffer(1, 1001, smua.nvbuffer1, smua.nvbuffer2)\n")
    readings = np.frombuffer(data[2:-1], "<f8").reshape(1001, 2)
    assert readings[:, 1] == pytest.approx(np.linspace(-1, 1, 1001), abs=2e-3)
    assert readings[:, 0] == pytest.approx(np.linspace(-1e-4, 1e-4, 1001), abs=1e-6)
    integration_share = 1001 * 0.02 / (smu.clock_seconds - before)
    assert 0.9 <= integration_share < 1.0


def test_buffers_keep_levels_times_ranges_and_functions(smu):
    tell(smu, "smua.nvbuffer1.collectsourcevalues = 1 smua.measure.rangei = 100e-6 smua.source.rangev = 1")
    tell(smu, SWEEP.format(kind="listv({0.1, 0.3, 0.2})", points=3), "smua.trigger.initiate()", "waitcomplete()")
    assert column(smu, "smua.nvbuffer1.sourcevalues", 3) == pytest.approx([0.1, 0.3, 0.2])
    times = column(smu, "smua.nvbuffer1.timestamps", 3)
    assert times[0] == 0 and np.diff(times) == pytest.approx([0.06, 0.06], rel=0.01)  # three phases with autozero
    assert column(smu, "smua.nvbuffer1.measureranges", 3) == pytest.approx([1e-4] * 3)
    assert tell(smu, "printbuffer(1, 2, smua.nvbuffer2.measurefunctions)") == "Voltage, Voltage\n"
    assert tell(smu, "print(smua.nvbuffer1.n, smua.nvbuffer1.capacity)").split() == ["3.00000e+00", "6.00000e+04"]
    assert tell(smu, "smua.nvbuffer1.collectsourcevalues = 0 print(errorqueue.next())").startswith("5.03200e+03")


def test_logarithmic_levels_and_made_buffers(smu):
    tell(smu, "mine = smua.makebuffer(5) smua.trigger.source.logv(0.001, 1, 4) smua.trigger.source.action = 1")
    tell(smu, "smua.trigger.measure.v(mine) smua.trigger.measure.action = 1 smua.trigger.count = 4")
    tell(smu, "smua.source.rangev = 1 smua.source.output = 1 smua.trigger.initiate() waitcomplete()")
    assert column(smu, "mine", 4) == pytest.approx([0.001, 0.01, 0.1, 1.0], abs=1e-3)


def test_the_device_is_held_at_each_level_as_long_as_the_sweep_takes():
    part = Recorder()
    smu = Keithley2600B("2602B", 7, (part, Resistor(1e3)))
    tell(smu, "smua.source.delay = 0.5 smua.source.rangev = 1 smua.measure.autozero = 0")
    tell(smu, SWEEP.format(kind="linearv(0.2, 0.4, 3)", points=3), "smua.trigger.initiate() waitcomplete()")
    for level in (0.2, 0.3, 0.4):
        held_seconds = sum(seconds for volts, seconds in part.held if abs(volts - level) < 2e-3)
        assert held_seconds == pytest.approx(0.5 + 0.02, abs=0.002)
    assert part.held[-1][0] == pytest.approx(0.0, abs=1e-3)  # after the sweep the programmed level returns
    tell(smu, "smua.source.output = 0")
    assert part.released >= 1


def test_pulses_return_to_the_programmed_level_between_points():
    part = Recorder()
    smu = Keithley2600B("2602B", 7, (part, Resistor(1e3)))
    tell(smu, SWEEP.format(kind="listv({0.5, 0.6})", points=2) + "smua.trigger.endpulse.action = smua.SOURCE_IDLE")
    tell(smu, "smua.source.rangev = 1 smua.trigger.initiate() waitcomplete()")
    rounded = [round(volts, 1) for volts, _ in part.held]
    changes = [level for level, before in zip(rounded, [None, *rounded], strict=False) if level != before]
    assert changes == [0.0, 0.5, 0.0, 0.6, 0.0]


def test_a_program_that_polls_sees_the_sweep_busy_and_then_done(smu):
    tell(smu, SWEEP.format(kind="linearv(0, 1, 5)", points=5), "smua.trigger.initiate()")
    seen = [tell(smu, "print(status.operation.sweeping.condition)") for _ in range(3)]
    assert seen == ["2.00000e+00\n", "0.00000e+00\n", "0.00000e+00\n"]


def test_a_sweep_waits_for_the_trigger_of_the_interface(smu):
    tell(smu, SWEEP.format(kind="linearv(0, 1, 5)", points=5), "smua.trigger.arm.stimulus = trigger.EVENT_ID")
    tell(smu, "smua.trigger.initiate()", "waitcomplete()")
    assert tell(smu, "print(smua.nvbuffer1.n)") == "0.00000e+00\n"
    tell(smu, "*TRG")
    assert tell(smu, "print(smua.nvbuffer1.n)") == "5.00000e+00\n"


def test_channels_trigger_each_other_by_events_and_blenders(smu):
    tell(smu, SWEEP.format(kind="linearv(0, 1, 4)", points=4), SWEEP.replace("smua", "smub").format(
        kind="linearv(0, 1, 4)", points=4))
    tell(smu, "smub.trigger.source.stimulus = smua.trigger.SOURCE_COMPLETE_EVENT_ID")
    tell(smu, "trigger.blender[1].orenable = false")
    tell(smu, "trigger.blender[1].stimulus[1] = smua.trigger.MEASURE_COMPLETE_EVENT_ID")
    tell(smu, "trigger.blender[1].stimulus[2] = smub.trigger.MEASURE_COMPLETE_EVENT_ID")
    tell(smu, "smua.trigger.endpulse.stimulus = trigger.blender[1].EVENT_ID")
    tell(smu, "smub.trigger.initiate() smua.trigger.initiate() waitcomplete()")
    assert tell(smu, "print(smua.nvbuffer1.n, smub.nvbuffer1.n)").split() == ["4.00000e+00"] * 2
    assert tell(smu, "print(errorqueue.count)") == "0.00000e+00\n"


def test_a_timer_paces_the_points(smu):
    tell(smu, SWEEP.format(kind="linearv(0, 1, 4)", points=4), "smua.measure.autozero = 0 smua.measure.rangei = 1e-3")
    tell(smu, "trigger.timer[1].delay = 0.25 trigger.timer[1].count = 3 trigger.timer[1].passthrough = true")
    tell(smu, "trigger.timer[1].stimulus = smua.trigger.ARMED_EVENT_ID")
    tell(smu, "smua.trigger.source.stimulus = trigger.timer[1].EVENT_ID smua.trigger.initiate() waitcomplete()")
    times = column(smu, "smua.nvbuffer1.timestamps", 4)
    assert np.diff(times) == pytest.approx([0.25] * 3, abs=1e-3)


def test_abort_ends_a_waiting_sweep(smu):
    tell(smu, SWEEP.format(kind="linearv(0, 1, 5)", points=5), "smua.trigger.arm.stimulus = trigger.EVENT_ID")
    tell(smu, "smua.trigger.initiate()")
    assert tell(smu, "smua.trigger.initiate() print(errorqueue.next())").startswith("5.04200e+03")
    tell(smu, "smua.abort()")
    assert tell(smu, "print(status.operation.sweeping.condition)") == "0.00000e+00\n"


def test_a_sweep_beyond_range_or_of_the_other_quantity_is_refused_before_it_begins(smu):
    tell(smu, SWEEP.format(kind="linearv(0, 2, 5)", points=5), "smua.source.rangev = 1 smua.trigger.initiate()")
    assert tell(smu, "print(errorqueue.next())").startswith("5.00500e+03")
    tell(smu, "smua.trigger.source.lineari(0, 1e-3, 5) smua.trigger.initiate()")
    assert tell(smu, "print(errorqueue.next())").startswith("-2.21000e+02")


def test_overlapped_measurements_of_both_channels_take_the_time_of_one(smu):
    before = smu.clock_seconds
    tell(smu, "smua.measure.autozero = 0 smub.measure.autozero = 0 smua.measure.count = 50 smub.measure.count = 50")
    tell(smu, "smua.measure.overlappedi(smua.nvbuffer1) smub.measure.overlappedi(smub.nvbuffer1) waitcomplete()")
    assert smu.clock_seconds - before == pytest.approx(50 * 0.02, rel=0.05)
    assert tell(smu, "print(smua.nvbuffer1.n, smub.nvbuffer1.n)").split() == ["5.00000e+01"] * 2


def test_factory_sweep_functions(smu):
    tell(smu, "SweepVLinMeasureI(smub, 0, 1, 0.01, 5)")
    assert column(smu, "smub.nvbuffer1", 5) == pytest.approx(np.linspace(0, 1e-3, 5), abs=2e-6)
    assert tell(smu, "print(smub.source.output)") == "0.00000e+00\n"
