"""Write requirements.lock and requirements-dev.lock: exact versions of everything, the build backend included.

Usage: python scripts/lock.py (in an environment with pip-tools; `make lock`)
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
# Nothing about the machine that made the lock may end up in it.
PIP_COMPILE = [
    sys.executable, "-m", "piptools", "compile", "--quiet", "--upgrade", "--no-header", "--no-annotate",
    "--strip-extras", "--no-emit-index-url", "--no-emit-find-links", "--no-emit-trusted-host", "--allow-unsafe",
    "--build-deps-for", "editable", "pyproject.toml",
]  # fmt: skip


def main() -> None:
    for name, purpose, extra in (
        ("requirements.lock", "to run hwloop", []),
        ("requirements-dev.lock", "to test hwloop", ["--extra", "dev"]),
    ):
        lock = PROJECT / name
        subprocess.run([*PIP_COMPILE, *extra, "--output-file", name], cwd=PROJECT, check=True)
        pins = [line for line in lock.read_text().splitlines() if "==" in line]
        header = f"# Exact versions of all that is needed {purpose}. Made by `make lock`."
        lock.write_text("\n".join([header, *pins, ""]))


if __name__ == "__main__":
    main()
