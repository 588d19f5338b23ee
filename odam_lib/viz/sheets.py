"""The figure that everything is drawn on: text is drawn as it is written, in a font that has its letters."""

import unicodedata
from collections.abc import Set as AbstractSet
from functools import lru_cache

from matplotlib.axis import Axis
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure
from matplotlib.font_manager import FontEntry, findfont, fontManager
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FuncFormatter

SCREEN_DPI = 80
MOST_ROWS = 30
"""A figure with pictures for each of many things stops after so many, and says so: more would fill many screens."""

MOST_BOXES = 300
"""A picture, in a figure or a widget, has so many boxes at most, and says so."""

LONGEST_NAME, LONGEST_LINE = 60, 200
"""Letters of a name, which stands beside or above something, and of any other line of text; more end in an ellipsis."""

_UNSEEN = {"Cc", "Cs", "Cn", "Zl", "Zp"}
"""Unicode's categories of letters that no font has, or that end a line."""

_LAST_RESORT = "Last Resort High-Efficiency"
"""A font of matplotlib since 3.11: for every letter a box that says of which script it is."""

_families: dict[str, str | None] = {}
"""The family of fonts that has a letter, of letters that were looked for; ``None`` if this machine has none."""


def make_legible(text: str, longest: int = LONGEST_NAME) -> str:
    """Text of any origin on one line, as every screen and font can show it.

    Args:
        text: a name, a message, ...
        longest: what is longer ends in an ellipsis.

    Returns:
        Control characters, line breaks, halves of surrogate pairs and what turns the direction of writing stand there
        as Python writes them: ``\\n``, ``\\udcff``.
    """
    shown = "".join(letter if _is_seen(letter) else repr(letter)[1:-1] for letter in text[: longest + 1])
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def tell_count(title: str, shown: int, count: int, things: str) -> str:
    """A title and, below it, how many of all things are shown; nothing is added where all are."""
    return title if shown >= count else f"{title}\nThe first {shown} of {count} {things}: hand in others to see them."


def name_entry(name: str) -> str:
    """A name as the label of what a legend shall list: matplotlib leaves out those that begin with an underscore."""
    return name if name[:1] not in ("", "_") else f"\N{WORD JOINER}{name}"


class Sheet(Figure):
    """A figure whose texts mean nothing but themselves.

    Names of categories, methods and files come from outside. Matplotlib would read ``$...$`` in them as a formula, fail
    at half a surrogate pair, and draw an empty box for a letter that its font lacks. Whatever ``set_title``,
    ``set_xticks``, ``legend``, ... were given is made literal here, when the figure is drawn, so that no caller has to
    think of it. Numbers that matplotlib writes at an axis are its own and stay formulas.

    Args:
        width, height: in inches.
    """

    def __init__(self, width: float, height: float) -> None:
        super().__init__(figsize=(width, height), dpi=SCREEN_DPI, layout="constrained")

    def draw(self, renderer: RendererBase) -> None:
        """Draw everything; what matplotlib calls whenever it needs the figure."""
        numbers: set[Text] = set()
        for axes in self.axes:
            for axis in (axes.xaxis, axes.yaxis):
                numbers.update(_numbers(axis))
        for text in self.findobj(Text):
            if text not in numbers:
                _make_literal(text)
        super().draw(renderer)


def _numbers(axis: Axis) -> list[Text]:
    """What matplotlib itself writes at an axis; names that were given instead are made legible."""
    ticks = axis.get_ticklabels(which="both")
    if not isinstance(axis.get_major_formatter(), FuncFormatter | FixedFormatter):
        return [*ticks, axis.get_offset_text()]
    given = [tick.get_text() for tick in axis.get_ticklabels()]
    shown = ["\n".join(map(make_legible, name.split("\n"))) for name in given]
    if shown != given:  # the axis sets the text of its ticks again whenever it is drawn
        axis.set_ticklabels(shown)
    return []


def _make_literal(text: Text) -> None:
    text.set_text("\n".join(make_legible(line, LONGEST_LINE) for line in text.get_text().split("\n")))
    text.set(parse_math=False, usetex=False)
    if text.get_text().isascii():
        return
    known = _letters(findfont(text.get_fontproperties()))
    found = _families_of({letter for letter in text.get_text() if ord(letter) not in known and letter != "\n"})
    text.set_fontfamily(list(dict.fromkeys([*text.get_fontfamily(), *found])))


@lru_cache
def _letters(path: str) -> AbstractSet[int]:
    return FT2Font(path).get_charmap().keys()


def _families_of(letters: AbstractSet[str]) -> list[str]:
    """Families of fonts on this machine that have the letters, in a fixed order."""
    wanted = letters - _families.keys()
    for entry in sorted(fontManager.ttflist, key=_oddity) if wanted else ():
        try:
            font = FT2Font(entry.fname)
        except (OSError, RuntimeError):  # matplotlib's list is older than the machine's fonts
            continue
        found = {letter for letter in wanted if font.get_char_index(ord(letter))}
        _families.update(dict.fromkeys(found, entry.name))
        wanted -= found
        if not wanted:
            break
    last = _LAST_RESORT if any(entry.name == _LAST_RESORT for entry in fontManager.ttflist) else None
    _families.update(dict.fromkeys(wanted, last))
    return sorted(family for family in {_families[letter] for letter in letters} if family)


def _oddity(entry: FontEntry) -> tuple[bool, bool, bool, bool, str]:
    """Plain fonts come first, a font that only stands in comes last."""
    plain = entry.style == "normal", entry.weight in (400, "normal", "regular"), "Sans" in entry.name
    return entry.name == _LAST_RESORT, not plain[0], not plain[1], not plain[2], entry.name


def _is_seen(letter: str) -> bool:
    turns = unicodedata.bidirectional(letter) in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    return unicodedata.category(letter) not in _UNSEEN and not turns
