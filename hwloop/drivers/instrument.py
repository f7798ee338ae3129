"""What every instrument has: an identity, and accuracies stated by its data sheet."""

from __future__ import annotations

from dataclasses import dataclass

from hwloop.errors import WrongInstrumentError


@dataclass(frozen=True)
class InstrumentIdentity:
    """What an instrument says of itself (*IDN?): `model` without words such as "MODEL", in capitals."""

    manufacturer: str
    model: str
    serial: str
    firmware: str

    def __str__(self) -> str:
        return f"{self.manufacturer} {self.model}, serial {self.serial}, firmware {self.firmware}"


@dataclass(frozen=True)
class Accuracy:
    """A data sheet's one-year accuracy: ±(`gain_fraction` × value + `offset`), the offset in volts or amps."""

    gain_fraction: float
    offset: float


def parse_identity(resource: str, text: str) -> InstrumentIdentity:
    """The four fields of an answer to *IDN?. Raises WrongInstrumentError where there are not as many."""
    fields = [field.strip() for field in text.split(",", 3)]
    if len(fields) < 4 or not fields[1]:
        raise WrongInstrumentError(f"{resource}: {text[:80]!r} is no instrument's identity; check the address")
    return InstrumentIdentity(fields[0], fields[1].upper().removeprefix("MODEL").strip(), fields[2], fields[3])
