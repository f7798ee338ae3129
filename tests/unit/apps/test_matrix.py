"""Plain matrices: three formats in, and the first bad entry named."""

import numpy as np
import pytest
from scipy import sparse

from hwloop.apps.matrix import load_matrix
from hwloop.errors import DataError

_DENSE = np.array([[0.0, 1.5, 2.0], [3.0, 0.0, 4.0]])


def _saved(tmp_path, values, suffix):
    path = tmp_path / f"matrix{suffix}"
    if suffix == ".npy":
        np.save(path, values)
    elif suffix == ".csv":
        np.savetxt(path, values, delimiter=",")
    elif sparse.issparse(values):
        sparse.save_npz(path, values)
    else:
        np.savez(path, values)
    return path


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv"])
def test_dense_formats(tmp_path, suffix):
    loaded = load_matrix(_saved(tmp_path, _DENSE, suffix))
    np.testing.assert_array_equal(loaded.values, _DENSE)
    assert loaded.source.name == f"matrix{suffix}" and len(loaded.source.sha256) == 64


@pytest.mark.parametrize("form", [sparse.csr_array, sparse.csc_matrix, sparse.coo_array])
def test_sparse_stays_sparse(tmp_path, form):
    loaded = load_matrix(_saved(tmp_path, form(_DENSE), ".npz"))
    assert isinstance(loaded.values, sparse.csr_array)
    np.testing.assert_array_equal(loaded.values.toarray(), _DENSE)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32])
def test_any_real_type_becomes_float64(tmp_path, dtype):
    loaded = load_matrix(_saved(tmp_path, np.ones((2, 2), dtype), ".npy"))
    assert loaded.values.dtype == np.float64


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv"])
def test_the_first_bad_entry_is_named(tmp_path, bad, suffix):
    values = _DENSE.copy()
    values[1, 0] = values[1, 2] = bad
    with pytest.raises(DataError, match=rf"matrix{suffix}: entry at row 1, column 0 .* 2 such entries"):
        load_matrix(_saved(tmp_path, values, suffix))


def test_the_first_bad_entry_of_a_sparse_matrix_is_named(tmp_path):
    with pytest.raises(DataError, match="row 1, column 2 .* is -4"):
        load_matrix(_saved(tmp_path, sparse.csr_array(_DENSE * [[1, 1, 1], [1, 1, -1]]), ".npz"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones(3), "1 dimensions"),
        (np.ones((2, 2, 2)), "3 dimensions"),
        (np.ones((0, 4)), "is empty, 0x4"),
        (np.ones((2, 2), complex), "complex128"),
        (np.array([["a"]]), "allowed real numbers"),
    ],
)
def test_what_is_no_matrix_of_numbers(tmp_path, values, message):
    with pytest.raises(DataError, match=message):
        load_matrix(_saved(tmp_path, values, ".npy"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2\n3,x\n", "line 2, entry 2 is 'x'"),
        ("1,2\n3,\n", "line 2, entry 2 is ''"),
        ("1,2\n3\n", "line 2 has 1 entries"),
        ("a,b\n1,2\n", "line 1, entry 1 is 'a'"),
        ("", "is empty"),
    ],
)
def test_bad_csv_is_named_by_line(tmp_path, text, message):
    path = tmp_path / "matrix.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        load_matrix(path)


def test_files_that_are_something_else(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        load_matrix(tmp_path / "absent.npy")
    with pytest.raises(DataError, match=r"ends in '.txt', allowed .npy, .npz, .csv"):
        load_matrix(tmp_path / "matrix.txt")
    for suffix in (".npy", ".npz"):
        (tmp_path / f"text{suffix}").write_text("no such thing")
        with pytest.raises(DataError, match="no usable"):
            load_matrix(tmp_path / f"text{suffix}")
    (tmp_path / "photo.csv").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(DataError, match="no text file"):
        load_matrix(tmp_path / "photo.csv")
    np.save(tmp_path / "pickle.npy", np.array([[{}]]), allow_pickle=True)
    with pytest.raises(DataError, match="no usable"):
        load_matrix(tmp_path / "pickle.npy")
    np.savez(tmp_path / "two.npz", _DENSE, _DENSE)
    with pytest.raises(DataError, match="holds 2 arrays"):
        load_matrix(tmp_path / "two.npz")
