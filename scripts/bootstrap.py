"""Make the virtual environment and install a lock file and hwloop into it: no root, only the standard library.

Usage: python3 scripts/bootstrap.py VENV LOCK

Debian's python3 may come without ensurepip and pip, so pip is had from the first of: ensurepip, the system's pip, the
package index (a pinned wheel, checked by its hash). The index is pip's own: PIP_INDEX_URL and PIP_CERT count.
"""

from __future__ import annotations

import hashlib
import html.parser
import importlib.util
import os
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import venv
from pathlib import Path

PIP_WHEEL = "pip-26.3-py3-none-any.whl"
PIP_SHA256 = "f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13"
PUBLIC_INDEX = "https://pypi.org/simple"
PROJECT = Path(__file__).resolve().parent.parent


class _Links(html.parser.HTMLParser):
    """Collects the addresses that an index page links to."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value for name, value in attrs if tag == "a" and name == "href" and value]


def main(venv_folder: Path, lock: Path) -> None:
    python = make_venv(venv_folder)
    if not has_pip(python):
        give_pip(python)
    # Only what the lock file names, builds included: it is complete, so nothing is resolved behind its back.
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pip += ["--no-deps", "--no-build-isolation"]
    say(f"installing {lock.name} into {venv_folder}")
    run([*pip, *(pin for pin in lock.read_text().split() if pin.startswith("setuptools=="))])
    run([*pip, "--requirement", lock])
    run([*pip, "--editable", PROJECT])


def make_venv(folder: Path) -> Path:
    """The Python of the virtual environment in `folder`; made anew where there is none that runs."""
    python = folder / "bin" / "python"
    if subprocess.run([python, "-c", ""], capture_output=True).returncode if python.exists() else True:
        say(f"making {folder} with Python {sys.version.split()[0]}")
        venv.EnvBuilder(with_pip=False, symlinks=True, clear=folder.exists()).create(folder)
    return python.absolute()


def has_pip(python: Path) -> bool:
    return subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode == 0


def give_pip(python: Path) -> None:
    """Put pip into the environment of `python`, by the first way that works."""
    for way in (_pip_from_ensurepip, _pip_from_system, _pip_from_index):
        if way(python) and has_pip(python):
            return
    fail("no pip to be had; install the Debian package python3-venv, or check the way to the package index")


def _pip_from_ensurepip(python: Path) -> bool:
    if importlib.util.find_spec("ensurepip") is None:
        return False
    return subprocess.run([python, "-m", "ensurepip", "--default-pip"], capture_output=True).returncode == 0


def _pip_from_system(python: Path) -> bool:
    if importlib.util.find_spec("pip") is None:
        return False
    pinned = "pip==" + PIP_WHEEL.split("-")[1]
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", pinned]
    return subprocess.run(command, capture_output=True).returncode == 0


def _pip_from_index(python: Path) -> bool:
    index = os.environ.get("PIP_INDEX_URL", PUBLIC_INDEX).rstrip("/")
    say(f"this Python has no pip: fetching {PIP_WHEEL} from the package index")
    page_address = f"{index}/pip/"
    links = _Links()
    links.feed(fetch(page_address).decode())
    found = [a for a in links.addresses if urllib.parse.urlsplit(a).path.endswith("/" + PIP_WHEEL) or a == PIP_WHEEL]
    if not found:
        fail(f"the package index has no {PIP_WHEEL}; install the Debian package python3-venv instead")
    wheel_bytes = fetch(urllib.parse.urljoin(page_address, found[0]))
    digest = hashlib.sha256(wheel_bytes).hexdigest()
    if digest != PIP_SHA256:
        fail(f"{PIP_WHEEL} from the package index has SHA-256 {digest}, expected {PIP_SHA256}; not used")
    with tempfile.TemporaryDirectory() as folder:
        wheel = Path(folder) / PIP_WHEEL
        wheel.write_bytes(wheel_bytes)
        # A wheel is a zip file that Python can run from: pip installs itself.
        run([python, wheel / "pip", "install", "--quiet", "--no-index", wheel])
    return True


def fetch(address: str) -> bytes:
    if urllib.parse.urlsplit(address).scheme != "https":
        fail(f"{address} is not an https address; set PIP_INDEX_URL to one")
    context = ssl.create_default_context(cafile=os.environ.get("PIP_CERT"))
    request = urllib.request.Request(address, headers={"Accept": "text/html"})
    try:
        with urllib.request.urlopen(request, context=context, timeout=60) as reply:
            return reply.read()
    except (urllib.error.URLError, OSError) as error:
        fail(f"cannot fetch {address}: {error}; check the network and the package ca-certificates")


def run(command: list[str | Path]) -> None:
    if subprocess.run(command, cwd=PROJECT).returncode != 0:
        fail("could not install; the lines above say why")


def say(text: str) -> None:
    sys.stderr.write(f"bootstrap: {text}\n")


def fail(text: str) -> None:
    sys.exit(f"bootstrap: error: {text}")


if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036 - the one place where an old Python has to hear it
        fail("hwloop needs Python 3.11 or newer; say which: make PYTHON=python3.12 …")
    if len(sys.argv) != 3:
        fail("usage: bootstrap.py VENV LOCK")
    main(Path(sys.argv[1]), Path(sys.argv[2]).resolve())
