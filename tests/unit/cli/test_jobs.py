"""Whole commands as a person or a script runs them: processes, files, one JSON document."""

import json
from pathlib import Path

import numpy as np

IMAGE = ("factorize", "image", "p.png", "--iterations", "1", "--seed", "3")


def test_json_is_one_document_and_a_run_script_is_the_command_line(hwloop, inputs):
    by_line = hwloop(*IMAGE, "--json")
    assert by_line.returncode == 0 and by_line.stdout.count("\n") == 1
    Path("run.toml").write_text('application = "image"\nseed = 3\n[image]\npath = "p.png"\niterations = 1\n')
    by_script = hwloop("run", "run.toml", "--json")
    first, second = json.loads(by_line.stdout), json.loads(by_script.stdout)
    assert first["factors_sha256"] == second["factors_sha256"]
    assert first["psnr_db"] == second["psnr_db"]
    assert Path(first["run_file"]).exists() and all(Path(picture).exists() for picture in first["pictures"])
    assert first["run_file"] != second["run_file"]


def test_the_committed_run_script_is_the_default_command(hwloop, request):
    script = request.config.rootpath / "runs" / "nebula.toml"
    plans = [
        json.loads(hwloop(*arguments, "--dry-run", "--json").stdout)
        for arguments in (("run", script), ("factorize", "image"))
    ]
    assert plans[0] == plans[1] and plans[0]["solves"] == 3072 * 16 * 6


def test_text_is_on_stderr_and_the_command_line_beats_the_script(hwloop, inputs):
    Path("run.toml").write_text('application = "image"\nseed = 3\n[image]\npath = "p.png"\niterations = 1\n')
    done = hwloop("run", "run.toml", "--seed", "4", "--no-progress")
    assert done.returncode == 0 and done.stdout == ""
    assert "seed 4" in done.stderr and "PSNR" in done.stderr and "\x1b" not in done.stderr
    assert done.stderr.isascii()


def test_ratings_then_recommendations(hwloop, inputs):
    done = hwloop("factorize", "ratings", "ratings.csv", "--fold", "1", "--rank", "2", "--iterations", "1")
    assert done.returncode == 0, done.stderr
    done = hwloop("recommend", "--user", "u1", "--top", "2", "--json")
    assert len(json.loads(done.stdout)["items"]) == 2
    done = hwloop("recommend", "--user", "nobody")
    assert done.returncode == 6 and "user 'nobody' is unknown" in done.stderr


def test_compressed_and_decoded(hwloop, here, inputs):
    assert hwloop(*IMAGE, "--compressed", "p.hwnmf", "--run-file", "here.h5", "--pictures", "pictures").returncode == 0
    assert sorted(path.name for path in Path("pictures").iterdir()) == [
        "here-comparison.png", "here-conductance.png", "here-convergence.png"
    ]
    assert here("image", "decode", "p.hwnmf", "out.png", "--dry-run").returncode == 0 and not Path("out.png").exists()
    assert here("image", "decode", "p.hwnmf", "out.png").returncode == 0 and Path("out.png").exists()


def test_a_durable_board_from_pristine_to_factors_in_separate_processes(hwloop, inputs):
    board = ("--state", "chip")
    refused = hwloop(*IMAGE, *board, "--pristine")
    assert refused.returncode == 4 and "hwloop array form" in refused.stderr
    assert hwloop("array", "form", *board, "--yes").returncode == 0
    assert hwloop("array", "program", "c.npy", "--row", "7", *board).returncode in (0, 1)
    assert hwloop("array", "mask", "--rows", "0:4", *board).returncode == 0
    assert hwloop("array", "read", "read.npy", "--rows", "7:12", *board).returncode == 0
    error_siemens = np.load("read.npy")[:, :4] - np.load("c.npy")
    assert np.median(np.abs(error_siemens)) < 0.03 * 222e-6
    done = hwloop(*IMAGE, *board)
    assert done.returncode == 0 and "forgotten" not in done.stderr
    done = hwloop("array", "show", *board, "--json")
    assert list(json.loads(done.stdout)["bad_cells"].values()).count("masked") == 2 * 4 * 16


def test_goals_that_are_missed_are_told_after_the_result(hwloop, inputs):
    np.save("all.npy", np.full((128, 16), 100e-6))
    assert hwloop("array", "program", "all.npy", "--array", "A").returncode == 0     # a few dead cells are no failure
    bad_chip = {"HWLOOP_ENVIRONMENT_PRESET": "low-yield"}                               # 5 % of them are
    done = hwloop("array", "program", "all.npy", "--array", "A", "--json", environment=bad_chip)
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert document["accepted"] < document["cells"] == 2048
    assert f"{2048 - document['accepted']} of 2,048 cells were not brought to their targets" in done.stderr
    done = hwloop(*IMAGE, environment={"HWLOOP_SOLVER_SHADOW": "stop", "HWLOOP_SOLVER_SHADOW_LIMIT": "1e-9"})
    assert done.returncode == 1 and "the shadow's policy is to stop" in done.stderr
    assert [path.suffix for path in Path("runs").glob("*-image-*")] == [".journal"]


def test_served_boards_give_the_same_factors_as_private_ones(here, serve, real_rig, inputs):
    _, port = serve("--seed", "3")
    done = here(*IMAGE, "--rig", real_rig(port), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["factors_sha256"] == json.loads(here(*IMAGE, "--json").stdout)["factors_sha256"]
