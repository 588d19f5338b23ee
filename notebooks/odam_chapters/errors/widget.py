"""Browse mistakes and their maps. Needs the extra ``notebooks`` (anywidget)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from traitlets import Bytes, Dict, TraitError, observe, validate

from odam_chapters.errors.plots import Case, show_evidence
from odam_lib.viz.drawing import to_png
from odam_lib.viz.sheets import LONGEST_LINE, legible
from odam_lib.viz.widgets import Bundle, Choosing, Row, front_end, with_png


class MistakeBrowser(Choosing):
    """A list of mistakes; the one selected is drawn below with its maps.

    Args:
        captions: one for each mistake, in the list's order; they differ from each other.
        case: number of a mistake -> what to draw; it is asked once for each.
        selected: which to begin with; ignored if there is none.

    Attributes:
        selected: the number of the selected mistake; -1 if there is none.
        error: see :class:`odam_lib.viz.widgets.Choosing`.

    Raises:
        ValueError: two captions are the same, or there is no such mistake.
        TraitError: a mistake that does not exist, when it is set later.
    """

    _esm = front_end("mistakes.js")
    CHOICES = ("selected",)
    FAILURE = "The mistake could not be drawn"

    selected = Row(-1).tag(sync=True)

    _about = Dict(help="what never changes: the captions").tag(sync=True)
    _picture = Bytes(help="PNG of the mistake").tag(sync=True)
    _shown = Dict(help="what the picture belongs to").tag(sync=True)

    def __init__(self, captions: Sequence[str], case: Callable[[int], Case], selected: int = 0) -> None:
        if len(set(captions)) != len(captions):
            raise ValueError("Two mistakes have the same caption: number them.")
        self._captions, self._case, self._drawn = (
            [legible(one, LONGEST_LINE) for one in captions],
            case,
            dict[int, bytes](),
        )
        if captions and self.traits()["selected"].validate(self, selected) not in range(len(captions)):
            raise ValueError(self._absent(selected))
        super().__init__(selected=selected if captions else -1, _about={"captions": self._captions})
        self.follow()

    _together = validate(*CHOICES)(Choosing.together)
    _follow = observe(*CHOICES)(Choosing.follow)

    def check(self, choice: Mapping[str, Any]) -> None:
        row, count = choice["selected"], len(self._captions)
        if row not in range(count) and (count or row != -1):
            raise TraitError(self._absent(row))

    def draw(self) -> None:
        if self.selected not in self._drawn:
            cases = [] if self.selected < 0 else [self._case(self.selected)]
            self._drawn[self.selected] = to_png(
                show_evidence(cases, "Why was it wrong?" if cases else "Browse mistakes")
            )
        with self.hold_sync():  # one message, so that no mistake stands under another's caption
            self._picture, self._shown = self._drawn[self.selected], self._choice()

    def _absent(self, row: int) -> str:
        last = len(self._captions) - 1
        known = f"give a number from 0 to {last}" if last >= 0 else "there is none, selected stays -1"
        return f"There is no mistake {row}: {known}."

    def __repr__(self) -> str:
        name = self._captions[self.selected] if self._captions else None
        return f"MistakeBrowser({len(self._captions)} mistakes, selected: {name})"

    def _repr_mimebundle_(self, **kwargs: Any) -> Bundle:
        """The live view, and a still picture of it for places where no kernel runs."""
        return with_png(super()._repr_mimebundle_(**kwargs), self._picture)
