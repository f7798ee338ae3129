"""Simulated Keysight B2901A and B2911A source meters (one channel).

Sources: Agilent B2900 Series SCPI Command Reference B2910-90030 (commands, formats, status); Keysight B2900A data sheet
(ranges, one-year accuracy, settling). Volts and amps are integrated at the same time, and the zero is always refreshed.
The 10 A pulse range is not simulated; the number of the interlock error is not verified.
"""

from __future__ import annotations

from hwloop.mock.instruments.keysight_b2900_data import Data
from hwloop.mock.instruments.keysight_b2900_triggers import Triggers
from hwloop.mock.instruments.scpi import Command
from hwloop.mock.instruments.scpi_kinds import Integer, Many, Number, Style, Switch, Text, Word
from hwloop.mock.instruments.smu_instrument import NAMES, UNITS, SmuInstrument
from hwloop.mock.instruments.smu_model import AMPS, LINE_HERTZ, VOLTS, Corner, Function, Range, SmuModel

# Full scale; accuracy, the same for source and measurement (gain fraction, offset); settling in seconds.
_V = ((0.2, 1.5e-4, 225e-6), (2.0, 2.0e-4, 350e-6), (20.0, 1.5e-4, 5e-3), (200.0, 1.5e-4, 50e-3))
_A = (
    (1e-8, 1.0e-3, 50e-12, 10e-3), (1e-7, 6.0e-4, 100e-12, 10e-3), (1e-6, 2.5e-4, 500e-12, 500e-6),
    (1e-5, 2.5e-4, 1.5e-9, 250e-6), (1e-4, 2.0e-4, 25e-9, 250e-6), (1e-3, 2.0e-4, 200e-9, 80e-6),
    (1e-2, 2.0e-4, 2.5e-6, 80e-6), (0.1, 2.0e-4, 20e-6, 80e-6), (1.0, 3.0e-4, 1.5e-3, 80e-6),
    (1.5, 5.0e-4, 3.5e-3, 80e-6), (3.0, 4.0e-3, 7e-3, 80e-6),
)  # fmt: skip
NOISE_FRACTION = 1e-6  # of full scale at 1 PLC, rms; a reasonable figure, the data sheet gives none below 10 Hz


def _model(lowest_amps: int, source_steps: float) -> SmuModel:
    def part(full_scale: float, gain: float, offset: float, settle: float, measure_step: float) -> Range:
        step, noise = full_scale * source_steps, max(full_scale * NOISE_FRACTION, 2e-14)
        return Range(full_scale, gain, offset, gain, offset, step, full_scale * measure_step, noise, settle)

    return SmuModel(
        tuple(part(*row, 80e-6, 5e-7) for row in _V),
        tuple(part(*row, 1e-6) for row in _A[lowest_amps:]),
        (Corner(6.0, 3.03), Corner(21.0, 1.515), Corner(210.0, 0.105)),
        overhead_seconds=50e-6, autozero_phases=1, range_change_seconds=1e-3,
    )  # fmt: skip


INTERLOCK_OPEN = 303
INTERLOCK_BIT = 1024
_FUNCTIONS = Word("VOLTage", "CURRent", "RESistance", "VOLTage:DC", "CURRent:DC", quotes=True)


class KeysightB2901A(SmuInstrument):
    """A B2901A at its terminals. See SmuInstrument."""

    name = "B2901A"
    model = _model(1, 5e-6)
    style = Style("{:+.8E}".format)
    registers_of = {"MEASurement": 1, "QUEStionable": 8, "OPERation": 128}
    texts = {INTERLOCK_OPEN: "Interlock open", -350: "Error queue overflow"}
    queue_length = 100
    no_error = '+0,"No error"'
    has_transition_filters = True

    def identity(self) -> str:
        """The answer to *IDN?."""
        return f"Keysight Technologies,{self.name},MY{51000000 + self.serial_number % 1000000:08d},4.1.2226.1020"

    def write_code(self, code: int) -> str:
        """Numbers carry their sign."""
        return f"{code:+d}"

    def self_test(self) -> str:
        """The answer to *TST?."""
        return "+0"

    def interlock_error(self) -> int:
        """See SmuInstrument."""
        return INTERLOCK_OPEN

    def reset(self) -> None:
        """*RST."""
        self.core.set_output(False)
        self.reset_functions(
            VOLT=Function(source_range=2.0, measure_range=2.0, limit=2.0, lowest_auto_range=0.2),
            CURR=Function(source_range=1e-4, measure_range=1e-4, limit=1e-4, lowest_auto_range=1e-6),
        )
        settings = self.core.settings
        settings.source, settings.measured = VOLTS, (AMPS, VOLTS)
        self.sensed, self.ohms_by_source, self.output_auto, self.trips = {"VOLT", "CURR"}, False, True, False
        self.remote_sense = False
        self.data.reset()
        self.triggers.reset()

    def sense(self, names: list[str]) -> None:
        """SENSe:FUNCtion[:ON]: these functions alone."""
        self.sensed = {name.removesuffix(":DC") for name in names}

    def unsense(self, names: list[str]) -> None:
        """SENSe:FUNCtion:OFF."""
        self.sensed = self.sensed - {name.removesuffix(":DC") for name in names}

    def put_source(self, source: str) -> None:
        """SOURce:FUNCtion:MODE: another function turns the output off."""
        if source != self.core.settings.source:
            self.core.set_output(False)
        self.core.settings.source = source
        # The measured function that is not sourced leads: its range is what limits.
        self.core.settings.measured = (AMPS, VOLTS) if source == VOLTS else (VOLTS, AMPS)

    def put_aperture(self, seconds: float) -> None:
        """Both functions are integrated over the same time."""
        for quantity in NAMES:
            self.core.function(quantity).nplc = seconds * LINE_HERTZ

    def put_nplc(self, nplc: float) -> None:
        """As `put_aperture`, in power line cycles."""
        self.put_aperture(nplc / LINE_HERTZ)

    def _put_remote_sense(self) -> None:
        for quantity in NAMES:
            self.core.function(quantity).remote_sense = self.remote_sense

    def trip(self) -> None:
        """OUTPut:PROTection: an output in its limit goes off."""
        if self.trips and self.core.last_limited:
            self.core.set_output(False)
            self.core.last_limited = True

    def on_range_below_level(self, quantity: str) -> None:
        """The level is set to zero."""
        self.core.function(quantity).level = 0.0

    def check_interlock(self) -> None:
        """See SmuInstrument; the condition shows in the questionable register."""
        self.registers["QUEStionable"].put(INTERLOCK_BIT, self.faults.interlock_open)
        super().check_interlock()

    def trigger(self) -> None:
        """*TRG."""
        self.triggers.bus()

    # The tree.
    def commands(self) -> list[Command]:
        """See ScpiInstrument."""
        self.data = Data(self)
        self.triggers = Triggers(self, self.data)
        return [
            *self._output_commands(), *self._source_commands(), *self._sense_commands(), *self._system_commands(),
            *self.data.commands(), *self.triggers.commands(),
        ]  # fmt: skip

    def _output_commands(self) -> list[Command]:
        core, head = self.core, ":OUTPut#1"
        return [
            Command(f"{head}[:STATe]", (Switch(),), self.put_output, self.when(lambda: core.settings.output_on)),
            self.setting(f"{head}:ON:AUTO", Switch(), self, "output_auto"),
            self.inert(f"{head}:OFF:AUTO", Switch(), False),
            self.inert(f"{head}:OFF:MODE", Word("ZERO", "HIZ", "NORMal"), "NORM"),
            self.setting(f"{head}:PROTection[:STATe]", Switch(), self, "trips", self.trip),
            self.inert(f"{head}:LOW", Word("GROund", "FLOat"), "GRO"),
            self.inert(f"{head}:HCAPacitance[:STATe]", Switch(), False),
            self.inert(f"{head}:FILTer[:LPASs][:STATe]", Switch(), True),
            self.inert(f"{head}:FILTer:AUTO", Switch(), False),
        ]

    def _source_commands(self) -> list[Command]:
        core, head = self.core, "[:SOURce#1]"
        commands = [
            Command(f"{head}:FUNCtion:MODE", (Word(*NAMES.values()),), self.put_source, lambda: core.settings.source),
            self.inert(f"{head}:FUNCtion[:SHAPe]", Word("DC", "PULSe"), "DC"),
            self.inert(f"{head}:FUNCtion:TRIGgered:CONTinuous", Switch(), False),
            self.inert(f"{head}:WAIT[:STATe]", Switch(), True),
            self.inert(f"{head}:WAIT:AUTO", Switch(), True),
        ]
        for quantity, name in NAMES.items():
            own, function = f"{head}:{name}", core.function(quantity)
            ranges = self.model.ranges(quantity)
            commands += [
                self.level_setting(f"{own}[:LEVel][:IMMediate][:AMPLitude]", quantity),
                self.setting(f"{own}[:LEVel]:TRIGgered[:AMPLitude]", self.level_kind(quantity), function,
                             "triggered_level"),
                *self.range_settings(f"{own}:RANGe", f"{own}:RANGe:AUTO", quantity, "source"),
                self.inert(f"{own}:RANGe:AUTO:LLIMit", Number(ranges[0].full_scale, ranges[-1].full_scale,
                                                             ranges[0].full_scale, UNITS[quantity]),
                           ranges[0].full_scale),
            ]  # fmt: skip
        return commands

    def _sense_commands(self) -> list[Command]:
        head, names = "[:SENSe#1]", (Many(_FUNCTIONS, 1, 3),)
        commands = [
            Command(f"{head}:FUNCtion[:ON]", names, self.sense,
                    lambda: ",".join(f'"{name}"' for name in ("VOLT", "CURR", "RES") if name in self.sensed) or '""'),
            Command(f"{head}:FUNCtion[:ON]:ALL", do=lambda: self.sense(["VOLT", "CURR", "RES"])),
            Command(f"{head}:FUNCtion[:ON]:COUNt", ask=lambda: str(len(self.sensed))),
            Command(f"{head}:FUNCtion:OFF", names, self.unsense),
            Command(f"{head}:FUNCtion:OFF:ALL", do=lambda: self.sense([])),
            Command(f"{head}:FUNCtion:STATe", ask=lambda name: str(int(name.removesuffix(":DC") in self.sensed)),
                    ask_kinds=(_FUNCTIONS,)),
            self.setting(f"{head}:REMote", Switch(), self, "remote_sense", self._put_remote_sense),
            self.inert(f"{head}:RESistance:MODE", Word("MANual", "AUTO"), "MAN"),
            self.inert(f"{head}:RESistance:OCOMpensated", Switch(), False),
            self.inert(f"{head}:RESistance:RANGe[:UPPer]", Number(2.0, 200e6, 2.0, "OHM"), 2.0),
            self.inert(f"{head}:RESistance:RANGe:AUTO", Switch(), True),
            self.inert(f"{head}:WAIT[:STATe]", Switch(), True),
            self.inert(f"{head}:WAIT:AUTO", Switch(), True),
        ]  # fmt: skip
        nplc = self.core.function(AMPS)
        for name in ("VOLTage[:DC]", "CURRent[:DC]", "RESistance"):
            cycles, seconds = Number(4e-4, 100.0, 1.0), Number(8e-6, 2.0, 0.02, "S")
            by_cycles = self.setting(f"{head}:{name}:NPLCycles", cycles, nplc, "nplc")
            commands += [
                Command(by_cycles.pattern, by_cycles.kinds, self.put_nplc, by_cycles.ask, by_cycles.ask_kinds),
                Command(f"{head}:{name}:APERture", (seconds,), self.put_aperture,
                        lambda: self.style.number(nplc.nplc / LINE_HERTZ)),
                self.inert(f"{head}:{name}:NPLCycles:AUTO", Switch(), False),
                self.inert(f"{head}:{name}:APERture:AUTO", Switch(), False),
            ]  # fmt: skip
        for quantity, default, lowest in ((VOLTS, 2.0, 1e-5), (AMPS, 1e-4, 1e-10)):
            own, ranges = f"{head}:{NAMES[quantity]}[:DC]", self.model.ranges(quantity)
            limit_kind = Number(ranges[0].full_scale, ranges[-1].full_scale, ranges[0].full_scale, UNITS[quantity])
            commands += [
                self.limit_setting(f"{own}:PROTection[:LEVel]", quantity, default, lowest),
                Command(f"{own}:PROTection[:LEVel]:TRIPped",
                        ask=self.when(lambda quantity=quantity: self.core.settings.source != quantity
                                      and self.core.last_limited)),
                *self.range_settings(f"{own}:RANGe[:UPPer]", f"{own}:RANGe:AUTO", quantity, "measure"),
                self.setting(f"{own}:RANGe:AUTO:LLIMit", limit_kind, self.core.function(quantity), "lowest_auto_range"),
                self.inert(f"{own}:RANGe:AUTO:ULIMit", limit_kind, ranges[-1].full_scale),
                self.inert(f"{own}:RANGe:AUTO:MODE", Word("NORMal", "RESolution", "SPEed"), "NORM"),
                self.inert(f"{own}:RANGe:AUTO:THReshold", Number(11, 100, 90), 90.0),
            ]  # fmt: skip
        return commands

    def _system_commands(self) -> list[Command]:
        return [
            *self.error_commands(),
            Command(":SYSTem:VERSion", ask=lambda: "1999.0"),
            Command(":SYSTem:INTerlock:TRIPped", ask=self.when(lambda: self.faults.interlock_open)),
            self.inert(":SYSTem:LFRequency", Integer(50, 60, 50), int(LINE_HERTZ)),
            self.inert(":SYSTem:BEEPer:STATe", Switch(), True),
            Command(":SYSTem:BEEPer[:IMMediate]", (Number(55, 6640), Number(0.05, 12.75)), lambda *_: None),
            Command(":SYSTem:TIME:TIMer:COUNt", ask=lambda: self.style.number(self.data.seconds())),
            Command(":SYSTem:TIME:TIMer:COUNt:RESet[:IMMediate]", do=self.data.reset_time),
            Command(":SYSTem:PRESet", do=self.reset),
            *(Command(f":SYSTem:{name}", do=lambda: None) for name in ("LOCal", "REMote", "RWLock")),
            self.inert(":SYSTem:LANGuage", Text(), "DEF"),
            self.inert(":DISPlay:ENABle", Switch(), True),
            self.inert(":DISPlay:DIGits", Integer(4, 7, 7), 7),
            *(self.inert(f":DISPlay[:WINDow#2]:TEXT#2{tail}", kind, value)
              for tail, kind, value in ((":DATA", Text(), ""), (":STATe", Switch(), False))),
        ]  # fmt: skip


class KeysightB2911A(KeysightB2901A):
    """A B2911A: a 10 nA range, finer steps of the source."""

    name = "B2911A"
    model = _model(0, 1e-6)

