"""National Instruments analog inputs through nidaqmx. Untested on hardware: no such device was at hand."""

from __future__ import annotations

from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from hwloop import holders
from hwloop.drivers.daq.daq import Daq
from hwloop.drivers.instrument import Accuracy, InstrumentIdentity
from hwloop.errors import (
    AbsentInstrumentError,
    DeviceError,
    HeldInstrumentError,
    InstrumentError,
    InstrumentTimeoutError,
    UsageError,
)

PREFIX = "ni:"
# Absolute accuracy at full scale, in volts by range: the devices' specifications (371931F, 374650). They state the sum
# of gain and offset, so all of it is taken as an offset.
_USB_621X = {0.2: 88e-6, 1.0: 310e-6, 5.0: 1410e-6, 10.0: 2690e-6}
_636X = {0.1: 33e-6, 0.2: 53e-6, 0.5: 100e-6, 1.0: 190e-6, 2.0: 350e-6, 5.0: 870e-6, 10.0: 1660e-6}
_ACCURACIES = {
    **dict.fromkeys(("USB-6210", "USB-6211", "USB-6215", "USB-6218"), _USB_621X),
    **dict.fromkeys(("PCIE-6361", "PXIE-6361", "USB-6361"), _636X),
}
_LINE_HERTZ = 50.0
# NI-DAQmx status codes: no such device, device in use, not all samples in time.
_ABSENT, _RESERVED, _LATE = -200220, -50103, -200284


class NiDaqmx(Daq):
    """One device by its name in NI's configuration ("ni:Dev1"); channels are its numbers of analog inputs, ai0 is 0.

    Inputs are referenced single-ended. An integration of n power line cycles is a mean over n/50 s at the highest rate
    that the device has for so many channels.
    """

    models: ClassVar = tuple(_ACCURACIES)

    def __init__(self, resource: str):
        self.name, self._device_name = resource, resource.removeprefix(PREFIX)
        self._nidaqmx = _library()
        try:
            self._hold = holders.hold(resource)
        except DeviceError as error:
            raise HeldInstrumentError(f"{resource}: {error}") from error
        try:
            device = self._nidaqmx.system.Device(self._device_name)
            self.identity = self._identify(device)
            self._rate_hertz = float(device.ai_max_multi_chan_rate)
        except self._nidaqmx.errors.Error as error:
            self._hold.release()
            raise self._failed("identify", error) from error

    def accuracy(self, range_volts: float) -> Accuracy:
        return Accuracy(0.0, self._figures()[self.range_for(range_volts)])

    def close(self) -> None:
        self._hold.release()

    def _ranges(self) -> tuple[float, ...]:
        return tuple(self._figures())

    def _scan(self, channels: np.ndarray, full_scale_volts: float, nplc: float, count: int) -> np.ndarray:
        constants = self._nidaqmx.constants
        rate_hertz = self._rate_hertz / channels.size
        averaged = max(round(nplc / _LINE_HERTZ * rate_hertz), 1)
        samples = averaged * count
        try:
            with self._nidaqmx.Task() as task:
                for channel in channels:
                    task.ai_channels.add_ai_voltage_chan(
                        f"{self._device_name}/ai{channel}",
                        terminal_config=constants.TerminalConfiguration.RSE,
                        min_val=-full_scale_volts, max_val=full_scale_volts,
                    )  # fmt: skip
                task.timing.cfg_samp_clk_timing(
                    rate_hertz, sample_mode=constants.AcquisitionType.FINITE, samps_per_chan=max(samples, 2)
                )
                values = task.read(number_of_samples_per_channel=samples, timeout=samples / rate_hertz + 5.0)
        except self._nidaqmx.errors.Error as error:
            raise self._failed("scan", error) from error
        volts = np.asarray(values, float).reshape(channels.size, count, averaged).mean(axis=2).T
        return np.where(np.abs(volts) < full_scale_volts * 1.05, volts, np.nan)

    def _figures(self) -> dict[float, float]:
        if self.identity.model not in _ACCURACIES:
            raise UsageError(
                f"{self.name}: no accuracy is known of a {self.identity.model}; known: {', '.join(_ACCURACIES)}"
            )
        return _ACCURACIES[self.identity.model]

    def _identify(self, device: Any) -> InstrumentIdentity:
        return InstrumentIdentity("National Instruments", device.product_type.upper(), f"{device.serial_num:X}", "")

    def _failed(self, step: str, error: Any) -> InstrumentError | DeviceError:
        why, code = str(error).splitlines()[0], getattr(error, "error_code", None)
        if code is None:
            # What it raises where NI's own driver is not installed has no code.
            return AbsentInstrumentError(f"{self.name}: {why}")
        if code == _ABSENT:
            return AbsentInstrumentError(f"{self.name}: {why}; check its name in NI's configuration, and its cable")
        if code == _RESERVED:
            return HeldInstrumentError(f"{self.name}: {why}; end the program that uses it")
        kind = InstrumentTimeoutError if code == _LATE else InstrumentError
        return kind(self.name, step, why, "see the status code in NI's documentation")


def _library() -> ModuleType:
    try:
        import nidaqmx
        import nidaqmx.constants
        import nidaqmx.errors
        import nidaqmx.system
    except ImportError as error:
        raise UsageError(f"NI devices need the package nidaqmx ({error}); install hwloop[ni]") from error
    return nidaqmx
