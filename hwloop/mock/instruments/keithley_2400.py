"""A simulated Keithley 2400 source meter.

Sources: Keithley, 2400 Series SourceMeter User's Manual 2400S-900-01 Rev. K (commands, defaults, status, errors) and
its specifications (ranges, one-year accuracy, 5½ digits). Volts, amps and ohms of a reading share one integration time.
"""

from __future__ import annotations

from hwloop.mock.instruments.keithley_2400_data import Data
from hwloop.mock.instruments.keithley_2400_triggers import Triggers
from hwloop.mock.instruments.scpi import Command
from hwloop.mock.instruments.scpi_kinds import Integer, Many, Number, ScpiError, Style, Switch, Text, Word
from hwloop.mock.instruments.smu_instrument import NAMES, UNITS, SmuInstrument
from hwloop.mock.instruments.smu_model import AMPS, LINE_HERTZ, VOLTS, Corner, Function, Range, SmuModel

_V = (
    # full scale, measure gain and offset, source gain and offset, source step, measure step, noise rms
    Range(0.2, 1.2e-4, 300e-6, 2.0e-4, 600e-6, 5e-6, 1e-6, 1e-6),
    Range(2.0, 1.2e-4, 300e-6, 2.0e-4, 600e-6, 50e-6, 10e-6, 6e-6),
    Range(20.0, 1.5e-4, 1.5e-3, 2.0e-4, 2.4e-3, 500e-6, 100e-6, 6e-5),
    Range(200.0, 1.5e-4, 10e-3, 2.0e-4, 24e-3, 5e-3, 1e-3, 6e-4),
)
_A = (
    Range(1e-6, 2.9e-4, 300e-12, 3.5e-4, 600e-12, 50e-12, 10e-12, 1e-11, 3e-3),
    Range(1e-5, 2.7e-4, 700e-12, 3.3e-4, 2e-9, 500e-12, 100e-12, 6e-11, 2e-3),
    Range(1e-4, 2.5e-4, 6e-9, 3.1e-4, 20e-9, 5e-9, 1e-9, 5e-10),
    Range(1e-3, 2.7e-4, 60e-9, 3.4e-4, 200e-9, 50e-9, 10e-9, 5e-9),
    Range(1e-2, 3.5e-4, 600e-9, 4.5e-4, 2e-6, 500e-9, 100e-9, 5e-8),
    Range(1e-1, 5.5e-4, 6e-6, 6.6e-4, 20e-6, 5e-6, 1e-6, 5e-7),
    Range(1.0, 2.2e-3, 570e-6, 2.7e-3, 900e-6, 50e-6, 10e-6, 5e-6, 2e-3),
)
MODEL = SmuModel(
    _V, _A, (Corner(21.0, 1.05), Corner(210.0, 0.105)),
    overhead_seconds=300e-6, autozero_phases=3, range_change_seconds=10e-3,
    least_delay_seconds=1e-3,
)  # fmt: skip
BLOCKED, POWER_LIMIT, READ_BACK_ON, BEYOND_COMPLIANCE = 802, 826, 823, 824
FUNCTIONS = ("VOLT", "CURR", "RES")
_NAMES = Word("VOLTage", "CURRent", "RESistance", "VOLTage:DC", "CURRent:DC", quotes=True)


class Keithley2400(SmuInstrument):
    """One instrument at its terminals. See SmuInstrument. `faults.interlock_open` is the output enable line."""

    model = MODEL
    style = Style("{:+.6E}".format)
    registers_of = {"MEASurement": 1, "QUEStionable": 8, "OPERation": 128}
    texts = {
        -222: "Parameter data out of range", 800: "Illegal with storage active",
        BLOCKED: "OUTPUT blocked by output enable",
        803: "Not permitted with OUTPUT off", READ_BACK_ON: "Invalid with source read-back on",
        BEYOND_COMPLIANCE: "Cannot exceed compliance range", 825: "Invalid with auto-ohms on",
        POWER_LIMIT: "Attempt to exceed power limit", -350: "Queue overflow",
    }  # fmt: skip
    envelope_error = POWER_LIMIT
    told_range_factor = MODEL.over_range
    bytes_per_second = 200e3  # GPIB

    def identity(self) -> str:
        """The answer to *IDN?."""
        return f"KEITHLEY INSTRUMENTS INC.,MODEL 2400,{self.serial_number:07d},C34 Sep 21 2016 15:30:00/A02  /T/K"

    def error_bit(self, code: int) -> int:
        """Additional command execution errors (+800…) are execution errors here. See ScpiInstrument."""
        return 16 if 800 <= code < 900 else super().error_bit(code)

    def interlock_error(self) -> int:
        """See SmuInstrument."""
        return BLOCKED

    def check_interlock(self) -> None:
        """With the output enable line used and not asserted there is no output at all."""
        if self.output_enable and self.faults.interlock_open and self.core.settings.output_on:
            self.core.set_output(False)
            raise ScpiError(BLOCKED)

    def reset(self) -> None:
        """*RST. The buffer is not touched."""
        self.core.set_output(False)
        self.reset_functions(
            VOLT=Function(source_range=20.0, measure_range=20.0, limit=21.0),
            CURR=Function(source_range=1e-4, measure_range=1e-4, limit=105e-6),
        )
        settings = self.core.settings
        settings.source, settings.ovp_volts = VOLTS, float("inf")
        self.sensed, self.concurrent, self.ohms_auto, self.ohms_range_auto = {"CURR"}, True, True, True
        self.remote_sense = self.output_enable = self.clears_output = False
        self.filter_on, self.filter_count = False, 10
        self.autozero, self.nplc, self.delay_seconds, self.delay_auto = True, 1.0, 0.0, True
        self.apply()
        self.data.reset()
        self.triggers.reset()

    def apply(self) -> None:
        """What is set once for all functions goes to both of them."""
        for quantity in NAMES:
            function = self.core.function(quantity)
            function.nplc, function.autozero, function.remote_sense = self.nplc, self.autozero, self.remote_sense
            function.delay_seconds, function.delay_auto = self.delay_seconds, self.delay_auto
            function.filter_on, function.filter_count = self.filter_on, self.filter_count
        ohms = (VOLTS, AMPS) if "RES" in self.sensed else ()
        order = [q for q in (self.core.settings.source, VOLTS, AMPS) if q in self.sensed or q in ohms]
        # The measured function that is not sourced leads: its range is what limits.
        self.core.settings.measured = tuple(dict.fromkeys(reversed(order))) or (self.core.settings.source,)

    # Actions.
    def put_source(self, source: str) -> None:
        """SOURce:FUNCtion: another function turns the output off."""
        if source != self.core.settings.source:
            self.core.set_output(False)
        self.core.settings.source = source
        self.apply()

    def sense(self, names: list[str]) -> None:
        """SENSe:FUNCtion[:ON]: functions join the enabled ones, or, not concurrent, the last one is enabled alone."""
        wanted = [name.removesuffix(":DC") for name in names]
        self.sensed = self.sensed | set(wanted) if self.concurrent else {wanted[-1]}
        self.apply()

    def unsense(self, names: list[str]) -> None:
        """SENSe:FUNCtion:OFF."""
        self.sensed = self.sensed - {name.removesuffix(":DC") for name in names}
        self.apply()

    def _put_concurrent(self, on: bool) -> None:
        self.concurrent = on
        if not on:
            self.sensed = {"VOLT"}  # as the manual has it
        self.apply()

    def _put_autozero(self, word: str) -> None:
        self.autozero = word in ("ON", "1")
        if word == "ONCE":
            self.core.zero()
        self.apply()

    def _put_protection(self, volts: float) -> None:
        self.core.settings.ovp_volts = volts if volts <= 160 else float("inf")
        self.core.touch()

    def _protection(self, bound: float | None = None) -> str:
        return self.style.number(min(self.core.settings.ovp_volts, 210.0) if bound is None else bound)

    def on_range_below_level(self, quantity: str) -> None:
        """The level is set to what the range takes: zero."""
        self.core.function(quantity).level = 0.0

    def check_measure_range(self, quantity: str, value: float) -> None:
        """+823: read-back has the source's range; +824: a range above the one of the compliance."""
        if quantity == self.core.settings.source:
            raise ScpiError(READ_BACK_ON)
        limit = self.core.function(quantity).limit
        if self.model.range_index(quantity, value) > self.model.range_index(quantity, limit):
            raise ScpiError(BEYOND_COMPLIANCE)

    # The tree.
    def commands(self) -> list[Command]:
        """See ScpiInstrument."""
        self.data = Data(self)
        self.triggers = Triggers(self, self.data)
        return [
            *self._source_commands(), *self._sense_commands(), *self._system_commands(), *self.data.commands(),
            *self.triggers.commands(),
        ]  # fmt: skip

    def _source_commands(self) -> list[Command]:
        core, head = self.core, "[:SOURce#1]"
        commands = [
            Command(":OUTPut#1[:STATe]", (Switch(),), self.put_output, self.when(lambda: core.settings.output_on)),
            self.setting(":OUTPut#1:ENABle[:STATe]", Switch(), self, "output_enable"),
            Command(":OUTPut#1:ENABle:TRIPped", ask=self.when(lambda: not self.faults.interlock_open)),
            self.inert(":OUTPut#1:SMODe", Word("HIMPedance", "NORMal", "ZERO", "GUARd"), "NORM"),
            Command(f"{head}:FUNCtion[:MODE]", (Word(*NAMES.values()),), self.put_source, lambda: core.settings.source),
            self.setting(f"{head}:DELay", Number(0.0, 999.9999, 0.0, "S"), self, "delay_seconds", self._own_delay),
            self.setting(f"{head}:DELay:AUTO", Switch(), self, "delay_auto", self.apply),
            Command(f"{head}:CLEar[:IMMediate]", do=lambda: core.set_output(False)),
            self.setting(f"{head}:CLEar:AUTO", Switch(), self, "clears_output"),
        ]
        for quantity, name in NAMES.items():
            own = f"{head}:{name}"
            commands += [
                self.level_setting(f"{own}[:LEVel][:IMMediate][:AMPLitude]", quantity),
                self.setting(f"{own}[:LEVel]:TRIGgered[:AMPLitude]", self.level_kind(quantity),
                             core.function(quantity), "triggered_level"),
                *self.range_settings(f"{own}:RANGe", f"{own}:RANGe:AUTO", quantity, "source"),
            ]  # fmt: skip
        volts = Number(0.0, 210.0, 210.0, "V")
        protection = self.setting(f"{head}:VOLTage:PROTection[:LEVel]", volts, core.settings, "ovp_volts")
        return [
            *commands,
            Command(protection.pattern, (volts,), self._put_protection, self._protection, protection.ask_kinds),
            Command(f"{protection.pattern}:TRIPped", ask=self.when(lambda: core.last_protected)),
        ]

    def _own_delay(self) -> None:
        self.delay_auto = False
        self.apply()

    def _sense_commands(self) -> list[Command]:
        head, names = "[:SENSe#1]", (Many(_NAMES, 1, 3),)

        def listed(inside: bool) -> str:
            full = {"VOLT": '"VOLT:DC"', "CURR": '"CURR:DC"', "RES": '"RES"'}
            return ",".join(full[name] for name in FUNCTIONS if (name in self.sensed) == inside) or '""'

        commands = [
            Command(f"{head}:FUNCtion[:ON]", names, self.sense, lambda: listed(True)),
            Command(f"{head}:FUNCtion[:ON]:ALL", do=lambda: self.sense(list(FUNCTIONS))),
            Command(f"{head}:FUNCtion[:ON]:COUNt", ask=lambda: str(len(self.sensed))),
            Command(f"{head}:FUNCtion:OFF", names, self.unsense, lambda: listed(False)),
            Command(f"{head}:FUNCtion:OFF:ALL", do=lambda: self.unsense(list(FUNCTIONS))),
            Command(f"{head}:FUNCtion:OFF:COUNt", ask=lambda: str(3 - len(self.sensed))),
            Command(f"{head}:FUNCtion:STATe", ask=lambda name: str(int(name.removesuffix(":DC") in self.sensed)),
                    ask_kinds=(_NAMES,)),
            Command(f"{head}:FUNCtion:CONCurrent", (Switch(),), self._put_concurrent,
                    self.when(lambda: self.concurrent)),
            self.setting(f"{head}:RESistance:MODE", _Mode(), self, "ohms_auto"),
            self.inert(f"{head}:RESistance:OCOMpensated", Switch(), False),
            self.inert(f"{head}:RESistance:RANGe[:UPPer]", Number(0.0, 210e6, 210e3, "OHM"), 210e3),
            self.setting(f"{head}:RESistance:RANGe:AUTO", Switch(), self, "ohms_range_auto"),
            self.setting(f"{head}:AVERage[:STATe]", Switch(), self, "filter_on", self.apply),
            self.setting(f"{head}:AVERage:COUNt", Integer(1, 100, 10), self, "filter_count", self.apply),
            self.inert(f"{head}:AVERage:TCONtrol", Word("REPeat", "MOVing"), "REP"),
        ]  # fmt: skip
        for name in ("VOLTage[:DC]", "CURRent[:DC]", "RESistance"):
            commands.append(
                self.setting(f"{head}:{name}:NPLCycles", Number(0.01, 10.0, 1.0), self, "nplc", self.apply)
            )
        for quantity, default, lowest in ((VOLTS, 21.0, 200e-6), (AMPS, 105e-6, 1e-9)):
            own, function = f"{head}:{NAMES[quantity]}[:DC]", self.core.function(quantity)
            ranges = self.model.ranges(quantity)
            commands += [
                self.limit_setting(f"{own}:PROTection[:LEVel]", quantity, default, lowest),
                Command(f"{own}:PROTection[:LEVel]:TRIPped",
                        ask=self.when(lambda quantity=quantity: self.core.settings.source != quantity
                                      and self.core.last_limited)),
                self.inert(f"{own}:PROTection:RSYNchronize", Switch(), False),
                *self.range_settings(f"{own}:RANGe[:UPPer]", f"{own}:RANGe:AUTO", quantity, "measure"),
                self.setting(f"{own}:RANGe:AUTO:LLIMit",
                             Number(ranges[0].full_scale, ranges[-1].full_scale, ranges[0].full_scale, UNITS[quantity]),
                             function, "lowest_auto_range"),
            ]  # fmt: skip
        return commands

    def _system_commands(self) -> list[Command]:
        zero = Word("ON", "OFF", "ONCE", "1", "0")
        return [
            *self.error_commands(),
            Command(":STATus:QUEue[:NEXT]", ask=self.next_error),
            Command(":STATus:QUEue:CLEar", do=self.errors.clear),
            Command(":SYSTem:CLEar", do=self.errors.clear),
            Command(":SYSTem:VERSion", ask=lambda: "1996.0"),
            Command(":SYSTem:PRESet", do=self._preset),
            Command(":SYSTem:AZERo[:STATe]", (zero,), self._put_autozero, self.when(lambda: self.autozero)),
            self.inert(":SYSTem:AZERo:CACHing[:STATe]", Switch(), True),
            self.setting(":SYSTem:RSENse", Switch(), self, "remote_sense", self.apply),
            self.inert(":SYSTem:LFRequency", Integer(50, 60, 60), int(LINE_HERTZ)),
            self.inert(":SYSTem:LFRequency:AUTO", Switch(), True),
            self.inert(":SYSTem:GUARd", Word("OHMS", "CABLe"), "CABL"),
            self.inert(":SYSTem:POSetup", Word("RST", "PRESet", "SAV0", "SAV1", "SAV2", "SAV3", "SAV4"), "RST"),
            self.inert(":SYSTem:BEEPer:STATe", Switch(), True),
            Command(":SYSTem:BEEPer[:IMMediate]", (Number(65, 2e6), Number(0, 7.9)), lambda *_: None),
            Command(":SYSTem:TIME:RESet", do=self.data.reset_time),
            self.inert(":SYSTem:TIME:RESet:AUTO", Switch(), False),
            *(Command(f":SYSTem:{name}", do=lambda: None) for name in ("LOCal", "REMote", "RWLock")),
            self.inert(":DISPlay:ENABle", Switch(), True),
            self.inert(":DISPlay:DIGits", Integer(4, 7, 6), 6),
            Command(":DISPlay:CNDisplay", do=lambda: None),
            *(self.inert(f":DISPlay{window}:TEXT{tail}", kind, value)
              for window in ("[:WINDow#1]", ":WINDow2")
              for tail, kind, value in (("[:DATA]", Text(), ""), (":STATe", Switch(), False))),
            self.inert(":ROUTe:TERMinals", Word("FRONt", "REAR"), "FRON"),
        ]  # fmt: skip

    def _preset(self) -> None:
        self.reset()
        self.data.format.swapped = True

    def trigger(self) -> None:
        """*TRG."""
        self.triggers.bus()


class _Mode:
    """MANual or AUTO, as a truth value: auto."""

    def parse(self, text: str) -> bool:
        """See Kind."""
        return Word("MANual", "AUTO").parse(text) == "AUTO"

    def render(self, value: bool, style: Style) -> str:
        """See Kind."""
        return "AUTO" if value else "MAN"
