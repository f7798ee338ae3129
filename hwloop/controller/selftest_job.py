"""`board selftest`: acceptance of a board without instruments, one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hwloop.calibration.record import Parameter
from hwloop.calibration.usage import Used
from hwloop.config import RunSettings
from hwloop.controller.calibrations import choose_whatever_there_is
from hwloop.controller.opening import held_board
from hwloop.controller.planned import PlannedWork
from hwloop.link.protocol import BOARDS
from hwloop.procedures.selftest import Check, SelfTest, plan
from hwloop.report import Report

_NAME_WIDTH = 44
# Units of people, and how many of them are in the SI unit.
_SHOWN = {"V": ("V", 1.0), "S": ("uS", 1e6), "A": ("nA", 1e9)}
_SMALL_VOLTS, _MILLIVOLTS = 1.0, ("mV", 1e3)


@dataclass(frozen=True)
class SelfTestResult:
    """Every check of a board, and how many calibrations it was measured by."""

    board: str
    checks: tuple[Check, ...]
    calibrations: tuple[str, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        """Those that did not pass; what cannot be told is not among them."""
        return tuple(check for check in self.checks if check.passed is False)

    @property
    def goal_missed(self) -> str | None:
        """Which checks failed."""
        names = "; ".join(check.name for check in self.failed)
        return f"{len(self.failed)} of {len(self.checks)} checks failed: {names}" if self.failed else None

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        return {
            "passed": not self.failed, "board": self.board, "calibrations": list(self.calibrations),
            "checks": [vars(check) for check in self.checks],
        }

    def text(self) -> str:
        """For people: one page."""
        by = f"by {len(self.calibrations)} calibrations" if self.calibrations else "not calibrated: nominal constants"
        untold = sum(check.passed is None for check in self.checks)
        told = f"{len(self.failed)} failed" if self.failed else "passed"
        return "\n".join([
            f"self-test of {self.board}, {by}", *check_lines(self.checks),
            f"{told}: {len(self.checks)} checks" + (f", {untold} of which cannot be told" if untold else ""),
        ])


def check_lines(checks: Sequence[Check]) -> list[str]:
    """A line a check: verdict, name, figure, limits, detail."""
    return [_line(check) for check in checks]


def figures(unit: str, *values: float) -> tuple[list[str], str]:
    """Values as people read them, and the unit: one that fits them all."""
    is_small = unit == "V" and max(map(abs, values)) < _SMALL_VOLTS
    shown, factor = _MILLIVOLTS if is_small else _SHOWN[unit]
    return [f"{value * factor:.4g}" for value in values], shown


def _line(check: Check) -> str:
    verdict = {True: "pass", False: "FAIL", None: "?"}[check.passed]
    (value, low, high), unit = figures(check.unit, check.value, check.low, check.high)
    limits = f"from {low} on" if check.high == float("inf") else f"{low} to {high}"
    return f"{verdict:<6}{check.name:<{_NAME_WIDTH}}{value:>9} {unit:<4}{limits:<20}{check.detail}"


def self_test(settings: RunSettings, report: Report) -> SelfTestResult | PlannedWork:
    """Check the rig's board by those of its calibrations that hold; where there are none, by nominal constants.

    Raises DeviceError where the board is held or another one answers.
    """
    if settings.dry_run:
        geometry = BOARDS[settings.rig.board.name]
        return PlannedWork("board selftest", plan(geometry.rows, geometry.columns))
    with held_board(settings) as board:
        known = choose_whatever_there_is(settings, board)
        held = [used for used in known.used if not used.stale and used.calibration.subject.kind == "board"]
        checks = SelfTest(board, parameters_of(held), report.step).run()
        name = f"board {board.name} number {board.identity.board_serial}"
        return SelfTestResult(name, checks, tuple(used.name for used in held))


def parameters_of(used: Sequence[Used]) -> dict[str, Parameter]:
    """All parameters by name."""
    return {parameter.name: parameter for each in used for parameter in each.calibration.parameters}
