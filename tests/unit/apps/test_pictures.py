"""Pictures have the common width, the units in their labels, and the data in their axes."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from hwloop.apps import pictures
from hwloop.errors import UsageError
from hwloop.runlog.record import ConductanceMaps, Convergence


def _texts(figure):
    everything = []
    for axes in figure.get_axes():
        legend = axes.get_legend()
        everything += [axes.get_title(), axes.get_title(loc="left"), axes.get_xlabel(), axes.get_ylabel()]
        everything += [text.get_text() for text in legend.get_texts()] if legend else []
        everything += [child.get_ylabel() for child in axes.child_axes]
    return "\n".join(everything)


def _width_and_height(figure, tmp_path):
    pictures.save_figure(figure, tmp_path / "picture.png")
    with Image.open(tmp_path / "picture.png") as image:
        return image.size


@pytest.mark.parametrize("shape", [(64, 64, 3), (1, 1, 1), (10, 300, 1), (300, 10, 3)])
def test_comparison(tmp_path, shape):
    original = np.full(shape, 0.5)
    figure = pictures.draw_comparison(original, original + 0.1)
    width, height = _width_and_height(figure, tmp_path)
    assert width == 900 and 150 < height <= 700
    assert "reconstruction, 20.00 dB" in _texts(figure)
    assert "error, mean 25.5 levels" in _texts(figure)
    assert "grey levels of 255" in _texts(figure)


def test_convergence_of_one_curve_and_of_folds(tmp_path):
    curves = [
        Convergence(f"fold {n}", "RMSE", np.array([1.1, 1.0]) + 0.1 * n, np.array([1.0, 0.9]) + 0.1 * n, "rating")
        for n in range(3)
    ]
    single = pictures.draw_convergence(curves[:1])
    assert "RMSE (rating)" in _texts(single) and "analog, 1.0000 at the end" in _texts(single)
    folds = pictures.draw_convergence(curves)
    assert "float64 reference, mean 1.0000 at the end" in _texts(folds)
    assert len(folds.get_axes()[0].get_lines()) == 8
    assert _width_and_height(folds, tmp_path) == (900, 400)


def test_convergence_of_unequal_lengths_has_no_mean():
    curves = [Convergence("a", "residual", np.ones(n), np.ones(n)) for n in (2, 3)]
    assert "at the end" not in _texts(pictures.draw_convergence(curves))


@pytest.mark.parametrize("rows", [128, 4096])
def test_conductance_is_in_microsiemens_with_rows_to_the_right(tmp_path, rows):
    siemens = np.full((rows, 16), 50e-6)
    siemens[0, 0] = 450e-6
    figure = pictures.draw_conductance(ConductanceMaps(siemens, np.full((rows, 16), np.nan)))
    assert "array A: median 50 µS, 50 to 450 µS" in _texts(figure)
    assert "array B: not read" in _texts(figure)
    image = figure.get_axes()[0].get_images()[0]
    assert image.get_array().shape == (16, rows)
    assert image.get_clim() == (0.0, pytest.approx(50.0))  # one stuck cell does not squeeze the scale
    assert _width_and_height(figure, tmp_path) == (900, 420)


def test_programming_errors_count_every_cell_and_the_share_in_the_window():
    errors = np.array([0.0, 1e-6, -1e-6, 500e-6])
    figure = pictures.draw_programming_errors([pictures.ErrorSample("at verify", errors)], 4e-6)
    assert "75.0% of 4 cells in the window" in _texts(figure)
    assert "(µS)" in _texts(figure)


def test_a_picture_is_not_overwritten(tmp_path):
    figure = pictures.draw_convergence([Convergence("a", "residual", np.ones(2), np.ones(2))])
    pictures.save_figure(figure, tmp_path / "picture.png")
    with pytest.raises(UsageError, match="exists"):
        pictures.save_figure(figure, tmp_path / "picture.png")


def test_importing_the_applications_loads_neither_matplotlib_nor_scikit_image():
    script = (
        "import sys, hwloop.apps.pictures, hwloop.apps.image, hwloop.apps.compressed, hwloop.apps.ratings;"
        "sys.exit(any(name in sys.modules for name in ('matplotlib', 'skimage', 'PIL')))"
    )
    assert subprocess.run([sys.executable, "-c", script], timeout=60).returncode == 0
