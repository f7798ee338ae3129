"""The 8-bit file of a photograph's factors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwloop.apps import compressed, image
from hwloop.errors import DataError, UsageError


def _factors(shape, patch, rank, seed=0):
    rng = np.random.default_rng(seed)
    matrices = image.storage(shape, patch, rank).stored_numbers // (2 * patch * rank)
    w, h = rng.random((matrices, patch, rank)), rng.random((matrices, rank, patch))
    return w / rank, h


@pytest.fixture
def written(tmp_path):
    shape = (20, 12, 3)
    w, h = _factors(shape, 8, 2)
    path = tmp_path / "photo.hwnmf"
    compressed.write_compressed(path, w, h, shape)
    return path


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 30),
    width=st.integers(1, 30),
    channels=st.sampled_from([1, 3]),
    patch=st.integers(1, 9),
    rank=st.integers(1, 4),
    brightness=st.floats(1e-3, 1.0),
    imbalance=st.floats(1e-6, 1e6),
)
def test_the_picture_comes_back_within_the_rounding(
    tmp_path_factory, height, width, channels, patch, rank, brightness, imbalance
):
    shape = (height, width, channels)
    w, h = _factors(shape, patch, rank, seed=height)
    w *= brightness
    path = tmp_path_factory.mktemp("compressed") / "photo.hwnmf"
    size = compressed.write_compressed(path, w * imbalance, h / imbalance, shape)
    assert size == path.stat().st_size
    pixels = compressed.read_compressed(path)
    assert pixels.shape == shape
    # A code is off by half a step at most: 1/255 of the geometric mean of a number and `top`, at both factors.
    np.testing.assert_allclose(pixels, image.rebuild(w, h, shape), atol=0.02 * brightness)


def test_default_photograph_keeps_its_quality_in_half_the_bytes(tmp_path):
    photo = image.load_photograph()
    patches = image.to_patches(photo.pixels, 8)
    # Rank-2 factors with the spread of real ones: the patch's row means, and what is left, in columns and rows.
    mean = patches.mean(axis=2, keepdims=True)
    w = np.concatenate([mean, np.maximum(patches - mean, 0.0).max(axis=2, keepdims=True)], axis=2)
    left = np.maximum(patches - mean, 0.0).sum(axis=1) / np.maximum(w[:, :, 1].sum(axis=1), 1e-12)[:, None]
    h = np.stack([np.ones_like(left), left], axis=1)
    size = compressed.write_compressed(tmp_path / "photo.hwnmf", w, h, photo.pixels.shape)
    assert size <= 0.51 * photo.pixels.size
    before = image.psnr_db(photo.pixels, image.rebuild(w, h, photo.pixels.shape))
    after = image.psnr_db(photo.pixels, compressed.read_compressed(tmp_path / "photo.hwnmf"))
    assert abs(before - after) < 0.02


def test_black_picture(tmp_path):
    compressed.write_compressed(tmp_path / "black.hwnmf", np.zeros((1, 4, 2)), np.zeros((1, 2, 4)), (4, 4, 1))
    assert not compressed.read_compressed(tmp_path / "black.hwnmf").any()


def test_every_truncation_and_every_flipped_byte_is_noticed(written, tmp_path):
    data = written.read_bytes()
    damaged = tmp_path / "damaged.hwnmf"
    for length in (*range(0, 60), len(data) - 1):
        damaged.write_bytes(data[:length])
        with pytest.raises(DataError, match="damaged.hwnmf"):
            compressed.read_compressed(damaged)
    for position in range(0, len(data), 7):
        damaged.write_bytes(data[:position] + bytes([data[position] ^ 0x10]) + data[position + 1 :])
        with pytest.raises(DataError, match="damaged.hwnmf"):
            compressed.read_compressed(damaged)
    damaged.write_bytes(data + b"\0")
    with pytest.raises(DataError, match="payload"):
        compressed.read_compressed(damaged)


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        compressed.read_compressed(tmp_path / "absent.hwnmf")


def test_an_existing_file_is_not_overwritten(written):
    before = written.read_bytes()
    w, h = _factors((8, 8, 1), 8, 2)
    with pytest.raises(UsageError, match="exists"):
        compressed.write_compressed(written, w, h, (8, 8, 1))
    assert written.read_bytes() == before


def test_factors_that_are_not_of_the_picture_or_not_finite_are_refused(tmp_path):
    w, h = _factors((8, 8, 1), 8, 2)
    with pytest.raises(UsageError, match="do not belong"):
        compressed.write_compressed(tmp_path / "a.hwnmf", w, h, (16, 8, 1))
    with pytest.raises(DataError, match="non-finite"):
        compressed.write_compressed(tmp_path / "a.hwnmf", w * np.nan, h, (8, 8, 1))
    assert not list(tmp_path.iterdir())
