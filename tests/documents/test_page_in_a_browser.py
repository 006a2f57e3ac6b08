"""The page in a real browser: it fits, it can be read in the light and in the dark, it prints."""

import json
import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path
from typing import NamedTuple

import pytest
from pypdf import PdfReader

from gpuctl.core.statement import Party
from gpuctl.documents import page
from tests.documents.statements import march, nothing, retained

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium to look with")

QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--enable-logging=stderr",
)
# A page's own scripts are refused by its policy; what looks at it runs in the page around it.
LOOK = """
const rgb = text => (text.match(/[\\d.]+/g) || []).map(Number);
const lit = c => { c /= 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
const luminance = ([r, g, b]) => 0.2126 * lit(r) + 0.7152 * lit(g) + 0.0722 * lit(b);
const contrast = (a, b) => {
  const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p);
  return (x + 0.05) / (y + 0.05);
};
const behind = (view, one) => {
  for (; one; one = one.parentElement) {
    const colour = rgb(view.getComputedStyle(one).backgroundColor);
    if (colour.length && colour[3] !== 0) return colour;
  }
  return [255, 255, 255];
};
const look = frame => {
  const view = frame.contentWindow, page = frame.contentDocument, texts = [], shapes = [];
  for (const one of page.body.querySelectorAll('*')) {
    const style = view.getComputedStyle(one);
    const own = [...one.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    const drawn = one.closest('svg');
    if (own && !['TITLE', 'DESC'].includes(one.tagName.toUpperCase())) {
      texts.push([contrast(rgb(drawn ? style.fill : style.color), behind(view, one)),
        parseFloat(style.fontSize), one.tagName, one.textContent.slice(0, 30)]);
    }
    const kind = drawn ? one.className.baseVal : '';
    if (/^(rect|line)$/.test(one.tagName) && /^(part )?c\\d|hours|cut|step|list/.test(kind)) {
      const inked = one.tagName === 'rect' ? style.fill : style.stroke;
      shapes.push([contrast(rgb(inked), behind(view, one)), kind]);
    }
  }
  const wide = [...page.body.querySelectorAll('*')]
    .filter(one => one.getBoundingClientRect().right > view.innerWidth + 0.5)
    .map(one => one.outerHTML.slice(0, 90));
  const scrolls = [...page.querySelectorAll('.wide')]
    .filter(one => one.scrollWidth > one.clientWidth).map(one => one.id);
  const worst = found => found.sort((a, b) => a[0] - b[0]).slice(0, 3);
  const keys = [...page.querySelectorAll('a, summary, [tabindex]')];
  return {
    name: frame.id, width: view.innerWidth, needed: page.documentElement.scrollWidth,
    wide: wide.slice(0, 3), scrolls, texts: worst(texts), shapes: worst(shapes),
    smallest: Math.min(...texts.map(text => text[1])),
    ground: behind(view, page.querySelector('.sheet')),
    heads: view.getComputedStyle(page.querySelector('thead')).position,
    keys: keys.filter(one => one.tabIndex === 0).length,
  };
};
onload = () => {
  const found = [...document.querySelectorAll('iframe')].map(look);
  document.body.textContent = 'SEEN' + JSON.stringify(found) + 'NEES';
};
"""


class Seen(NamedTuple):
    name: str
    width: int
    needed: int
    wide: list
    scrolls: list
    texts: list
    smallest: float
    shapes: list
    ground: list
    heads: str
    keys: int


def browse(where: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    assert BROWSER
    return subprocess.run(
        [BROWSER, *QUIET, f"--user-data-dir={where / 'profile'}", *argv],
        capture_output=True,
        text=True,
        check=True,
        timeout=90,
        cwd=where,
    )


def hostile():
    """Names as long as they come, in every place."""
    given = march()
    word = "x" * 300
    first = given.projects[0]
    sessions = tuple(
        one._replace(machine=word, type=word, zone=word, gpu=word) for one in first.sessions
    )
    worst = first._replace(title=word, tags={word: word}, sessions=sessions)
    party = Party(word, (word, word), word, word)
    return given._replace(
        projects=(worst, *given.projects[1:]), receiver=party, sender=party, notes=(word,)
    )


LIGHT = [
    ("march", march, (360, 768, 1280)),
    ("hostile", hostile, (360, 1280)),
    ("retained", retained, (360,)),
    ("nothing", nothing, (360,)),
]
DARK = [("march", march, (1280,)), ("nothing", nothing, (360,))]
FITS = [(f"{name}-light-{width}", width) for name, _, widths in LIGHT for width in widths]
FITS += [(f"{name}-dark-{width}", width) for name, _, widths in DARK for width in widths]


@pytest.fixture(scope="module")
def seen(tmp_path_factory) -> dict[str, Seen]:
    """Pages on a phone and on a laptop, some in the dark: one start of the browser for all."""
    where = tmp_path_factory.mktemp("browser")
    frames = ""
    for kind, pages in (("light", LIGHT), ("dark", DARK)):
        for name, make, widths in pages:
            text = page.draw(make()).decode()
            if kind == "dark":  # asked for by a preference of the machine; here it is always so
                asked = "@media screen and (prefers-color-scheme: dark)"
                assert asked in text
                text = text.replace(asked, "@media screen")
            for width in widths:
                frames += (
                    f'<iframe id="{name}-{kind}-{width}" srcdoc="{escape(text)}"'
                    f' style="width:{width}px;height:900px;border:0"></iframe>'
                )
    wrapper = where / "wrapper.html"
    wrapper.write_text(f"<!doctype html><meta charset=utf-8><body>{frames}<script>{LOOK}</script>")
    done = browse(where, "--dump-dom", wrapper.as_uri())
    assert "CONSOLE" not in done.stderr, done.stderr
    found = re.search(r"SEEN(.*)NEES", done.stdout, re.DOTALL)
    assert found, done.stdout[-2000:] + done.stderr[-2000:]
    return {one["name"]: Seen(**one) for one in json.loads(unescape(found.group(1)))}


@pytest.mark.parametrize(("name", "width"), FITS)
def test_it_fits(seen, name: str, width: int) -> None:
    one = seen[name]
    assert one.width == width
    assert one.needed <= width, one.wide
    assert one.scrolls == [] or name.startswith("hostile")
    assert one.heads == ("absolute" if width < 704 else "static")


@pytest.mark.parametrize("name", [name for name, _ in FITS])
def test_its_text_can_be_read(seen, name: str) -> None:
    one = seen[name]
    assert one.texts[0][0] >= 4.5, one.texts
    assert one.smallest >= 11
    assert all(shape[0] >= 3 for shape in one.shapes), one.shapes


def test_the_dark_is_dark(seen) -> None:
    assert max(seen["march-dark-1280"].ground[:3]) < 60
    assert min(seen["march-light-1280"].ground[:3]) > 240


def test_tables_and_links_are_in_reach_of_the_keyboard(seen) -> None:
    # Three projects' links, the fold, and eight tables that may scroll but for the folded one.
    assert seen["march-light-1280"].keys == 3 + 1 + 8


def test_it_prints_on_a4_and_always_light(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_bytes(page.draw(march()))
    browse(
        tmp_path,
        "--blink-settings=preferredColorScheme=0",
        "--no-pdf-header-footer",
        f"--print-to-pdf={tmp_path / 'page.pdf'}",
        (tmp_path / "page.html").as_uri(),
    )
    paper = PdfReader(tmp_path / "page.pdf")
    assert 4 <= len(paper.pages) <= 7
    width, height = paper.pages[0].mediabox[2:]
    assert (round(width), round(height)) == (595, 842)
    text = " ".join(sheet.extract_text() for sheet in paper.pages)
    assert "53.71" in text
    assert "9f86d081884c7d65" in text
    if shutil.which("pdftoppm") is None:
        pytest.skip("no pdftoppm to see the colours with")
    shown = subprocess.run(
        ["pdftoppm", "-r", "20", "-f", "1", "-l", "1", "page.pdf"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
    ).stdout
    pixels = shown.split(b"\n", 3)[3]
    assert sum(pixels) / len(pixels) > 225
