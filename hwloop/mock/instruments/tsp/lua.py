"""The script engine: Lua in a sandbox, with the instrument's objects as tables and its way of printing.

The instrument runs Lua 5.0; this is Lua 5.1, which runs the same scripts and a few more (`%`, `#`). Nothing of the host
is within a script's reach: no files, modules, debugger, or Python objects.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from lupa.lua51 import LuaRuntime

from hwloop.mock.instruments.tsp.errors import TspError
from hwloop.mock.instruments.tsp.tree import Node

_HOOK_INSTRUCTIONS = 1_000_000
_MEMORY_BYTES = 32 * 2**20  # of the instrument's run-time memory; a script cannot eat the host's
_PRELUDE = """
local call, watch, emit, number_text, hook_instructions = ...
local owners = setmetatable({}, {__mode = "k"})
local select, unpack, type, rawset, tostring, concat = select, unpack, type, rawset, tostring, table.concat
local loadstring, pcall, setmetatable, sethook = loadstring, pcall, setmetatable, debug.sethook

local function wrapped(f)
    return function(...)
        local arguments, count = {...}, select("#", ...)
        for i = 1, count do
            local owner = type(arguments[i]) == "table" and owners[arguments[i]]
            if owner then arguments[i] = owner end
        end
        return call(f, unpack(arguments, 1, count))
    end
end

local function object(owner, luatype, getters, setters, objects, get_index, set_index, on_call)
    local proxy = {}
    owners[proxy] = owner
    setmetatable(proxy, {
        luatype = luatype, Getters = getters, Setters = setters, Objects = objects,
        __index = function(_, key)
            if type(key) == "number" and get_index then return get_index(key) end
            local getter = getters[key]
            if getter then return getter() end
            return objects[key]
        end,
        __newindex = function(t, key, value)
            if type(key) == "number" and set_index then return set_index(key, value) end
            local setter = setters[key]
            if setter then return setter(value) end
            if getters[key] or objects[key] ~= nil then return call(nil, key) end
            rawset(t, key, value)
        end,
        __call = on_call and function(_, ...) return on_call(...) end,
    })
    return proxy
end

function print(...)
    local parts = {}
    for i = 1, select("#", ...) do
        local value = select(i, ...)
        parts[i] = type(value) == "number" and number_text(value) or tostring(value)
    end
    emit(concat(parts, "\\t") .. "\\n")
end

local function execute(source)
    local chunk, problem = loadstring(source, "=tsp")
    if not chunk then return -285, problem end
    local good, trouble = pcall(chunk)
    if not good then return -286, tostring(trouble) end
    return 0, ""
end

local function compile(source) return loadstring(source, "=tsp") end

function makegetter(object, name) return function() return object[name] end end
function makesetter(object, name) return function(value) object[name] = value end end

sethook(function() watch() end, "", hook_instructions)
_VERSION = "Lua 5.0.2"
os = {time = os.time, clock = os.clock}
io, debug, package, require, module, dofile, loadfile, load, python, newproxy = nil
return wrapped, object, execute, compile
"""


class LuaEngine:
    """Runs chunks and publishes nodes. `report(error)` takes what goes into the queue; `emit(text)` what is printed.

    `watch()` is called now and then while a script runs; what it raises ends the script and comes out of `execute`.
    """

    def __init__(
        self,
        report: Callable[[TspError], None],
        emit: Callable[[str], None],
        number_text: Callable[[float], str],
        watch: Callable[[], None],
    ):
        self._report = report
        self._broken: BaseException | None = None
        self._watch = watch
        self._lua = LuaRuntime(
            encoding="latin-1",
            unpack_returned_tuples=True,
            register_eval=False,
            register_builtins=False,
            attribute_filter=_nothing_of_python,
            max_memory=_MEMORY_BYTES,
        )
        self._wrapped, self._object, self._execute, self._compile = self._lua.execute(
            _PRELUDE, self._call, self._watched, emit, number_text, _HOOK_INSTRUCTIONS
        )

    def execute(self, source: str) -> bool:
        """Runs one chunk; whether it ran to its end. Lua's own complaints become errors -285 and -286."""
        self._broken = None
        number, problem = self._execute(source)
        if self._broken is not None:
            raise self._broken
        if number:
            self._report(TspError(int(number), text=_as_the_instrument_says(int(number), problem)))
        return not number

    def compiles(self, source: str) -> Any | None:
        """The function that `source` compiles to; None, and error -285, where it does not."""
        compiled = self._compile(source)
        if isinstance(compiled, tuple):
            self._report(TspError(-285, text=_as_the_instrument_says(-285, compiled[1])))
            return None
        return compiled

    def table(self, values: dict[str, Any] | list[Any]) -> Any:
        """A Lua table of plain values or published nodes."""
        return self._lua.table_from(values)

    def set_global(self, name: str, value: Any) -> None:
        """A global variable of the scripts; nodes and Python functions are published."""
        self._lua.globals()[name] = self.publish(value)

    def publish(self, value: Any) -> Any:
        """What scripts see of a node, a Python function or a plain value."""
        if isinstance(value, Node):
            return self._object(
                value.owner,
                value.luatype,
                self._functions(value.getters),
                self._functions(value.setters),
                self._lua.table_from({name: self.publish(item) for name, item in value.objects.items()}),
                *(
                    None if function is None else self._wrapped(function)
                    for function in (value.get_index, value.set_index, value.call)
                ),
            )
        return self._wrapped(value) if callable(value) and not _is_lua(value) else value

    def _functions(self, functions: dict[str, Callable]) -> Any:
        return self._lua.table_from({name: self._wrapped(function) for name, function in functions.items()})

    def _call(self, function: Callable | None, *arguments: Any) -> Any:
        """A script calls the instrument: errors go into the queue and the script goes on."""
        self._watched()
        if function is None:
            self._report(TspError(-286, text=f"TSP Runtime error: attribute `{arguments[0]}' is read-only"))
            return None
        try:
            result = function(*arguments)
        except TspError as error:
            self._report(error)
            return None
        except Exception as error:
            self._broken = error  # a script's own pcall must not hide it
            raise
        return self.publish(result) if isinstance(result, Node) else result

    def _watched(self) -> None:
        if self._broken is not None:
            raise self._broken
        try:
            self._watch()
        except Exception as stop:
            self._broken = stop
            raise


def list_of_numbers(table: Any, position: int = 1) -> list[float]:
    """A Lua table {1, 2, 3} as floats; error 1401 where it is anything else."""
    try:
        return [float(table[index]) for index in range(1, len(table) + 1)]
    except (TypeError, ValueError):
        raise TspError(1401, position) from None


def _is_lua(value: Any) -> bool:
    return type(value).__module__.startswith("lupa")


def _nothing_of_python(_object: Any, _name: Any, _setting: bool) -> Any:
    raise AttributeError("not within reach of a script")


def _as_the_instrument_says(number: int, problem: str) -> str:
    """Lua's message in the words of the instrument: "TSP Syntax error at line 1: unexpected symbol near `*'"."""
    kind = "Syntax" if number == -285 else "Runtime"
    line, _, words = problem.removeprefix("tsp:").partition(": ")
    if not line.isdigit():
        line, words = "1", problem
    quoted = re.sub("'([^']*)'", r"`\1'", words)
    return f"TSP {kind} error at line {line}: {quoted}"
