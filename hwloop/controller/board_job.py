"""`board info` and `board safe`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hwloop import holders, rig
from hwloop.config import RunSettings
from hwloop.controller.plan import DryRun
from hwloop.drivers.board import Board
from hwloop.link.protocol import TICK_HERTZ, WIRE_HASH, WIRE_REVISION, Command, ResetCause, SafeReason
from hwloop.report import Report


@dataclass(frozen=True)
class BoardInfo:
    """What a board says of itself."""

    port: str
    name: str
    board_serial: int
    array_serial: int
    firmware: str
    analog_revision: int
    boot_counter: int
    reset_cause: str
    armed: bool
    safe_reason: str
    last_command: str
    last_completed: bool
    bench_seconds: float
    describe: dict[str, int]
    goal_missed: None = None

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        fields = {name: value for name, value in vars(self).items() if name not in ("goal_missed", "describe")}
        return {**fields, "wire_revision": WIRE_REVISION, "wire_hash": f"{WIRE_HASH:08x}", **self.describe}

    def text(self) -> str:
        """For people."""
        d = self.describe
        state = "armed" if self.armed else f"safe, every line grounded ({self.safe_reason})"
        unfinished = "" if self.last_completed or self.last_command == "none" else ", not completed"
        return "\n".join([
            f"board      {self.name}, serial {self.board_serial}, at {self.port}",
            f"array      2 x {d['rows']} x {d['columns']} cells, chip serial "
            f"{self.array_serial or 'not told by the board'}",
            f"firmware   {self.firmware}, analog revision {self.analog_revision}, wire table {WIRE_REVISION} "
            f"({WIRE_HASH:08x})",
            f"state      {state}; last command {self.last_command}{unfinished}",
            f"boot       number {self.boot_counter}, cause {self.reset_cause}; bench time {self.bench_seconds:.3f} s",
            f"read       {d['read_microvolts'] / 1e6:g} V; ranges {d['tia_fine_nanoamps'] / 1e3:g} and "
            f"{d['tia_coarse_nanoamps'] / 1e3:g} uA",
            f"solve      inputs +-{d['input_full_scale_microvolts'] / 1e6:g} V behind "
            f"{d['input_nanosiemens'] / 1e3:g} uS; outputs up to {d['output_max_microvolts'] / 1e6:g} V",
            f"rows       compensation up to {d['compensation_full_scale_nanosiemens'] / 1e6:g} mS",
            f"limits     SET and RESET {_volts(d, 'amplitude'):.3g} V, forming {_volts(d, 'form'):.3g} V, "
            f"gate {_volts(d, 'gate'):.3g} V",
            f"           pulse {d['width_ticks_limit'] / 10:g} us, row on-time {d['row_on_ticks_limit'] / 1e7:g} s a "
            "command",
            f"link       frames of {d['max_frame_bytes']} bytes, {d['max_in_flight']} in flight",
        ])


def _volts(describe: dict[str, int], limit: str) -> float:
    scale = "gate" if limit == "gate" else "amplitude"
    return describe[f"{limit}_code_limit"] * describe[f"{scale}_full_scale_microvolts"] * 1e-6 / 65536


def board_info(settings: RunSettings, report: Report) -> BoardInfo | DryRun:
    """Identify the rig's board; passive: no session is opened and no output changes."""
    if settings.dry_run:
        return DryRun(f"identify the board at {_where(settings)}")
    key, exclusive = rig.holder_key(settings)
    with holders.hold(key, exclusive), rig.open_rig(settings) as opened:
        return _info(opened.board)


def _info(board: Board) -> BoardInfo:
    identity, status = board.identity, board.status()
    version = identity.firmware_version
    return BoardInfo(
        port=board.link.transport.name, name=board.name,
        board_serial=identity.board_serial, array_serial=identity.array_serial,
        firmware=f"{version >> 16}.{version >> 8 & 255}.{version & 255}", analog_revision=identity.analog_revision,
        boot_counter=status.boot_counter, reset_cause=ResetCause(status.reset_cause).name.lower(),
        armed=bool(status.armed), safe_reason=SafeReason(status.safe_reason).name.lower(),
        last_command=Command(status.last_begun_kind).name if status.last_begun_kind else "none",
        last_completed=bool(status.last_completed), bench_seconds=status.ticks / TICK_HERTZ,
        describe=vars(board.describe).copy(),
    )


@dataclass(frozen=True)
class BoardSafe:
    """What became of the board and of the runs that held it; `simulated`: there was no run and no port to ground."""

    stopped: tuple[holders.SafeReply, ...]
    port: str
    simulated: bool = False
    goal_missed: str | None = None

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        runs = [
            {"pid": reply.holder.pid, "command": reply.holder.command, "safe": reply.safe, "seconds": reply.seconds}
            for reply in self.stopped
        ]
        return {"safe": self.goal_missed is None, "port": self.port, "stopped": runs}

    def text(self) -> str:
        """For people."""
        if self.simulated:
            return "no run holds a simulated board, so there is nothing to ground; a real board needs its --rig"
        if not self.stopped:
            return f"{self.port}: every line is grounded"
        return "\n".join(
            f"process {reply.holder.pid} ({reply.holder.command}): "
            + (
                f"safe after {reply.seconds:.2f} s" if reply.safe
                else "did not answer in time; its board grounds itself when it falls silent"
            )
            for reply in self.stopped
        )


def board_safe(settings: RunSettings, report: Report) -> BoardSafe | DryRun:
    """Make whoever holds the port go safe; with no holder, open the port and ground the board here."""
    key, exclusive = rig.holder_key(settings)
    if settings.dry_run:
        return DryRun(f"ground every line of the board at {_where(settings)}")
    replies = tuple(holders.request_safe(key))
    if replies:
        late = ", ".join(str(reply.holder.pid) for reply in replies if not reply.safe)
        missed = f"process {late} did not become safe in {holders.SAFE_TIMEOUT_SECONDS:g} s" if late else None
        return BoardSafe(replies, key, goal_missed=missed)
    if rig.is_forgotten(settings):
        return BoardSafe((), key, simulated=True)
    with holders.hold(key, exclusive), rig.open_rig(settings) as opened:
        opened.board.safe()
    return BoardSafe((), key)


def _where(settings: RunSettings) -> str:
    board = settings.rig.board
    return f"simulated board {board.name}" if board.is_simulated else board.port or board.backend
