"""From a resource name to a driver: identify passively, check who it is, choose by model or by force."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hwloop import plugins
from hwloop.drivers.daq.daq import Daq
from hwloop.drivers.daq.keysight_34970a import Keysight34970A
from hwloop.drivers.daq.ni_daqmx import PREFIX as NI_PREFIX
from hwloop.drivers.daq.ni_daqmx import NiDaqmx
from hwloop.drivers.instrument import InstrumentIdentity, parse_identity
from hwloop.drivers.smu.keithley_2400 import Keithley2400
from hwloop.drivers.smu.keithley_2450 import Keithley2450
from hwloop.drivers.smu.keithley_2600b import Keithley2600B
from hwloop.drivers.smu.keysight_b2900 import KeysightB2900
from hwloop.drivers.smu.smu import Smu
from hwloop.errors import UsageError, WrongInstrumentError
from hwloop.link.visa import VisaPort

DEFAULT_BACKEND = "@py"
TIMEOUT_SECONDS = 5.0
SMU_DRIVERS: dict[str, type[Smu]] = {
    "keithley-2400": Keithley2400,
    "keithley-2450": Keithley2450,
    "keithley-2600b": Keithley2600B,
    "keysight-b2900": KeysightB2900,
}
DAQ_DRIVERS: dict[str, type[Keysight34970A]] = {"keysight-34970a": Keysight34970A}


def open_smu(
    resource: str, driver: str | None = None, serial: str | None = None, channel: int | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS, backend: str | None = None,
    between_exchanges: Callable[[], None] = lambda: None,
) -> Smu:
    """The source-measure unit at a VISA `resource`, which is asked for its identity and nothing else.

    `driver` (a name of SMU_DRIVERS, or of a plug-in of hwloop.smus) is forced where given; else the model decides.
    `serial` is refused where another one answers. `channel` is 1 where not given. `between_exchanges` may raise to stop
    a sweep that runs. Raises WrongInstrumentError for an unknown model or another serial number, and as VisaPort.
    """  # fmt: skip
    port = VisaPort(resource, timeout_seconds, backend or DEFAULT_BACKEND)
    try:
        identity = identified(port, serial)
        smu = _driver(plugins.SMUS, SMU_DRIVERS, resource, identity, driver)(port, identity, channel or 1)
        smu.between_exchanges = between_exchanges
        return smu
    except BaseException:
        port.close()
        raise


def open_daq(
    resource: str, driver: str | None = None, serial: str | None = None, timeout_seconds: float = TIMEOUT_SECONDS,
    backend: str | None = None,
) -> Daq:
    """The data acquisition unit at a VISA `resource`, or at "ni:NAME" for one of National Instruments. As `open_smu`,
    with DAQ_DRIVERS and hwloop.daqs."""  # fmt: skip
    if resource.startswith(NI_PREFIX):
        daq = NiDaqmx(resource)
        try:
            _check_serial(resource, daq.identity, serial)
        except BaseException:
            daq.close()
            raise
        return daq
    port = VisaPort(resource, timeout_seconds, backend or DEFAULT_BACKEND)
    try:
        identity = identified(port, serial)
        return _driver(plugins.DAQS, DAQ_DRIVERS, resource, identity, driver)(port, identity)
    except BaseException:
        port.close()
        raise


def identified(port: VisaPort, serial: str | None = None) -> InstrumentIdentity:
    """Who answers at `port`. Raises WrongInstrumentError where it is not the one with `serial`."""
    identity = parse_identity(port.name, port.identify())
    _check_serial(port.name, identity, serial)
    return identity


def _check_serial(resource: str, identity: InstrumentIdentity, serial: str | None) -> None:
    if serial is not None and identity.serial != str(serial):
        raise WrongInstrumentError(
            f"{resource}: expected the instrument with serial {serial}, found {identity}; check the address"
        )


def _driver(
    group: str, built_in: Mapping[str, Any], resource: str, identity: InstrumentIdentity, forced: str | None
) -> Any:
    """The class that drives the model, or the `forced` one."""
    if forced is not None:
        return built_in[forced] if forced in built_in else _load(group, built_in, forced)
    drivers = dict(built_in)
    for driver in built_in.values():
        if identity.model in driver.models:
            return driver
    for name in plugins.names(group):
        drivers[name] = plugins.load(group, name)
        if identity.model in drivers[name].models:
            return drivers[name]
    known = "; ".join(f"{name}: {', '.join(driver.models)}" for name, driver in drivers.items())
    raise WrongInstrumentError(
        f"{resource}: no driver knows a {identity.model} ({identity}); known are {known}; "
        "name one of these drivers to force it"
    )


def _load(group: str, built_in: Mapping[str, Any], name: str) -> Any:
    if name not in plugins.names(group):
        known = ", ".join([*built_in, *plugins.names(group)])
        raise UsageError(f"no instrument driver {name!r}; known: {known}")
    return plugins.load(group, name)
