"""Who holds a board's port on this machine: one program a real port, and a way to make that program go safe.

A registry folder has one file a holder, locked by it while it lives: the kernel drops the lock of a dead process.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import signal
import stat
import sys
import time
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from hwloop import signals
from hwloop.errors import DeviceError

MOCK_KEY = "mock"
SAFE_TIMEOUT_SECONDS = 0.5
# After this long a holder that is busy between two exchanges is told not to wait for the end of the exchange.
_INSIST_SECONDS = 0.2
_POLL_SECONDS = 0.005
# Reading an entry locks it for microseconds; an owner that comes just then has to try again.
_LOCK_TRIES = 10


@dataclass(frozen=True)
class Holder:
    """A living process that holds a port: its id, its command line, and its file in the registry."""

    pid: int
    command: str
    entry: Path


@dataclass(frozen=True)
class SafeReply:
    """What became of one holder: `safe` if it grounded its board, or let go of it, in time, after `seconds`."""

    holder: Holder
    safe: bool
    seconds: float


class Hold:
    """The registration of this process for a port. Release it when the board is closed."""

    def __init__(self, entry: Path, descriptor: int):
        self._entry, self._descriptor = entry, descriptor

    def acknowledge_safe(self) -> None:
        """Tell a waiting `board safe` that every line is grounded; call it after the board has said so."""
        _safe_mark(self._entry).touch(mode=0o600)

    def release(self) -> None:
        if self._descriptor < 0:
            return
        _safe_mark(self._entry).unlink(missing_ok=True)
        self._entry.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = -1

    def __enter__(self) -> Hold:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def port_key(port: str) -> str:
    """One name for a port, however it is written: links such as /dev/serial/by-id/… are followed."""
    if port.startswith("tcp:"):
        return port.replace("tcp:localhost:", "tcp:127.0.0.1:")
    if port.startswith("unix:"):
        return "unix:" + os.path.realpath(port[5:])
    return os.path.realpath(port) if port.startswith("/") else port


def hold(key: str, exclusive: bool = True) -> Hold:
    """Register this process as a holder of the port `key`.

    Exclusive for real ports: raises DeviceError naming the other process. Shared for private simulated boards.
    """
    signals.raise_on_stop()
    folder = registry_folder()
    for _ in range(_LOCK_TRIES):
        # Shared holders get a file each; exclusive ones meet at the same file.
        owner = "" if exclusive else f".{os.getpid()}-{time.monotonic_ns()}"
        entry = folder / f"{_file_name(key)}@{owner}"
        descriptor = os.open(entry, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        if _lock(descriptor) and _is_current(entry, descriptor):
            _safe_mark(entry).unlink(missing_ok=True)
            os.ftruncate(descriptor, 0)
            os.write(descriptor, json.dumps({"pid": os.getpid(), "command": _command_line()}).encode())
            return Hold(entry, descriptor)
        os.close(descriptor)
        time.sleep(_POLL_SECONDS)
    others = holders(key)
    who = f"process {others[0].pid} ({others[0].command})" if others else "another process"
    raise DeviceError(f"port {key} is held by {who}; wait for it, or make it stop with `hwloop board safe`")


def holders(key: str) -> list[Holder]:
    """The living holders of the port `key`; files of dead ones are removed."""
    found = []
    for entry in sorted(registry_folder().glob(f"{_file_name(key)}@*")):
        if entry.suffix == ".safe":
            continue
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(entry, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                if _lock(descriptor):
                    if _is_current(entry, descriptor):
                        _safe_mark(entry).unlink(missing_ok=True)
                        entry.unlink()
                    continue
                with contextlib.suppress(ValueError, KeyError):
                    record = json.loads(os.pread(descriptor, 65536, 0))
                    found.append(Holder(record["pid"], record["command"], entry))
            finally:
                os.close(descriptor)
    return found


def request_safe(key: str, timeout_seconds: float = SAFE_TIMEOUT_SECONDS) -> list[SafeReply]:
    """Make every other holder of the port `key` ground its board, and wait until it says so or lets go."""
    asked = [holder for holder in holders(key) if holder.pid != os.getpid()]
    start_seconds = time.monotonic()
    for holder in asked:
        _safe_mark(holder.entry).unlink(missing_ok=True)
        _signal(holder)
    replies: dict[Holder, SafeReply] = {}
    insisted = False
    while len(replies) < len(asked):
        passed_seconds = time.monotonic() - start_seconds
        for holder in asked:
            if holder not in replies and _is_safe(holder):
                replies[holder] = SafeReply(holder, True, passed_seconds)
        if passed_seconds > timeout_seconds:
            break
        if passed_seconds > _INSIST_SECONDS and not insisted:
            insisted = True
            for holder in asked:
                if holder not in replies:
                    _signal(holder)
        time.sleep(_POLL_SECONDS)
    return [replies.get(holder, SafeReply(holder, False, timeout_seconds)) for holder in asked]


def registry_folder() -> Path:
    """The registry, a folder of this user alone. Raises DeviceError where somebody else could write to it."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(runtime) / "hwloop" if runtime and os.path.isdir(runtime) else Path(f"/tmp/hwloop-{os.getuid()}")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise DeviceError(f"cannot make {folder}, where holders of ports are registered: {error.strerror}") from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise DeviceError(f"{folder} must be a folder of this user alone (mode 0700); remove it")
    return folder


def _file_name(key: str) -> str:
    return urllib.parse.quote(key, safe="")


def _safe_mark(entry: Path) -> Path:
    return entry.with_name(entry.name + ".safe")


def _is_safe(holder: Holder) -> bool:
    """Said so, or holds nothing any more."""
    if _safe_mark(holder.entry).exists():
        return True
    try:
        descriptor = os.open(holder.entry, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return True
    try:
        return _lock(descriptor)
    finally:
        os.close(descriptor)


def _signal(holder: Holder) -> None:
    # Its lock is held, so the process lives and its id is its own.
    with contextlib.suppress(ProcessLookupError):
        os.kill(holder.pid, signal.SIGUSR1)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise
    return True


def _is_current(entry: Path, descriptor: int) -> bool:
    """Whether the file was not removed by its last owner between opening and locking it."""
    try:
        return os.path.samestat(os.stat(entry), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _command_line() -> str:
    return " ".join([os.path.basename(sys.argv[0]) or "python", *sys.argv[1:]])
