"""`calibrate check`: whether the calibrations in use still hold, by their terms and by a quick measurement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hwloop.calibration.usage import Used
from hwloop.config import RunSettings
from hwloop.controller.calibrations import choose_whatever_there_is
from hwloop.controller.opening import held_board
from hwloop.controller.plan import DryRun
from hwloop.controller.selftest_job import check_lines, figures, parameters_of
from hwloop.procedures.selftest import Check, SelfTest
from hwloop.procedures.selftest_limits import knows_currents, knows_loop_back
from hwloop.report import Report

# What loop back and reference resistors can tell about; the others need instruments.
MEASURED_KINDS = ("dac", "adc", "tia")
_NO_ERRORS = "the board is simulated without errors"


@dataclass(frozen=True)
class CheckResult:
    """The calibrations in `used` with what speaks against each, kinds that are `missing`, and what the quick
    measurement found; `note` says why none is in use."""

    used: tuple[Used, ...]
    missing: tuple[str, ...]
    note: str
    temperature_celsius: float
    checks: tuple[Check, ...]

    @property
    def drifted(self) -> tuple[Check, ...]:
        """What no longer is as the calibrations say."""
        return tuple(check for check in self.checks if check.passed is False)

    @property
    def goal_missed(self) -> str | None:
        """Which calibrations do not hold, are missing, or drifted."""
        stale = [used.calibration.kind for used in self.used if used.stale]
        reasons = [
            f"{what}: {', '.join(names)}"
            for what, names in (
                ("do not hold", stale), ("missing", self.missing), ("drifted", [check.name for check in self.drifted])
            ) if names
        ]  # fmt: skip
        return f"calibrations {'; '.join(reasons)}; calibrate these kinds again" if reasons else None

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        return {
            "passed": self.goal_missed is None, "temperature_celsius": self.temperature_celsius, "note": self.note,
            "calibrations": [
                {
                    "file": used.name, "kind": used.calibration.kind, "subject": str(used.calibration.subject),
                    "taken": used.calibration.taken, "sha256": used.calibration.sha256, "valid": not used.stale,
                    "objection": used.stale, "measured": self._is_measured(used),
                }
                for used in self.used
            ],
            "missing": list(self.missing), "checks": [vars(check) for check in self.checks],
        }  # fmt: skip

    def text(self) -> str:
        """For people."""
        note = f" ({self.note})" if self.note else ""
        lines = [f"calibrations in use at {self.temperature_celsius:.1f} C: {len(self.used)}{note}"]
        for used in self.used:
            told = used.stale or ("measured below" if self._is_measured(used) else "by its terms, not measured")
            lines.append(f"{'FAIL' if used.stale else 'holds':<6}{used.calibration.kind:<17}{used.name:<32}{told}")
        lines += [f"FAIL  {kind:<17}there is none" for kind in self.missing]
        lines += check_lines(self.checks)
        for check in self.drifted:
            middle, allowed = (check.low + check.high) / 2, (check.high - check.low) / 2
            (off, bound), unit = figures(check.unit, abs(check.value - middle), allowed)
            lines.append(f"drifted: {check.name} by {off} {unit}, allowed {bound}")
        return "\n".join(lines)

    def _is_measured(self, used: Used) -> bool:
        return bool(self.checks) and used.calibration.kind in MEASURED_KINDS


def check_calibrations(settings: RunSettings, report: Report) -> CheckResult | DryRun:
    """Check the calibrations that a run on this rig would go by, without instruments; cells are not touched.

    The newest of every kind counts, though it does not hold. Raises CalibrationError where a file is damaged,
    DeviceError where the board is held or another one answers.
    """
    if settings.dry_run:
        return DryRun("compare loop back, reference resistors and currents at rest with the calibrations in use")
    with held_board(settings) as board:
        in_use = choose_whatever_there_is(settings, board)
        known = parameters_of([used for used in in_use.used if used.calibration.subject.kind == "board"])
        test, checks = SelfTest(board, known, report.step), []
        if knows_loop_back(known):
            checks += test.loop_back()
        if knows_currents(known):
            checks += test.references() + test.leakage(allowed_amps=0.0)
        # Kinds that the rig takes at their word are nominal, too, but nobody misses them.
        is_meant = settings.rig.calibration.use == "nominal" or not in_use.reason
        note = (in_use.reason or _NO_ERRORS) if is_meant and not in_use.used else ""
        missing = () if is_meant else in_use.nominal
        return CheckResult(in_use.used, missing, note, board.temperature_celsius(), tuple(checks))
