"""Fingerprints do not depend on how arrays lie in memory, only on their numbers and order."""

import hashlib

import numpy as np

from hwloop.runlog.digest import factors_sha256, file_sha256


def test_file(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert file_sha256(tmp_path / "file") == hashlib.sha256(b"abc").hexdigest()


def test_factors_are_hashed_w_then_h_fold_by_fold():
    rng = np.random.default_rng(0)
    pairs = [(rng.random((5, 3)), rng.random((3, 4))) for _ in range(2)]
    expected = hashlib.sha256(b"".join(array.tobytes() for pair in pairs for array in pair)).hexdigest()
    assert factors_sha256(pairs) == expected
    assert factors_sha256(pairs[::-1]) != expected


def test_memory_order_and_generators_make_no_difference():
    rng = np.random.default_rng(0)
    w, h = rng.random((2, 5, 3)), rng.random((2, 3, 4))
    turned = np.asfortranarray(w)
    assert factors_sha256(pair for pair in [(turned, h)]) == factors_sha256([(w, h)])
