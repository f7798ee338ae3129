"""The instruments of a rig: those that a simulated bench brings along, and those that the rig names."""

import contextlib
import threading

import numpy as np
import pytest

from hwloop import config
from hwloop.config import DAQ_MODELS, SMU_MODELS, RunSettings
from hwloop.drivers.instruments import open_smu
from hwloop.drivers.smu.settings import SmuSetting
from hwloop.errors import DeviceError, UsageError, WrongInstrumentError
from hwloop.link.protocol import Reference, Route, SampleSource
from hwloop.mock.bench_instruments import MAKERS, resource_of
from hwloop.mock.instruments.elements import Resistor
from hwloop.mock.instruments.keithley_2450 import Keithley2450
from hwloop.mock.instruments.server import serve_instrument
from hwloop.rig import OpenRig, bench_instruments, open_instruments, open_rig

SMU, DAQ, BOTH = ("smu",), ("daq",), ("smu", "daq")
OHMMETER = SmuSetting("volts", limit=1e-3, four_wire=True)


@pytest.fixture(autouse=True)
def _registry(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def settings(seed=0, **tables) -> RunSettings:
    """A rig of the small board."""
    tables["board"] = {"name": "hwloop-16x4", **tables.get("board", {})}
    return RunSettings(config.load_rig(options=tables), seed, False)


@contextlib.contextmanager
def bench(chosen: RunSettings, roles=BOTH):
    """(rig, instruments) of a bench whose board is open."""
    with open_rig(chosen, instruments=roles) as opened, open_instruments(chosen, opened, roles) as instruments:
        opened.board.open()
        yield opened, instruments


def ohms_of(opened: OpenRig, smu, reference: Reference) -> float:
    """A reference resistor by the SMU, with four wires."""
    opened.board.ports.route(Route.REFERENCE_TO_SMU, row=reference)
    smu.configure(OHMMETER)
    smu.output(True)
    smu.set_level(1.0)
    readings = smu.measure()
    return float(readings.volts[0] / readings.amps[0])


def test_both_instruments_of_a_simulated_bench_answer_and_see_its_board():
    # A 34970A has no serial number: it says 0, whatever unit it is.
    daq_table = {"serial": "34", "model": "keysight-daq970a"}
    chosen = settings(smu={"serial": "12"}, daq=daq_table, environment={"off": ()})
    with bench(chosen) as (opened, instruments):
        smu, daq = instruments.smu, instruments.daq
        assert (smu.identity.model, daq.identity.model) == ("2450", "DAQ970A")
        assert smu.identity.serial.endswith("12") and daq.identity.serial.endswith("34")
        assert set(opened.resources) == set(BOTH)
        for reference, nominal in ((Reference.LOW, 5e3), (Reference.HIGH, 50e3)):
            assert ohms_of(opened, smu, reference) == pytest.approx(nominal, rel=5e-3)
        opened.board.ports.route(Route.INPUTS_TO_DAQ)
        opened.board.ports.hold_inputs(np.arange(16), np.linspace(-2.0, 2.0, 16))
        seen = daq.scan_volts(chosen.rig.daq.channel + np.arange(16), 10.0)
        assert np.allclose(seen, np.linspace(-2.0, 2.0, 16), rtol=1e-2, atol=1e-2)
        assert not np.allclose(seen, np.linspace(-2.0, 2.0, 16), rtol=0, atol=1e-4), "this board has errors"


@pytest.mark.parametrize("smu_model, daq_model", [
    ("keithley-2400", "keysight-34970a"), ("keithley-2636b", None), ("keysight-b2911a", None),
])  # fmt: skip
def test_a_rig_chooses_the_models(smu_model, daq_model):
    chosen = settings(smu={"model": smu_model}, **({"daq": {"model": daq_model}} if daq_model else {}))
    with bench(chosen, BOTH if daq_model else SMU) as (opened, instruments):
        assert smu_model.rpartition("-")[2].upper() in instruments.smu.identity.model.upper()
        assert ohms_of(opened, instruments.smu, Reference.LOW) == pytest.approx(5e3, rel=1e-3)
        if daq_model:
            assert daq_model.rpartition("-")[2].upper() in instruments.daq.identity.model.upper()
        else:
            assert instruments.daq is None


def test_every_model_of_a_rig_can_be_simulated():
    assert set(SMU_MODELS) | set(DAQ_MODELS) == set(MAKERS)


def test_opening_is_passive_and_the_output_is_off_on_the_way_out():
    chosen = settings()
    with open_rig(chosen, instruments=SMU) as opened:
        opened.board.open()
        opened.board.ports.route(Route.SMU_TO_OUTPUT, column=1)
        with open_instruments(chosen, opened, SMU):
            pass
        assert port_is_driven(opened) is False
        with pytest.raises(ZeroDivisionError), open_instruments(chosen, opened, SMU) as instruments:
            instruments.smu.configure(OHMMETER)
            instruments.smu.output(True)
            instruments.smu.set_level(0.25)
            assert instruments.smu.measure().volts[0] == pytest.approx(0.25, abs=1e-3)
            assert port_is_driven(opened)
            1 / 0  # noqa: B018
        assert port_is_driven(opened) is False


def port_is_driven(opened: OpenRig) -> bool:
    """What the board's own ADC sees of the SMU."""
    return bool(abs(opened.board.ports.sample(SampleSource.OUTPUTS)[1]) > 1000)


def test_a_bench_has_only_the_instruments_that_are_wanted():
    chosen = settings()
    with open_rig(chosen) as opened:
        assert opened.resources == {}
        for role in BOTH:
            said = rf"the rig has no {role.upper()}: name its VISA resource in \[{role}\]"
            with (
                pytest.raises(UsageError, match=said),
                open_instruments(chosen, opened, (role,)),
            ):
                pass


def test_a_serial_of_a_simulated_instrument_is_a_number():
    with pytest.raises(UsageError, match=r"\[smu\] serial is 'MY1234': a simulated instrument has a number"):
        bench_instruments(settings(smu={"serial": "MY1234"}), SMU)


def test_the_seed_of_the_run_decides_the_noise_of_the_readings():
    found = []
    for seed in (0, 1):
        with bench(settings(seed), SMU) as (opened, instruments):
            found.append(ohms_of(opened, instruments.smu, Reference.LOW))
    assert found[0] != found[1] and found[0] == pytest.approx(found[1], rel=1e-3)


@pytest.fixture
def named():
    """(resource, instrument) of a 2450 with serial 77 that somebody else serves, a resistor of 10 kΩ at it."""
    instrument = Keithley2450(Resistor(10e3), 77, 0)
    with serve_instrument(instrument, "tcp:127.0.0.1:0", threading.Lock()) as served:
        yield resource_of(served.name), instrument


@pytest.fixture
def named_serial(named):
    with open_smu(named[0]) as smu:
        return smu.identity.serial


def test_an_instrument_that_the_rig_names_takes_the_place_of_the_simulated_one(named, named_serial):
    chosen = settings(smu={"resource": named[0], "serial": named_serial})
    with bench(chosen) as (opened, instruments):
        assert set(opened.resources) == {"daq"}, "only the DAQ was brought along"
        assert (instruments.smu.port.name, instruments.smu.identity.serial) == (named[0], named_serial)
        assert ohms_of(opened, instruments.smu, Reference.LOW) == pytest.approx(10e3, rel=1e-3), "and not the board's"
        assert instruments.daq is not None


def test_another_serial_number_at_the_address_is_refused_and_nothing_changed(named, named_serial):
    chosen = settings(smu={"resource": named[0], "serial": "00000078"})
    said = f"expected the instrument with serial 00000078.*{named_serial}"
    with pytest.raises(WrongInstrumentError, match=said) as refusal, bench(chosen, SMU):
        pass
    assert refusal.value.exit_code == DeviceError.exit_code
    with open_smu(named[0], serial=named_serial):
        pass    # the port was given back


def test_the_rig_may_force_a_driver(named):
    chosen = settings(smu={"resource": named[0], "driver": "keysight-b2900"})
    with bench(chosen, SMU) as (_, instruments):
        assert type(instruments.smu).__name__ == "KeysightB2900"


def test_the_process_of_the_bench_ends_with_its_board_and_says_what_it_took():
    chosen = settings()
    with bench(chosen) as (opened, _):
        mock = opened.mock
    assert mock.failure() is None and mock.cpu_seconds > 0.0


def test_a_bench_that_cannot_be_made_is_refused_in_its_own_words():
    chosen = settings(environment={"temperature": "125 C"}, board={"state": "nowhere/state"})
    with pytest.raises(UsageError, match="there is no folder"), open_rig(chosen, instruments=BOTH):
        pass


def test_instruments_outside_a_rig_need_a_resource():
    chosen = settings()
    with pytest.raises(UsageError, match="the rig has no DAQ"):
        with open_instruments(chosen, OpenRig(None, None), DAQ):
            pass
