"""Where in a run something stands, from the events that were told until then."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hwloop.runlog.bodies import Event


@dataclass(frozen=True)
class Place:
    """Where in a run an exchange stands: the iteration and the programming round that were done last, and the phase."""

    label: str = ""
    iteration: int = 0
    of: int = 0
    round: int = 0
    phase: str = ""

    def after(self, event: Event) -> Place:
        """The place once `event` was told."""
        fields = event.fields
        match event.name:
            case "iteration":
                return replace(self, label=fields["label"], iteration=fields["iteration"], of=fields["of"])
            case "programmed":
                return replace(self, round=fields["round"])
            case "phase":
                return replace(self, phase=fields["phase"])
        return self

    def __str__(self) -> str:
        parts = [f"after iteration {self.iteration} of {self.of} of {self.label}" if self.iteration else "",
                 f"after programming round {self.round}" if self.round else "", self.phase and f"phase {self.phase!r}"]
        return ", ".join(filter(None, parts)) or "before the first programming round"
