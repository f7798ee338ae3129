"""The C firmware as a process: compiled for this PC, or for the microcontroller and run in an emulator."""

from __future__ import annotations

import ctypes
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from hwloop.errors import DeviceError, UsageError

HOST, EMULATED = "host", "emulated"
FIRMWARE_BACKENDS = (HOST, EMULATED)
EMULATOR = "qemu-system-arm"
_BUILD = Path(__file__).resolve().parents[2] / "firmware" / "build"
_HOST_PROGRAM = _BUILD / "host" / "hwloop-board"
_IMAGES = {
    "hwloop-128x16": _BUILD / "arm" / "hwloop-board.elf", "hwloop-16x4": _BUILD / "arm" / "hwloop-board-16x4.elf",
}
_CONNECT_SECONDS, _END_SECONDS = 20.0, 2.0
_SET_PARENT_DEATH_SIGNAL = 1    # prctl
_c_library = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Firmware:
    """Which firmware: `backend` host or emulated, the board that it is, and its program or image."""

    backend: str
    board_name: str
    path: str


def find_firmware(backend: str, board_name: str, path: Path | None = None) -> Firmware:
    """The built firmware for a board, at `path` where one is given.

    Raises UsageError where the microcontroller has no such board, DeviceError where something is missing.
    """
    if backend == EMULATED and board_name not in _IMAGES:
        raise UsageError(
            f"{board_name} does not fit into the microcontroller: the emulated backend has {', '.join(_IMAGES)}; "
            "take one of them, or backend host"
        )
    if path is None:
        path = _HOST_PROGRAM if backend == HOST else _IMAGES[board_name]
        if not path.is_file():
            raise DeviceError(f"{path}: there is no firmware for backend {backend} yet; run `make firmware`")
    elif not path.is_file():
        raise DeviceError(f"{path}: no such firmware ([board] firmware); give its path, or leave it out")
    if backend == EMULATED and shutil.which(EMULATOR) is None:
        raise DeviceError(f"{EMULATOR} is not installed, and backend emulated runs in it; install qemu-system-arm")
    return Firmware(backend, board_name, str(path))


class FirmwareProcess:
    """One run of the firmware, from reset to its end; `port` and `chips` are this side's ends of its two streams.

    It never outlives this process: its streams end with it, and the kernel kills it where it does not look at them.
    Raises DeviceError where it cannot be started.
    """

    def __init__(self, firmware: Firmware):
        self.started_seconds = time.monotonic()
        if firmware.backend == HOST:
            self._start_on_host(firmware)
        else:
            self._start_emulator(firmware)
        self.port.setblocking(False)
        self.chips.setblocking(False)

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def close(self) -> int:
        """End it, and wait until it has; gives its exit status."""
        self.port.close()
        self.chips.close()
        if self._has_to_be_ended:
            self._process.kill()    # nothing of it is kept, and it would comment on anything gentler
        try:
            return self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _start_on_host(self, firmware: Firmware) -> None:
        self._has_to_be_ended = False   # ends by itself when its streams do
        self.port, port = socket.socketpair()
        self.chips, chips = socket.socketpair()
        with port, chips:
            self._spawn(
                [firmware.path, "--board", firmware.board_name, "--port-fd", str(port.fileno()), "--chips-fd",
                 str(chips.fileno())],
                (port.fileno(), chips.fileno()),
            )  # fmt: skip

    def _start_emulator(self, firmware: Firmware) -> None:
        self._has_to_be_ended = True
        with tempfile.TemporaryDirectory(prefix="hwloop-") as folder:
            names = [f"{folder}/port", f"{folder}/chips"]
            with _listening(names[0]) as port, _listening(names[1]) as chips:
                self._spawn(
                    [EMULATOR, "-M", "netduinoplus2", "-nographic", "-monitor", "none", "-kernel", firmware.path,
                     "-serial", f"unix:{names[0]}", "-serial", f"unix:{names[1]}"], (),
                )  # fmt: skip
                self.port, self.chips = self._accept(port), self._accept(chips)

    def _accept(self, listener: socket.socket) -> socket.socket:
        deadline = time.monotonic() + _CONNECT_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                return listener.accept()[0]
            except TimeoutError:
                continue
        self._process.kill()
        status = self._process.wait()
        raise DeviceError(f"{EMULATOR} does not run the firmware (exit status {status}); try it by hand")

    def _spawn(self, arguments: list[str], descriptors: tuple[int, ...]) -> None:
        try:
            # A session of its own: Ctrl-C at the terminal is not for it.
            self._process = subprocess.Popen(
                arguments, pass_fds=descriptors, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                start_new_session=True, preexec_fn=_die_with_parent,
            )
        except OSError as error:
            raise DeviceError(f"{arguments[0]}: cannot be started ({error.strerror}); run `make firmware`") from error


def _die_with_parent() -> None:
    _c_library.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)


def _listening(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1)
    listener.settimeout(0.2)
    return listener
