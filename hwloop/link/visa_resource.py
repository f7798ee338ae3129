"""VISA resource names, and opening what they name, with what libraries get wrong there put right."""

from __future__ import annotations

import errno
import functools
import os
import socket
from typing import Any

import pyvisa
from pyvisa import constants, rname

from hwloop import holders
from hwloop.errors import AbsentInstrumentError, UsageError
from hwloop.link.bounded import BoundedCalls, StuckError


def parse(resource: str) -> rname.ResourceName:
    """The parts of a resource name. Raises UsageError where it is none."""
    try:
        return rname.ResourceName.from_string(resource)
    except ValueError as error:
        raise UsageError(
            f"{resource!r} is no VISA resource name ({error}); "
            'expected, for example, "GPIB0::24::INSTR" or "TCPIP::10.0.0.5::5025::SOCKET"'
        ) from error


def is_stream(parsed: rname.ResourceName) -> bool:
    """Whether bytes come without a mark of their own at the end of a message."""
    return isinstance(parsed, rname.TCPIPSocket | rname.ASRLInstr)


def resource_key(parsed: rname.ResourceName) -> str:
    """One name for a resource, however it is written; that of a board's port where a board could have it."""
    if isinstance(parsed, rname.TCPIPSocket):
        return holders.port_key(f"tcp:{parsed.host_address}:{parsed.port}")
    if isinstance(parsed, rname.ASRLInstr):
        return holders.port_key(parsed.board)
    return str(parsed).upper()


def open_resource(
    resource: str, parsed: rname.ResourceName, backend: str, baud_rate: int, timeout_seconds: float, calls: BoundedCalls
) -> Any:
    """The library's open resource. Raises AbsentInstrumentError where nothing answers, UsageError without a backend."""
    try:
        manager = pyvisa.ResourceManager(backend)
    except (ValueError, OSError, pyvisa.errors.Error) as error:
        raise UsageError(
            f'VISA backend {backend!r} cannot be used ({error}); use "@py", or install the VISA library'
        ) from error
    options: dict[str, Any] = {"open_timeout": round(timeout_seconds * 1000)}
    if is_stream(parsed) and backend != "@py":
        options["read_termination"] = "\n"
    if isinstance(parsed, rname.ASRLInstr):
        options["baud_rate"] = baud_rate
    try:
        opened = calls.call(functools.partial(manager.open_resource, resource, **options), 2 * timeout_seconds)
    except StuckError as error:
        raise _absent(resource, "no connection in time") from error
    except Exception as error:
        # pyvisa-py raises bare exceptions of every kind here.
        raise _absent(resource, str(error)) from error
    try:
        _check_connected(resource, opened, is_stream(parsed))
    except AbsentInstrumentError:
        opened.close()
        raise
    return opened


def reply_socket(opened: Any) -> socket.socket | None:
    """The socket on which replies come unasked, where there is one: pyvisa-py's of a raw socket, or of HiSLIP."""
    sessions = getattr(opened.visalib, "sessions", {})
    interface = getattr(sessions.get(opened.session), "interface", None)
    candidate = getattr(interface, "_sync", interface)
    return candidate if isinstance(candidate, socket.socket) else None


def _check_connected(resource: str, opened: Any, ends_with_line: bool) -> None:
    """pyvisa-py takes a refused connection for an open one."""
    connection = reply_socket(opened)
    if connection is None:
        return
    try:
        connection.getpeername()
    except OSError as error:
        failed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or errno.ECONNREFUSED
        raise _absent(resource, os.strerror(failed)) from error
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if ends_with_line:
        # Reads then end with what is there, instead of going on until the time-out.
        opened.set_visa_attribute(constants.ResourceAttribute.suppress_end_enabled, False)


def _absent(resource: str, why: str) -> AbsentInstrumentError:
    return AbsentInstrumentError(
        f"{resource}: nothing answers there ({why}); check the address, the cable, and that the instrument is on"
    )
