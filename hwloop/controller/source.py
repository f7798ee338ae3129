"""Where a run's replies come from: a board, a recording that is gone on with, a recording alone."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from hwloop import __version__
from hwloop.link.protocol import WIRE_HASH, WIRE_REVISION
from hwloop.runlog.sources import RUNS

_VERSIONED = ("numpy", "scipy", "numba", "h5py")


@dataclass(frozen=True)
class Source:
    """Where a run's replies come from. Without a journal: a board. With one: `goes_on` from its end on a board, or
    else a replay. `name`, `started`, `options` and `run_file` are those of the recorded run; `folder` is where a replay
    puts its pictures."""

    journal: Path | None = None
    goes_on: bool = False
    name: str = ""
    started: str = ""
    options: Mapping[str, Any] | None = None
    run_file: Path | None = None
    folder: Path = RUNS

    @property
    def is_replay(self) -> bool:
        """Whether there is no board at all."""
        return self.journal is not None and not self.goes_on


LIVE = Source()


def boot_id() -> str:
    """Names the time since this computer was started; empty where it does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def versions() -> dict[str, Any]:
    """What the run was made with."""
    return {
        "hwloop": __version__, "wire_hash": f"{WIRE_HASH:08x}", "wire_revision": WIRE_REVISION,
        "python": platform.python_version(), **{name: metadata.version(name) for name in _VERSIONED},
        "platform": f"{platform.system()} {platform.machine()}",
    }
