"""A setting as it was sent, and as the instrument reads it back."""

from __future__ import annotations

from dataclasses import dataclass

from hwloop.errors import SettingError

# Instruments round limits and levels to their resolution.
_FRACTION = 2e-3
_SMALLEST = 1e-12


@dataclass(frozen=True)
class Told:
    """What was set, to `sent`, and what was `got` on reading it back, both in `unit`."""

    what: str
    sent: float | str
    got: float | str
    unit: str = ""

    def require_same(self, resource: str) -> None:
        """Raises SettingError where they differ by more than an instrument's rounding."""
        if isinstance(self.sent, str) or isinstance(self.got, str):
            same = self.sent == self.got
        else:
            same = abs(self.got - self.sent) <= _FRACTION * abs(self.sent) + _SMALLEST
        if not same:
            raise SettingError(
                resource, self.what, f"set to {self.sent} {self.unit}, but reads back {self.got} {self.unit}",
                "check that nothing else sets it, and the manual for settings that exclude each other",
            )  # fmt: skip
