"""Browse mistakes and their maps. Needs the extra ``notebooks`` (ipywidgets)."""

import base64
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets

from odam_lib.error_plots import Case, show_evidence
from odam_lib.plots import to_png


class MistakeBrowser(ipywidgets.VBox):
    """A list of mistakes; the one selected is drawn below with its maps.

    Args:
        captions: one for each mistake, in the list's order; they differ from each other.
        case: number of a mistake -> what to draw; it is asked once for each.
        selected: which to begin with; ignored if there is none.

    Raises:
        ValueError: two captions are the same, or there is no such mistake.

    Attributes:
        chooser: the list; its ``index`` is the number of the selected mistake.
        error: why the picture could not follow the last change; empty if it could.
    """

    def __init__(self, captions: Sequence[str], case: Callable[[int], Case], selected: int = 0) -> None:
        if len(set(captions)) != len(captions):
            raise ValueError("Two mistakes have the same caption: number them.")
        if captions and selected not in range(len(captions)):
            raise ValueError(f"There is no mistake {selected}: give a number from 0 to {len(captions) - 1}.")
        self._case, self._drawn = case, dict[int, bytes]()
        self.chooser = ipywidgets.Dropdown(
            options=list(captions), index=selected if captions else None, description="mistake", layout={"width": "95%"}
        )
        self._picture = ipywidgets.Image(format="png", layout={"max_width": "100%"})
        self._line = ipywidgets.HTML()
        super().__init__([self.chooser, self._picture, self._line])
        self.chooser.observe(self._follow, names="index")
        self._follow()

    @property
    def error(self) -> str:
        return self._line.value

    def render(self, number: int | None) -> bytes:
        """The PNG of one mistake; of ``None`` a sentence."""
        if number is None:
            return to_png(show_evidence([], "Browse mistakes"))
        if number not in self._drawn:
            case = self._case(number)
            self._drawn[number] = to_png(show_evidence([case], "Why was it wrong?"))
        return self._drawn[number]

    def _follow(self, _: Any = None) -> None:
        try:
            self._picture.value = self.render(self.chooser.index)
        except Exception as error:
            self._line.value = f"The mistake could not be drawn: {error}"
            raise
        self._line.value = ""

    def __repr__(self) -> str:
        return f"MistakeBrowser({len(self.chooser.options)} mistakes, selected: {self.chooser.value})"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """The live view, and a still picture of it for places where no kernel runs."""
        data = super()._repr_mimebundle_(**kwargs)
        return data | {"text/plain": repr(self), "image/png": base64.b64encode(self._picture.value).decode()}
