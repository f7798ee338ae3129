"""The error tree: exit codes and texts."""

import pytest

from hwloop import errors

EXIT_CODES = {
    "HwloopError": 70, "GoalNotReachedError": 1, "UsageError": 2, "DeviceError": 3, "WireVersionError": 3,
    "SafetyError": 4, "LimitError": 4, "UnformedError": 4, "StoppedError": 4,
    "LinkError": 5, "AmbiguousError": 5, "BoardError": 5, "DataError": 6, "CalibrationError": 6,
    "AbsentInstrumentError": 3, "HeldInstrumentError": 3, "WrongInstrumentError": 3, "InstrumentError": 5,
    "InstrumentTimeoutError": 5, "InstrumentLostError": 5, "GarbledReplyError": 5, "InstrumentRefusalError": 5,
    "InterlockError": 5, "SettingError": 5, "InLimitError": 5, "OpenLeadError": 5, "OutputUnknownError": 5,
}  # fmt: skip


@pytest.mark.parametrize(("name", "exit_code"), EXIT_CODES.items())
def test_the_exit_code_goes_with_the_class(name, exit_code):
    assert issubclass(getattr(errors, name), errors.HwloopError)
    assert getattr(errors, name).exit_code == exit_code


def test_a_limit_says_what_value_bound_unit_and_remedy():
    error = errors.LimitError("SET amplitude", 3.2, "0 to 3", "V", "lower it")
    assert str(error) == "SET amplitude is 3.2 V, allowed 0 to 3 V; lower it"
    assert (error.value, error.unit) == (3.2, "V")


def test_a_wire_mismatch_shows_both_versions():
    text = str(errors.WireVersionError(0x1234, 0xABCD, "1.0"))
    assert "00001234" in text and "0000abcd" in text and "1.0" in text


def test_an_ambiguous_outcome_names_the_commands():
    text = str(errors.AmbiguousError(("PULSE 7",), "link cut"))
    assert "PULSE 7" in text and "read the cells back" in text


def test_an_instruments_error_names_resource_command_and_remedy_and_cuts_long_commands():
    error = errors.InstrumentTimeoutError("GPIB0::24::INSTR", ":SOUR:LIST:VOLT " + "1," * 500, "no reply", "look at it")
    text = str(error)
    assert text.startswith("GPIB0::24::INSTR: no reply (at ':SOUR:LIST:VOLT 1,1,") and text.endswith("…'); look at it")
    assert len(text) < 200 and len(error.command) > 1000


def test_an_open_interlock_has_a_remedy_of_its_own():
    entries = ((802, "OUTPUT blocked by interlock"),)
    assert "802 OUTPUT blocked by interlock" in str(errors.InterlockError("here", ":OUTP ON", entries))
    assert "close the interlock" in str(errors.InterlockError("here", ":OUTP ON", entries))
