"""Photographs in, patches and figures of merit out."""

import hashlib
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hwloop.apps import image
from hwloop.errors import DataError, UsageError


def _file(tmp_path, picture, **options):
    path = tmp_path / "picture.png"
    picture.save(path, format=options.pop("format", "PNG"), **options)
    return path


def test_default_is_the_hubble_crop():
    photo = image.load_photograph()
    assert photo.pixels.shape == (256, 256, 3)
    assert photo.pixels.dtype == np.float64
    assert 0.0 <= photo.pixels.min() < 0.1 and 0.9 < photo.pixels.max() <= 1.0
    assert image.svd_bound_db(photo.pixels, 8, 2) == pytest.approx(36.46, abs=0.01)
    assert image.storage(photo.pixels.shape, 8, 2).ratio == 0.5


def test_hash_is_of_the_file(tmp_path):
    path = _file(tmp_path, Image.new("RGB", (3, 2), "red"))
    assert image.load_photograph(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("1", 1, [1.0]),
        ("L", 51, [0.2]),
        ("RGB", (255, 0, 51), [1.0, 0.0, 0.2]),
        ("LA", (0, 102), [0.6]),
        ("RGBA", (255, 0, 0, 51), [1.0, 0.8, 0.8]),
        ("I;16", 13107, [0.2]),
    ],
)
def test_modes_become_grey_or_rgb_over_white(tmp_path, mode, colour, expected):
    pixels = image.load_photograph(_file(tmp_path, Image.new(mode, (5, 3), colour))).pixels
    assert pixels.shape == (3, 5, len(expected))
    np.testing.assert_allclose(pixels[1, 2], expected, atol=1e-12)


def test_palette_with_a_transparent_entry_shows_white_there(tmp_path):
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putpixel((1, 0), 1)
    pixels = image.load_photograph(_file(tmp_path, palette, transparency=1)).pixels
    np.testing.assert_array_equal(pixels[0], [[1, 0, 0], [1, 1, 1]])


def test_cmyk_and_sixteen_bit_tiff(tmp_path):
    cyan = image.load_photograph(_file(tmp_path, Image.new("CMYK", (4, 4), (255, 0, 0, 0)), format="TIFF")).pixels
    np.testing.assert_allclose(cyan[0, 0], [0, 1, 1], atol=0.01)
    depth = Image.fromarray(np.full((3, 3), 256, np.uint16))
    np.testing.assert_allclose(image.load_photograph(_file(tmp_path, depth, format="TIFF")).pixels, 256 / 65535)


def test_exif_orientation_turns_the_picture_upright(tmp_path):
    picture = Image.new("L", (6, 2))
    picture.putpixel((0, 0), 255)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    pixels = image.load_photograph(_file(tmp_path, picture, exif=exif)).pixels
    assert pixels.shape == (6, 2, 1)
    assert pixels[0, 1, 0] == 1.0


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_what_is_no_picture_is_a_data_error_that_names_the_file(tmp_path, content):
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match="broken.png"):
        image.load_photograph(path)


def test_missing_and_truncated_files_are_data_errors(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        image.load_photograph(tmp_path / "absent.png")
    encoded = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)).save(encoded, format="PNG")
    path = tmp_path / "cut.png"
    path.write_bytes(encoded.getvalue()[:1000])
    with pytest.raises(DataError, match="cut.png"):
        image.load_photograph(path)


def test_floating_point_picture_outside_zero_to_one_is_refused(tmp_path):
    with pytest.raises(DataError, match="allowed 0 to 1"):
        image.load_photograph(_file(tmp_path, Image.fromarray(np.full((2, 2), 3.5, np.float32)), format="TIFF"))


@given(
    height=st.integers(1, 40), width=st.integers(1, 40), channels=st.sampled_from([1, 3]), patch=st.integers(1, 12)
)
def test_patches_come_back_as_the_same_picture(height, width, channels, patch):
    pixels = np.random.default_rng(height * 41 + width).random((height, width, channels))
    patches = image.to_patches(pixels, patch)
    assert patches.shape[1:] == (patch, patch)
    assert 2 * patch * len(patches) == image.storage(pixels.shape, patch, 1).stored_numbers
    np.testing.assert_array_equal(image.from_patches(patches, pixels.shape), pixels)


def test_a_patch_is_a_block_of_one_channel_and_padding_repeats_the_edge():
    pixels = np.random.default_rng(0).random((5, 6, 3))
    patches = image.to_patches(pixels, 4)
    assert patches.shape == (3 * 2 * 2, 4, 4)
    np.testing.assert_array_equal(patches[4], pixels[:4, :4, 1])
    np.testing.assert_array_equal(patches[1][:, :2], pixels[:4, 4:, 0])
    np.testing.assert_array_equal(patches[1][:, 2], pixels[:4, 5, 0])


@pytest.mark.parametrize(("patch", "rank"), [(0, 1), (-1, 1), (101, 1), (8, 0), (8, 9)])
def test_patch_and_rank_that_do_not_fit_are_usage_errors(patch, rank):
    with pytest.raises(UsageError, match="allowed 1 to"):
        image.check_patch((100, 60, 3), patch, rank)


def test_a_tiny_picture_may_use_the_default_patch():
    image.check_patch((1, 1, 1), image.DEFAULT_PATCH, image.DEFAULT_RANK)


def test_patches_of_another_picture_are_refused():
    with pytest.raises(UsageError, match="do not make a picture of 16x8"):
        image.from_patches(np.zeros((3, 8, 8)), (8, 16, 1))


def test_psnr_of_a_known_error():
    original = np.full((8, 8, 1), 0.5)
    assert image.psnr_db(original, original + 0.1) == pytest.approx(20.0)
    assert image.psnr_db(original * 2, original * 3) == np.inf  # clipped to 1 before the comparison


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 20, 3), (6, 6, 1), (32, 33, 3)])
def test_ssim_is_one_for_equal_pictures_of_any_size_and_falls_with_noise(shape):
    rng = np.random.default_rng(0)
    original = rng.random(shape)
    assert image.ssim(original, original) == pytest.approx(1.0)
    assert image.ssim(original, rng.random(shape)) < 0.95


def test_rmse_and_mae_of_a_known_error_and_every_metric_by_its_name():
    original = np.full((8, 8, 3), 0.5)
    picture = original + np.where(np.indices((8, 8, 3)).sum(axis=0) % 2, 0.1, -0.3)
    assert image.rmse(original, picture) == pytest.approx(np.sqrt((0.01 + 0.09) / 2))
    assert image.mae(original, picture) == pytest.approx(0.2)
    assert image.mae(original, original + 9.0) == 0.5  # clipped to 1 before the comparison
    for metric in image.METRICS.values():
        assert metric.figure is getattr(image, metric.key)


def test_full_rank_has_no_svd_bound():
    assert image.svd_bound_db(np.random.default_rng(0).random((8, 8, 1)), 4, 4) > 250.0


def test_picture_is_written_once(tmp_path):
    pixels = np.random.default_rng(0).random((5, 4, 3))
    path = tmp_path / "out.png"
    image.write_picture(path, pixels)
    np.testing.assert_allclose(image.load_photograph(path).pixels, pixels, atol=0.5 / 255 + 1e-9)
    with pytest.raises(UsageError, match="exists"):
        image.write_picture(path, pixels)
    with pytest.raises(UsageError, match="allowed .png"):
        image.write_picture(tmp_path / "out.jpg", pixels)
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.png"]
