"""The chip's passport: what is counted, what is refused, what a file of it keeps, and what a board port tells it."""

import time

import numpy as np
import pytest

from hwloop.array.cellmap import CellMap
from hwloop.array.chip import Chip, ProgramSettings
from hwloop.array.passport import DoseLimits, Passport, passport_path, warm_up
from hwloop.array.passport_port import PassportPort
from hwloop.drivers.cells import CellPulses, Polarity
from hwloop.errors import CalibrationError, LimitError, LinkError, UsageError
from hwloop.mock.devices import CellArray
from tests.unit.array.direct_port import DirectPort

ROWS, COLUMNS = 16, 4
SET, RESET, FORM = Polarity.SET, Polarity.RESET, Polarity.FORM


def pulses(polarity, cells, volts=1.2, gate=1.5, width=1e-6):
    cells = np.atleast_1d(np.asarray(cells, np.int64))
    return CellPulses(cells, *(np.full(len(cells), value) for value in (int(polarity), volts, gate, width)))


@pytest.fixture
def passport():
    return Passport(ROWS, COLUMNS, 7)


def test_every_pulse_counts_by_kind_with_its_extremes(passport):
    passport.note(pulses(SET, [3, 5], volts=1.0))
    passport.note(pulses(SET, 3, volts=0.8, gate=2.0, width=5e-6))
    passport.note(pulses(RESET, 3, volts=1.9))
    assert passport.pulses[:, 3].tolist() == [2, 1, 0] and passport.pulses[:, 5].tolist() == [1, 0, 0]
    assert passport.largest_volts[:, 3] == pytest.approx([1.0, 1.9, 0.0])
    assert passport.largest_gate_volts[0, 3] == 2.0 and passport.longest_seconds[0, 3] == pytest.approx(5e-6)


def test_a_cycle_is_a_reset_after_a_set(passport):
    for polarity in (RESET, SET, SET, RESET, RESET, SET, RESET):
        passport.note(pulses(polarity, 9))
    assert passport.cycles[9] == 2 and passport.cycles.sum() == 2


def test_a_sixth_forming_attempt_is_refused_and_names_the_cell(passport):
    for _ in range(5):
        passport.check(pulses(FORM, 70, volts=3.2))
        passport.note(pulses(FORM, 70, volts=3.2))
    with pytest.raises(LimitError, match=r"forming attempts of cell B\[1,2\] is 6 pulses, allowed up to 5"):
        passport.check(pulses(FORM, [60, 70], volts=3.2))
    passport.check(pulses(FORM, 60, volts=3.2))
    assert passport.forming_attempts[70] == 5


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (pulses(SET, 1, volts=2.6), r"SET amplitude of cell A\[0,1\] is 2.6 V, allowed up to 2.5 V"),
        (pulses(RESET, 1, volts=2.6), "RESET amplitude"), (pulses(FORM, 1, volts=3.4), "allowed up to 3.3 V"),
        (pulses(SET, 1, gate=3.1), r"gate voltage of cell A\[0,1\] is 3.1 V"),
    ],
)  # fmt: skip
def test_voltages_beyond_the_limits_are_refused(passport, given, told):
    with pytest.raises(LimitError, match=told):
        passport.check(given)


def test_a_cell_that_had_its_cycles_gets_no_more():
    passport = Passport(ROWS, COLUMNS, limits=DoseLimits(cycles=2, cycles_warning=1))
    for polarity in (SET, RESET, SET, RESET, SET):
        passport.check(pulses(polarity, 0))
        passport.note(pulses(polarity, 0))
    with pytest.raises(LimitError, match=r"cycles of cell A\[0,0\] is 3 cycles, allowed up to 2.*has had 2"):
        passport.check(pulses(RESET, 0))
    assert passport.worn_cells().tolist() == [0]


def test_planned_cycles_are_checked_beforehand(passport):
    passport.cycles[[2, 8]] = 999_000, 10
    passport.check_cycles(np.arange(20), 1000)
    with pytest.raises(LimitError, match=r"cell A\[0,2\] is 1.0001e\+06 cycles"):
        passport.check_cycles(np.arange(20), 1100)
    passport.check_cycles(np.array([8]), 500_000)


def test_a_file_gives_back_everything(passport, tmp_path):
    passport.note(pulses(SET, [3, 5]))
    passport.open_runs["run-1"] = 12
    path = passport_path(tmp_path / "chips" / "7.cells.csv")
    passport.save(path)
    again = Passport.load(path)
    assert path.name == "7.passport.npz" and [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert (again.rows, again.columns, again.array_serial, again.open_runs) == (ROWS, COLUMNS, 7, {"run-1": 12})
    for name in ("pulses", "largest_volts", "cycles", "was_set"):
        assert np.array_equal(getattr(again, name), getattr(passport, name))


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 half of one"])
def test_a_damaged_file_is_refused(tmp_path, content):
    path = tmp_path / "x.passport.npz"
    path.write_bytes(content)
    with pytest.raises(CalibrationError, match="no passport that can be read"):
        Passport.load(path)


def test_a_file_cut_off_anywhere_is_refused(passport, tmp_path):
    path = tmp_path / "x.passport.npz"
    passport.save(path)
    whole = path.read_bytes()
    for end in range(0, len(whole), 97):
        path.write_bytes(whole[:end])
        with pytest.raises(CalibrationError):
            Passport.load(path)


def test_where_nothing_can_be_written_it_says_so(passport, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="are in no record"):
        passport.save(tmp_path / "file" / "x.passport.npz")


@pytest.fixture
def port(passport):
    board = DirectPort(CellArray(1, 0, ROWS, COLUMNS))
    board.rows = ROWS
    return PassportPort(board, passport)


def test_programming_through_a_port_leaves_every_pulse_in_the_passport(port):
    chip = Chip(port, CellMap(ROWS, COLUMNS), ProgramSettings())
    result = chip.program(np.arange(64), np.full(64, 100e-6))
    assert port.passport.pulses.sum() == result.cell_pulses > 0
    assert np.array_equal(port.passport.pulses[:, :64].sum(axis=0), result.pulses)


class Failing(DirectPort):
    """A port that fails after the pulses may have gone out, or before they do."""

    rows, failure = ROWS, LinkError("lost")

    def pulse_and_read(self, *_):
        raise self.failure


def test_pulses_of_which_nobody_knows_whether_they_were_given_count(passport):
    port = PassportPort(Failing(CellArray(1, 0, ROWS, COLUMNS)), passport)
    with pytest.raises(LinkError):
        port.pulse_and_read(pulses(SET, 3), None, 1, 1, 1e-6)
    assert passport.pulses[:, 3].tolist() == [1, 0, 0]


def test_pulses_that_the_driver_refused_do_not_count(passport):
    board = Failing(CellArray(1, 0, ROWS, COLUMNS))
    board.failure = LimitError("pulse width", 2.0, "up to 1", "s", "shorten it")
    with pytest.raises(LimitError, match="pulse width"):
        PassportPort(board, passport).pulse_and_read(pulses(SET, 3), None, 1, 1, 1e-6)
    assert not passport.pulses.any()


def test_what_a_run_gave_before_it_was_cut_off_is_not_counted_twice(port, passport):
    given = [pulses(SET, 1), pulses(RESET, 1), pulses(SET, 1)]
    for each in given[:2]:
        port.pulse_and_read(each, each.cells, 1, 1, 1e-6)
    again = PassportPort(port._board, passport, known_batches=port.batches)
    for each in given:
        again.pulse_and_read(each, each.cells, 1, 1, 1e-6)
    assert passport.pulses[:, 1].tolist() == [2, 1, 0] and again.noted_batches == 1


def test_looking_after_a_step_of_thousands_of_cells_takes_microseconds():
    warm_up()
    large, step = Passport(4096, 16), pulses(SET, np.arange(8192))
    begun = time.perf_counter()
    for _ in range(20):
        large.check(step)
        large.note(step)
    # A programming step of so many cells takes a board 100 ms and more, and the host several.
    assert (time.perf_counter() - begun) / 20 < 1e-3
