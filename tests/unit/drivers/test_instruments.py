"""From a resource name to a driver: identified passively, chosen by model, refused where it is another instrument."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hwloop import errors, holders
from hwloop.drivers.instruments import open_daq, open_smu
from tests.unit.link.stand_in_instrument import StandInInstrument

PROJECT = Path(__file__).resolve().parents[3]
IDENTITIES = {
    "Keithley2400": "KEITHLEY INSTRUMENTS INC.,MODEL 2400,1234567,C32   Oct  4 2010 14:20:11/A02  /S/K",
    "Keithley2450": "KEITHLEY INSTRUMENTS,MODEL 2470,04400001,1.7.3b",
    "Keithley2600B": "Keithley Instruments Inc., Model 2636B, 4042137, 3.2.2",
    "KeysightB2900": "Agilent Technologies,B2901A,MY51140001,2.1.1622.3050",
}


@pytest.mark.parametrize(("driver", "identity"), IDENTITIES.items())
def test_the_model_decides_and_opening_only_asks_for_it(driver, identity):
    with StandInInstrument(identity=identity) as instrument:
        with open_smu(instrument.resource) as smu:
            assert type(smu).__name__ == driver
            assert smu.model.name == smu.identity.model
        assert instrument.heard == ["*IDN?"]


def test_an_unknown_model_is_refused_with_the_known_ones_and_may_be_forced():
    with StandInInstrument(identity="KEITHLEY INSTRUMENTS,MODEL 2461,04400002,1.7.3b") as instrument:
        with pytest.raises(errors.WrongInstrumentError, match="no driver knows a 2461 .*keithley-2450: 2450, 2470;"):
            open_smu(instrument.resource)
        smu = open_smu(instrument.resource, driver="keithley-2450")
        assert (smu.identity.model, smu.model.name) == ("2461", "2450")
        smu.close()
    with StandInInstrument() as instrument:
        with pytest.raises(errors.UsageError, match="no instrument driver 'mine'; known: keithley-2400"):
            open_smu(instrument.resource, driver="mine")


def test_another_instrument_at_the_address_is_refused_and_let_go_of():
    with StandInInstrument() as instrument:
        with pytest.raises(errors.WrongInstrumentError, match="expected .* serial 04400009, found .* serial 04400001"):
            open_smu(instrument.resource, serial="04400009")
        assert errors.WrongInstrumentError.exit_code == 3
        assert holders.holders(f"tcp:127.0.0.1:{instrument.port}") == []
        open_smu(instrument.resource, serial="04400001").close()


def test_a_source_meter_is_no_daq():
    with StandInInstrument() as instrument:
        with pytest.raises(errors.WrongInstrumentError, match="no driver knows a 2450"):
            open_daq(instrument.resource)


def test_a_driver_of_another_package(tmp_path):
    site = tmp_path / "site"
    (site / "lab-1.dist-info").mkdir(parents=True)
    (site / "lab.py").write_text(
        "from hwloop.drivers.smu.keithley_2450 import Keithley2450\n"
        "class Own(Keithley2450):\n    models = {'2461': Keithley2450.models['2450']}\n"
    )
    (site / "lab-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: lab\nVersion: 1\n")
    (site / "lab-1.dist-info" / "entry_points.txt").write_text("[hwloop.smus]\nown = lab:Own\n")
    program = "import sys; from hwloop.drivers.instruments import open_smu; print(type(open_smu(sys.argv[1])).__name__)"
    with StandInInstrument(identity="KEITHLEY INSTRUMENTS,MODEL 2461,04400002,1.7.3b") as instrument:
        done = subprocess.run(
            [sys.executable, "-c", program, instrument.resource], capture_output=True, text=True, check=False,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(site), str(PROJECT)])},
        )  # fmt: skip
    assert done.stdout == "Own\n", done.stderr
