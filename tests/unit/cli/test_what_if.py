"""`hwloop replay --set` and the options that it made worth having, as a person or a script uses them."""

import json
from pathlib import Path


def test_a_what_if_by_command(here, inputs):
    done = here("factorize", "image", "p.png", "--iterations", "1", "--run-file", "i.h5", "--json")
    assert done.returncode == 0, done.stderr
    own = json.loads(done.stdout)
    done = here("replay", "i.h5", "--set", "image.metric=mae", "--set", "image.factor_bits=4", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["what_if"] == {"image.metric": "mae", "image.factor_bits": "4"}
    assert document["factors_sha256"] == own["factors_sha256"] and document["psnr_db"] < own["psnr_db"]
    assert all("what-if" in Path(picture).parent.name for picture in document["pictures"])
    done = here("replay", "i.h5", "--set", "image.metric=ssim")
    assert done.returncode == 0 and done.stdout == ""
    assert done.stderr.lstrip().startswith("what-if    image.metric=ssim, as the recording i answers it")
    done = here("replay", "i.h5", "--set", "image.patch=4")
    assert done.returncode == 7 and "image.patch=4 cannot be answered by this recording" in done.stderr
    done = here("replay", "i.h5", "--set", "image.patsh=4")
    assert done.returncode == 2 and "did you mean 'patch'" in done.stderr
    done = here("replay", "i.h5", "--set", "image.patch=4", "--serve", "pty")
    assert done.returncode == 2 and "--set does not go with --serve" in done.stderr


def test_the_options_are_those_of_ordinary_runs_and_of_run_scripts(here, inputs):
    by_line = here(
        "factorize", "ratings", "ratings.csv", "--fold", "1", "--rank", "2", "--iterations", "1", "--ridge", "0.1",
        "--clip-low", "2", "--clip-high", "4.5", "--metric", "mae", "--factor-bits", "6", "--json",
    )
    Path("run.toml").write_text(
        'application = "ratings"\n[ratings]\npath = "ratings.csv"\nfold = "1"\nrank = 2\niterations = 1\nridge = 0.1\n'
        'clip_low = 2\nclip_high = 4.5\nmetric = "mae"\nfactor_bits = 6\n'
    )
    first, second = (json.loads(done.stdout) for done in (by_line, here("run", "run.toml", "--json")))
    for key in ("metric", "clip", "factor_bits", "mae", "rmse", "iterations", "factors_sha256"):
        assert first[key] == second[key], key
    assert first["clip"] == [2.0, 4.5] and first["factor_bits"] == 6 and "mae" in first["iterations"][0]


def test_image_and_matrix_take_theirs(here, inputs):
    plan = ("--dry-run", "--json")
    image = ("factorize", "image", "p.png", "--metric", "ssim", "--reference", "p.png", "--factor-bits", "none")
    assert here(*image, *plan).returncode == 0
    assert here("factorize", "matrix", "m.npy", "--factor-bits", "8", *plan).returncode == 0
    done = here("factorize", "matrix", "m.npy", "--factor-bits", "0")
    assert done.returncode == 2 and "factor_bits is '0': expected a whole number, 1 to 16, or none" in done.stderr
    done = here("factorize", "image", "p.png", "--reference", "none.png")
    assert done.returncode == 6 and "none.png: No such file" in done.stderr
