"""The deepest stack of an ARM image, from the compiler's call graphs (-fcallgraph-info=su).

Prints the deepest path of the main program and of each interrupt, and their sum. Fails on recursion, on a frame without
a bound, on an indirect call whose targets are not listed here, and where the sum is above the reserve.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

MAIN = "main"
# Later ones interrupt earlier ones: each priority may come once on top of the others.
INTERRUPTS = (("system_tick_interrupt",), ("port_host_interrupt", "chips_interrupt"), ("system_supply_interrupt",))
EXCEPTION_BYTES = 36            # eight registers, and a word where the stack has to be aligned
LIBRARY = "__"                  # functions of libgcc have no call graph
LIBRARY_BYTES = 64              # more than any of its integer functions takes
# What is called through a pointer: the caller, and the names that all targets match.
INDIRECT = {
    "session_handle": r"(pulse|read|solve|mvm|compensate|route|temperature|wait|tighten)_command",
    "sampling_finish": r"digest",
    "command": r"(solve|mvm)_check|connect_(solve|products)",
}

_NODE = re.compile(r'node: \{ title: "([^"]+)" label: "[^"]*?(?:\\n(\d+) bytes \(([^)]*)\))?"')
_EDGE = re.compile(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"')


class StackError(Exception):
    """The stack has no bound, or not one that is known."""


def plain(title: str) -> str:
    """The function's name as in its source: without file, and without what the compiler split off."""
    return title.rsplit(":", 1)[-1].split(".")[0]


class CallGraph:
    """Frames in bytes and calls of all functions of an image."""

    def __init__(self, paths: list[Path]):
        self.frame_bytes: dict[str, int] = {}
        self.calls: dict[str, set[str]] = {}
        for path in paths:
            self._read(path.read_text(encoding="utf-8"))
        self._deepest: dict[str, tuple[int, tuple[str, ...]]] = {}

    def _read(self, text: str) -> None:
        for title, frame, kind in _NODE.findall(text):
            if frame:
                if kind not in ("static", "dynamic,bounded"):
                    raise StackError(f"{title}: its frame is {kind}, without a bound")
                self.frame_bytes[title] = int(frame)
        for source, target in _EDGE.findall(text):
            self.calls.setdefault(source, set()).add(target)

    def targets(self, title: str) -> set[str]:
        """What a function calls, also through pointers."""
        found = set(self.calls.get(title, ()))
        if "__indirect_call" in found:
            found.remove("__indirect_call")
            if plain(title) not in INDIRECT:
                raise StackError(f"{title}: calls through a pointer; list its targets in INDIRECT")
            pattern = re.compile(INDIRECT[plain(title)])
            found |= {name for name in self.frame_bytes if pattern.fullmatch(plain(name))}
        return found

    def deepest(self, title: str, above: tuple[str, ...] = ()) -> tuple[int, tuple[str, ...]]:
        """Bytes and path of the deepest stack that begins with a call of `title`."""
        if title in above:
            raise StackError("recursion: " + " > ".join((*above, title)))
        if title not in self.frame_bytes:
            if not title.startswith(LIBRARY):
                raise StackError(f"{title}: nothing is known of it")
            return LIBRARY_BYTES, (title,)
        if title not in self._deepest:
            below = [self.deepest(target, (*above, title)) for target in sorted(self.targets(title))]
            bytes_, path = max(below, default=(0, ()))
            self._deepest[title] = self.frame_bytes[title] + bytes_, (title, *path)
        return self._deepest[title]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reserve", type=int, required=True, help="bytes that the linker keeps for the stack")
    parser.add_argument("graphs", nargs="+", type=Path)
    options = parser.parse_args(arguments)
    try:
        graph = CallGraph(options.graphs)
        total = describe(graph, (MAIN,))
        for level in INTERRUPTS:
            total += EXCEPTION_BYTES + describe(graph, level)
    except StackError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"deepest stack {total} of {options.reserve} bytes, interrupts included\n")
    if total > options.reserve:
        sys.stderr.write("the stack is larger than its reserve\n")
        return 1
    return 0


def describe(graph: CallGraph, roots: tuple[str, ...]) -> int:
    """Print the deepest path of the roots that the image has; gives its bytes."""
    bytes_, path = max(graph.deepest(root) for root in roots if root in graph.frame_bytes)
    steps = " > ".join(f"{plain(title)} {graph.frame_bytes.get(title, LIBRARY_BYTES)}" for title in path)
    sys.stdout.write(f"{bytes_:6d}  {steps}\n")
    return bytes_


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
