"""NI devices by the calls that reach nidaqmx, each checked against the library's own signature where it is installed.

Nothing imitates such a device, so this is as far as tests go: the driver is untested on hardware.
"""

import inspect
import sys
import types

import numpy as np
import pytest

from hwloop import errors
from hwloop.drivers.instruments import open_daq

nidaqmx = pytest.importorskip("nidaqmx")
collections = pytest.importorskip("nidaqmx.task.collections")


class Recorded:
    """Stands for nidaqmx: a USB-6211 as Dev1, whose input n gives n/10 volts. `calls` are those of the last task."""

    def __init__(self):
        self.calls = []
        self.fails_with = None
        device = types.SimpleNamespace(product_type="USB-6211", serial_num=0x1A2B3C4, ai_max_multi_chan_rate=250_000.0)
        self.module = types.SimpleNamespace(
            Task=lambda: self, constants=nidaqmx.constants, errors=nidaqmx.errors,
            system=types.SimpleNamespace(Device=lambda name: device if name == "Dev1" else self._absent()),
        )  # fmt: skip
        self.ai_channels = types.SimpleNamespace(
            add_ai_voltage_chan=self._recorder(collections.AIChannelCollection.add_ai_voltage_chan)
        )
        self.timing = types.SimpleNamespace(cfg_samp_clk_timing=self._recorder(nidaqmx.task.Timing.cfg_samp_clk_timing))

    def read(self, **arguments):
        self._recorder(nidaqmx.Task.read)(**arguments)
        if self.fails_with:
            raise nidaqmx.DaqError("It failed.\nAnd more.", self.fails_with)
        inputs = [call[1]["physical_channel"] for call in self.calls if call[0] == "add_ai_voltage_chan"]
        count = arguments["number_of_samples_per_channel"]
        rows = [[int(name.removeprefix("Dev1/ai")) / 10] * count for name in inputs]
        return rows if len(rows) > 1 else rows[0]

    def __enter__(self):
        self.calls.clear()
        return self

    def __exit__(self, *_):
        pass

    def _recorder(self, function):
        def record(*arguments, **named):
            bound = inspect.signature(function).bind(None, *arguments, **named).arguments
            self.calls.append((function.__name__, bound))

        return record

    def _absent(self):
        raise nidaqmx.DaqError("Device identifier is invalid.", -200220)


@pytest.fixture
def library(monkeypatch):
    recorded = Recorded()
    monkeypatch.setitem(sys.modules, "nidaqmx", recorded.module)
    for name in ("constants", "errors", "system"):
        monkeypatch.setitem(sys.modules, f"nidaqmx.{name}", getattr(recorded.module, name))
    return recorded


def test_a_scan_is_one_finite_task_with_a_mean_over_the_power_line_cycles(library):
    with open_daq("ni:Dev1", serial="1A2B3C4") as daq:
        volts = daq.scan_volts(np.array([3, 1, 4, 0]), range_volts=0.9, nplc=1.0)
    assert volts == pytest.approx([0.3, 0.1, 0.4, 0.0])
    names = [name for name, _ in library.calls]
    assert names == ["add_ai_voltage_chan"] * 4 + ["cfg_samp_clk_timing", "read"]
    first, timing, read = library.calls[0][1], library.calls[4][1], library.calls[5][1]
    assert (first["physical_channel"], first["min_val"], first["max_val"]) == ("Dev1/ai3", -1.0, 1.0)
    assert timing["rate"] == 62_500 and timing["samps_per_chan"] == 1250
    assert read["number_of_samples_per_channel"] == 1250


def test_several_scans_of_one_channel(library):
    with open_daq("ni:Dev1") as daq:
        assert daq.scan_volts(np.array([7]), 5.0, nplc=0.02, count=3) == pytest.approx(np.full((3, 1), 0.7))


def test_its_accuracy_is_what_the_specification_states_for_the_range(library):
    with open_daq("ni:Dev1") as daq:
        assert daq.accuracy(2.5).offset == 1410e-6
        with pytest.raises(errors.LimitError, match="range of the USB-6211 is 20 V"):
            daq.accuracy(20.0)


@pytest.mark.parametrize(
    ("code", "kind"),
    [(-200284, errors.InstrumentTimeoutError), (-50103, errors.HeldInstrumentError), (-1, errors.InstrumentError)],
)
def test_status_codes_are_errors_of_their_own(library, code, kind):
    library.fails_with = code
    with open_daq("ni:Dev1") as daq, pytest.raises(kind, match="ni:Dev1: It failed"):
        daq.scan_volts(np.array([0]), 1.0)


def test_a_device_that_is_not_there_and_one_that_is_another(library):
    with pytest.raises(errors.AbsentInstrumentError, match="ni:Dev9: Device identifier is invalid.*NI's configuration"):
        open_daq("ni:Dev9")
    with pytest.raises(errors.WrongInstrumentError, match="expected the instrument with serial 77"):
        open_daq("ni:Dev1", serial="77")
    open_daq("ni:Dev1").close()


def test_without_nis_own_driver():
    try:
        nidaqmx.system.Device("Dev1").product_type  # noqa: B018
    except nidaqmx.errors.DaqNotFoundError:
        with pytest.raises(errors.AbsentInstrumentError, match="ni:Dev1: Could not find an installation of NI-DAQmx"):
            open_daq("ni:Dev1")
    else:
        pytest.skip("NI-DAQmx is installed")
