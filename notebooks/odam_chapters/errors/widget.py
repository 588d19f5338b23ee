"""Browse mistakes and their maps. Needs the extra ``notebooks`` (anywidget)."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from PIL import Image
from traitlets import TraitError

from odam_chapters import STATIC
from odam_chapters.errors.cases import Place
from odam_chapters.errors.plots import Case, show_evidence
from odam_lib.viz.choosing import Choosing, Row, check_row
from odam_lib.viz.drawing import to_png
from odam_lib.viz.front_ends import read_front_end
from odam_lib.viz.sheets import LONGEST_LINE, make_legible, tell_count
from odam_lib.viz.standalone import Standalone, keep_what_fits


class MistakeBrowser(Choosing):
    """A list of mistakes; the one selected is drawn below with its maps.

    Args:
        captions: one for each mistake, in the list's order; they differ from each other.
        case: number of a mistake -> what to draw; it is asked once for each.
        selected: which to begin with; ignored if there is none.

    Attributes:
        selected: the number of the selected mistake; -1 if there is none.
        error: see :class:`odam_lib.viz.choosing.Choosing`.

    Raises:
        ValueError: two captions are the same, or there is no such mistake.
        TraitError: a mistake that does not exist, when it is set later.
    """

    _esm = read_front_end(STATIC / "mistakes.js")
    CHOICES = ("selected",)
    FAILURE = "The mistake could not be drawn"

    selected = Row(-1).tag(sync=True)

    def __init__(self, captions: Sequence[str], case: Callable[[int], Case], selected: int = 0) -> None:
        if len(set(captions)) != len(captions):
            raise ValueError("Two mistakes have the same caption: number them.")
        self._captions = [make_legible(one, LONGEST_LINE) for one in captions]
        self._case, self._drawn = case, dict[int, dict[str, Any]]()
        first = self.traits()["selected"].validate(self, selected) if captions else -1
        try:
            self.check({"selected": first})
        except TraitError as error:  # as for any other argument
            raise ValueError(str(error)) from error
        super().__init__(selected=first, _about={"captions": self._captions, "sentence": ""})

    def check(self, choice: Mapping[str, Any]) -> None:
        check_row("mistake", choice["selected"], len(self._captions), "there is none, selected stays -1")

    def draw(self) -> dict[str, Any]:
        return self._draw(self.selected)

    def _draw(self, number: int) -> dict[str, Any]:
        if number not in self._drawn:
            cases = [] if number < 0 else [self._case(number)]
            figure = show_evidence(cases, "Why was it wrong?" if cases else "Browse mistakes")
            told = make_legible(" ".join(map(_tell, cases)), LONGEST_LINE)
            self._drawn[number] = {"_picture": to_png(figure), "_shown": {"told": told}}
        return self._drawn[number]

    def standalone(self) -> Standalone:
        """The mistakes that fit, the first of them."""
        each = ((number, self._draw(number)) for number in (range(len(self._captions)) if self._captions else [-1]))
        table = keep_what_fits(
            (
                {"_picture": _to_jpeg(drawn["_picture"]), "_shown": {"selected": number} | drawn["_shown"]}
                for number, drawn in each
            ),
            "_picture",
        )
        count = len(self._captions[: len(table)])
        values = {
            "selected": self.selected if self.selected < count else 0,
            "error": "",
            "_about": {
                "captions": self._captions[:count],
                "sentence": tell_count("", count, len(self._captions), "mistakes").strip(),
            },
            "_picture": b"",
            "_shown": {},
        }
        return Standalone("Why was it wrong?", STATIC / "mistakes.js", values, self.CHOICES, table)

    def draw_still(self) -> bytes:
        return self._picture

    def __repr__(self) -> str:
        name = self._captions[self.selected] if self._captions else None
        return f"MistakeBrowser({len(self._captions)} mistakes, selected: {name})"


def browse(places: Mapping[str, Sequence[Place]], case: Callable[[Place], Case], each: int = 3) -> MistakeBrowser:
    """A browser of the first mistakes of each sort.

    Args:
        places: by sort, from :func:`~odam_chapters.errors.cases.list_places`.
        case: a place -> what to draw.
        each: so many of each sort at most.
    """
    browsed = [place for them in places.values() for place in them[:each]]
    captions = [f"{number}: scene {item}, box {row}" for number, (item, row) in enumerate(browsed)]
    return MistakeBrowser(captions, lambda number: case(browsed[number]))


def _tell(case: Case) -> str:
    """What a case's picture says, for those who hear it."""
    return ". ".join(words.replace(":\n", ": ").replace("\n", ", ") for words in (case.caption, *case.maps))


def _to_jpeg(png: bytes) -> bytes:
    """The same picture in about a fifth of the bytes; its colours stay as sharp as its lines."""
    written = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(written, "JPEG", quality=90, subsampling=0)
    return written.getvalue()
