"""hwloop: program, verify and compute with HfO2 memristor arrays, hardware in the loop."""

import importlib

__version__ = "0.1.0"


def __getattr__(name: str):
    # Looked up when it is used: the package itself, which every module belongs to, depends on none of them.
    if name == "open_run":
        return importlib.import_module("hwloop.runlog.opened").open_run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
