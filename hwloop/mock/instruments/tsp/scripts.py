"""Scripts in the instrument: loadscript … endscript, named scripts, `script` and the ready-made sweep functions."""

from __future__ import annotations

import re

from hwloop.mock.instruments.tsp.errors import TspError
from hwloop.mock.instruments.tsp.lua import LuaEngine
from hwloop.mock.instruments.tsp.tree import Node, argument, text

_NAME = re.compile(r"[A-Za-z_]\w*$")

FACTORY = """
local function linear(start, stop, points)
    local levels = {}
    for i = 1, points do levels[i] = points > 1 and start + (stop - start) * (i - 1) / (points - 1) or start end
    return levels
end

local function logarithmic(start, stop, points)
    local levels = {}
    for i = 1, points do levels[i] = points > 1 and start * (stop / start) ^ ((i - 1) / (points - 1)) or start end
    return levels
end

local function sweep(smu, level, measure, levels, settle_seconds)
    local buffer = smu.nvbuffer1
    buffer.clear()
    buffer.appendmode, buffer.collecttimestamps, buffer.collectsourcevalues = 1, 1, 1
    smu.source.func = level == "levelv" and smu.OUTPUT_DCVOLTS or smu.OUTPUT_DCAMPS
    smu.source[level] = levels[1]
    smu.source.output = smu.OUTPUT_ON
    for i = 1, table.getn(levels) do
        smu.source[level] = levels[i]
        delay(settle_seconds)
        smu.measure[measure](buffer)
    end
    smu.source.output = smu.OUTPUT_OFF
    smu.source[level] = 0
end

for name, spacing in pairs{Lin = linear, Log = logarithmic} do
    _G["SweepV" .. name .. "MeasureI"] = function(smu, start, stop, settle_seconds, points)
        sweep(smu, "levelv", "i", spacing(start, stop, points), settle_seconds)
    end
    _G["SweepI" .. name .. "MeasureV"] = function(smu, start, stop, settle_seconds, points)
        sweep(smu, "leveli", "v", spacing(start, stop, points), settle_seconds)
    end
end
function SweepVListMeasureI(smu, levels, settle_seconds, points)
    sweep(smu, "levelv", "i", levels, settle_seconds)
end
function SweepIListMeasureV(smu, levels, settle_seconds, points)
    sweep(smu, "leveli", "v", levels, settle_seconds)
end
"""


class Scripts:
    """Collects script lines and keeps named scripts. A message line goes through `takes` first."""

    def __init__(self, engine: LuaEngine, emit):
        self._engine = engine
        self._emit = emit
        self._lines: list[str] | None = None
        self._loading = ""
        self._runs_at_end = False
        self._anonymous = ""

    @property
    def is_loading(self) -> bool:
        """Whether lines are collected, not run."""
        return self._lines is not None

    def takes(self, line: str) -> bool:
        """Whether `line` belongs to loading a script; errors -282 (bad name) and -285 (does not compile)."""
        word, _, name = line.strip().partition(" ")
        if self._lines is not None:
            if word == "endscript":
                self._end()
            else:
                self._lines.append(line)
            return True
        if word in ("loadscript", "loadandrunscript"):
            name = name.strip()
            if name and not _NAME.match(name):
                raise TspError(-282)
            self._lines, self._loading, self._runs_at_end = [], name, word == "loadandrunscript"
            return True
        return False

    def node(self) -> Node:
        """`script` as scripts see it."""
        return Node(
            "script",
            objects={
                "new": self._new,
                "newautorun": self._new,
                "run": lambda *_: self._run(self._anonymous),
                "delete": lambda *_: None,
            },
        )

    def _end(self) -> None:
        source, self._lines = "\n".join(self._lines or []), None
        if self._engine.compiles(source) is None:
            return
        if self._loading:
            self._engine.set_global(self._loading, self._script(self._loading, source))
        else:
            self._anonymous = source
        if self._runs_at_end:
            self._run(source)

    def _new(self, *arguments: object) -> Node | None:
        source = text(argument(arguments, 1))
        name = text(arguments[1]) if len(arguments) > 1 and arguments[1] is not None else ""
        if name and not _NAME.match(name):
            raise TspError(-282)
        if self._engine.compiles(source) is None:
            return None
        script = self._script(name, source)
        if name:
            self._engine.set_global(name, script)
        return script

    def _script(self, name: str, source: str) -> Node:
        return Node(
            "script",
            getters={"source": lambda: source, "name": lambda: name},
            objects={
                "run": lambda *_: self._run(source),
                "save": lambda *_: None,
                "list": lambda *_: self._emit(source + "\n"),
            },
            call=lambda *_: self._run(source),
        )

    def _run(self, source: str) -> None:
        self._engine.execute(source)
