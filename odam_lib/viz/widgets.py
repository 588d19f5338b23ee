"""Click an object, see why it was found. Needs the extra ``notebooks`` (anywidget and ipywidgets)."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor
from traitlets import Bytes, Dict, Enum

from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector, check_detector
from odam_lib.explainers.odam import ODAM
from odam_lib.heatmaps import ATTRIBUTES, COMBINED, HeatMaps
from odam_lib.images import to_uint8
from odam_lib.kernels import checks
from odam_lib.viz.choosing import (
    STATIC,
    Choosing,
    Row,
    Share,
    check_row,
    describe_objects,
    limit_objects,
    read_front_end,
)
from odam_lib.viz.drawing import (
    DISPLAY_SIDE,
    OPACITY,
    TITLES,
    add_combined,
    blend,
    draw_box,
    draw_labels,
    encode_png,
    fit_size,
    resize,
    to_png,
    write_label,
)
from odam_lib.viz.plots import show_detections
from odam_lib.viz.sheets import Sheet

SHOWN = (*ATTRIBUTES, COMBINED)
SMOOTHINGS: dict[str, str | float | None] = {"adaptive": "adaptive", "fixed": 1.0, "none": None}
"""What the picker's ``smoothing`` means to :class:`ODAM`; ``fixed`` is a Gaussian of one feature cell."""

THUMBNAIL_SIDE = 160
NOTHING_FOUND = "There is no object to explain: lower the score threshold or take another picture."


def render_map(
    image: Tensor, heat_maps: HeatMaps, attribute: str, opacity: float = OPACITY, side: int = DISPLAY_SIDE
) -> bytes:
    """A PNG of one map over the picture, without boxes or margins: its pixels are the picture's.

    Args:
        image: ``Tensor[3, H, W]`` in [0, 1].
        heat_maps: maps of one detection in that image.
        attribute: one of the computed attributes, or ``combined``.
        opacity: opacity of the map where it is largest, in [0, 1].
        side: a longer picture is reduced to this many pixels.

    Raises:
        ValueError: an attribute that was not computed, or an opacity outside [0, 1].
    """
    size = fit_size(heat_maps.detections.image_size, side)
    heat = add_combined(heat_maps, [attribute]).normalized().to_image(size)[0, 0].cpu()
    return encode_png(blend(resize(image.cpu(), size), heat, opacity))


def static_figure(image: Tensor, detections: Detections, heat_maps: HeatMaps, selected: int) -> Figure:
    """What the picker shows, for readers without a kernel: all detections beside every map of the selected one.

    Args:
        image: ``Tensor[3, H, W]`` in [0, 1].
        detections: detections of that image.
        heat_maps: the maps of the selected detection; of none if there are no detections.
        selected: its row in ``detections``, which gives its number and colour.

    Raises:
        TypeError, IndexError: no such row.
    """
    if not len(detections):
        return show_detections(image, detections)
    selected = checks.row(selected, len(detections))
    height, width = detections.image_size
    size = fit_size(detections.image_size)
    small, shown = resize(image.cpu(), size), add_combined(heat_maps, SHOWN).normalized().to_image(size)[0].cpu()
    figure = Sheet(10, 10 * min(max(0.4 * height / width, 0.2), 0.8) + 0.6)
    listed, more = limit_objects(detections)
    panels = figure.subplot_mosaic([["all", *SHOWN[:3]], ["all", *SHOWN[3:]]], width_ratios=[2.1, 1, 1, 1])
    pictures = {"all": small} | {attribute: blend(small, heat) for attribute, heat in zip(SHOWN, shown)}
    for key, panel in panels.items():
        panel.imshow(to_uint8(pictures[key]), extent=(0, width, height, 0))
        panel.set_axis_off()
        panel.set_title(TITLES.get(key, "detections"), fontsize=9)
        if key != "all":
            draw_box(panel, detections.boxes[selected], selected, edge=key)
    for row, box in enumerate(listed.boxes):
        draw_box(panels["all"], box, row)
    draw_labels(panels["all"], listed, 72 * 4.0 / width)
    figure.suptitle(f"Why {write_label(detections, selected)} was found there\n{more}".strip(), fontsize=11)
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
        opacity: opacity of the map where it is largest, in [0, 1].
        error: see :class:`Choosing`.
        detections: what can be selected.

    Raises:
        TypeError, ValueError: what was wrong with the image, the layer, the threshold or the detections.
        TraitError: a selected object, attribute, smoothing or opacity that does not exist, now or when set later.
    """

    _esm = read_front_end(STATIC / "picker.js")
    CHOICES = ("selected", "attribute", "smoothing", "opacity")
    FAILURE = "The map could not be drawn"

    selected = Row(-1).tag(sync=True)
    attribute = Enum(SHOWN, "class").tag(sync=True)
    smoothing = Enum(tuple(SMOOTHINGS), "adaptive").tag(sync=True)
    opacity = Share(OPACITY, help="The opacity").tag(sync=True)

    _map = Bytes(help="PNG of the large map").tag(sync=True)
    _strip = Dict(help="PNG of each attribute's small map").tag(sync=True)

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
        check_detector(detector)
        self._trace = detector.trace(image, layer)
        found = self._trace.detections(score_threshold) if detections is None else detections
        self._trace.check(found, ATTRIBUTES)
        self.detections, more = limit_objects(found)
        self._image = image.detach().cpu()
        self._cache: dict[tuple[int, str], tuple[HeatMaps, dict[str, bytes]]] = {}
        super().__init__(
            selected=selected if len(self.detections) else -1,
            attribute=attribute,
            smoothing=smoothing,
            opacity=opacity,
            _about={
                "size": self.detections.image_size,
                "objects": describe_objects(self.detections),
                "attributes": [[name, TITLES[name]] for name in SHOWN],
                "smoothings": list(SMOOTHINGS),
                "sentence": more if len(self.detections) else NOTHING_FOUND,
            },
            _picture=encode_png(resize(self._image, fit_size(self.detections.image_size))),
        )

    @property
    def heat_maps(self) -> HeatMaps:
        """The maps of the selected detection under the current smoothing; of none if there are no detections."""
        return self._explained()[0]

    def check(self, choice: Mapping[str, Any]) -> None:
        check_row("object", choice["selected"], len(self.detections), "nothing was found, selected stays -1")

    def draw(self) -> dict[str, Any]:
        if self.selected < 0:
            return {}
        heat_maps, strip = self._explained()
        reason = add_combined(heat_maps, [self.attribute]).reasons[0][0]
        return {
            "_map": render_map(self._image, heat_maps, self.attribute, self.opacity),
            "_strip": strip,
            "_shown": {
                "title": f"{write_label(self.detections, self.selected)}: {TITLES[self.attribute]}",
                "reason": f"Zero everywhere: {reason}." if reason else "",
            },
        }

    def draw_still(self) -> bytes:
        return to_png(static_figure(self._image, self.detections, self.heat_maps, self.selected))

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
        name = f"{write_label(self.detections, self.selected).rsplit(' ', 1)[0]}, {self.attribute}" if count else "none"
        return f"InstancePicker({count} object{'s' if count != 1 else ''}, selected: {name})"
