"""A channel of a source-measure unit, whatever its make: configure, source, measure, sweep, and off on the way out."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np

from hwloop import signals
from hwloop.drivers.instrument import Accuracy, InstrumentIdentity
from hwloop.drivers.smu.models import Role, SmuModel
from hwloop.drivers.smu.settings import UNITS, Quantity, SmuReadings, SmuSetting
from hwloop.drivers.smu.timing import least_seconds, most_seconds
from hwloop.drivers.smu.told import Told
from hwloop.errors import (
    GarbledReplyError,
    InstrumentError,
    InstrumentTimeoutError,
    LimitError,
    OutputUnknownError,
    SettingError,
    UsageError,
)
from hwloop.link.visa import VisaPort

_SLICE_SECONDS = 0.05
_FIRST_LOOK_SECONDS = 0.02


class Smu(ABC):
    """One channel of one instrument. Making it sends nothing; `configure` comes before everything else.

    As a context manager its output is off on the way out, whatever happened; a channel that was only identified stays
    as it is. `between_exchanges` is called while an
    exchange of ours could end cleanly; it may raise to stop a run there.
    Every method raises an InstrumentError naming resource, command and remedy where the instrument or its port fails,
    and InstrumentRefusalError with what stands in the instrument's error queue.
    """

    models: ClassVar[Mapping[str, SmuModel]]

    def __init__(self, port: VisaPort, identity: InstrumentIdentity, channel: int = 1):
        self.port, self.identity, self.channel = port, identity, channel
        # With a driver that was forced on an unknown model, its first model's figures count.
        self.model = self.models.get(identity.model, next(iter(self.models.values())))
        if not 1 <= channel <= self.model.channels:
            raise UsageError(f"{port.name}: channel {channel}, but the {self.model.name} has {self.model.channels}")
        self.between_exchanges: Callable[[], None] = lambda: None
        self._setting: SmuSetting | None = None
        self._is_on = False
        self._was_changed = False

    def configure(self, setting: SmuSetting) -> None:
        """Switch the output off, set everything, and read it back.

        Raises LimitError beyond what the data sheet allows, SettingError where something else is read back.
        """
        least, most = self.model.nplc
        if not least <= setting.nplc <= most:
            raise LimitError(f"NPLC of the {self.model.name}", setting.nplc, f"{least:g} to {most:g}", "", "change it")
        if setting.limit <= 0 or setting.settle_delay_seconds < 0:
            raise UsageError(f"{self.port.name}: a limit must be positive, and a settle delay not negative")
        self.model.range_for(setting.measured, "source", setting.limit, "limit")
        source_range = measure_range = None
        if setting.source_range is not None:
            found = self.model.range_for(setting.source, "source", setting.source_range, "source range")
            source_range = found.full_scale
        if setting.measure_range is not None:
            found = self.model.range_for(setting.measured, "measure", setting.measure_range, "measure range")
            measure_range = found.full_scale
        self._setting, self._is_on, self._was_changed = None, False, True
        for told in self._configure(setting, source_range, measure_range):
            told.require_same(self.port.name)
        self._setting = setting

    def output(self, on: bool) -> None:
        """Switch the output, and see that it is. Raises InterlockError where an open interlock keeps it off."""
        self._configured("output")
        self._is_on = self._switch(on)
        if self._is_on != on:
            wanted = "on" if on else "off"
            raise SettingError(
                self.port.name, f"output {wanted}", f"the output does not go {wanted}",
                "check interlock and over-temperature at the instrument's front panel",
            )  # fmt: skip

    def set_level(self, value: float) -> None:
        """Source `value` (volts or amps, as configured). Raises LimitError beyond the source range."""
        self._check_levels("set_level", np.array([value]))
        unit = UNITS[self._configured("set_level").source]
        Told("source level", value, self._set_level(value), unit).require_same(self.port.name)

    def measure(self, count: int = 1) -> SmuReadings:
        """`count` readings at the present level, in one exchange. The output has to be on."""
        setting = self._switched_on("measure")
        self._check_points(count)
        return self._measure(setting, count, most_seconds(setting, count))

    def sweep(self, levels: np.ndarray) -> SmuReadings:
        """One reading at each of `levels` (n,), in volts or amps as configured, run by the instrument itself.

        The output has to be on; afterwards it sources 0. At most five exchanges, whatever n is.
        """
        setting = self._switched_on("sweep")
        levels = np.asarray(levels, float)
        self._check_levels("sweep", levels)
        self._check_points(levels.size)
        longest_seconds = most_seconds(setting, levels.size)
        begun_seconds = time.monotonic()
        self._begin_sweep(setting, levels, longest_seconds)
        # The instrument stays free to be stopped until shortly before its end; then it is asked for the data.
        for wait_seconds in (_FIRST_LOOK_SECONDS, least_seconds(setting, levels.size)):
            if self._sweep_is_done():
                break
            self._wait_until(begun_seconds + wait_seconds)
        return self._fetch_sweep(setting, levels, longest_seconds)

    def make_safe(self) -> None:
        """Stop what runs, switch the output off and see that it is off. Raises OutputUnknownError where it cannot."""
        try:
            try:
                is_off = self._bring_off()
            except (GarbledReplyError, InstrumentTimeoutError):
                # What was on its way from before may have been taken for the answer.
                is_off = self._bring_off()
        except InstrumentError as error:
            raise self._unknown(error.command, str(error)) from error
        if not is_off:
            raise self._unknown(self._stop_command(), "it reads back as on")
        self._is_on = False
        self.port.acknowledge_safe()

    def accuracy(self, quantity: Quantity, role: Role, range_value: float) -> Accuracy:
        """One-year accuracy of the range that holds `range_value`, of the data sheet named in the model's file.

        For temperatures of (23 ± 5) °C and an integration of at least one power line cycle.
        """
        return self.model.accuracy(quantity, role, range_value)

    def on_channel(self, channel: int) -> Smu:
        """Another channel of the same instrument, over the same port."""
        other = type(self)(self.port, self.identity, channel)
        other.between_exchanges = self.between_exchanges
        return other

    def close(self) -> None:
        """Give the port back; the output is left as it is."""
        self.port.close()

    def __enter__(self) -> Smu:
        return self

    def __exit__(self, kind: object, cause: BaseException | None, traceback: object) -> None:
        with signals.shielded():
            try:
                if self._was_changed:
                    self.make_safe()
            except OutputUnknownError as error:
                if cause is None:
                    raise
                why = f"{error.why}; what came before: {cause}"
                raise OutputUnknownError(self.port.name, error.command, why, error.remedy) from cause
            finally:
                self.close()

    @abstractmethod
    def _configure(
        self, setting: SmuSetting, source_range: float | None, measure_range: float | None
    ) -> list[Told]:
        """Output off, all settings, level 0; ranges are full scales of the data sheet, None for automatic."""

    @abstractmethod
    def _switch(self, on: bool) -> bool:
        """Switch the output; gives what it reads back as."""

    @abstractmethod
    def _set_level(self, value: float) -> float:
        """Source `value`; gives what it reads back as."""

    @abstractmethod
    def _measure(self, setting: SmuSetting, count: int, expected_seconds: float) -> SmuReadings:
        """`count` readings at the present level."""

    @abstractmethod
    def _begin_sweep(self, setting: SmuSetting, levels: np.ndarray, expected_seconds: float) -> None:
        """Load `levels` and trigger, in one exchange; with some it lasts until the sweep has ended."""

    @abstractmethod
    def _sweep_is_done(self) -> bool:
        """Whether the sweep has ended; one exchange that does not wait for it, or none."""

    @abstractmethod
    def _fetch_sweep(self, setting: SmuSetting, levels: np.ndarray, expected_seconds: float) -> SmuReadings:
        """Wait for the end of the sweep and transfer its data, in one exchange."""

    @abstractmethod
    def _stop_command(self) -> str:
        """What stops a sweep and switches the output off, at once and without a reply."""

    @abstractmethod
    def _stop(self) -> bool:
        """Stop what runs and switch the output off, in one exchange; gives whether it reads back as off."""

    def _configured(self, asked: str) -> SmuSetting:
        if self._setting is None:
            raise UsageError(f"{self.port.name}: {asked} before the channel is configured; call configure first")
        return self._setting

    def _bring_off(self) -> bool:
        if not self.port.in_step:
            self.port.resynchronize(self._stop_command())
        return self._stop()

    def _switched_on(self, asked: str) -> SmuSetting:
        setting = self._configured(asked)
        if not self._is_on:
            raise UsageError(f"{self.port.name}: {asked} while the output is off; call output(True) first")
        return setting

    def _check_levels(self, asked: str, levels: np.ndarray) -> None:
        setting = self._configured(asked)
        largest = float(levels[np.argmax(np.abs(levels))]) if levels.size else 0.0
        if not np.all(np.isfinite(levels)):
            raise UsageError(f"{self.port.name}: levels must be finite numbers")
        found = self.model.range_for(setting.source, "source", setting.source_range or largest, "source range")
        bound = found.full_scale * self.model.over_range
        if abs(largest) > bound * (1 + 1e-9):
            raise LimitError(
                f"source level of {self.port.name}", largest, f"within ±{bound:g}", UNITS[setting.source],
                "configure a larger source range",
            )  # fmt: skip

    def _check_points(self, count: int) -> None:
        if not 1 <= count <= self.model.sweep_points:
            raise LimitError(
                f"readings at once from the {self.model.name}", count, f"1 to {self.model.sweep_points}", "points",
                "split them",
            )  # fmt: skip

    def _wait_until(self, end_seconds: float) -> None:
        while (left_seconds := end_seconds - time.monotonic()) > 0:
            self.between_exchanges()
            time.sleep(min(left_seconds, _SLICE_SECONDS))

    def _unknown(self, command: str, why: str) -> OutputUnknownError:
        return OutputUnknownError(
            self.port.name, command, f"THE STATE OF ITS OUTPUT IS UNKNOWN: {why}",
            "switch the output off at its front panel before you touch anything",
        )  # fmt: skip
