"""Browse mistakes and their maps. Needs the extra ``notebooks`` (anywidget)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from traitlets import TraitError

from odam_chapters import STATIC
from odam_chapters.errors.plots import Case, show_evidence
from odam_lib.viz.choosing import Choosing, Row, check_row
from odam_lib.viz.drawing import to_png
from odam_lib.viz.front_ends import read_front_end
from odam_lib.viz.sheets import LONGEST_LINE, make_legible


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
        self._case, self._drawn = case, dict[int, bytes]()
        first = self.traits()["selected"].validate(self, selected) if captions else -1
        try:
            self.check({"selected": first})
        except TraitError as error:  # as for any other argument
            raise ValueError(str(error)) from error
        super().__init__(selected=first, _about={"captions": self._captions})

    def check(self, choice: Mapping[str, Any]) -> None:
        check_row("mistake", choice["selected"], len(self._captions), "there is none, selected stays -1")

    def draw(self) -> dict[str, Any]:
        if self.selected not in self._drawn:
            cases = [] if self.selected < 0 else [self._case(self.selected)]
            figure = show_evidence(cases, "Why was it wrong?" if cases else "Browse mistakes")
            self._drawn[self.selected] = to_png(figure)
        return {"_picture": self._drawn[self.selected], "_shown": {}}

    def draw_still(self) -> bytes:
        return self._picture

    def __repr__(self) -> str:
        name = self._captions[self.selected] if self._captions else None
        return f"MistakeBrowser({len(self._captions)} mistakes, selected: {name})"
