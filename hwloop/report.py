"""What a run tells its caller while it works: steps, notes, and questions before anything that cannot be undone."""

from __future__ import annotations


class Report:
    """A caller that does not listen. A call from Python is meant, so what asks for consent has it."""

    def step(self, phase: str, done: int, total: int) -> None:
        """`done` of `total` steps of `phase` are done."""

    def note(self, text: str) -> None:
        """One line that people should read, such as that a simulated board keeps nothing."""

    def confirm(self, question: str) -> None:
        """Ask for consent to something irreversible. Raises SafetyError where it is not given."""
