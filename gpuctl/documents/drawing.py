"""SVG made of text: percentages across, so that a drawing fits a phone and a sheet, pixels down.

The same drawing is put into the page, where its style sheet gives the colours, and on paper,
where `standalone` brings its own. Colours are never alone: each series has a texture too.
"""

from collections.abc import Iterable
from html import escape
from typing import NamedTuple

SERIES = 6
"""So many are told apart; what comes after is drawn as one."""
_TEXTURES = (
    "",
    '<path d="M0 0V6" class="hatch"/>',
    '<circle cx="3" cy="3" r="1.2" class="dot"/>',
    '<path d="M0 0V6M0 3H6" class="hatch"/>',
    '<path d="M0 3H6" class="hatch"/>',
    '<path d="M0 0V6" class="hatch"/><circle cx="3.5" cy="3" r="1.1" class="dot"/>',
)
_TURNED = (0, 45, 0, 0, 0, -45)
PAPER_STYLE = (
    "text{font-family:'Libertinus Serif';font-size:11px;fill:#4b5563}"
    ".strong{fill:#111827}.end{text-anchor:end}.middle{text-anchor:middle}"
    ".grid{stroke:#d5d9e0;stroke-width:1}.zero{stroke:#6b7280;stroke-width:1}"
    ".track{fill:#eef0f4}.cut{stroke:#111827;stroke-width:2}"
    ".step{stroke:#1f4e79;stroke-width:2;stroke-linecap:square}.area{fill:#1f4e79;fill-opacity:0.12}"
    ".list{stroke:#6b7280;stroke-width:1.5;stroke-dasharray:5 4}"
    ".hatch{stroke:#fff;stroke-width:1.6;stroke-opacity:0.5;fill:none}.dot{fill:#fff;fill-opacity:0.7}"
    ".part{stroke:#fff;stroke-width:1}.hours{fill:#64748b}"
    ".c0{fill:#1f4e79}.c1{fill:#b45309}.c2{fill:#0f766e}.c3{fill:#6d28d9}.c4{fill:#be123c}.c5{fill:#475569}"
)


class Drawing(NamedTuple):
    """`left` pixels beside it are for labels; `width` None = as wide as there is room."""

    name: str
    body: str
    height: int
    left: int = 0
    width: int | None = None
    series: int = 0


def element(tag: str, text: str | None = None, **attributes: str | float) -> str:
    """One element; `class_` and `text_anchor` are written `class` and `text-anchor`."""
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for name, value in attributes.items()
    )
    return f"<{tag}{written}/>" if text is None else f"<{tag}{written}>{escape(text)}</{tag}>"


def titled(tag: str, title: str, **attributes: str | float) -> str:
    """An element that says what it is when it is pointed at."""
    return element(tag, "", **attributes).replace("></", f"><title>{escape(title)}</title></")


def across(share: float) -> str:
    """A place across, 0 to 1, as per cent."""
    return f"{min(max(share, 0.0), 1.0) * 100:.2f}%"


def fill(name: str, series: int, kind: str = "part") -> dict[str, str]:
    """The attributes that colour the series' parts in the drawing of that name."""
    series = min(series, SERIES - 1)
    if series == 0:
        return {"class_": f"{kind} c0".strip()}
    return {"class_": kind, "fill": f"url(#{name}-{series})"}


def inline(drawing: Drawing, title: str, words: str) -> str:
    """For the page: with its name and description, as wide as there is room."""
    if drawing.width is None:
        room = f"margin-left:{drawing.left}px;width:calc(100% - {drawing.left}px)"
        size = f'style="{room}" height="{drawing.height}"'
    else:
        size = f'width="{drawing.width}" height="{drawing.height}"'
    if not title:
        return f'<svg class="chart" aria-hidden="true" {size}>{_inside(drawing)}</svg>'
    name = drawing.name
    return (
        f'<svg class="chart" role="img" {size}'
        f' aria-labelledby="{name}-t" aria-describedby="{name}-d">'
        f'<title id="{name}-t">{escape(title)}</title><desc id="{name}-d">{escape(words)}</desc>'
        f"{_inside(drawing)}</svg>"
    )


def standalone(drawing: Drawing, width: int) -> str:
    """For paper: a file of its own, that many pixels wide unless the drawing says."""
    width = drawing.width or width
    room, head = width - drawing.left, 'xmlns="http://www.w3.org/2000/svg"'
    return (
        f'<svg {head} width="{width}" height="{drawing.height}"><style>{PAPER_STYLE}</style>'
        f'<svg x="{drawing.left}" width="{room}" height="{drawing.height}" overflow="visible">'
        f"{_inside(drawing)}</svg></svg>"
    )


def _inside(drawing: Drawing) -> str:
    return _textures(drawing.name, range(1, min(drawing.series, SERIES))) + drawing.body


def _textures(name: str, series: Iterable[int]) -> str:
    made = "".join(
        f'<pattern id="{name}-{i}" width="6" height="6" patternUnits="userSpaceOnUse"'
        f' patternTransform="rotate({_TURNED[i]})">'
        f'<rect width="6" height="6" class="c{i}"/>{_TEXTURES[i]}</pattern>'
        for i in series
    )
    return f"<defs>{made}</defs>" if made else ""
