"""Python programs as a person at a terminal sees them."""

import os
import pty
import subprocess
import sys


def at_a_terminal(*arguments, answer="", **environment):
    """All that `python ARGUMENTS` shows at a terminal of 120 columns where `answer` is typed, and its exit code."""
    terminal, inside = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, *arguments], stdin=inside, stdout=inside, stderr=inside,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120", **environment},
    )  # fmt: skip
    os.close(inside)
    os.write(terminal, answer.encode())
    shown = b""
    try:
        while piece := os.read(terminal, 4096):
            shown += piece
    except OSError:
        pass    # nobody writes to it any more
    os.close(terminal)
    return shown.decode(), process.wait(timeout=60)
