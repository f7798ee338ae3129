"""The SCPI engine: program messages into calls, by a command tree that each instrument declares as data.

Source: SCPI-1999 volume 1 chapters 5-6 (headers, paths), IEEE 488.2 chapter 7 (messages).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from hwloop.mock.instruments.scpi_kinds import Kind, Many, Optional, ScpiError, Style, forms

_HEADER = re.compile(r"(:?\*?[A-Za-z][A-Za-z0-9_:]*)(\??)(?:\s+(.*))?", re.DOTALL)
_SUFFIXED = re.compile(r"(.*?)(\d+)")
Answer = str | bytes


@dataclass(frozen=True)
class Command:
    """One header of the tree: "[:SOURce#1]:VOLTage[:LEVel]", optional nodes in brackets, # and the highest suffix.

    `do` is called for the command with the values of `kinds`, `ask` for the query with those of `ask_kinds`; a missing
    one makes the header undefined there. `suffixed` commands get the suffixes (1 where none was sent) first.
    """

    pattern: str
    kinds: tuple[Kind | Optional | Many, ...] = ()
    do: Callable[..., None] | None = None
    ask: Callable[..., Answer] | None = None
    ask_kinds: tuple[Kind | Optional | Many, ...] = ()
    suffixed: bool = False


@dataclass
class _Node:
    children: dict[str, _Node] = field(default_factory=dict)
    highest_suffix: int = 0
    command: Command | None = None


class Scpi:
    """The tree of one instrument. `run` yields the answers of a program message, one a query, as they come."""

    def __init__(self, commands: Iterable[Command], style: Style):
        self.style = style
        self._root = _Node()
        for command in commands:
            for path in _paths(command.pattern):
                self._plant(path).command = command

    def run(self, message: str, fail: Callable[[ScpiError], None]) -> Iterator[Answer]:
        """Carry out a message. Errors go to `fail`; after a command error (-100…-199) the rest is not read."""
        path = self._root
        try:
            units = split(message, ";")
        except ScpiError as error:
            fail(error)
            return
        for unit in filter(None, (unit.strip() for unit in units)):
            try:
                command, suffixes, is_query, arguments, path = self._find(unit, path)
                answer = _call(command, suffixes, is_query, arguments)
            except ScpiError as error:
                fail(error)
                if -200 < error.code < 0:
                    return
            else:
                if is_query:
                    yield answer

    def _plant(self, path: tuple[str, ...]) -> _Node:
        node = self._root
        for name in path:
            bare, _, highest = name.partition("#")
            known = next((node.children[form] for form in forms(bare) if form in node.children), None) or _Node()
            for form in forms(bare):
                node.children[form] = known
            known.highest_suffix = max(known.highest_suffix, int(highest or 0))
            node = known
        return node

    def _find(self, unit: str, path: _Node) -> tuple[Command, tuple[int, ...], bool, list[str], _Node]:
        match = _HEADER.fullmatch(unit)
        if match is None:
            raise ScpiError(-101 if re.match(r"[^A-Za-z*:]|[^\s?]*[^\w\s?:*]", unit) else -102)
        header, is_query, arguments = match[1], bool(match[2]), match[3] or ""
        is_common = "*" in header
        node = parent = self._root if header.startswith(":") or is_common else path
        suffixes = []
        for token in header.removeprefix(":").split(":"):
            if len(token) > 13:
                raise ScpiError(-112)
            parent = node
            node, suffix = _child(node, token.upper())
            suffixes.append(suffix)
        command = node.command
        if command is None or (command.ask if is_query else command.do) is None:
            raise ScpiError(-113)
        numbers = tuple(number for number in suffixes if number is not None)
        return command, numbers, is_query, split(arguments, ","), path if is_common else parent


def split(text: str, separator: str) -> list[str]:
    """Parts of `text` between separators outside of strings and parentheses, stripped; [] of nothing. Raises -151."""
    parts, start, quote, depth = [], 0, "", 0
    for place, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "()":
            depth += 1 if character == "(" else -1
        elif character == separator and not depth:
            parts.append(text[start:place].strip())
            start = place + 1
    if quote:
        raise ScpiError(-151)
    parts.append(text[start:].strip())
    return parts if len(parts) > 1 or parts[0] else []


def _paths(pattern: str) -> list[tuple[str, ...]]:
    """Every spelling of a pattern with and without its optional nodes."""
    match = re.search(r"\[([^\[\]]*)\]", pattern)
    if match is None:
        return [tuple(pattern.removeprefix(":").split(":"))]
    before, after = pattern[: match.start()], pattern[match.end() :]
    return _paths(before + match[1] + after) + _paths(before + after)


def _child(node: _Node, token: str) -> tuple[_Node, int | None]:
    """The child that `token` names, and its suffix (None where it takes none)."""
    child = node.children.get(token)
    if child is not None:
        return child, 1 if child.highest_suffix else None
    match = _SUFFIXED.fullmatch(token)
    child = node.children.get(match[1]) if match else None
    if match is None or child is None:
        raise ScpiError(-113)
    if not 1 <= int(match[2]) <= child.highest_suffix:
        raise ScpiError(-114 if child.highest_suffix else -113)
    return child, int(match[2])


def _call(command: Command, suffixes: tuple[int, ...], is_query: bool, texts: list[str]) -> Answer:
    function, kinds = (command.ask, command.ask_kinds) if is_query else (command.do, command.kinds)
    values: list[Any] = list(suffixes) if command.suffixed else []
    rest = list(texts)
    for kind in kinds:
        if isinstance(kind, Many):
            values.append(kind.parse(rest))
            rest = []
        elif rest and rest[0]:
            text = rest.pop(0)
            values.append((kind.kind if isinstance(kind, Optional) else kind).parse(text))
        elif isinstance(kind, Optional):
            values.append(kind.value)
            rest = rest[1:]
        else:
            raise ScpiError(-109)
    if rest:
        raise ScpiError(-108)
    return function(*values)
