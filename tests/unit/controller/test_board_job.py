"""`board info` and `board safe` on a simulated board."""

from pathlib import Path

from hwloop.controller.board_job import board_info, board_safe
from hwloop.link.protocol import WIRE_HASH
from hwloop.report import Report


def test_info_says_who_is_there_and_changes_nothing(settings_of):
    found = board_info(settings_of(board={"serial": 5}), Report())
    document = found.document()
    assert (document["name"], document["board_serial"], document["rows"]) == ("hwloop-128x16", 5, 128)
    assert not document["armed"] and document["wire_hash"] == f"{WIRE_HASH:08x}"
    assert "safe, every line grounded" in found.text() and "forming 3.3 V" in found.text()
    assert found.text().isascii()


def test_safe_without_anything_to_ground_says_so(settings_of):
    done = board_safe(settings_of(), Report())
    assert done.document() == {"safe": True, "port": "mock", "stopped": []}
    assert "nothing to ground" in done.text()


def test_safe_on_a_durable_board_opens_it(settings_of):
    done = board_safe(settings_of(board={"state": "chip"}), Report())
    assert done.document()["safe"] and done.text().endswith("every line is grounded")


def test_dry_runs_open_nothing(settings_of):
    dry = settings_of(dry_run=True, board={"state": "never"})
    assert "would identify" in board_info(dry, Report()).text()
    assert "would ground" in board_safe(dry, Report()).text()
    assert not Path("never").exists()
