"""Pictures for pages: SVG that follows the page's colours, with texts as they are, and names of its own."""

import io
import re

import numpy as np
import pytest
from PIL import Image

from hwloop.apps import pictures
from hwloop.apps.pictures import Span
from hwloop.runlog.record import ConductanceMaps, Convergence


def drawn(label="fold 1", name="a"):
    curve = Convergence(label, "RMSE", np.array([2.0, 1.0]), np.array([2.0, 0.9]))
    return pictures.page_picture(name, 3.0, lambda: pictures.draw_convergence([curve]))


def test_it_scales_with_the_page_and_follows_its_colours():
    svg = drawn()
    assert svg.startswith("<svg") and "viewBox=" in svg and svg.rstrip().endswith("</svg>")
    assert "width=" not in svg[: svg.index(">")] and "height=" not in svg[: svg.index(">")]
    assert "var(--analog)" in svg and "var(--reference)" in svg and "currentColor" in svg
    assert "#000000" not in svg and "#ffffff" not in svg


def test_texts_are_texts_never_formulas_never_markup_and_not_endless():
    svg = drawn("$\\frac{<b>&" + "x" * 100)
    assert "$\\frac{&lt;b&gt;&amp;" in svg and "x" * 60 not in svg and "…" in svg


def test_two_pictures_of_one_page_do_not_share_names():
    first, second = (set(re.findall(r'id="([^"]*)"', drawn(name=name))) for name in "ab")
    assert first and second and not first & second
    for svg, names in ((drawn(name="a"), first),):
        assert set(re.findall(r'(?:url\(#|href="#)([^)"]*)', svg)) <= names


def test_the_same_picture_is_the_same_text():
    assert drawn() == drawn()


@pytest.mark.parametrize(("rounds", "label"), [(1, "programming round"), (5000, "programming round, 13 together")])
def test_rounds(rounds, label):
    cells = np.full(rounds, 100)
    figure = pictures.draw_rounds(cells, 2 * cells, np.ones(rounds, int))
    above, below = figure.get_axes()
    assert below.get_xlabel() == label
    assert np.allclose(above.lines[0].get_ydata(), 2.0) and len(above.lines[0].get_ydata()) <= 400
    assert sum(bar.get_height() for bar in below.patches) == rounds


@pytest.mark.parametrize(("seconds", "label"), [
    (10.0, "seconds"), (600.0, "minutes"), (4 * 3600.0, "hours"), (3 * 86400.0, "days"),
])
def test_timeline_takes_the_unit_that_fits(seconds, label):
    spans = [Span("a", 0.0, seconds / 2), Span("b", seconds / 2, seconds, (seconds * 0.7,)), Span("a", 0.0, 0.0)]
    (axes,) = pictures.draw_timeline(spans, [(0.1 * seconds, 0.2 * seconds)]).get_axes()
    assert axes.get_xlabel() == f"{label} since the beginning"
    assert [text.get_text() for text in axes.texts] == ["a", "b"]
    assert all(bar.get_width() > 0 for bar in axes.patches)
    assert pictures.timeline_inches(spans) == pytest.approx(0.9 + 2 * 0.42)


def test_curves_that_have_not_begun_are_left_out():
    empty = Convergence("image", "PSNR", np.zeros(0), np.array([30.0]), "dB")
    (axes,) = pictures.draw_convergence([empty]).get_axes()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["float64 reference, 30.0000 at the end"]


def test_conductance_without_its_summary():
    maps = ConductanceMaps(np.full((4, 2), 10e-6), np.full((4, 2), np.nan))
    titles = [axes.get_title(loc="left") for axes in pictures.draw_conductance(maps, summaries=False).get_axes()]
    assert titles[:2] == ["array A", "array B"]
    assert pictures.conductance_text("A", maps.a_siemens) == "array A: median 10 µS, 10 to 10 µS"


@pytest.mark.parametrize(("shape", "mode"), [((3, 5, 1), "L"), ((3, 5, 3), "RGB")])
def test_pixels_as_png(shape, mode):
    with Image.open(io.BytesIO(pictures.png_bytes(np.full(shape, 0.5)))) as image:
        assert (image.mode, image.size) == (mode, (5, 3)) and np.asarray(image).max() == 128


def test_errors_as_colours():
    original = np.zeros((4, 4, 3))
    colours, mean_levels, top_levels = pictures.error_pixels(original, original + 10 / 255)
    assert colours.shape == (4, 4, 3) and mean_levels == pytest.approx(10.0) and top_levels == pytest.approx(10.0)
