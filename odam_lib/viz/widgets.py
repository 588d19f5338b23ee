"""Click an object, see why it was found: pure functions that draw, and the widget that only passes events to them.

Needs the extra ``notebooks`` (anywidget and ipywidgets).
"""

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import anywidget
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor
from traitlets import Bytes, Dict, Enum, Float, Int, TraitError, Unicode, observe, validate

from odam_lib.detections import Detections, check_detections
from odam_lib.detectors.base import Detector
from odam_lib.explainers.odam import ODAM
from odam_lib.heatmaps import ATTRIBUTES, COMBINED, HeatMaps
from odam_lib.images import to_uint8
from odam_lib.kernels import checks
from odam_lib.viz.drawing import (
    DISPLAY_SIDE,
    OBJECT_COLOURS,
    OPACITY,
    TITLES,
    blend,
    display_size,
    draw_box,
    label_of,
    reduced,
    to_png,
    with_combined,
)
from odam_lib.viz.plots import show_detections
from odam_lib.viz.sheets import LONGEST_LINE, MOST_BOXES, Sheet, counted, legible

STATIC = Path(__file__).parent / "static"
SHOWN = (*ATTRIBUTES, COMBINED)
SMOOTHINGS: dict[str, str | float | None] = {"adaptive": "adaptive", "fixed": 1.0, "none": None}
"""What the picker's ``smoothing`` means to :class:`ODAM`; ``fixed`` is a Gaussian of one feature cell."""

Bundle = tuple[dict[str, Any], dict[str, Any]]
"""What IPython shows of an object, by MIME type, and its metadata."""

THUMBNAIL_SIDE = 160
NOTHING_FOUND = "There is no object to explain: lower the score threshold or take another picture."


def front_end(name: str) -> str:
    """The JavaScript module of a widget: what the front ends share, then the widget's own file in ``static``.

    Raises:
        FileNotFoundError: there is no such file.
    """
    return "\n".join((STATIC / part).read_text(encoding="utf-8") for part in ("common.js", name))


class Row(Int):
    """The number of something that can be chosen: whole, as :func:`odam_lib.kernels.checks.count` reads it."""

    def validate(self, obj: Any, value: Any) -> int:
        try:
            return checks.count(self.help or self.name, value, least=None)
        except TypeError as error:
            raise TraitError(str(error)) from error


class Share(Float):
    """A number in [0, 1], as :func:`odam_lib.kernels.checks.number` reads it."""

    def validate(self, obj: Any, value: Any) -> float:
        try:
            return float(checks.number(self.help or self.name, value, "[0, 1]"))
        except (TypeError, ValueError) as error:
            raise TraitError(str(error)) from error


class Choosing(anywidget.AnyWidget):
    """What all widgets share: what a reader chooses is checked as a whole, drawn, and an error is told beside it.

    A front end may set the traits named in ``CHOICES`` and no others. A message that is wrong in any of them changes
    nothing and is answered by the values that hold; in Python a wrong value raises.

    Attributes:
        error: why the last message was refused, or why the picture could not follow the last change; else empty. The
            front end shows it as text, in an element with ``role=alert``.
    """

    CHOICES: ClassVar[tuple[str, ...]]
    FAILURE: ClassVar[str]
    """What could not be done, if drawing fails."""

    _css = STATIC / "picker.css"
    _failed = ""

    error = Unicode().tag(sync=True)

    def check(self, choice: Mapping[str, Any]) -> None:
        """Raise a ``TraitError`` if the values, one for each of ``CHOICES``, do not go together."""
        raise NotImplementedError

    def draw(self) -> None:
        """Draw the current choice."""
        raise NotImplementedError

    def follow(self, _: Any = None) -> None:
        """Draw the current choice; what goes wrong is shown in the widget and raised all the same."""
        try:
            self.draw()
        except Exception as error:
            self._failed = self.error = legible(f"{self.FAILURE}: {error}", LONGEST_LINE)
            raise
        self._failed = self.error = ""

    def together(self, proposal: Any) -> Any:
        """What validates a trait: the new value has to go with the others' present ones."""
        self.check(self._choice() | {proposal["trait"].name: proposal["value"]})
        return proposal["value"]

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Take a message of the front end, as a whole or not at all."""
        try:
            self.check(self._choice() | self._checked(sync_data))
        except TraitError as error:
            self.error = legible(str(error), LONGEST_LINE)
            self.send_state(list(self.CHOICES))
            return
        super().set_state(sync_data)
        self.error = self._failed

    def _checked(self, message: Any) -> dict[str, Any]:
        if not isinstance(message, dict):
            raise TraitError("The message of the front end holds no choice: make a new widget.")
        if unknown := ", ".join(sorted(repr(name) for name in message if name not in self.CHOICES)):
            raise TraitError(f"{unknown} cannot be chosen: {', '.join(self.CHOICES)} can.")
        return {name: self.traits()[name].validate(self, value) for name, value in message.items()}

    def _choice(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.CHOICES}


def offered(detections: Detections) -> tuple[Detections, str]:
    """As many detections as a picture can hold, and a sentence if these are not all.

    Raises:
        TypeError: no ``Detections``.
    """
    check_detections(detections)
    count = len(detections)
    shown = detections[:MOST_BOXES]
    return shown, counted("", len(shown), count, "objects").strip()


def render_map(
    image: Tensor, heat_maps: HeatMaps, attribute: str, opacity: float = OPACITY, side: int = DISPLAY_SIDE
) -> bytes:
    """A PNG of one map over the picture, without boxes or margins: its pixels are the picture's.

    Args:
        image: ``Tensor[3, H, W]`` in [0, 1].
        heat_maps: maps of one detection in that image.
        attribute: one of the computed attributes, or ``combined``.
        opacity: of the map where it is largest, in [0, 1].
        side: a longer picture is reduced to this many pixels.

    Raises:
        ValueError: an attribute that was not computed, or an opacity outside [0, 1].
    """
    size = display_size(heat_maps.detections.image_size, side)
    heat = with_combined(heat_maps, [attribute]).normalized().to_image(size)[0, 0].cpu()
    return encode_png(blend(reduced(image.cpu(), size), heat, opacity))


def static_figure(image: Tensor, detections: Detections, heat_maps: HeatMaps, selected: int) -> Figure:
    """What the picker shows, for readers without a kernel: all detections beside every map of the selected one.

    Args:
        image: ``Tensor[3, H, W]`` in [0, 1].
        detections: of that image.
        heat_maps: the maps of the selected detection; of none if there are no detections.
        selected: its row in ``detections``, which gives its number and colour.

    Raises:
        TypeError, IndexError: no such row.
    """
    if not len(detections):
        return show_detections(image, detections)
    selected = checks.row(selected, len(detections))
    height, width = detections.image_size
    size = display_size(detections.image_size)
    small, shown = reduced(image.cpu(), size), with_combined(heat_maps, SHOWN).normalized().to_image(size)[0].cpu()
    figure = Sheet(10, 10 * min(max(0.4 * height / width, 0.2), 0.8) + 0.6)
    listed, more = offered(detections)
    panels = figure.subplot_mosaic([["all", *SHOWN[:3]], ["all", *SHOWN[3:]]], width_ratios=[2.1, 1, 1, 1])
    pictures = {"all": small} | {attribute: blend(small, heat) for attribute, heat in zip(SHOWN, shown)}
    for key, panel in panels.items():
        panel.imshow(to_uint8(pictures[key]), extent=(0, width, height, 0))
        panel.set_axis_off()
        panel.set_title(TITLES.get(key, "detections"), fontsize=9)
        if key != "all":
            draw_box(panel, detections.boxes[selected], selected, edge=key)
    for row in range(len(listed)):
        draw_box(panels["all"], detections.boxes[row], row, label=label_of(detections, row))
    figure.suptitle(f"Why {label_of(detections, selected)} was found there\n{more}".strip(), fontsize=11)
    return figure


class InstancePicker(Choosing):
    """A picture whose objects can be clicked, beside the maps of the one selected.

    The network runs once, when the picker is made; maps are computed when they are first looked at, and kept.

    Args:
        detector: a detector that fulfils the contract.
        image: ``Tensor[3, H, W]``, float in [0, 1].
        detections: what can be selected, as ``detector.detect(image)`` returned them; default all that it finds. Of
            more than ``MOST_BOXES`` the first can be, and the picker says so.
        layer: one of ``detector.layers``; default the first.
        score_threshold: least score of what is found if ``detections`` is not given.
        selected: row of the detection to begin with; ignored if there is none.
        attribute, smoothing, opacity: what to begin with, see below.

    Attributes:
        selected: row of the selected detection; -1 if there is none.
        attribute: which map is large: ``class``, ``x1``, ``y1``, ``x2``, ``y2`` or ``combined``.
        smoothing: ``adaptive``, ``fixed`` or ``none``, see :data:`SMOOTHINGS`.
        opacity: of the map where it is largest, in [0, 1].
        error: see :class:`Choosing`.
        detections: what can be selected.

    Raises:
        TypeError, ValueError: what was wrong with the image, the layer, the threshold or the detections.
        TraitError: a selected object, attribute, smoothing or opacity that does not exist, now or when set later.
    """

    _esm = front_end("picker.js")
    CHOICES = ("selected", "attribute", "smoothing", "opacity")
    FAILURE = "The map could not be drawn"

    selected = Row(-1).tag(sync=True)
    attribute = Enum(SHOWN, "class").tag(sync=True)
    smoothing = Enum(tuple(SMOOTHINGS), "adaptive").tag(sync=True)
    opacity = Share(OPACITY, help="The opacity").tag(sync=True)

    _about = Dict(help="what never changes: the picture's size, its objects, the choices").tag(sync=True)
    _picture = Bytes(help="PNG of the picture").tag(sync=True)
    _map = Bytes(help="PNG of the large map").tag(sync=True)
    _strip = Dict(help="PNG of each attribute's small map").tag(sync=True)
    _shown = Dict(help="what the maps belong to").tag(sync=True)

    def __init__(
        self,
        detector: Detector,
        image: Tensor,
        detections: Detections | None = None,
        *,
        layer: str | None = None,
        score_threshold: float = 0.5,
        selected: int = 0,
        attribute: str = "class",
        smoothing: str = "adaptive",
        opacity: float = OPACITY,
    ) -> None:
        checks.detector(detector)
        self._trace = detector.trace(image, layer)
        found = self._trace.detections(score_threshold) if detections is None else detections
        self._trace.check(found, ATTRIBUTES)
        self.detections, self._more = offered(found)
        self._image = image.detach().cpu()
        self._cache: dict[tuple[int, str], tuple[HeatMaps, dict[str, bytes]]] = {}
        super().__init__(
            selected=selected if len(self.detections) else -1,
            attribute=attribute,
            smoothing=smoothing,
            opacity=opacity,
            _about=_describe(self.detections, self._more),
            _picture=encode_png(reduced(self._image, display_size(self.detections.image_size))),
        )
        self.follow()

    @property
    def heat_maps(self) -> HeatMaps:
        """The maps of the selected detection under the current smoothing; of none if there are no detections."""
        return self._explained()[0]

    _together = validate(*CHOICES)(Choosing.together)
    _follow = observe(*CHOICES)(Choosing.follow)

    def check(self, choice: Mapping[str, Any]) -> None:
        row, count = choice["selected"], len(self.detections)
        if row not in range(count) and (count or row != -1):
            known = f"give a number from 0 to {count - 1}" if count else "nothing was found, selected stays -1"
            raise TraitError(f"There is no object {row}: {known}.")

    def draw(self) -> None:
        if self.selected < 0:
            return
        heat_maps, strip = self._explained()
        picture = render_map(self._image, heat_maps, self.attribute, self.opacity)
        reason = with_combined(heat_maps, [self.attribute]).reasons[0][0]
        with self.hold_sync():  # one message, so that the front end never shows one object's map under another's name
            self._map, self._strip = picture, strip
            self._shown = {
                **self._choice(),
                "title": f"{label_of(self.detections, self.selected)}: {TITLES[self.attribute]}",
                "reason": f"Zero everywhere: {reason}." if reason else "",
            }

    def _explained(self) -> tuple[HeatMaps, dict[str, bytes]]:
        """The selected detection's maps and the PNGs of its strip, made once for each smoothing."""
        key = (self.selected, self.smoothing)
        if key not in self._cache:
            chosen = self.detections[[self.selected] if self.selected >= 0 else []]
            heat_maps = ODAM(smoothing=SMOOTHINGS[self.smoothing])(self._trace, chosen, ATTRIBUTES)
            drawn = SHOWN if len(chosen) else ()
            strip = {name: render_map(self._image, heat_maps, name, side=THUMBNAIL_SIDE) for name in drawn}
            self._cache[key] = (heat_maps, strip)
        return self._cache[key]

    def __repr__(self) -> str:
        count = len(self.detections)
        name = f"{label_of(self.detections, self.selected).rsplit(' ', 1)[0]}, {self.attribute}" if count else "none"
        return f"InstancePicker({count} object{'s' if count != 1 else ''}, selected: {name})"

    def _repr_mimebundle_(self, **kwargs: Any) -> Bundle:
        """The live view, and a still picture of it for places where no kernel runs."""
        still = static_figure(self._image, self.detections, self.heat_maps, self.selected)
        return with_still(super()._repr_mimebundle_(**kwargs), still)


def _describe(detections: Detections, more: str) -> dict[str, Any]:
    objects = describe_objects(detections)
    return {
        "size": detections.image_size,
        "objects": objects,
        "attributes": [[name, TITLES[name]] for name in SHOWN],
        "smoothings": list(SMOOTHINGS),
        "sentence": more if objects else NOTHING_FOUND,
    }


def describe_objects(detections: Detections) -> list[dict[str, Any]]:
    """Box, label and colour of each detection, as front ends draw them."""
    return [
        {"box": box, "label": label_of(detections, row), "colour": OBJECT_COLOURS[row % len(OBJECT_COLOURS)]}
        for row, box in enumerate(detections.boxes.tolist())
    ]


def encode_png(image: Tensor) -> bytes:
    """A picture ``[3, H, W]`` in [0, 1] as the bytes of a PNG, quickly made."""
    buffer = io.BytesIO()
    Image.fromarray(to_uint8(image)).save(buffer, "PNG", compress_level=1)  # 4 times as fast, a seventh larger
    return buffer.getvalue()


def with_still(bundle: Bundle, still: Figure) -> Bundle:
    """A widget's live view together with a still picture of it, for places where no kernel runs."""
    return with_png(bundle, to_png(still))


def with_png(bundle: Bundle, png: bytes) -> Bundle:
    """A widget's live view together with a picture that is drawn already."""
    data, metadata = bundle
    return data | {"image/png": base64.b64encode(png).decode()}, metadata
