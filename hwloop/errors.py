"""The error tree: who failed, with the data at hand; the exit code goes with the class, the text is made late."""

from __future__ import annotations


class HwloopError(Exception):
    """Base of everything that hwloop raises on purpose. `exit_code` is what the command line returns for it."""

    exit_code = 70


class GoalNotReachedError(HwloopError):
    """The work was done, and its result misses the goal that was asked for."""

    exit_code = 1


class UsageError(HwloopError):
    """A request, configuration, size or output path that does not fit."""

    exit_code = 2


class DeviceError(HwloopError):
    """No device, not our device, the wrong one, or one that somebody else holds."""

    exit_code = 3


class WireVersionError(DeviceError):
    """Host and board were built from different wire tables."""

    def __init__(self, host_hash: int, board_hash: int, board_firmware: str):
        self.host_hash = host_hash
        self.board_hash = board_hash
        super().__init__(
            f"wire table differs: host {host_hash:08x}, board {board_hash:08x} (firmware {board_firmware}); "
            "flash the firmware that belongs to this hwloop, or install the hwloop that belongs to the board"
        )


class SafetyError(HwloopError):
    """Something was refused, or stopped, to protect the devices."""

    exit_code = 4


class LimitError(SafetyError):
    """A value beyond a limit. Nothing was clipped and nothing was driven."""

    def __init__(self, what: str, value: float, bound: str, unit: str, remedy: str):
        self.what, self.value, self.bound, self.unit, self.remedy = what, value, bound, unit, remedy
        super().__init__(f"{what} is {value:.6g} {unit}, allowed {bound} {unit}; {remedy}")


class UnformedError(SafetyError):
    """Cells that were never formed cannot be programmed."""


class StoppedError(SafetyError):
    """A run was stopped from outside and went to the safe state."""


class LinkError(HwloopError):
    """The wire failed: nothing came back, or nothing that could be understood."""

    exit_code = 5


class AmbiguousError(LinkError):
    """Commands that may or may not have been carried out; the cells concerned have to be read back first."""

    def __init__(self, pending: tuple[str, ...], cause: str):
        self.pending = pending
        super().__init__(
            f"ambiguous: {cause}; not known whether carried out: {', '.join(pending)}; "
            "read the cells back before anything else touches them"
        )


class BoardError(HwloopError):
    """The board refused a command, with its own reason."""

    exit_code = 5


class AbsentInstrumentError(DeviceError):
    """Nothing answers at an instrument's address."""


class HeldInstrumentError(DeviceError):
    """Another program holds the instrument."""


class WrongInstrumentError(DeviceError):
    """What answers is not the instrument that was asked for, or one that no driver knows."""


class InstrumentError(HwloopError):
    """An instrument, or the way to it, failed: at which `resource`, on which `command` (shown shortened), and why."""

    exit_code = 5
    _SHOWN_CHARACTERS = 100

    def __init__(self, resource: str, command: str, why: str, remedy: str):
        self.resource, self.command, self.why, self.remedy = resource, command, why, remedy
        shown = command if len(command) <= self._SHOWN_CHARACTERS else command[: self._SHOWN_CHARACTERS] + " …"
        super().__init__(f"{resource}: {why} (at {shown!r}); {remedy}")


class InstrumentTimeoutError(InstrumentError):
    """No reply, or no complete one, in time."""


class InstrumentLostError(InstrumentError):
    """The instrument closed the connection, or its port is gone: powered off, or unplugged."""


class GarbledReplyError(InstrumentError):
    """A reply that cannot be understood."""


class InstrumentRefusalError(InstrumentError):
    """The instrument's own error queue held `entries`, pairs of number and text, after a command."""

    def __init__(self, resource: str, command: str, entries: tuple[tuple[int, str], ...]):
        self.entries = entries
        told = "; ".join(f"{number} {text}" for number, text in entries)
        super().__init__(resource, command, f"the instrument refuses: {told}", self._remedy())

    def _remedy(self) -> str:
        return "see the number in its manual; nothing after this command can be relied on, so configure it again"


class InterlockError(InstrumentRefusalError):
    """The instrument's interlock is open, so its output stays off."""

    def _remedy(self) -> str:
        return "close the interlock of the test fixture, then switch the output on again"


class SettingError(InstrumentError):
    """An instrument took a setting, and reads back another."""


class InLimitError(InstrumentError):
    """An instrument's limit (compliance) acted where it must not."""


class OpenLeadError(InstrumentError):
    """What an instrument measures can only be an open lead."""


class OutputUnknownError(InstrumentError):
    """An output could not be switched off, or not be seen to be off."""


class JournalError(HwloopError):
    """The journal of a run cannot be written any more; the run stops, and what was written stays."""

    exit_code = 2

    def __init__(self, path: object, why: str):
        super().__init__(f"cannot write the journal {path}: {why}; the run has stopped, and its board is grounded")


class ReplayEndError(HwloopError):
    """A recording has no more exchanges, but the controller asks for one: requests `asked`, as exchange `exchange`."""

    exit_code = 1

    def __init__(self, message: str, exchange: int = 0, asked: object = ()):
        self.exchange, self.asked = exchange, asked
        super().__init__(message)


class DivergenceError(HwloopError):
    """A replayed run asks for something else than what was recorded. `recorded` and `asked` are requests, each a pair
    of command and payload; `differences` (what changed since, in words), `place`, and `shown` (both requests decoded,
    side by side, some lines) are filled in by who knows them."""

    exit_code = 7

    def __init__(self, exchange: int, recorded: object, asked: object):
        self.exchange, self.recorded, self.asked = exchange, recorded, asked
        self.place, self.differences, self.shown = "", "", ""
        super().__init__()

    def __str__(self) -> str:
        return (
            f"replay diverged at exchange {self.exchange}{self.place}: the controller asks for something else than was "
            f"recorded{self.differences}"
        )


class RunsDifferError(HwloopError):
    """Two recorded runs that are not the same; what differs was told before."""

    exit_code = 7


class UnansweredError(DivergenceError):
    """A what-if asks for something that the recording does not answer. `recorded` is empty where the recording ends.

    `changes` ("ratings.ridge=0.05") cannot be answered for a `reason`; `command` is the first one without an answer.
    """

    def __init__(self, changes: str, reason: str, command: str, exchange: int, recorded: object, asked: object):
        super().__init__(exchange, recorded, asked)
        self.changes, self.reason, self.command = changes, reason, command

    def __str__(self) -> str:
        return (
            f"{self.changes} cannot be answered by this recording: {self.reason}; the first request without an answer "
            f"is {self.command}, exchange {self.exchange}{self.place}{self.differences}"
        )


class DataError(HwloopError):
    """An image, matrix, ratings file or run file that cannot be used as it is."""

    exit_code = 6


class CalibrationError(HwloopError):
    """A calibration or array record that is missing, invalid or belongs to something else."""

    exit_code = 6
