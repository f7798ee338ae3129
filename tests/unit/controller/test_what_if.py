"""`replay --set`: recorded runs with something changed; what their recordings answer, and what is said where not."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hwloop.apps import image as image_app
from hwloop.apps.rounding import round_factors
from hwloop.cli.output import _plain
from hwloop.controller.image_job import run_image
from hwloop.controller.matrix_job import run_matrix
from hwloop.controller.ratings_job import run_ratings
from hwloop.controller.replay_job import replay_run
from hwloop.controller.solve_job import SolveOptions, run_solve
from hwloop.errors import DivergenceError, UnansweredError, UsageError
from hwloop.report import Report
from hwloop.runlog.digest import file_sha256
from hwloop.runlog.run_file import read_run
from hwloop.runlog.sources import find_run
from hwloop.runscript import ImageOptions, MatrixOptions, RatingsOptions


@pytest.fixture(scope="module")
def image(inputs, settings_of):
    random = np.random.default_rng(2)
    Image.fromarray(random.integers(0, 256, (16, 16, 3), np.uint8)).save("q.png")
    return run_image(ImageOptions(Path("p.png"), iterations=2, run_file=Path("image.h5")), settings_of(), Report())


@pytest.fixture(scope="module")
def ratings(inputs, settings_of):
    options = RatingsOptions(Path("ratings.csv"), rank=2, iterations=2, ridge=0.1, run_file=Path("ratings.h5"))
    return run_ratings(options, settings_of(board={"name": "hwloop-4096x16"}), Report())


@pytest.fixture(scope="module")
def matrix(inputs, settings_of):
    options = MatrixOptions(Path("m.npy"), rank=3, iterations=2, run_file=Path("matrix.h5"))
    return run_matrix(options, settings_of(), Report())


@pytest.fixture(scope="module")
def solve(inputs, settings_of):
    random = np.random.default_rng(3)
    np.save("x.npy", random.random((12, 3)))
    np.save("y.npy", random.random((12, 2)))
    return run_solve(SolveOptions(Path("x.npy"), Path("y.npy"), ridge=0.05), settings_of(), Report())


@pytest.fixture
def what_if(tmp_path):
    """Replays a run file with changes; gives the result."""

    def replay(name, *changes, report=None):
        return replay_run(find_run(name), report or Report(), tmp_path / "pictures", changes)

    return replay


def _document(found):
    return json.loads(json.dumps(_plain(found.document())))


def test_the_document_is_that_of_the_command_with_what_was_changed_and_names_no_run_file(ratings, what_if):
    found = what_if("ratings.h5", "ratings.clip_low=2", "ratings.clip_high=4")
    document, own = _document(found), _document(ratings)
    assert document.pop("what_if") == {"ratings.clip_low": "2", "ratings.clip_high": "4"}
    assert document.keys() == own.keys() and document["run_file"] is None
    assert document["factors_sha256"] == own["factors_sha256"] and document["clip"] == [2.0, 4.0]
    assert document["rmse"] != own["rmse"]
    first = found.text().splitlines()[0]
    assert first == "what-if    ratings.clip_low=2, ratings.clip_high=4, as the recording ratings answers it"


def test_a_what_if_is_what_the_run_itself_would_have_been(ratings, what_if, settings_of):
    """Made anew on the board with the same option, the figures are the same to the last bit."""
    options = RatingsOptions(Path("ratings.csv"), rank=2, iterations=2, ridge=0.1, metric="mae", clip_high=4.5)
    anew = _document(run_ratings(options, settings_of(board={"name": "hwloop-4096x16"}), Report()))
    found = _document(what_if("ratings.h5", "ratings.metric=mae", "ratings.clip_high=4.5"))
    for key in ("metric", "clip", "rmse", "mae", "folds", "iterations", "reference", "factors_sha256"):
        assert found[key] == anew[key], key
    assert set(found["iterations"][0]) == {"iteration", "mae", "reference_mae"}
    assert found["iterations"][-1]["mae"] == found["mae"]


def test_the_metric_of_ratings_is_told_first(ratings, what_if):
    for found, metric in ((ratings, "RMSE"), (what_if("ratings.h5", "ratings.metric=mae"), "MAE")):
        assert next(line for line in found.text().splitlines() if line.startswith("mean")).split()[1] == metric


def test_one_fold_of_all_is_answered_where_it_was_the_first(ratings, what_if):
    assert [fold["fold"] for fold in _document(what_if("ratings.h5", "ratings.fold=1"))["folds"]] == [1]
    with pytest.raises(UnansweredError, match="the run began with another fold"):
        what_if("ratings.h5", "ratings.fold=3")


def test_a_ridge_is_in_the_circuit_and_the_first_request_without_an_answer_is_named(ratings, what_if):
    with pytest.raises(UnansweredError) as raised:
        what_if("ratings.h5", "ratings.ridge=0.05", "ratings.clip_low=2")
    assert raised.value.exit_code == 7 and isinstance(raised.value, DivergenceError)
    assert str(raised.value) == (
        "ratings.ridge=0.05 cannot be answered by this recording: the ridge is in the circuit; the first request "
        f"without an answer is SOLVE, exchange {raised.value.exchange}, fold 1, iteration 1"
    )
    assert raised.value.recorded != raised.value.asked


@pytest.mark.parametrize("metric, key", [("ssim", "ssim"), ("rmse", "rmse"), ("mae", "mae")])
def test_the_metric_of_an_image_is_tracked_by_iteration(image, what_if, metric, key):
    document, own = _document(what_if("image.h5", f"image.metric={metric}")), _document(image)
    assert document["metric"] == metric and document["psnr_db"] == own["psnr_db"] and document["ssim"] == own["ssim"]
    assert set(document["iterations"][0]) == {
        "iteration", "residual", key, "reference_residual", f"reference_{key}"
    }
    assert document["iterations"][-1][key] == document[key]
    assert document["iterations"][-1][f"reference_{key}"] == document["reference"][key]


def test_figures_are_against_another_picture_where_one_is_named(image, what_if):
    found = what_if("image.h5", "image.reference=q.png")
    (pair,) = read_run("image.h5").factors()
    rebuilt, other = image_app.rebuild(pair.w, pair.h, (16, 16, 3)), image_app.load_photograph("q.png").pixels
    assert found.result.psnr_db == image_app.psnr_db(other, rebuilt) < image.psnr_db
    assert found.result.svd_bound_db is None and "against q.png" in found.text() and "SVD" not in found.text()
    Image.new("RGB", (8, 16)).save("small.png")
    with pytest.raises(UsageError, match="8x16 pixels in 3 channels, p.png 16x16 in 3"):
        what_if("image.h5", "image.reference=small.png")


def test_a_reference_is_an_input_of_a_run_and_its_replay_needs_no_file(image, settings_of, what_if):
    Path("r.png").write_bytes(Path("q.png").read_bytes())
    options = ImageOptions(
        Path("p.png"), iterations=1, reference=Path("r.png"), metric="mae", run_file=Path("against.h5")
    )
    found = run_image(options, settings_of(), Report())
    digest = file_sha256("r.png")
    Path("r.png").unlink()
    run = read_run("against.h5")
    assert [(source.name, source.sha256) for source in run.inputs][1] == ("r.png", digest)
    assert {item.name: item.value for item in run.metrics}["mae"] == _document(found)["mae"]
    assert _document(what_if("against.h5"))["mae"] == _document(found)["mae"]


def test_rounded_factors_change_the_figures_and_not_the_factors(image, what_if):
    found = what_if("image.h5", "image.factor_bits=3")
    (pair,) = read_run("image.h5").factors()
    rounded = image_app.rebuild(*round_factors(pair.w, pair.h, 3), (16, 16, 3))
    assert found.result.psnr_db == image_app.psnr_db(image_app.load_photograph("p.png").pixels, rounded)
    assert found.result.iterations[-1].quality == found.result.psnr_db != image.psnr_db
    assert found.result.factors_sha256 == image.factors_sha256
    assert "rounded    factors to 3 bits" in found.text()


def test_a_matrix_with_rounded_factors_has_the_residual_of_those(matrix, what_if):
    found = what_if("matrix.h5", "matrix.factor_bits=2").result
    (pair,) = read_run("matrix.h5").factors()
    values = np.load("m.npy")
    w, h = round_factors(pair.w, pair.h, 2)
    assert found.last_residual == pytest.approx(np.linalg.norm(values - w @ h) / np.linalg.norm(values))
    assert found.last_residual > found.residual[-1] == matrix.last_residual
    assert found.factors_sha256 == matrix.factors_sha256


def test_fewer_iterations_are_answered_and_more_are_not(image, what_if):
    assert len(what_if("image.h5", "image.iterations=1").result.iterations) == 1
    with pytest.raises(UnansweredError, match="so many were not made; .* after iteration 2 of circuit, the last one"):
        what_if("image.h5", "image.iterations=3")


def test_an_output_calibration_of_a_single_half_step_is_answered(solve, what_if):
    """The ridge, the scales and the inputs stay: a gain is that of the coefficients, an offset adds the same to all."""
    gained = what_if(solve.run_file, "solver.output_gain=1.25").result.solution
    np.testing.assert_allclose(gained, 1.25 * solve.solution)
    moved = what_if(solve.run_file, "solver.output_offset=1 mV").result.solution - solve.solution
    assert (moved > 0.0).all()
    twice = what_if(solve.run_file, "solver.output_offset=2 mV").result.solution - solve.solution
    np.testing.assert_allclose(twice, 2.0 * moved)


def test_an_offset_of_outputs_changes_what_the_next_half_step_asks(image, what_if):
    with pytest.raises(UnansweredError, match="the next half-step asks with them; .* circuit, iteration 1"):
        what_if("image.h5", "solver.output_offset=5 mV")


def test_a_shadow_that_warns_sends_nothing_and_one_that_refines_does(image, what_if, report):
    found = what_if("image.h5", "solver.shadow=warn", "solver.shadow_limit=0", report=report)
    assert found.result.factors_sha256 == image.factors_sha256
    assert any("deviate from exact NNLS" in note for note in report.notes)
    with pytest.raises(UnansweredError, match="asks for more solves, .* SOLVE, exchange"):
        what_if("image.h5", "solver.shadow=refine")


def test_other_programming_is_not_answered(image, what_if):
    with pytest.raises(UnansweredError, match="cells were programmed by another rule; .* circuit, iteration 1"):
        what_if("image.h5", "program.tolerance=0.1")


@pytest.mark.parametrize("change, message", [
    ("board.name=hwloop-16x4", r"\[board\] cannot be set in a what-if: the recording stands for the board"),
    ("array.serial=3", r"\[array\] cannot be set .* of this chip"),
    ("environment.preset=ideal", r"\[environment\] cannot be set .* whose replies are recorded"),
    ("image.run_file=x.h5", "says where files go"), ("image.compressed=x", "says where files go"),
    ("image.pictures=x", "says where files go"), ("image.path=q.png", "of its own input"),
    ("image.metrik=mae", "unknown key 'metrik'; did you mean 'metric'"),
    ("imag.metric=mae", "unknown key 'imag'; did you mean 'image'"),
    ("image.metric=snr", "metric is 'snr': allowed psnr, ssim, rmse, mae"),
    ("image.factor_bits=17", "factor_bits is '17': expected a whole number, 1 to 16, or none"),
    ("solver.output_gain=3", "output_gain is '3': expected a number, 0.5 to 2"),
    ("solver.output_offset=1", "output_offset is '1': expected a number with a unit of volts"),
    ("ratings.metric=mae", "a run of kind image, not ratings"), ("metric=mae", "expected TABLE.KEY=VALUE"),
    ("image.metric", "expected TABLE.KEY=VALUE"),
])
def test_what_cannot_be_set_is_refused_at_once(image, what_if, change, message):
    with pytest.raises(UsageError, match=message):
        what_if("image.h5", change)


def test_the_same_key_twice_and_a_range_that_does_not_rise_are_refused(ratings, what_if):
    with pytest.raises(UsageError, match="given twice"):
        what_if("ratings.h5", "ratings.fold=1", "ratings.fold=2")
    with pytest.raises(UsageError, match="clip_low is 6, allowed below clip_high, 5"):
        what_if("ratings.h5", "ratings.clip_low=6")


def test_none_takes_a_choice_back(inputs, settings_of, what_if, image):
    options = ImageOptions(Path("p.png"), iterations=2, factor_bits=2, run_file=Path("rounded.h5"))
    rounded = run_image(options, settings_of(), Report())
    assert rounded.factors_sha256 == image.factors_sha256
    assert what_if("rounded.h5", "image.factor_bits=none").result.psnr_db == image.psnr_db > rounded.psnr_db


def test_a_recording_that_is_not_finished_is_not_blamed_on_the_change(image, what_if, tmp_path):
    """What it has is answered; where it ends, it says that it ends."""
    from hwloop.errors import ReplayEndError

    data = Path("image.journal").read_bytes()
    (tmp_path / "torn.journal").write_bytes(data[: len(data) // 2])
    with pytest.raises(ReplayEndError, match="not finished"):
        what_if(tmp_path / "torn.journal", "image.metric=mae")


def test_calibrated_outputs_are_those_of_the_rig(settings_of, inputs, solve):
    """A run on the board itself with a gain: the same requests, so the same reading times the gain."""
    found = run_solve(
        SolveOptions(Path("x.npy"), Path("y.npy"), ridge=0.05), settings_of(solver={"output_gain": 1.25}), Report()
    )
    np.testing.assert_allclose(found.solution, 1.25 * solve.solution)
    assert replace(settings_of().rig.solver, output_gain=1.25) == settings_of(solver={"output_gain": 1.25}).rig.solver
