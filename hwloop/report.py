"""What a run tells its caller while it works: steps, iterations, programming rounds, notes, and questions before
anything that cannot be undone."""

from __future__ import annotations


class Report:
    """A caller that does not listen. A call from Python is meant, so what asks for consent has it."""

    def step(self, phase: str, done: int, total: int) -> None:
        """`done` of `total` steps of `phase` are done."""

    def iteration(
        self, label: str, iteration: int, of: int, residual: float | None, quality: float | None, quantity: str,
        unit: str,
    ) -> None:
        """Iteration `iteration` (from 1) of `of` of `label` (such as "circuit", "fold 2") is done.

        `residual` is relative; `quality` is the figure of merit `quantity` ("PSNR") in `unit` ("1" when dimensionless);
        None where not known.
        """

    def programmed(self, round: int, cells: int, accepted: int, given_up: int, cell_pulses: int) -> None:
        """Programming round `round` (from 1) is done: so many cells asked for, verified, given up, and their pulses."""

    def resent(self, frames: int) -> None:
        """So many frames had to be sent again since the run began."""

    def note(self, text: str) -> None:
        """One line that people should read, such as that a simulated board keeps nothing."""

    def confirm(self, question: str) -> None:
        """Ask for consent to something irreversible. Raises SafetyError where it is not given."""


def iteration_text(
    label: str, iteration: int, of: int, residual: float | None, quality: float | None, quantity: str, unit: str
) -> str:
    """ "circuit, iteration 3 of 6: residual 0.0123, PSNR 35.40 dB"."""
    parts = [] if residual is None else [f"residual {residual:.4g}"]
    if quality is not None:
        digits = f"{quality:.2f}" if unit == "dB" else f"{quality:.4f}"
        parts.append(f"{quantity} {digits}" + ("" if unit == "1" else f" {unit}"))
    return f"{label}, iteration {iteration} of {of}" + (f": {', '.join(parts)}" if parts else "")
