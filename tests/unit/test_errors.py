"""The error tree: exit codes and texts."""

import pytest

from hwloop import errors

EXIT_CODES = {
    "HwloopError": 70, "GoalNotReachedError": 1, "UsageError": 2, "DeviceError": 3, "WireVersionError": 3,
    "SafetyError": 4, "LimitError": 4, "UnformedError": 4, "StoppedError": 4,
    "LinkError": 5, "AmbiguousError": 5, "BoardError": 5, "DataError": 6, "CalibrationError": 6,
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
