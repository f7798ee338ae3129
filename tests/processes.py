"""Commands as processes of their own that may be killed, and what a journal and a board say of the pulses given.

The processes are forked from the test's own, which has imported everything already: they start at once.
"""

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from hwloop.cli.main import run
from hwloop.drivers.board.decoding import unpack_pulses
from hwloop.link.protocol import BOARDS, Command
from hwloop.mock.bench_state import read_state
from hwloop.runlog.bodies import Event, told_by
from hwloop.runlog.exchanges import Assembler
from hwloop.runlog.framing import HEADER_BYTES
from hwloop.runlog.journal import Journal


class Process:
    """`hwloop ARGUMENTS`, running. `before` is called in the new process first."""

    def __init__(self, name, *arguments, before=lambda: None):
        self._streams = [Path(f"{name}.out"), Path(f"{name}.err")]
        for path in self._streams:
            path.write_text("")
        self.code = None
        self.pid = os.fork()
        if not self.pid:
            code = 99
            try:
                for number, path in enumerate(self._streams, start=1):
                    os.dup2(os.open(path, os.O_WRONLY), number)
                sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False, buffering=1)
                for handled in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
                    signal.signal(handled, signal.default_int_handler if handled == signal.SIGINT else signal.SIG_DFL)
                before()
                code = run(list(map(str, arguments)))
                sys.stdout.flush()
            finally:
                os._exit(code)

    def wait(self, seconds=60.0):
        """Exit code; minus the signal that ended it."""
        wait_for(lambda: not self.is_alive, seconds)
        return self.code

    @property
    def is_alive(self):
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code is None

    def send(self, number):
        """A signal, where it still lives."""
        if self.is_alive:
            os.kill(self.pid, number)

    def kill(self):
        """SIGKILL, and wait."""
        self.send(signal.SIGKILL)
        return self.wait()

    @property
    def out(self):
        """What it wrote to stdout."""
        return self._streams[0].read_text()

    @property
    def err(self):
        """What it wrote to stderr."""
        return self._streams[1].read_text()

    @property
    def document(self):
        """Its JSON document."""
        return json.loads(self.out)

    def children(self):
        """Ids of its own child processes."""
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]


def wait_for(condition, seconds=60.0):
    """Until `condition()` is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def journals():
    """Journals in runs/, oldest first."""
    return sorted(Path("runs").glob("*.journal"))


def wait_for_rounds(process, count):
    """Until the only journal in runs/ tells of `count` programming rounds; gives its path."""
    wait_for(lambda: not process.is_alive or journals() and rounds(journals()[0]) >= count)
    assert process.is_alive, process.err
    return journals()[0]


def rounds(journal):
    """How many programming rounds a journal tells of."""
    return len(events(journal, "programmed"))


def events(path, *names):
    """Fields of the events of these names."""
    if path.stat().st_size < HEADER_BYTES:
        return []
    with Journal.open(path) as journal:
        return [event.fields for _, event in journal.events(*names)]


def board_pulses(state):
    """Pulses that each cell ever got, as the board counted them."""
    return read_state(state).pulse_counts()


def journal_pulses(path, board="hwloop-128x16"):
    """Pulses of each cell as the journal has them: those that were answered, and those nobody knows of."""
    geometry, assembler = BOARDS[board], Assembler()
    answered, unknown = np.zeros((2, 2 * geometry.rows * geometry.columns), np.int64)

    def found(exchanges):
        for exchange in exchanges:
            for kind, payload, reply in exchange.answered:
                if kind == Command.PULSE:
                    cells = unpack_pulses(payload, geometry.rows, geometry.columns)[0]
                    np.add.at(unknown if reply is None else answered, cells, 1)

    with Journal.open(path) as journal:
        for record in journal.records():
            told = told_by(record)
            if not isinstance(told, Event):
                found(assembler.take(told, record.time_ns))
    found(assembler.rest())
    return answered, unknown


@contextlib.contextmanager
def killed_afterwards():
    """A list of processes; what of them still runs at the end is killed."""
    started = []
    try:
        yield started
    finally:
        for process in started:
            process.send(signal.SIGCONT)
            process.kill()
