"""Which calibrations a run goes by: of every kind the newest that holds, or a refusal that says what to do."""

from datetime import datetime, timedelta

import numpy as np
import pytest

from hwloop.calibration.kinds import ARRAY, BOARD, KINDS, needed_kinds
from hwloop.calibration.record import Residual, Versions
from hwloop.calibration.store import Store
from hwloop.calibration.usage import Conditions, InUse, choose, nothing_in_use, objection
from hwloop.errors import CalibrationError
from hwloop.link import protocol as wire
from hwloop.mock.bench import Bench
from hwloop.mock.bench_config import BenchConfig
from hwloop.mock.commands import describe
from hwloop.mock.panel import Panel
from tests.unit.calibration.making import (
    ANALOG_REVISION,
    BENCH_SECONDS,
    CHIP,
    SMALL_BOARD,
    TAKEN,
    WIRE_HASH,
    calibration,
    parameter,
)

DAY_SECONDS = 86_400.0
NOW = datetime.fromisoformat(TAKEN) + timedelta(days=1)
OF_BOARDS = [kind.name for kind in KINDS.values() if kind.subject == BOARD]


def conditions(
    now: datetime = NOW, bench_seconds: float | None = None, celsius: float = 25.0, wire_hash: int = WIRE_HASH,
    analog_revision: int = ANALOG_REVISION,
) -> Conditions:
    """A real board on the day after, as it was when it was calibrated."""
    return Conditions(now, bench_seconds, celsius, wire_hash, analog_revision)


@pytest.fixture
def store(tmp_path):
    return Store((tmp_path,))


def fill(store: Store, *kinds: str, **changed: object) -> None:
    """Calibrations of the board of `kinds`, of all that are needed where none is named."""
    for kind in kinds or needed_kinds(BOARD):
        store.save(calibration(kind, **changed))


def refusal_of(store: Store, now: Conditions, *subjects, allow_stale: bool = False) -> str:
    with pytest.raises(CalibrationError) as refusal:
        choose(store, subjects or (SMALL_BOARD,), now, allow_stale)
    assert refusal.value.exit_code == 6 and "\n" not in str(refusal.value)
    return str(refusal.value)


def test_of_every_kind_the_newest_one_is_taken(store):
    fill(store)
    store.save(calibration("tia", taken="2026-03-04T06:00:00+00:00", method="the newer one"))
    store.save(calibration("tia", taken="2026-03-03T06:00:00+00:00", method="an older one"))
    found = choose(store, (SMALL_BOARD,), conditions(), allow_stale=False)
    assert [each.calibration.kind for each in found.used] == list(needed_kinds(BOARD))
    assert {each.calibration.kind: each.calibration.method for each in found.used}["tia"] == "the newer one"
    assert found.nominal == () and list(found.warnings()) == []


def test_a_newer_one_that_does_not_hold_is_passed_over(store):
    fill(store)
    store.save(calibration("tia", taken="2026-03-04T06:00:00+00:00", residual=Residual(2e-3, 1e-3, "A/A")))
    (found,) = (each for each in choose(store, (SMALL_BOARD,), conditions(), False).used if each.name.count("-tia"))
    assert found.name == "2026-03-04-tia.toml" and found.stale == ""


def test_kinds_that_no_code_is_converted_with_are_taken_where_there_are_any(store):
    fill(store)
    assert "series" not in needed_kinds(BOARD)
    store.save(calibration("series"))
    store.save(calibration("amplifiers", valid_days=0.5))
    kinds = [each.calibration.kind for each in choose(store, (SMALL_BOARD,), conditions(), False).used]
    assert "series" in kinds and "amplifiers" not in kinds


def test_a_board_that_was_never_calibrated_is_refused_with_everything_that_is_missing(store):
    said = refusal_of(store, conditions())
    assert said.startswith("board hwloop-16x4 number 7 has no calibration that holds of: dac (none); adc (none); ")
    assert all(f"{kind} (none)" in said for kind in needed_kinds(BOARD)) and "series" not in said
    assert said.endswith("run `hwloop calibrate all`, or go on with --allow-stale, which is recorded")


def test_one_that_is_missing_is_named_with_the_command_that_makes_it(store):
    fill(store, *(kind for kind in needed_kinds(BOARD) if kind != "feedback"))
    assert refusal_of(store, conditions()) == (
        "board hwloop-16x4 number 7 has no calibration that holds of: feedback (none); run `hwloop calibrate "
        "feedback`, or go on with --allow-stale, which is recorded"
    )


def test_calibrations_of_another_board_or_chip_do_not_count(store):
    fill(store)
    other = type(SMALL_BOARD)(BOARD, SMALL_BOARD.name, SMALL_BOARD.serial + 1)
    assert refusal_of(store, conditions(), other).startswith("board hwloop-16x4 number 8 has no calibration")
    assert refusal_of(store, conditions(), SMALL_BOARD, CHIP) == (
        "array 16x4 number 9 has no calibration that holds of: gate-curve (none); run `hwloop calibrate gate-curve`, "
        "or go on with --allow-stale, which is recorded"
    )


WHAT_DOES_NOT_HOLD = {
    "expired": (conditions(NOW + timedelta(days=366)), "it is 367 days old and holds for 365"),
    "expired by the board's own clock": (
        conditions(bench_seconds=BENCH_SECONDS + 400 * DAY_SECONDS), "it is 400 days old and holds for 365"
    ),
    "other firmware": (
        conditions(wire_hash=0xDEADBEEF), "it was taken with other firmware (wire table b9b6463d, now deadbeef)"
    ),
    "other analog part": (conditions(analog_revision=2), "it was taken with analog revision 1, now 2"),
    "too warm": (conditions(celsius=35.1), "it holds from 15 to 35 C, and it is 35.1 C"),
    "too cold": (conditions(celsius=14.9), "it holds from 15 to 35 C, and it is 14.9 C"),
}


@pytest.mark.parametrize("now, why", WHAT_DOES_NOT_HOLD.values(), ids=WHAT_DOES_NOT_HOLD)
def test_what_does_not_hold_any_more_is_refused(store, now, why):
    fill(store)
    said = refusal_of(store, now)
    assert all(f"{kind} ({why})" in said for kind in needed_kinds(BOARD))
    assert "run `hwloop calibrate all`" in said


def test_a_fit_that_missed_its_points_is_not_used(store):
    fill(store, residual=Residual(2e-3, 1e-3, "A/A"))
    assert "dac (its residual is beyond its limit)" in refusal_of(store, conditions())


def test_a_damaged_file_stops_the_run_and_is_not_passed_over(store, tmp_path):
    fill(store)
    path = tmp_path / SMALL_BOARD.folder / "2026-03-04-dac.toml"
    path.write_text(path.read_text().replace("0.2004", "0.2005"))
    for allow_stale in (False, True):
        assert str(path) in refusal_of(store, conditions(), allow_stale=allow_stale)


def test_bounds_themselves_hold():
    for celsius in (15.0, 35.0):
        assert objection(calibration(), conditions(celsius=celsius)) == ""
    last_day = datetime.fromisoformat(TAKEN) + timedelta(days=365)
    assert objection(calibration(), conditions(last_day)) == ""
    assert objection(calibration(), conditions(last_day + timedelta(seconds=1))) != ""


def test_a_simulated_board_ages_by_its_own_clock_and_not_by_the_calendar():
    years_later = datetime.fromisoformat(TAKEN) + timedelta(days=4000)
    assert objection(calibration(), conditions(years_later, bench_seconds=BENCH_SECONDS + 60.0)) == ""
    # A board that was made anew has a clock that begins at zero: no calibration is from its future.
    assert objection(calibration(), conditions(years_later, bench_seconds=0.0)) == ""


def test_a_time_without_zone_is_taken_as_utc():
    assert objection(calibration(valid_days=1.5), conditions(NOW.replace(tzinfo=None))) == ""


def test_allow_stale_takes_the_newest_one_and_says_what_speaks_against_it(store):
    fill(store, versions=Versions(1, 0xDEADBEEF, ANALOG_REVISION, "0.1.0"))
    newer = Versions(1, WIRE_HASH, 5, "0.1.0")
    store.save(calibration("dac", taken="2026-03-04T06:00:00+00:00", versions=newer))
    found = choose(store, (SMALL_BOARD,), conditions(), allow_stale=True)
    stale = {each.calibration.kind: each.stale for each in found.used}
    assert stale["dac"] == "it was taken with analog revision 5, now 1"
    assert stale["adc"] == "it was taken with other firmware (wire table deadbeef, now b9b6463d)"
    assert found.nominal == () and len(list(found.warnings())) == len(needed_kinds(BOARD))
    assert next(found.warnings()) == (
        "calibration 2026-03-04-dac-2.toml is used although it was taken with analog revision 5, now 1"
    )


def test_allow_stale_prefers_one_that_holds(store):
    fill(store)
    store.save(calibration("dac", taken="2026-03-04T06:00:00+00:00", valid_days=0.1))
    found = choose(store, (SMALL_BOARD,), conditions(), allow_stale=True)
    assert (found.used[0].name, found.used[0].stale) == ("2026-03-04-dac.toml", "")


def test_allow_stale_takes_the_board_at_its_word_where_there_is_nothing(store):
    fill(store, *(kind for kind in needed_kinds(BOARD) if kind not in ("tia", "bias")))
    found = choose(store, (SMALL_BOARD, CHIP), conditions(), allow_stale=True)
    assert found.nominal == ("tia", "bias", "gate-curve")
    assert list(found.warnings()) == [
        "taken as nominal: tia, bias, gate-curve (--allow-stale, and there is none)"
    ]


def test_what_is_used_comes_back_from_a_journal_as_it_was(store):
    fill(store, "dac", "tia")
    fill(store, "adc", valid_days=0.5)
    found = choose(store, (SMALL_BOARD,), conditions(), allow_stale=True)
    again = InUse.recorded(found.told(), found.texts())
    assert again == found
    assert [each.calibration.sha256 for each in again.used] == [each.calibration.sha256 for each in found.used]
    assert [each["sha256"] for each in found.told()["files"]] == [each.calibration.sha256 for each in found.used]
    assert {each["kind"]: bool(each["stale"]) for each in found.told()["files"]} == {
        "dac": False, "adc": True, "tia": False
    }  # fmt: skip


def test_a_file_that_was_changed_in_the_journal_is_refused(store):
    fill(store, "dac")
    found = choose(store, (SMALL_BOARD,), conditions(), allow_stale=True)
    texts = {name: np.frombuffer(text.tobytes().replace(b"0.2004", b"0.3004"), np.uint8)
             for name, text in found.texts().items()}
    with pytest.raises(CalibrationError, match="2026-03-04-dac.toml: was changed after it was written"):
        InUse.recorded(found.told(), texts)


def test_only_the_kinds_of_what_is_taken_at_its_word_are_named():
    assert nothing_in_use((ARRAY,), "for a test") == InUse((), ("gate-curve",), "for a test")
    assert nothing_in_use((BOARD, ARRAY), "").nominal == needed_kinds(BOARD) + needed_kinds(ARRAY)
    assert list(nothing_in_use((BOARD,), "").warnings()) == [], "without a reason it is nothing to be told"


def test_codes_are_converted_by_what_was_found_and_else_as_the_board_says(store):
    small = wire.DescribeReply.unpack(describe(Panel(Bench(BenchConfig(board_name="hwloop-16x4")))))
    gain, ohms = np.linspace(0.99, 1.01, 4), np.linspace(9.9e3, 10.1e3, 16)
    store.save(calibration("adc", parameter("output_adc_gain", "V/V", gain)))
    store.save(calibration("tia", parameter("read_volts", "V", 0.2004), parameter("reference_ohms", "ohm", [1.0, 2.0])))
    store.save(calibration("input-resistors", parameter("input_ohms", "ohm", ohms)))
    constants = choose(store, (SMALL_BOARD,), conditions(), allow_stale=True).constants(small)
    assert np.allclose(constants.output_adc.gain, gain) and not constants.output_adc.offset.any()
    assert constants.read_volts == 0.2004 and np.allclose(constants.input_ohms, ohms)
    nominal = nothing_in_use((BOARD,), "").constants(small)
    assert np.array_equal(constants.input_dac.gain, nominal.input_dac.gain)
    assert nominal.read_volts == pytest.approx(small.read_microvolts * 1e-6)
