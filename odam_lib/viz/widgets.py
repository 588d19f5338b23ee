"""Click an object, see why it was found. Needs the extra ``notebooks`` (anywidget and ipywidgets)."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor
from traitlets import Bytes, Enum

from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector, check_detector
from odam_lib.explainers.odam import ODAM
from odam_lib.heatmaps import ATTRIBUTES, HeatMaps
from odam_lib.images import to_uint8
from odam_lib.kernels import checks
from odam_lib.viz.choosing import Choosing, Row, Share, check_row
from odam_lib.viz.drawing import (
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
from odam_lib.viz.front_ends import SHOWN, STATIC, describe_maps, describe_picture, limit_objects, read_front_end
from odam_lib.viz.plots import show_detections
from odam_lib.viz.sheets import Sheet
from odam_lib.viz.standalone import Standalone, make_standalone

SMOOTHINGS: dict[str, str | float | None] = {"adaptive": "adaptive", "fixed": 1.0, "none": None}
"""What the picker's ``smoothing`` means to :class:`ODAM`; ``fixed`` is a Gaussian of one feature cell."""


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
    CHOICES, DRAWN = ("selected", "attribute", "smoothing", "opacity"), ("selected", "smoothing")
    FAILURE = "The map could not be drawn"

    selected = Row(-1).tag(sync=True)
    attribute = Enum(SHOWN, "class").tag(sync=True)
    smoothing = Enum(tuple(SMOOTHINGS), "adaptive").tag(sync=True)
    opacity = Share(OPACITY, help="The opacity").tag(sync=True)

    _maps = Bytes(help="grey PNG of the selected object's maps, one below the other").tag(sync=True)

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
        self._cache: dict[tuple[int, str], HeatMaps] = {}
        super().__init__(
            selected=selected if len(self.detections) else -1,
            attribute=attribute,
            smoothing=smoothing,
            opacity=opacity,
            _about=describe_picture(self.detections, more) | {"smoothings": list(SMOOTHINGS)},
            _picture=encode_png(resize(self._image, fit_size(self.detections.image_size))),
        )

    @property
    def heat_maps(self) -> HeatMaps:
        """The maps of the selected detection under the current smoothing; of none if there are no detections."""
        key = (self.selected, self.smoothing)
        if key not in self._cache:
            chosen = self.detections[[self.selected] if self.selected >= 0 else []]
            self._cache[key] = self._explain(chosen)
        return self._cache[key]

    def check(self, choice: Mapping[str, Any]) -> None:
        check_row("object", choice["selected"], len(self.detections), "nothing was found, selected stays -1")

    def draw(self) -> dict[str, Any]:
        return {} if self.selected < 0 else describe_maps(self.heat_maps)

    def draw_still(self) -> bytes:
        return to_png(static_figure(self._image, self.detections, self.heat_maps, self.selected))

    def standalone(self) -> Standalone:
        heat_maps = self._explain(self.detections)
        return make_standalone(self._image, heat_maps, max(self.selected, 0), self.attribute, self.opacity)

    def _explain(self, chosen: Detections) -> HeatMaps:
        return ODAM(smoothing=SMOOTHINGS[self.smoothing])(self._trace, chosen, ATTRIBUTES)

    def __repr__(self) -> str:
        count = len(self.detections)
        name = f"{write_label(self.detections, self.selected).rsplit(' ', 1)[0]}, {self.attribute}" if count else "none"
        return f"InstancePicker({count} object{'s' if count != 1 else ''}, selected: {name})"
