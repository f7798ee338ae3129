"""Two exchanges that should be the same: where they begin to differ, decoded, one beside the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from hwloop.drivers.board.scales import Scales
from hwloop.runlog.bodies import ReplyFrame
from hwloop.runlog.spoken import command_name, reply_lines, request_lines

LINES_BEFORE, LINES_AFTER = 6, 10
COLUMN_CHARACTERS = 56
_NOTHING = "(nothing)"

# A frame of an exchange: command and payload.
Frame = tuple[int, bytes]


@dataclass(frozen=True)
class Difference:
    """The frame (counted from 1) in which two exchanges differ first, each side as lines, and their first line (an
    index) that differs."""

    frame: int
    left: tuple[str, ...]
    right: tuple[str, ...]
    first: int

    def window(self) -> tuple[list[str], list[str]]:
        """The lines round the first that differs, of each side."""
        chosen = slice(max(self.first - LINES_BEFORE, 0), self.first + LINES_AFTER)
        return list(self.left[chosen]), list(self.right[chosen])

    def lines(self, left_title: str, right_title: str) -> list[str]:
        """Both sides in two columns; ">" marks the first line that differs, "|" the other ones."""
        start = max(self.first - LINES_BEFORE, 0)
        sides = list(zip_longest(*self.window(), fillvalue=""))
        width = min(max(map(len, (left_title, *self.window()[0]))), COLUMN_CHARACTERS)
        shown = [f"  {_fitted(left_title, width)}   {right_title}"]
        shown += [f"  {'-' * width}   {'-' * width}"]
        shown += [f"  … {start} lines that are equal: {self._hidden(start)}"] if start else []
        for number, (left, right) in enumerate(sides, start=start):
            mark = ">" if number == self.first else "|" if left != right else " "
            shown.append(f"{mark} {_fitted(left, width)}   {_fitted(right, COLUMN_CHARACTERS).rstrip()}")
        hidden = max(len(self.left), len(self.right)) - start - len(sides)
        return [line.rstrip() for line in shown] + ([f"  … {hidden} more lines"] if hidden > 0 else [])

    def _hidden(self, start: int) -> str:
        """What the lines belong to that are not shown."""
        sections = [line.strip() for line in self.left[1:start] if line.startswith(" section")]
        return ", ".join([self.left[0].partition(",")[0], *sections[-1:]])

    def line(self) -> tuple[str, str]:
        """What each side is and its first line that differs, as one text."""
        return _in_short(self.left, self.first), _in_short(self.right, self.first)


def requests_differ(left: Sequence[Frame], right: Sequence[Frame], scales: Scales | None = None) -> Difference | None:
    """The first request that is not the same in both; None where all are."""
    for number, (one, other) in enumerate(zip_longest(left, right), start=1):
        if one != other:
            return _difference(number, *((request_lines(*frame, scales) if frame else []) for frame in (one, other)),
                               *(frame[1] if frame else b"" for frame in (one, other)))
    return None


def replies_differ(
    requests: Sequence[Frame], left: dict[int, ReplyFrame], right: dict[int, ReplyFrame], scales: Scales | None = None
) -> Difference | None:
    """The first reply to the same requests that is not the same in both; None where all are."""
    for index, (kind, payload) in enumerate(requests):
        pair = left.get(index), right.get(index)
        if pair[0] != pair[1]:
            told = [_reply(kind, payload, reply, scales) for reply in pair]
            return _difference(index + 1, *told, *(reply.payload if reply else b"" for reply in pair))
    return None


def exchange_text(frames: Sequence[Frame]) -> str:
    """ "2 PULSE, 1 READ"."""
    counts: dict[str, int] = {}
    for kind, _ in frames:
        counts[command_name(kind)] = counts.get(command_name(kind), 0) + 1
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _reply(kind: int, request: bytes, reply: ReplyFrame | None, scales: Scales | None) -> list[str]:
    if reply is None:
        return ["no reply"]
    if reply.unknown:
        return ["nobody knows: the board lost its session before it answered"]
    return reply_lines(kind, request, reply.status, reply.payload, scales)


def _difference(
    frame: int, left: list[str], right: list[str], left_payload: bytes, right_payload: bytes
) -> Difference:
    differing = [number for number, (one, other) in enumerate(zip_longest(left, right)) if one != other]
    # Of two PULSE of another length, what is more or less in them says more.
    is_same_kind = bool(left and right) and left[0].partition(",")[0] == right[0].partition(",")[0]
    first = next((number for number in differing if number or not is_same_kind), None)
    if first is None:
        # Something that has no meaning of its own, such as the bits behind the last flag.
        at = next(n for n, (one, other) in enumerate(zip_longest(left_payload, right_payload)) if one != other)
        first = len(left)
        for lines, payload in ((left, left_payload), (right, right_payload)):
            lines.append(f"  byte {at} of the payload: {payload[at : at + 1].hex() or 'none'}")
    return Difference(frame, tuple(left), tuple(right), first)


def _in_short(lines: tuple[str, ...], first: int) -> str:
    if not lines:
        return _NOTHING
    line = lines[first].strip() if first < len(lines) else "nothing more"
    return lines[0] if first == 0 else f"{lines[0]}: {' '.join(line.split())}"


def _fitted(text: str, width: int) -> str:
    return text.ljust(width) if len(text) <= width else f"{text[: width - 1]}…"
