"""Small journals in the documented order of events, with real frames, for tests of what reads them."""

from pathlib import Path

import numpy as np

from hwloop import config
from hwloop.array.program.common import Outcome
from hwloop.drivers.board.cell_frames import pack_reads
from hwloop.link import protocol as wire
from hwloop.link.protocol import Command
from hwloop.runlog.bodies import Replies, ReplyFrame, Requests
from hwloop.runlog.journal import JournalWriter
from hwloop.runlog.record import ConductanceMaps, Convergence, FactorPair, Quantity, RunRecord
from tests.unit.drivers.describing import scales_of

SCALES = scales_of("hwloop-16x4")
CELLS, TARGET_SIEMENS = np.arange(40), np.linspace(20e-6, 200e-6, 40)
CREATED = "2026-05-01T12:00:00.000000+00:00"
TICKS_A_ROUND = 1000


class ToldRun:
    """Writes the journal of a run step by step. `text` is put into every text that a run can bring along."""

    def __init__(self, path: Path, kind: str = "image", text: str = "", created: str = CREATED):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.kind, self.text = path, kind, text
        self.writer = JournalWriter.create(path)
        self._exchange = self._round = self._ticks = 0
        rig = config.describe(config.load_rig("default", options={"board": {"name": "hwloop-16x4"}}))
        self.writer.event("run", {
            "name": path.stem, "kind": kind, "options": {"path": f"photograph{text}.png", "rank": 2}, "rig": rig,
            "seed": 3, "created": created, "hwloop": f"0.1.0{text}", "wire_hash": "0123abcd", "wire_revision": 1,
            "python": "3.11", "numpy": "2", "scipy": "1", "numba": "0", "h5py": "3", "platform": f"Linux{text}",
            "arguments": ["factorize", kind, f"photograph{text}.png"],
        })
        self.writer.event("input", {
            "option": "path", "name": f"photograph{text}.png", "sha256": "ab" * 32, "bytes": 5, "embedded": True,
        }, {"data": np.frombuffer(b"hello", np.uint8)})
        self.writer.event("cells", {"array_serial": 1, "bad_cells": {"7": f"stuck high{text}"}})
        board = {
            "name": f"hwloop-16x4{text}", "serial": 1, "firmware_version": 1 << 16, "wire_hash": 1,
            "analog_revision": 1, "backend": "mock", "port": "simulated", "scales": vars(SCALES.describe),
        }
        array = {"serial": 1, "rows": 16, "columns": 4, "bad_cells": {"7": f"stuck high{text}"}}
        self.writer.event("board", {"board": board, "array": array})

    def round(self, accepted: int = 39, error_siemens: float = 1e-6) -> None:
        """A programming round of 40 cells, of which all but the last are read `error_siemens` above their targets."""
        packed = pack_reads(SCALES, CELLS, 4, 3, 1e-6, wire.TiaRange.COARSE)
        frames = [(Command.READ, payload) for payload in packed.payloads]
        codes = np.rint((TARGET_SIEMENS + error_siemens) / SCALES.siemens_from_read_codes(1, wire.TiaRange.COARSE, 0))
        self.writer.requests(Requests(self._exchange, 1, 0, frames))
        done, replies = 0, []
        for index, count in enumerate(packed.counts):
            mine = codes[packed.order][done : done + count].astype("<u2").tobytes()
            steady = bytes([255]) * (2 * -(-count // 16))
            replies.append(ReplyFrame(index, 0, wire.ReadReply(TICKS_A_ROUND).pack() + mine + steady))
            done += count
        self._ticks += TICKS_A_ROUND
        self.writer.replies(Replies(self._exchange, 300, 500, self._ticks, replies))
        self._exchange += 1
        self._round += 1
        outcome = np.where(np.arange(40) < accepted, Outcome.ACCEPTED, Outcome.NOT_CONVERGED).astype(np.int8)
        self.writer.event("programmed", {
            "round": self._round, "cells": 40, "accepted": accepted, "given_up": 40 - accepted, "steps": 3,
            "cell_pulses": 60, "row_pulses": 30,
        }, {"cells": CELLS.astype("u4"), "target_siemens": TARGET_SIEMENS.astype("f4"), "outcome": outcome})

    def iteration(self, number: int, of: int = 3, label: str = "circuit") -> None:
        """One iteration: its PSNR is 30 dB + its number."""
        self.writer.event("iteration", {
            "label": label + self.text, "iteration": number, "of": of, "residual": 0.5 / number,
            "quality": 30.0 + number, "quantity": "PSNR", "unit": "dB",
        })
        self.phase(f"{label}{self.text}, iterations", number, of)

    def phase(self, phase: str, done: int, total: int) -> None:
        """How far a phase is."""
        self.writer.event("phase", {"phase": phase, "done": done, "total": total})

    def note(self, text: str) -> None:
        """A note."""
        self.writer.event("note", {"text": text})

    def result(self, psnr_db: float = 33.25) -> None:
        """The result, and with it the end."""
        random = np.random.default_rng(1)
        maps = ConductanceMaps(*random.uniform(3e-6, 200e-6, (2, 16, 4)))
        analog_db, reference_db = np.array([31.0, 32.0, psnr_db]), np.array([31.1, 32.1, 33.3])
        curve = Convergence(f"image{self.text}", "PSNR", analog_db, reference_db, "dB")
        self.writer.event("phase", {"phase": "circuit, iterations", "done": 3, "total": 3})
        event = RunRecord(
            self.kind, 3, {}, factors=(FactorPair("image", random.random((2, 8, 2)), random.random((2, 2, 8))),),
            convergence=(curve,), conductance=maps, metrics=(Quantity("psnr", psnr_db, "dB"), Quantity("ssim", 0.9)),
            counters=(Quantity("pulses", 120), Quantity("wall_seconds", 2.5, "s")),
        ).to_event()
        self.writer.event(event.name, event.fields, event.arrays)
        self.end()

    def stop(self, message: str) -> None:
        """Stopped before its end, which is the end."""
        self.writer.event("stopped", {"reason": "StoppedError", "exit_code": 4, "message": message})
        self.end()

    def end(self) -> None:
        """The last record, and nobody writes any more."""
        self.writer.event("end")
        self.writer.close()

    def die(self) -> None:
        """Nobody writes any more."""
        self.writer.close()


def complete_run(path: Path, **options) -> ToldRun:
    """Three iterations of two rounds each, and a result."""
    told = ToldRun(path, **options)
    for number in (1, 2, 3):
        told.iteration(number, label="float64 reference")
    for number in (1, 2, 3):
        told.round()
        told.round(accepted=40)
        told.iteration(number)
    told.note(f"the board was simulated{told.text}")
    told.result()
    return told
