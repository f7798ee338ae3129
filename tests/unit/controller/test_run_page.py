"""The page of a run: whole, cut off or going on, everything that a run brings along is escaped, nothing is loaded."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from hwloop.controller.run_cells import cells_of_run
from hwloop.controller.run_page import page_of
from hwloop.runlog.framing import HEADER_BYTES
from hwloop.runlog.sources import find_run
from tests.journals import CELLS, TARGET_SIEMENS, ToldRun, complete_run

HOSTILE = "\"'><script>alert(1)</script>$\\frac{&amp;${x}]]>\N{GREEK SMALL LETTER MU}"
VOID = {"meta", "link", "img", "br"}


class Outline(HTMLParser):
    """Elements of a page, that each is closed, and what they refer to."""

    def __init__(self, page):
        super().__init__()
        self.names, self.references, self.identifiers, self.open, self.data = [], [], [], [], []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, name, attributes):
        self.names.append(name)
        self.references += [value for key, value in attributes if key in ("src", "href", "xlink:href")]
        self.identifiers += [value for key, value in attributes if key == "id"]
        assert not [key for key, _ in attributes if key.startswith("on")]
        if name not in VOID:
            self.open.append(name)

    def handle_startendtag(self, name, attributes):
        self.handle_starttag(name, attributes)
        if name not in VOID:
            self.open.pop()

    def handle_endtag(self, name):
        assert self.open.pop() == name

    def handle_data(self, data):
        self.data.append(data)


def page(path):
    return page_of(find_run(path))


@pytest.fixture
def journal(tmp_path):
    return tmp_path / "20260501-120000-image-1.journal"


def test_a_complete_run(journal):
    complete_run(journal)
    text = page(journal)
    for part in (
        "20260501-120000-image-1", "<b>33.25 dB</b>", "factorization of a photograph", "complete, after",
        "3 cells were given up", "ab" * 32, "hwloop factorize image photograph.png", "hwloop replay",
        "the board was simulated", "Programming rounds", "Programming error", "Conductance", "Phases",
    ):
        assert part in text
    outline = Outline(text)
    assert outline.names.count("svg") == 6 and "script" not in outline.names
    assert len(set(outline.identifiers)) == len(outline.identifiers)
    assert all(re.match(r"#|data:(image/png;base64,|,$)", reference) for reference in outline.references)
    assert "@import" not in text and not re.search(r"url\((?!#)", text)


def test_what_a_run_brings_along_is_text(journal):
    complete_run(journal, text=HOSTILE)
    text = page(journal)
    assert "script" not in Outline(text).names and "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert f"fold{HOSTILE}" not in text


@pytest.mark.parametrize("ending", ["running", "stopped", "died"])
def test_a_run_that_is_not_complete(journal, ending):
    told = ToldRun(journal)
    told.iteration(1, label="float64 reference")
    told.round()
    told.iteration(1)
    if ending == "stopped":
        told.stop("enough & more")
    elif ending == "died":
        told.die()
    text = page(journal)
    Outline(text)
    assert f'class="state {ending}"' in text and "The run is not finished" in text
    assert "<b>31.00 dB</b><span>PSNR, circuit, iteration 1 of 3</span>" in text
    assert ("hwloop logs resume" in text) == (ending != "running")
    assert ("enough &amp; more" in text) == (ending == "stopped")
    told.writer.close()


def test_every_beginning_of_a_journal_has_a_page(journal):
    complete_run(journal)
    data = journal.read_bytes()
    for size in [*range(HEADER_BYTES, len(data), len(data) // 9), len(data) - 1]:
        journal.write_bytes(data[:size])
        Outline(page(journal))


@pytest.mark.parametrize("kind", ["ratings", "matrix", "form", "program", "solve"])
def test_every_kind(journal, kind):
    complete_run(journal, kind=kind)
    Outline(page(journal))


def test_the_same_journal_gives_the_same_page(journal):
    complete_run(journal)
    assert page(journal) == page(journal)


def test_cells_are_what_the_recorded_readings_say(journal):
    complete_run(journal)
    cells = cells_of_run(find_run(journal))
    read = np.concatenate([cells.maps.a_siemens.ravel(), cells.maps.b_siemens.ravel()])
    step = 4e-9
    assert np.allclose(read[CELLS], TARGET_SIEMENS + 1e-6, atol=step) and np.isnan(read[len(CELLS) :]).all()
    assert len(cells.errors_siemens) == 6 * 40 - 3 and np.allclose(cells.errors_siemens, 1e-6, atol=step)


def test_of_many_errors_a_share_is_kept(journal, monkeypatch):
    monkeypatch.setattr("hwloop.controller.run_cells.MOST_ERRORS", 100)
    complete_run(journal)
    cells = cells_of_run(find_run(journal))
    assert cells.every == 4 and 50 <= len(cells.errors_siemens) <= 100
