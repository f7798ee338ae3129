"""Quantities as people write them."""

import pytest

from hwloop.errors import UsageError
from hwloop.units import parse_quantity


@pytest.mark.parametrize(
    ("text", "dimension", "value"),
    [
        ("0.2 V", "volts", 0.2), ("50 us", "seconds", 50e-6), ("5 µs", "seconds", 5e-6),
        ("100 uS", "siemens", 100e-6), ("3e-6S", "siemens", 3e-6), ("10 MHz", "hertz", 10e6),
        ("-40 C", "celsius", -40.0), ("25 °C", "celsius", 25.0),
    ],
)  # fmt: skip
def test_a_number_with_a_unit_becomes_si(text, dimension, value):
    assert parse_quantity(text, dimension, "key") == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("text", ["0.2", "V", "0.2 W", "0,2 V", "", "1 2 V", "nan V", "0x2 V"])
def test_a_missing_or_unknown_unit_is_refused_with_an_example(text):
    with pytest.raises(UsageError, match=r'read_volts is .*volts.*"0.2 V"'):
        parse_quantity(text, "volts", "read_volts")


def test_siemens_and_seconds_are_not_mixed_up():
    with pytest.raises(UsageError, match="a value in siemens: expected seconds"):
        parse_quantity("50 uS", "seconds", "width")


def test_a_plain_number_is_not_a_quantity():
    with pytest.raises(UsageError, match="expected a number with a unit"):
        parse_quantity(0.2, "volts", "read_volts")
