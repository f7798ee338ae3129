"""Rigs and run scripts: precedence, and refusals that say file, table, key and what is allowed."""

from pathlib import Path

import pytest

from hwloop.config import BOARDS, EFFECTS, PRESETS, RATINGS_BOARD, RATINGS_DEFAULTS, change_rig, load_rig, variable_of
from hwloop.errors import UsageError
from hwloop.link import protocol
from hwloop.mock import bench_config, presets
from hwloop.runscript import ImageOptions, RatingsOptions, load_run_script


def written(folder, text, name="rig.toml"):
    path = folder / name
    path.write_text(text)
    return str(path)


def test_the_default_rig_is_a_simulated_board_with_every_effect_on():
    rig = load_rig()
    assert (rig.board.backend, rig.board.name, rig.board.serial, rig.array.serial) == ("mock", "hwloop-128x16", 1, 1)
    assert (rig.environment.preset, rig.environment.off) == ("default", ())


def test_the_ideal_rig_maps_zero_to_zero():
    assert load_rig("ideal").program.conductance_min_siemens == 0.0


def test_the_application_names_the_board_where_nothing_else_does(tmp_path):
    assert load_rig(defaults=RATINGS_DEFAULTS).board.name == RATINGS_BOARD
    rig = written(tmp_path, '[board]\nname = "hwloop-128x16"\n')
    assert load_rig(rig, defaults=RATINGS_DEFAULTS).board.name == "hwloop-128x16"


def test_command_line_beats_environment_beats_script_beats_file_beats_default(tmp_path):
    rig = written(tmp_path, "[solver]\naverages = 2\n[program]\naverages = 2\n[board]\nretries = 2\nserial = 2\n")
    script = ("run.toml", {"solver": {"averages": 3}, "program": {"averages": 3}, "board": {"retries": 3}})
    environment = {"HWLOOP_SOLVER_AVERAGES": "4", "HWLOOP_PROGRAM_AVERAGES": "4"}
    config = load_rig(rig, environment=environment, options={"solver": {"averages": 5}}, script=script)
    assert config.solver.averages == 5
    assert config.program.averages == 4
    assert config.board.retries == 3
    assert config.board.serial == 2
    assert config.solver.repeats == load_rig().solver.repeats


def test_boards_and_effects_are_those_of_the_simulated_bench():
    assert set(BOARDS) == set(protocol.BOARDS)
    assert set(EFFECTS) == set(bench_config.DEVICE_EFFECTS + bench_config.BOARD_EFFECTS)
    assert set(PRESETS) == set(presets.PRESETS)


def test_quantities_have_units_and_become_si(tmp_path):
    rig = written(tmp_path, '[environment]\ntemperature = "60 C"\n[program]\nconductance_max = "200 uS"\n')
    assert load_rig(rig).environment.temperature_celsius == 60.0
    assert load_rig(rig).program.conductance_max_siemens == pytest.approx(200e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[bord]\n", "rig.toml: unknown key 'bord'; did you mean 'board'?"),
        ("[board]\nbaudrate = 1\n", r"rig.toml \[board\]: unknown key 'baudrate'; did you mean 'baud_rate'?"),
        ("[solver]\nxyz = 1\n", r"\[solver\]: unknown key 'xyz'; allowed: auto_zero, averages"),
        ("[environment]\ntemperature = 25\n", r"\[environment\]: temperature is 25: expected a number with a unit"),
        ('[environment]\ntemperature = "900 C"\n', "temperature is '900 C': allowed -40 to 125 celsius"),
        ('[environment]\noff = ["relaxtion"]\n', "off has 'relaxtion': allowed .* did you mean 'relaxation'?"),
        ('[program]\nstrategy = "magic"\n', "strategy is 'magic': allowed adaptive, ispva, igvva"),
        ("[program]\naverages = 1.5\n", "averages is 1.5: expected a whole number, 1 to 1000"),
        ("[program]\ntolerance = nan\n", "tolerance is nan: expected a number"),
        ("[solver]\nauto_zero = 3\n", "auto_zero is 3: expected true or false"),
        ('[program]\nconductance_min = "200 uS"\nconductance_max = "100 uS"\n', "conductance_min is 0.0002 S"),
        ('[board]\nbackend = "emulate"\n', "backend is 'emulate': allowed mock, host, emulated, real.*emulated"),
        ('[board]\nfirmware = "x"\n', r"\[board\] firmware belongs to backends host and emulated, backend is mock"),
        ('[board]\nbackend = "real"\n', r"backend is real, so \[board\] port is needed"),
        ('[board]\nbackend = "real"\nport = "/dev/x"\nstate = "s"\n', "belong to a simulated board"),
        ('[board]\nbackend = "real"\nport = "/dev/x"\n[environment]\npreset = "ideal"\n', "belongs to a sim"),
        ("board = 3\n", r"board is 3: expected a table \[board\]"),
        ("[board\n", "is not TOML: .*line 1"),
    ],
)
def test_a_rig_that_does_not_fit_is_refused(tmp_path, text, message):
    with pytest.raises(UsageError, match=message):
        load_rig(written(tmp_path, text))


def test_a_value_that_is_overridden_is_still_checked(tmp_path):
    rig = written(tmp_path, "[solver]\naverages = 0\n")
    with pytest.raises(UsageError, match="averages is 0"):
        load_rig(rig, options={"solver": {"averages": 4}})


def test_a_rig_can_be_changed_by_the_same_rules():
    rig = change_rig(load_rig(), {"solver": {"output_gain": "1.02", "output_offset": "-2 mV"}}, "--set")
    assert (rig.solver.output_gain, rig.solver.output_offset_volts) == (1.02, -0.002)
    assert rig.program == load_rig().program
    for tables, message in (
        ({"solver": {"output_gane": "1"}}, "--set: unknown key 'output_gane'; did you mean 'output_gain'"),
        ({"solver": {"output_offset": "1 V"}}, "output_offset is '1 V': allowed -0.1 to 0.1 volts"),
        ({"program": {"conductance_min": "225 uS"}}, "allowed below conductance_max"),
    ):
        with pytest.raises(UsageError, match=message):
            change_rig(load_rig(), tables, "--set")


def test_no_such_rig_names_those_that_there_are():
    with pytest.raises(UsageError, match="neither a file nor one of default, ideal"):
        load_rig("nowhere")


def test_an_unknown_variable_is_refused_with_a_suggestion_and_a_bad_one_by_name():
    with pytest.raises(UsageError, match="HWLOOP_BOADR_PORT'; did you mean 'HWLOOP_BOARD_PORT'"):
        load_rig(environment={"HWLOOP_BOADR_PORT": "/dev/x"})
    with pytest.raises(UsageError, match="environment HWLOOP_BACKEND .*is 'fpga'"):
        load_rig(environment={"HWLOOP_BACKEND": "fpga"})


def test_other_variables_are_nobodys_business():
    assert load_rig(environment={"HOME": "/", "HWLOOP_DATA": "/data", "HWLOOP_CI": "1"}) == load_rig()


def test_options_of_the_command_line_keep_their_name_in_the_environment():
    assert variable_of("board", "backend") == "HWLOOP_BACKEND"
    assert load_rig(environment={"HWLOOP_SERIAL_NUMBER": "7"}).board.serial == 7


def test_a_run_script_has_an_application_its_options_and_its_rig(tmp_path):
    text = 'application = "image"\nrig = "ideal"\nseed = 3\n[image]\nrank = 4\n[solver]\naverages = 2\n'
    script = load_run_script(tmp_path / written(tmp_path, text, "run.toml"))
    assert script.options == ImageOptions(rank=4)
    assert (script.rig, script.seed, script.rig_tables) == ("ideal", 3, {"solver": {"averages": 2}})


def test_none_stands_for_a_number_that_is_not_said(tmp_path):
    text = 'application = "ratings"\n[ratings]\nridge = "none"\nfactor_bits = "none"\nclip_low = 0.5\n'
    options = load_run_script(Path(written(tmp_path, text))).options
    assert (options.ridge, options.factor_bits, options.clip_low, options.clip_high) == (None, None, 0.5, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('application = "video"\n', "application is 'video': allowed image, ratings, matrix"),
        ('application = "image"\n[ratings]\n', "unknown key 'ratings'"),
        ('application = "image"\n[image]\nrang = 2\n', r"\[image\]: unknown key 'rang'; did you mean 'rank'?"),
        ('application = "image"\n[image]\nrank = 0\n', "rank is 0: expected a whole number, 1 or more"),
        ('application = "image"\nseed = "1"\n', "seed is '1': expected a whole number"),
        ('application = "ratings"\n[ratings]\nfold = "6"\n', "fold is '6': allowed all, 1, 2, 3, 4, 5"),
    ],
)
def test_a_run_script_that_does_not_fit_is_refused(tmp_path, text, message):
    with pytest.raises(UsageError, match=message):
        load_run_script(tmp_path / written(tmp_path, text, "run.toml"))


def test_the_committed_run_scripts_are_valid(request):
    folder = request.config.rootpath / "runs"
    assert load_run_script(folder / "nebula.toml").options == ImageOptions()
    ratings = load_run_script(folder / "movielens.toml").options
    assert isinstance(ratings, RatingsOptions) and ratings.rank == 8 and ratings.fold == "all"
