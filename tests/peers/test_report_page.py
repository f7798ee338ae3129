"""A run's page in a real browser: pictures have a size, nothing overflows, no console message, light and dark."""

import functools
import html
import http.server
import json
import re
import shutil
import subprocess
import threading

import pytest
from PIL import Image

from hwloop.controller.run_page import page_of
from hwloop.runlog.sources import find_run
from tests.journals import ToldRun, complete_run

HOSTILE = "\"'><script>document.title='broken'</script>"
LONG = "_a_name_without_any_place_to_break_it" * 4
WIDTHS = (390, 1280)
# The page in frames of the given widths, so that its media queries see them, measured once it has been laid out.
PROBE = """<!DOCTYPE html><html><body style="margin:0"><script>
const widths = %s, found = {};
let waiting = widths.length;
for (const width of widths) {
  const frame = document.createElement("iframe");
  frame.style = `border:0;width:${width}px;height:1200px`;
  frame.onload = () => {
    const page = frame.contentDocument, root = page.documentElement;
    const box = element => { const r = element.getBoundingClientRect(); return [r.width, r.height, r.left, r.right]; };
    found[width] = {
      client: root.clientWidth, scroll: root.scrollWidth, title: page.title,
      pictures: [...page.querySelectorAll("figure svg, figure img")].map(box),
      loaded: [...page.images].map(image => image.naturalWidth),
      beyond: [...page.querySelectorAll("body *")].filter(e => !e.closest("svg, .wide") &&
        e.getBoundingClientRect().right > root.clientWidth + 1).map(e => e.outerHTML.slice(0, 80)),
      text: [...page.querySelectorAll("svg text")].map(e => e.getBoundingClientRect().height),
      heading: getComputedStyle(page.body).color + " on " + getComputedStyle(page.body).backgroundColor,
    };
    if (--waiting === 0) {
      const out = document.createElement("pre");
      out.id = "found";
      out.textContent = JSON.stringify(found);
      document.body.append(out);
    }
  };
  frame.src = "page.html";
  document.body.append(frame);
}
</script></body></html>"""


@pytest.fixture(scope="module")
def chromium():
    """Path of the browser."""
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("chromium is missing: install the Debian package")
    return found


@pytest.fixture
def site(tmp_path):
    """Serves a folder with a page and the probe beside it; gives the folder and its address."""
    handler = functools.partial(_Quiet, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        (tmp_path / "probe.html").write_text(PROBE % json.dumps(WIDTHS))
        yield tmp_path, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def browse(chromium, profile, address, *options):
    """Standard output of the browser; what the page's console says is refused."""
    done = subprocess.run(
        [
            chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
            "--disable-background-networking", "--enable-logging=stderr", "--virtual-time-budget=5000",
            f"--user-data-dir={profile}", *options, address,
        ],
        capture_output=True, text=True, timeout=120,
    )
    assert done.returncode == 0, done.stderr
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert not console
    return done.stdout


def measured(chromium, site):
    folder, address = site
    dom = browse(chromium, folder / "profile", f"{address}probe.html", "--window-size=1300,1300", "--dump-dom")
    found = re.search(r'<pre id="found">(.*?)</pre>', dom, re.DOTALL)
    assert found, dom[-2000:]
    return json.loads(html.unescape(found[1]))


def hostile(path):
    complete_run(path, text=HOSTILE + LONG)


def partial(path):
    told = ToldRun(path)
    told.iteration(1)
    told.round()
    told.die()


def empty(path):
    ToldRun(path).die()


@pytest.mark.parametrize(("write", "pictures"), [(complete_run, 6), (hostile, 6), (partial, 6), (empty, 0)])
def test_pictures_are_seen_and_nothing_overflows_on_a_telephone_and_a_desk(chromium, site, write, pictures):
    folder, _ = site
    write(folder / "run.journal")
    (folder / "page.html").write_text(page_of(find_run(folder / "run.journal")), encoding="utf-8")
    for width, found in measured(chromium, site).items():
        assert found["client"] == int(width) and found["scroll"] <= int(width)
        assert found["beyond"] == [] and found["title"] == "run"
        assert len(found["pictures"]) == pictures
        for wide, high, left, right in found["pictures"]:
            assert wide > 100 and high > 50 and left >= 0 and right <= int(width)
        # Axis labels of pictures can be read, also on a telephone.
        assert all(height >= 8 for height in found["text"] if height)


def test_pixels_of_a_photograph_are_seen(chromium, site, monkeypatch):
    import numpy as np

    from hwloop.controller import run_page
    from hwloop.controller.run_pictures import _pixels

    folder, _ = site
    complete_run(folder / "run.journal")
    drawn = run_page.pictures_of
    picture = _pixels("Original", "8 × 8", np.random.default_rng(1).random((8, 8, 3)))
    monkeypatch.setattr(run_page, "pictures_of", lambda *told: [picture, *drawn(*told)])
    (folder / "page.html").write_text(page_of(find_run(folder / "run.journal")), encoding="utf-8")
    for found in measured(chromium, site).values():
        assert found["loaded"] == [8] and len(found["pictures"]) == 7


@pytest.mark.parametrize("dark", [False, True])
def test_a_screenshot_is_light_or_dark_as_the_reader_wants_it(chromium, site, dark):
    folder, address = site
    complete_run(folder / "run.journal")
    (folder / "page.html").write_text(page_of(find_run(folder / "run.journal")), encoding="utf-8")
    options = ["--force-dark-mode", "--blink-settings=preferredColorScheme=0"] if dark else []
    shot = folder / "shot.png"
    options += ["--window-size=1280,1600", f"--screenshot={shot}"]
    browse(chromium, folder / "profile", f"{address}page.html", *options)
    with Image.open(shot) as image:
        assert image.size == (1280, 1600)
        ground, histogram = image.convert("L").getpixel((3, 3)), image.convert("L").histogram()
    assert ground < 40 if dark else ground > 250
    # Text and pictures stand out from the ground.
    assert sum(histogram[128:] if dark else histogram[:128]) > 0.01 * 1280 * 1600


def test_what_a_page_must_not_do_is_seen(chromium, site):
    folder, address = site
    complete_run(folder / "run.journal")
    bad = page_of(find_run(folder / "run.journal")).replace("</main>", "<script>1</script></main>")
    (folder / "page.html").write_text(bad, encoding="utf-8")
    with pytest.raises(AssertionError, match="CONSOLE.*Executing inline script"):
        browse(chromium, folder / "profile", f"{address}page.html", "--dump-dom")


def test_it_can_be_printed(chromium, site):
    folder, address = site
    complete_run(folder / "run.journal")
    (folder / "page.html").write_text(page_of(find_run(folder / "run.journal")), encoding="utf-8")
    browse(chromium, folder / "profile", f"{address}page.html", f"--print-to-pdf={folder / 'page.pdf'}")
    assert (folder / "page.pdf").read_bytes().startswith(b"%PDF")
