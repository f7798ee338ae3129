"""One session: lines grounded and the process gone whatever happens; limits and maps as the rig says."""

import os

import numpy as np
import pytest

from hwloop import holders
from hwloop.controller.session import open_session
from hwloop.errors import DeviceError, UsageError


def test_the_board_is_armed_inside_and_its_process_gone_afterwards(settings_of, report):
    with open_session(settings_of(), report) as session:
        assert session.board.status().armed
        assert [holder.pid for holder in holders.holders(holders.MOCK_KEY)] == [os.getpid()]
        assert session.counters().mock_seconds is None
    assert session.counters().mock_seconds > 0.0
    assert holders.holders(holders.MOCK_KEY) == []
    assert len(report.notes) == 1 and "simulated" in report.notes[0]


def test_a_failure_inside_is_passed_on_and_tells_nothing_else(settings_of, report):
    with pytest.raises(ZeroDivisionError), open_session(settings_of(), report) as session:
        _ = 1 / 0
    assert session.counters().mock_seconds > 0.0
    assert not report.notes and holders.holders(holders.MOCK_KEY) == []


def test_a_durable_board_is_held_by_one_program_and_keeps_its_map(settings_of, report):
    settings = settings_of(board={"state": "chip"})
    with open_session(settings, report) as session:
        session.chip.map.mark(np.array([3]), "masked")
        with pytest.raises(DeviceError, match="chip is held by process"), open_session(settings, report):
            pass
    with open_session(settings, report) as session:
        assert session.chip.map.status == {3: "masked"}
    assert not report.notes


def test_what_does_not_fit_the_board_is_refused(settings_of, report):
    refused = pytest.raises(UsageError, match="rank is 17, allowed 1 to 16")
    with open_session(settings_of(), report) as session, refused:
        session.check_fit(8, 17)
