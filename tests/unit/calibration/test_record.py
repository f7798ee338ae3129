"""The file of a calibration: everything there and back, and a hash that sees every change."""

import dataclasses
import hashlib
import re

import numpy as np
import pytest

from hwloop.calibration.kinds import KINDS
from hwloop.calibration.record import Instrument, Parameter, Residual, from_toml, to_toml
from hwloop.errors import CalibrationError
from tests.unit.calibration.making import CHIP, SMALL_BOARD, calibration, parameter

RNG = np.random.default_rng(1)
STEPS = Parameter(
    "feedback_step_siemens", "S", 50e-9 * (1.0 + 0.02 * RNG.uniform(-1, 1, (4, 12))), RNG.uniform(1e-12, 1e-9, (4, 12)),
    common_95=2.5e-12,
)
OFFSETS = parameter("tia_fine_offset_amps", "A", [1.5e-9, -2e-9, 0.0, 3e-20], uncertainty_95=2.5e-10)
ONE_NUMBER = parameter("read_volts", "V", 0.2003456789)
WHOLE = calibration("tia", STEPS, OFFSETS, ONE_NUMBER, instruments=(
    Instrument("smu", "2450", "04312345"), Instrument("daq", '34970A "bench 2"\\', "MY\u00fc44"),
))  # fmt: skip


def same(found: Parameter, written: Parameter) -> bool:
    """Ten digits of a value are kept, three of its uncertainty."""
    assert (found.name, found.unit, found.value.shape) == (written.name, written.unit, written.value.shape)
    assert found.uncertainty_95.shape == written.value.shape
    return (
        np.allclose(found.value, written.value, rtol=1e-9, atol=0)
        and np.allclose(found.uncertainty_95, written.uncertainty_95, rtol=6e-3, atol=0)
        and found.common_95 == pytest.approx(written.common_95, rel=6e-3)
    )


def test_everything_comes_back():
    found = from_toml(to_toml(WHOLE), "here.toml")
    assert len(found.sha256) == 64
    assert all(same(*pair) for pair in zip(found.parameters, WHOLE.parameters, strict=True))
    assert dataclasses.replace(found, parameters=()) == dataclasses.replace(WHOLE, parameters=())
    assert list(found.values()) == ["feedback_step_siemens", "tia_fine_offset_amps", "read_volts"]


def test_what_was_read_is_written_as_it_was():
    text = to_toml(WHOLE)
    assert to_toml(from_toml(text, "here.toml")) == text


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_its_title_on_top(kind):
    subject = SMALL_BOARD if KINDS[kind].subject == "board" else CHIP
    text = to_toml(calibration(kind, subject=subject))
    assert text.startswith(f"# {KINDS[kind].title} of {subject}\n")
    found = from_toml(text, "here.toml")
    assert (found.kind, found.subject) == (kind, subject)


def test_a_calibration_without_instruments_has_none():
    assert from_toml(to_toml(calibration(instruments=())), "here.toml").instruments == ()


def test_boards_and_chips_have_folders_of_their_own():
    assert (SMALL_BOARD.folder, CHIP.folder) == ("hwloop-16x4-7", "array-16x4-9")


def test_entries_are_named_as_the_hidden_parameters_of_boards_are():
    two = parameter("tia_gain", "A/A", [[1.0, 2.0], [3.0, 4.0]], uncertainty_95=0.5)
    assert list(two.entries())[1:3] == [("tia_gain[0,1]", 2.0, 0.5), ("tia_gain[1,0]", 3.0, 0.5)]
    assert list(ONE_NUMBER.entries()) == [("read_volts", pytest.approx(0.2003456789), 1e-4)]


@pytest.mark.parametrize("value, holds", [(1e-3, True), (1.1e-3, False), (np.nan, False)])
def test_a_residual_holds_up_to_its_limit(value, holds):
    assert Residual(value, 1e-3, "V").holds is holds


def numbers_at(text: str) -> list[int]:
    """Where digits of values stand."""
    return [found.start() for found in re.finditer(r"\d", text[: text.index("[file]")])][::7]


def test_no_digit_can_be_changed_unseen():
    text = to_toml(WHOLE)
    for at in numbers_at(text):
        other = "3" if text[at] != "3" else "4"
        with pytest.raises(CalibrationError, match="here.toml"):
            from_toml(text[:at] + other + text[at + 1 :], "here.toml")


@pytest.mark.parametrize("damage, said", [
    (lambda text: text.replace("0.2003456789", "0.2103456789"), "was changed after it was written"),
    (lambda text: text.replace('sha256 = "', 'sha256 = "0'), "was changed after it was written"),
    (lambda text: text[: len(text) // 2], "no calibration that can be read"),
    (lambda text: text[: text.index("[file]")], "no calibration that can be read"),
    (lambda text: "", "no calibration that can be read"),
    (lambda text: "image = true\n", "no calibration that can be read"),
    (lambda text: text.replace("format = 1", "format = 2"), "format 2, this hwloop knows 1"),
])  # fmt: skip
def test_what_is_damaged_is_refused_by_name(damage, said):
    with pytest.raises(CalibrationError, match=f"^here.toml: {re.escape(said)}") as refusal:
        from_toml(damage(to_toml(WHOLE)), "here.toml")
    assert refusal.value.exit_code == 6 and "\n" not in str(refusal.value)


def test_a_kind_of_a_later_version_is_refused():
    text = with_fitting_hash(to_toml(WHOLE).replace('kind = "tia"', 'kind = "phase"'))
    with pytest.raises(CalibrationError, match="here.toml: kind 'phase', known are dac, adc"):
        from_toml(text, "here.toml")


def test_a_value_of_another_shape_than_it_says_is_refused():
    text = with_fitting_hash(to_toml(WHOLE).replace("shape = [4, 12]", "shape = [4, 13]"))
    with pytest.raises(CalibrationError, match="no calibration that can be read"):
        from_toml(text, "here.toml")


def with_fitting_hash(text: str) -> str:
    """A file that says what another program wrote, undamaged."""
    body = text.rpartition("\n[file]\n")[0]
    return f'{body}\n[file]\nsha256 = "{hashlib.sha256(body.encode()).hexdigest()}"\n'
