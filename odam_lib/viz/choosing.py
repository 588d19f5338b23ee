"""What every widget shares: a choice that is checked as a whole, what is drawn of it, and an error told beside it.

Needs the extra ``notebooks`` (anywidget and ipywidgets).
"""

import base64
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import anywidget
from torch import Tensor
from traitlets import Bytes, Dict, Float, Int, TraitError, Unicode, validate

from odam_lib.files import output_file
from odam_lib.kernels import checks
from odam_lib.viz.drawing import fit_size, resize
from odam_lib.viz.fragments import WRITTEN
from odam_lib.viz.front_ends import STATIC, encode_jpeg
from odam_lib.viz.sheets import LONGEST_LINE, make_legible
from odam_lib.viz.standalone import Standalone, write_page

Bundle = tuple[dict[str, Any], dict[str, Any]]
"""What IPython shows of an object, by MIME type, and its metadata."""


class Row(Int):
    """The number of something that can be chosen: whole, as :func:`odam_lib.kernels.checks.count` reads it."""

    def validate(self, obj: Any, value: Any) -> int:
        try:
            return checks.count(self.help or str(self.name), value, least=None)
        except TypeError as error:
            raise TraitError(str(error)) from error


class Share(Float):
    """A number in [0, 1], as :func:`odam_lib.kernels.checks.number` reads it."""

    def validate(self, obj: Any, value: Any) -> float:
        try:
            return float(checks.number(self.help or str(self.name), value, "[0, 1]"))
        except (TypeError, ValueError) as error:
            raise TraitError(str(error)) from error


class Choosing(anywidget.AnyWidget):
    """A widget in which a reader chooses something, which is drawn.

    A front end may set the traits named in ``CHOICES`` and no others. A message that is wrong in any of them changes
    nothing and is answered by the values that hold; in Python a wrong value raises.

    Attributes:
        error: why the last message was refused, or why the picture could not follow the last change; else empty. The
            front end shows it as text, in an element with ``role=alert``.
    """

    CHOICES: ClassVar[tuple[str, ...]]
    DRAWN: ClassVar[tuple[str, ...]]
    """Those that change what is drawn; default all."""
    FAILURE: ClassVar[str]
    """What could not be done, if drawing fails."""

    _css = STATIC / "picker.css"
    _failed = ""
    _written: Path | None = None

    error = Unicode().tag(sync=True)

    _about = Dict(help="what never changes").tag(sync=True)
    _picture = Bytes(help="PNG of the picture").tag(sync=True)
    _shown = Dict(help="the choice that was drawn, and what is said of it").tag(sync=True)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "CHOICES" in cls.__dict__:  # not the class that traitlets makes of a widget's when it adds traits
            cls.DRAWN = cls.__dict__.get("DRAWN", cls.CHOICES)
        cls._checked_together = validate(*cls.CHOICES)(cls._check_together)

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self._follow()
        self.observe(self._follow, self.DRAWN)

    def check(self, choice: Mapping[str, Any]) -> None:
        """Raise a ``TraitError`` if the values, one for each of ``CHOICES``, do not go together."""
        raise NotImplementedError

    def draw(self) -> dict[str, Any]:
        """What the front end shows of the current choice, by its trait; of ``_shown`` all but the choice itself."""
        raise NotImplementedError

    def draw_still(self) -> bytes:
        """A PNG of the current choice, for places where no kernel runs."""
        raise NotImplementedError

    def standalone(self) -> Standalone:
        """All choices and what is drawn of each, for a page in which no kernel runs."""
        raise NotImplementedError(f"{type(self).__name__} has no figure that works without a kernel: save its picture.")

    def freeze(
        self,
        title: str,
        front_end: Path,
        image: Tensor,
        choices: Iterable[Mapping[str, Any]],
        draw: Callable[..., Mapping[str, Any]],
        **others: Any,
    ) -> Standalone:
        """What :meth:`standalone` returns, of choices that are few enough to draw them all.

        Args:
            title: heading of a page with nothing else.
            front_end: the widget's JavaScript module.
            image: ``Tensor[3, H, W]``, what ``_picture`` shows.
            choices: of the same traits each, one as it is now among them.
            draw: called with a choice by name, returns as :meth:`draw` does.
            others: values of traits other than choices that no choice changes.
        """
        table = {tuple(choice.items()): draw(**choice) for choice in choices}
        answers = {
            " ".join(str(value) for _, value in choice): {**drawn, "_shown": {**dict(choice), **drawn["_shown"]}}
            for choice, drawn in table.items()
        }
        picture = encode_jpeg(resize(image, fit_size((image.shape[1], image.shape[2]))))
        values = {**self._choice(), "error": "", "_about": self._about, "_picture": picture, "_shown": {}, **others}
        return Standalone(title, front_end, values, tuple(name for name, _ in next(iter(table), ())), answers)

    def write_figure(self, path: str | Path) -> Path:
        """Write a web page in which one chooses as here, without Python and without a network.

        Notebooks exported by ``tools/notebooks.py`` show it in place of the still picture.

        Args:
            path: file to write, ``.html``.

        Returns:
            The path.

        Raises:
            NotImplementedError: a widget that has none.
            ValueError: it would be larger than ``LARGEST`` bytes.
            OSError: it cannot be written; names it.
        """
        place = output_file(path)
        self._written = write_page(self.standalone(), place)
        return self._written

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Take a message of the front end, as a whole or not at all."""
        try:
            self.check(self._choice() | self._read(sync_data))
        except TraitError as error:
            self.error = make_legible(str(error), LONGEST_LINE)
            self.send_state(list(self.CHOICES))
            return
        super().set_state(sync_data)
        self.error = self._failed

    def _follow(self, _: Any = None) -> None:
        """Draw the current choice; what goes wrong is shown in the widget and raised all the same."""
        try:
            drawn = self.draw()
        except Exception as error:
            self._failed = self.error = make_legible(f"{self.FAILURE}: {error}", LONGEST_LINE)
            raise
        with self.hold_sync():  # one message, so that nothing is ever shown under another choice's name
            for name, value in drawn.items():
                chosen = {one: getattr(self, one) for one in self.DRAWN} if name == "_shown" else {}
                setattr(self, name, chosen | value if chosen else value)
        self._failed = self.error = ""

    def _check_together(self, proposal: Any) -> Any:
        """What validates a trait: the new value has to go with the others' present ones."""
        self.check(self._choice() | {proposal["trait"].name: proposal["value"]})
        return proposal["value"]

    def _read(self, message: Any) -> dict[str, Any]:
        if not isinstance(message, dict):
            raise TraitError("The message of the front end holds no choice: make a new widget.")
        if unknown := ", ".join(sorted(repr(name) for name in message if name not in self.CHOICES)):
            raise TraitError(f"{unknown} cannot be chosen: {', '.join(self.CHOICES)} can.")
        return {name: self.traits()[name].validate(self, value) for name, value in message.items()}

    def _choice(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.CHOICES}

    def _repr_mimebundle_(self, **options: Any) -> Bundle:
        """The live view and the still picture, and where the figure is that was written of it."""
        data, metadata = super()._repr_mimebundle_(**options) or ({}, {})
        if self._written:
            metadata = metadata | {WRITTEN: str(self._written.resolve())}
        return data | {"image/png": base64.b64encode(self.draw_still()).decode()}, metadata


def check_row(thing: str, row: int, count: int, nothing: str = "") -> None:
    """Raise a ``TraitError`` unless there is such a row; of nothing, which the last words explain, -1 is chosen."""
    if row not in range(count) and (count or row != -1):
        known = f"give a number from 0 to {count - 1}" if count else nothing
        raise TraitError(f"There is no {thing} {row}: {known}.")
