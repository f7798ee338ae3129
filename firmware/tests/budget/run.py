"""Run the cycle budget in the emulator and compare it with the tick rules; exit status 1 where something does not fit.

Instructions are counted by QEMU (-icount shift=0: one instruction a nanosecond) and turned into time at 168 MHz, at one
cycle an instruction (the bar) and at one and a half (flash wait states, loads, slow buses: reported). The registers of
the SPI buses are always ready there, so what their bits take is computed from bit rates and reported beside it.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

QEMU = ["qemu-system-arm", "-M", "netduinoplus2", "-display", "none", "-monitor", "none", "-serial", "null",
        "-no-reboot", "-icount", "shift=0,sleep=off", "-semihosting-config", "enable=on,target=native", "-kernel"]
CORE_MEGAHERTZ = 168
TICK_MICROSECONDS = 0.1
CYCLES_BAR, CYCLES_PESSIMISTIC = 1.0, 1.5
GAP_MICROSECONDS = 0.2          # between two frames on a bus: chip select up, down, first bits
SECONDS = 120
CLOCK_TOLERANCE = 0.001


@dataclass(frozen=True)
class Window:
    """What happens between two moments of the time line."""

    ticks: int
    instructions: int
    digests: bool               # results were taken in it, which ends the line; the next one begins anew
    bus_microseconds: float     # of the busiest bus


@dataclass(frozen=True)
class Step:
    """A part of a row, as the tick rules cut it."""

    name: str
    ticks: int
    instructions: int           # the SPI queue included
    without_spi: int
    bus_microseconds: float

    def microseconds(self, cycles: float) -> float:
        """Time at `cycles` an instruction."""
        return self.instructions * cycles / CORE_MEGAHERTZ

    def margin(self, cycles: float) -> float:
        """Part of the rule's time that is left; negative: it does not fit."""
        return 1 - self.microseconds(cycles) / (self.ticks * TICK_MICROSECONDS)


# Windows of one row in the steady state, by their order; a row begins at a multiple of their number behind the first.
ROWS = {
    "pulse-all-changed": ("load 17 changed words", "pulse and recovery"),
    "pulse-amplitudes": ("load 16 changed words", "pulse and recovery"),
    "pulse-gate-changed": ("load 1 changed word", "pulse and recovery"),
    "read": ("select row, settle", "sample 1", "sample 2", "next row"),
    "solve": ("128 inputs", "settle", "sample 1", "sample 2", "next solve"),
}
FIRST_WINDOW = {"solve": 1}     # behind the load of the masks
STEADY_ROW = {"solve": 1}       # the row that is looked at; elsewhere the sixth


def measured(elf: str) -> dict[tuple[str, bool], list[Window]]:
    """Windows by job and whether the SPI queue took part. Raises SystemExit where the emulator does not count."""
    done = subprocess.run([*QEMU, elf], capture_output=True, text=True, timeout=SECONDS, check=False)
    windows: dict[tuple[str, bool], list[Window]] = {}
    for line in (done.stdout + done.stderr).splitlines():
        name, with_spi, *rest = line.split()
        if name == "clock":
            _, wanted, found = (int(word) for word in (with_spi, *rest)[-3:])
            if abs(found - wanted) > CLOCK_TOLERANCE * wanted:
                raise SystemExit(f"the emulator counts {found} for {wanted} instructions: nothing here would be right")
            continue
        if with_spi == "refused":
            raise SystemExit(f"the command was refused: {line}")
        _, ticks, instructions, digests, *buses = (int(word) for word in rest)
        times = [nanoseconds * 1e-3 + frames * GAP_MICROSECONDS
                 for nanoseconds, frames in zip(buses[::2], buses[1::2], strict=True)]
        windows.setdefault((name, with_spi == "1"), []).append(Window(ticks, instructions, digests != 0, max(times)))
    if done.returncode != 0 or not windows:
        raise SystemExit(f"the emulator ended with {done.returncode}: {done.stderr[-400:]}")
    return windows


def steps_of(name: str, windows: dict[tuple[str, bool], list[Window]]) -> list[Step]:
    """The parts of one row, and the row as a whole with its share of the digest."""
    parts, first = ROWS[name], FIRST_WINDOW.get(name, 0)
    bare, full = windows[name, False][first:], windows[name, True][first:]
    start = STEADY_ROW.get(name, 6) * len(parts)
    steps = []
    for offset, part in enumerate(parts):
        with_spi, without = full[start + offset], bare[start + offset]
        steps.append(Step(f"{name}: {part}", with_spi.ticks, with_spi.instructions, without.instructions,
                          with_spi.bus_microseconds))
    # Whole digests only: from behind the first one, or from the first row on where there is but one.
    ends = [number + 1 for number, window in enumerate(full) if window.digests]
    begin, end = (ends[0], ends[1]) if len(ends) > 1 else (0, ends[0] if ends else len(full) // len(parts) * len(parts))
    rows = (end - begin) // len(parts)

    def share(values: list[int]) -> int:
        return round(sum(values[begin:end]) / rows)

    whole = Step(f"{name}: whole row, digest included", share([window.ticks for window in full]),
                 share([window.instructions for window in full]), share([window.instructions for window in bare]),
                 sum(step.bus_microseconds for step in steps))
    return [step for step in steps if step.ticks > 0] + [whole]


def main(arguments: list[str]) -> int:
    """Measure the image named on the command line, print the table, judge."""
    windows = measured(str(Path(arguments[0])))
    say = sys.stdout.write
    say(f"{'step':52} {'rule us':>8} {'engine':>7} {'with SPI':>8} {'us':>7} {'margin':>7} {'us @1.5':>8} {'margin':>7}"
        f" {'bus us':>7}\n")
    late = []
    for name in ROWS:
        for step in steps_of(name, windows):
            bar, pessimistic = step.margin(CYCLES_BAR), step.margin(CYCLES_PESSIMISTIC)
            say(f"{step.name:52} {step.ticks * TICK_MICROSECONDS:8.1f} {step.without_spi:7d} {step.instructions:8d}"
                f" {step.microseconds(CYCLES_BAR):7.1f} {bar:7.0%} {step.microseconds(CYCLES_PESSIMISTIC):8.1f}"
                f" {pessimistic:7.0%} {step.bus_microseconds:7.1f}\n")
            if bar < 0:
                late.append(step.name)
    say(f"time at {CORE_MEGAHERTZ} MHz and {CYCLES_BAR} cycle an instruction (the bar), and at {CYCLES_PESSIMISTIC}; "
        f"bus: bits of the busiest one and {GAP_MICROSECONDS} us a frame\n")
    for name in late:
        say(f"does not fit: {name}\n")
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
