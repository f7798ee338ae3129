"""From a rig's configuration to a board: a real one at its port, or a simulated one in a process of its own."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hwloop import plugins
from hwloop.config import BoardConfig, InstrumentConfig, RunSettings
from hwloop.drivers.board import Board
from hwloop.drivers.daq.daq import Daq
from hwloop.drivers.instruments import open_daq, open_smu
from hwloop.drivers.smu.smu import Smu
from hwloop.errors import BoardError, CalibrationError, DeviceError, LinkError, UsageError
from hwloop.holders import MOCK_KEY, port_key
from hwloop.link.link import Link
from hwloop.link.transport import SocketTransport, Transport, open_transport
from hwloop.mock.bench_config import BenchConfig, BenchInstrument
from hwloop.mock.firmware import Firmware, find_firmware
from hwloop.runlog.recorded import RecordedLink

DEFAULT_SERIAL = 1
# Loading the compiled kernels takes a second or two; a machine without them compiles for longer.
MOCK_START_SECONDS = 120.0
# What the process of a simulated board writes before a refusal, when it ends with the refusal's exit code.
MOCK_REFUSAL = "simulated board: "


@dataclass
class OpenRig:
    """A board that was identified, and nothing more. `mock` is the process behind a simulated one; `resources` are the
    VISA names of its instruments by role."""

    board: Board
    mock: MockProcess | None
    resources: Mapping[str, str] = field(default_factory=dict)


class MockProcess:
    """The simulated board of one rig: a process that ends when its socket does, whatever ends this one. Where the board
    is `firmware`, that is a child of it."""

    def __init__(
        self, config: BenchConfig, firmware: Firmware | None = None, instruments: tuple[BenchInstrument, ...] = ()
    ):
        ours, theirs = socket.socketpair()
        self._told = tempfile.TemporaryFile()
        self._resources, told = os.pipe() if instruments else (None, None)
        arguments = [config.to_json(), json.dumps(dataclasses.asdict(firmware) if firmware else None)]
        passed = [theirs.fileno()]
        if instruments:
            arguments += [json.dumps([dataclasses.asdict(one) for one in instruments]), str(told)]
            passed.append(told)
        with theirs:
            # A session of its own: Ctrl-C at the terminal is for the controller, which has yet to ground the board.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "hwloop.mock.serve", str(theirs.fileno()), *arguments],
                pass_fds=passed, stdin=subprocess.DEVNULL, stderr=self._told, start_new_session=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(_import_path())},
            )
        if told is not None:
            os.close(told)
        on = f" on {firmware.backend} firmware" if firmware else ""
        self.transport: Transport = SocketTransport(ours, f"simulated board {config.board_name}{on}")
        self.cpu_seconds: float | None = None

    def resources(self) -> dict[str, str]:
        """VISA names of its instruments by role, once the process serves them; none where it ended before."""
        if self._resources is None:
            return {}
        with open(self._resources) as told:
            self._resources = None
            text = told.read()
        return json.loads(text) if text else {}

    def close(self) -> None:
        """Wait for the process, which ends by itself once the socket is closed; its CPU time is known afterwards."""
        self.transport.close()
        if self._resources is not None:
            os.close(self._resources)
            self._resources = None
        if self._process.returncode is None:
            _, status, usage = os.wait4(self._process.pid, 0)
            self._process.returncode = os.waitstatus_to_exitcode(status)
            self.cpu_seconds = usage.ru_utime + usage.ru_stime

    def failure(self) -> Exception | None:
        """Once closed: what the process died of, None where it ended well. What it refused is told in its own words."""
        code = self._process.returncode
        if code == 0:
            return None
        self._told.seek(0)
        told = self._told.read().decode(errors="replace").strip()
        refusal = told.rpartition("\n")[2]
        kinds = {kind.exit_code: kind for kind in (UsageError, DeviceError, CalibrationError)}
        if refusal.startswith(MOCK_REFUSAL) and code in kinds:
            return kinds[code](refusal.removeprefix(MOCK_REFUSAL))
        if code is not None and code < 0:
            by = signal.Signals(-code).name
            return DeviceError(f"the simulated board was ended from outside ({by}); run it again")
        return RuntimeError(f"the simulated board ended with {code}: {told}")


def _import_path() -> list[str]:
    """Where another Python finds this hwloop, however this one did."""
    own = str(Path(__file__).absolute().parent.parent)
    return [own, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]


@dataclass(frozen=True)
class Keep:
    """Where the state of a simulated board is kept for the length of a run, and whether it goes on from there."""

    state: Path
    continues: bool = False


def bench_config(settings: RunSettings, keep: Keep | None = None) -> BenchConfig:
    """The simulated bench that a rig describes. Raises UsageError where its state could not be kept."""
    board, environment = settings.rig.board, settings.rig.environment
    state = keep.state if keep else board.state
    if state is not None:
        _check_state(state)
    return BenchConfig(
        board_name=board.name,
        board_serial=DEFAULT_SERIAL if board.serial is None else board.serial,
        array_serial=DEFAULT_SERIAL if settings.rig.array.serial is None else settings.rig.array.serial,
        seed=settings.seed,
        preset=environment.preset,
        off=environment.off,
        temperature_celsius=environment.temperature_celsius,
        temperature_drift_per_hour_celsius=environment.temperature_drift_per_hour_celsius,
        pristine=board.pristine,
        state=str(state) if state else "",
        continues=keep is not None and keep.continues,
    )


def bench_instruments(settings: RunSettings, roles: Collection[str]) -> tuple[BenchInstrument, ...]:
    """The instruments of a simulated bench that a rig describes; none for a role whose resource the rig names."""
    tables = {"smu": settings.rig.smu, "daq": settings.rig.daq}
    found = []
    for role in roles:
        table = tables[role]
        if table.resource is not None:
            continue
        if table.serial is not None and not (table.serial.isascii() and table.serial.isdecimal()):
            raise UsageError(f"[{role}] serial is {table.serial!r}: a simulated instrument has a number")
        found.append(BenchInstrument(role, table.model, int(table.serial or DEFAULT_SERIAL)))
    return tuple(found)


def require_instruments(settings: RunSettings, roles: Collection[str]) -> None:
    """Raises UsageError for a role that the rig names no instrument for and nothing simulates; opens nothing."""
    for role in roles:
        if not settings.rig.board.is_simulated and getattr(settings.rig, role).resource is None:
            raise _no_instrument(role)


@contextlib.contextmanager
def open_instruments(
    settings: RunSettings, opened: OpenRig, roles: Collection[str],
    between_exchanges: Callable[[], None] = lambda: None,
) -> Iterator[Instruments]:
    """The instruments of these roles, identified and nothing more; given back, the source's output off, on the way out.

    Raises UsageError where the rig names none and nothing simulates it, and as `open_smu` and `open_daq`.
    """
    with contextlib.ExitStack() as stack:
        smu = daq = None
        if "smu" in roles:
            table = settings.rig.smu
            smu = stack.enter_context(open_smu(
                _resource("smu", table.resource, opened), table.driver, _expected_serial(table), table.channel,
                table.timeout_seconds, table.visa, between_exchanges,
            ))
        if "daq" in roles:
            table = settings.rig.daq
            daq = stack.enter_context(open_daq(
                _resource("daq", table.resource, opened), table.driver, _expected_serial(table),
                table.timeout_seconds, table.visa,
            ))
        yield Instruments(smu, daq)


def write_served_rig(path: Path, settings: RunSettings, port: str, resources: Mapping[str, str]) -> None:
    """A rig file for a simulated bench that is served at `port`, with its instruments. Raises UsageError."""
    board, array = settings.rig.board, settings.rig.array
    lines = [
        "# A simulated bench that `hwloop mock serve` serves, as if it were a real one.",
        "[board]", 'backend = "real"', f"port = {json.dumps(port)}", 'clock = "bench"',
        f"serial = {DEFAULT_SERIAL if board.serial is None else board.serial}",
        "", "[array]", f"serial = {DEFAULT_SERIAL if array.serial is None else array.serial}",
    ]
    for role, resource in resources.items():
        lines += ["", f"[{role}]", f"resource = {json.dumps(resource)}"]
    if not settings.rig.has_converter_errors:
        lines += ["", "[calibration]", 'use = "nominal"']
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror}); choose another file") from error


def _expected_serial(table: InstrumentConfig) -> str | None:
    """What has to answer; a simulated instrument was made with its number just before."""
    return table.serial if table.resource is not None else None


def _resource(role: str, resource: str | None, opened: OpenRig) -> str:
    found = resource or opened.resources.get(role)
    if found is None:
        raise _no_instrument(role)
    return found


def _no_instrument(role: str) -> UsageError:
    return UsageError(
        f"the rig has no {role.upper()}: name its VISA resource in [{role}] resource, such as "
        '"TCPIP::192.168.0.7::5025::SOCKET"'
    )


def find_rig_firmware(settings: RunSettings) -> Firmware | None:
    """The C firmware that the rig's backend is, None for the Python board. Raises UsageError and DeviceError."""
    board = settings.rig.board
    return find_firmware(board.backend, board.name, board.firmware) if board.is_firmware else None


def _check_state(state: Path) -> None:
    folder = state.absolute().parent
    if not folder.is_dir():
        raise UsageError(f"[board] state is {state}: there is no folder {folder}; make it first")
    if state.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"[board] state is {state}: it cannot be written there; choose another place")


def holder_key(settings: RunSettings) -> tuple[str, bool]:
    """(key, exclusive) under which this rig's board is held: a real port by one program, private simulations by any."""
    board = settings.rig.board
    if board.backend == "real":
        return port_key(board.port), True
    if not board.is_simulated:
        return f"{board.backend}:{board.port or ''}", True
    return (f"state:{os.path.realpath(board.state)}", True) if board.state else (MOCK_KEY, False)


def is_forgotten(settings: RunSettings) -> bool:
    """Whether nothing of the chip outlives the run: a simulated board without a state file."""
    return settings.rig.board.is_simulated and settings.rig.board.state is None


def cell_map_path(settings: RunSettings, array_serial: int) -> Path | None:
    """Where the chip's list of bad cells is kept: beside a simulated chip's state, else in the user's data folder."""
    if is_forgotten(settings):
        return None
    if settings.rig.board.state:
        return settings.rig.board.state.with_name(settings.rig.board.state.name + ".cells.csv")
    data_home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data_home) / "hwloop" / "arrays" / f"{array_serial}.cells.csv"


@dataclass(frozen=True)
class Instruments:
    """Opened instruments, None for a role that was not asked for."""

    smu: Smu | None
    daq: Daq | None


Connect = Callable[[Transport, float, int], Link]


@contextlib.contextmanager
def open_rig(
    settings: RunSettings, between_exchanges: Callable[[], None] = lambda: None, keep: Keep | None = None,
    connect: Connect = Link, instruments: Collection[str] = (),
) -> Iterator[OpenRig]:
    """The rig's board, identified but not opened; given back, and its process ended, on the way out. `instruments` are
    the roles that are wanted beside it, "smu" and "daq": a simulated bench brings along what the rig does not name.

    `connect` makes the link from a transport, a time-out in seconds and a number of retries: another than Link records,
    or goes on with a recording.
    Raises DeviceError where nothing, something else, or a board with another serial number answers.
    """
    config = settings.rig.board
    mock = None
    if config.is_simulated:
        wanted = bench_instruments(settings, instruments)
        mock = MockProcess(bench_config(settings, keep), find_rig_firmware(settings), wanted)
    transport = mock.transport if mock else _transport(config)
    board: Board | None = None
    try:
        link = connect(transport, MOCK_START_SECONDS if mock else config.reply_timeout_seconds, config.retries)
        board = Board(link, between_exchanges)
        link.timeout_seconds = config.reply_timeout_seconds * (10 if mock else 1)
        _check_identity(settings, board)
        yield OpenRig(board, mock, mock.resources() if mock else {})
    except (LinkError, BoardError) as error:
        # A simulated board that ended badly says itself why.
        if mock:
            mock.close()
            if failure := mock.failure():
                raise failure from error
        raise
    finally:
        if board is not None:
            board.close()
        transport.close()
        if mock:
            mock.close()


@contextlib.contextmanager
def recorded_rig(link: RecordedLink, between_exchanges: Callable[[], None]) -> Iterator[OpenRig]:
    """The board of a recording: no port, no process."""
    board = Board(link, between_exchanges)
    try:
        yield OpenRig(board, None)
    finally:
        board.close()


def _transport(config: BoardConfig) -> Transport:
    """The way to a board that is not simulated here: a port, or what a plug-in connects to."""
    if config.backend == "real":
        return open_transport(config.port, config.baud_rate)
    return plugins.load(plugins.BOARDS, config.backend)(config)


def _check_identity(settings: RunSettings, board: Board) -> None:
    rig = settings.rig
    if rig.board.serial not in (None, board.identity.board_serial):
        raise DeviceError(
            f"{board.link.transport.name}: board {board.identity.board_serial} answers, the rig expects [board] serial "
            f"{rig.board.serial}; connect that board or change the rig"
        )
    told = board.identity.array_serial
    if told and rig.array.serial not in (None, told):
        raise DeviceError(
            f"chip {told} is in the board's socket, the rig expects [array] serial {rig.array.serial}; "
            "change one of them"
        )
