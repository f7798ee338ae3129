"""`factorize image` on the default simulated board: figures, run file, pictures, compressed file, sameness."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hwloop.apps.image import load_photograph, psnr_db, rebuild
from hwloop.cli.output import _plain
from hwloop.controller.image_job import decode_image, run_image
from hwloop.errors import UsageError
from hwloop.runlog.digest import factors_sha256, file_sha256
from hwloop.runscript import ImageOptions

OPTIONS = ImageOptions(path=Path("p.png"), iterations=2)


@pytest.fixture(scope="module")
def found(inputs, settings_of):
    return run_image(replace(OPTIONS, compressed=Path("p.hwnmf")), settings_of(), _quiet())


def _quiet():
    from hwloop.report import Report

    return Report()


def test_the_document_has_every_key_with_its_type(found, check_counters):
    document = json.loads(json.dumps(_plain(found.document())))
    check_counters(document)
    for name in ("psnr_db", "ssim", "storage_ratio"):
        assert isinstance(document[name], float)
    assert set(document["reference"]) == {"psnr_db", "ssim", "svd_bound_db"}
    assert [item["iteration"] for item in document["iterations"]] == [1, 2]
    assert document["seed"] == 0 and len(document["factors_sha256"]) == 64
    assert document["storage_ratio"] == 0.5 and document["stored_numbers"] == 384
    assert document["psnr_db"] <= document["reference"]["svd_bound_db"]
    assert abs(document["psnr_db"] - document["reference"]["psnr_db"]) < 0.5


def test_the_run_file_gives_the_figures_again(found, check_run_file):
    run = check_run_file(found.outcome.run_file, seed=0)
    (pair,) = run.factors()
    assert factors_sha256([(pair.w, pair.h)]) == found.factors_sha256
    photograph = load_photograph("p.png")
    assert psnr_db(photograph.pixels, rebuild(pair.w, pair.h, (16, 16, 3))) == pytest.approx(found.psnr_db)
    assert run.inputs[0].name == "p.png" and run.inputs[0].sha256 == file_sha256("p.png")
    assert run.configuration["options"]["rank"] == 2
    metrics = {item.name: (item.value, item.unit) for item in run.metrics}
    assert metrics["psnr"] == (found.psnr_db, "dB")
    assert run.conductance().a_siemens.shape == (128, 16)


def test_the_pictures_are_there_and_are_pictures(found):
    assert {path.stem.rpartition("-")[2] for path in found.outcome.pictures} == {
        "comparison", "convergence", "conductance"
    }
    for path in found.outcome.pictures:
        with Image.open(path) as picture:
            assert picture.format == "PNG" and min(picture.size) > 100


def test_the_compressed_file_gives_the_picture_back_alone(found, tmp_path):
    alone = tmp_path / "alone.hwnmf"
    alone.write_bytes(found.compressed.read_bytes())
    decoded = decode_image(alone, tmp_path / "out.png")
    assert decoded.shape == (16, 16, 3) and alone.stat().st_size == found.compressed_bytes
    picture = np.asarray(Image.open(tmp_path / "out.png"), float) / 255
    assert psnr_db(load_photograph("p.png").pixels, picture) == pytest.approx(found.psnr_db, abs=0.3)
    with pytest.raises(UsageError, match="exists and is not overwritten"):
        decode_image(alone, tmp_path / "out.png")


def test_the_same_seed_gives_the_same_factors_and_another_one_others(found, settings_of):
    again = run_image(OPTIONS, settings_of(), _quiet())
    assert again.factors_sha256 == found.factors_sha256
    assert again.outcome.run_file != found.outcome.run_file
    assert run_image(OPTIONS, settings_of(seed=1), _quiet()).factors_sha256 != found.factors_sha256


def test_progress_is_told_by_phase(inputs, settings_of, report):
    run_image(replace(OPTIONS, iterations=1), settings_of(), report)
    phases = {phase for phase, *_ in report.steps}
    assert phases == {"float64 reference, iterations", "circuit, iterations", "matrices of this half-step"}
    assert all(0 <= done <= total for _, done, total in report.steps)
    journal, simulated = report.notes
    assert journal.startswith("journal runs/") and "forgotten" in simulated


@pytest.mark.parametrize(
    ("pixels", "patch", "rank"),
    [
        (np.zeros((8, 8), np.uint8), 8, 2),
        (np.full((1, 1), 200, np.uint8), 8, 1),
    ],
    ids=["black", "one pixel"],
)
def test_pictures_of_any_kind_are_done(inputs, settings_of, pixels, patch, rank):
    Image.fromarray(pixels).save("odd.png")
    done = run_image(ImageOptions(Path("odd.png"), patch=patch, rank=rank, iterations=1), settings_of(), _quiet())
    assert done.psnr_db > 20 or math.isinf(done.psnr_db)
    json.dumps(_plain(done.document()), allow_nan=False)


def test_a_dry_run_opens_nothing_and_writes_nothing(inputs, settings_of, report):
    before = set(Path().rglob("*"))
    plan = run_image(OPTIONS, settings_of(dry_run=True), report)
    assert plan.document()["dry_run"] and plan.solves == 12 * 16 * 2
    assert set(Path().rglob("*")) == before and not report.notes
