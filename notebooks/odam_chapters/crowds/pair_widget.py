"""Choose two detections of a crowd, see whether each rule of suppression takes them for two objects (Sec. 3.3).

Needs the extra ``notebooks`` (anywidget and ipywidgets).
"""

from collections.abc import Mapping
from itertools import permutations
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor
from traitlets import Bytes, Enum, TraitError

from odam_chapters import STATIC
from odam_chapters.crowds.decisions import Decisions, check_pair, decide, find_telling_pair, say_twice
from odam_chapters.crowds.rules import RASTER, SCORE_THRESHOLD, find_candidates
from odam_chapters.pictures import crop, draw_thin, find_part
from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector, check_detector
from odam_lib.explainers.raster import raster_maps
from odam_lib.kernels import checks
from odam_lib.kernels.grid import Grid
from odam_lib.kernels.nms import nms
from odam_lib.kernels.odam import min_max
from odam_lib.viz.choosing import Choosing, Row, Share, check_row
from odam_lib.viz.drawing import (
    OBJECT_COLOURS,
    OPACITY,
    blend,
    draw_box,
    draw_picture,
    encode_png,
    fit_size,
    resize,
    to_png,
    write_label,
)
from odam_lib.viz.front_ends import (
    describe_grid,
    describe_objects,
    encode_maps,
    limit_objects,
    list_palette,
    read_front_end,
)
from odam_lib.viz.plots import show_detections
from odam_lib.viz.sheets import Sheet
from odam_lib.viz.standalone import Standalone

ROLES, THRESHOLDS = ("first", "second"), ("iou_threshold", "low", "high")


COLOURS = OBJECT_COLOURS[:2]
"""Of the first and of the second detection."""


OTHERS = "#d9d9d9"


AROUND = 0.3
"""What a close-up shows around the two boxes, as a share of the longer side of both together."""


MOST_PAIRED = 40
"""A figure without Python holds the pairs of so many detections at most."""


def show_pair(
    image: Tensor,
    found: Detections,
    maps: Tensor,
    first: int,
    second: int,
    iou_threshold: float = 0.5,
    low: float = 0.2,
    high: float = 0.8,
) -> Figure:
    """Two detections in their picture, their maps around them, and what each rule decides.

    Args:
        image: ``Tensor[3, H, W]`` in [0, 1].
        found: N detections of that image; of fewer than two the figure says so.
        maps: their non-negative heat maps ``Tensor[N, h, w]``, spread over the whole picture.
        first, second: rows of the two; the others are grey.
        iou_threshold, low, high: T_iou, T_l and T_h, see :func:`decide`.

    Raises:
        TypeError, IndexError, ValueError: as of :func:`decide`.
    """
    if len(found) < 2:
        return show_detections(image.cpu(), found, say_no_pair(len(found)).replace(". ", ".\n"))
    first, second = check_pair(found, maps, first, second)
    decided = decide(found, maps, first, second, iou_threshold, low, high)
    pair, pictures = draw_close_ups(image, found, maps, first, second)
    figure = Sheet(10, 5.1)
    panels = figure.subplot_mosaic([["all", *ROLES], ["rules"] * 3], height_ratios=[3.4, 1])
    draw_picture(panels["all"], resize(image.cpu(), fit_size(found.image_size)), found.image_size)
    draw_thin(panels["all"], found.boxes[[row for row in range(len(found)) if row not in (first, second)]], OTHERS)
    for place, row in enumerate((first, second)):
        draw_box(panels["all"], found.boxes[row], place)
    panels["all"].set_title(f"{len(found)} detections", fontsize=9)
    for place, (role, row) in enumerate(zip(ROLES, (first, second))):
        draw_picture(panels[role], pictures[place], pair.image_size)
        draw_thin(panels[role], pair.boxes[[1 - place]], OTHERS)
        draw_box(panels[role], pair.boxes[place], place)
        panels[role].set_title(f"{write_label(found, row)}: its map / its maximum", fontsize=9)
    panels["rules"].set_axis_off()
    for line, decision in enumerate(decided.by_rule):
        for x, text, weight in (
            (0.02, decision.rule, "normal"),
            (0.12, decision.word, "bold"),
            (0.23, decision.reason, "normal"),
        ):
            panels["rules"].text(x, 0.85 - 0.35 * line, text, weight=weight, fontsize=9, va="center")
    figure.suptitle(f"One object or two? Detections {first} and {second}: {decided.numbers}", fontsize=11)
    return figure


class PairPicker(Choosing):
    """A crowd in which two detections can be chosen, beside their maps, above what each rule decides about them.

    A click, or arrow keys, replace the detection whose turn it is (``active``); no detection can be both.

    Args:
        detector: a detector whose default layer has windows, see :func:`odam_lib.explainers.raster.raster_maps`.
        image: ``Tensor[3, H, W]``, float in [0, 1].
        detections: what can be chosen, of that detector and image; default its candidates before suppression, without
            those that overlap a better one so much that no click could tell them apart. Of more than ``MOST_BOXES`` the
            first can be chosen, and the picker says so.
        score_threshold: candidates have to score more, if ``detections`` is not given.
        distinct: IoU over which a candidate is left out for a better one, if ``detections`` is not given.
        first, second: rows to begin with, ignored if there are fewer than two; default :func:`find_telling_pair`.
        iou_threshold, low, high: T_iou, T_l and T_h to begin with.

    Attributes:
        first, second: rows of the two; both -1 if there are fewer than two detections. To exchange them, set both in
            ``with picker.hold_trait_notifications()``.
        active: ``first`` or ``second``, which of the two a click replaces.
        iou_threshold, low, high: T_iou, T_l <= T_h, in [0, 1].
        error: see :class:`odam_lib.viz.choosing.Choosing`.
        detections: what can be chosen.
        maps: their heat maps ``Tensor[N, h, w]``.

    Raises:
        TypeError, ValueError: what was wrong with the image, a threshold, the detections or the detector's layer.
        TraitError: a detection that does not exist, the same twice, or thresholds out of range, now or when set later.
    """

    _esm = read_front_end(STATIC / "pairs.js")
    CHOICES, DRAWN = (*ROLES, "active", *THRESHOLDS), (*ROLES, *THRESHOLDS)
    FAILURE = "The pair could not be compared"

    first = Row(-1).tag(sync=True)
    second = Row(-1).tag(sync=True)
    active = Enum(ROLES, "second").tag(sync=True)
    iou_threshold = Share(0.5).tag(sync=True)
    low = Share(0.2).tag(sync=True)
    high = Share(0.8).tag(sync=True)

    _maps = Bytes(help="grey PNG of all maps, one below the other").tag(sync=True)

    def __init__(
        self,
        detector: Detector,
        image: Tensor,
        detections: Detections | None = None,
        *,
        score_threshold: float = SCORE_THRESHOLD,
        distinct: float = 0.8,
        first: int | None = None,
        second: int | None = None,
        iou_threshold: float = 0.5,
        low: float = 0.2,
        high: float = 0.8,
    ) -> None:
        check_detector(detector)
        distinct = checks.number("distinct", distinct, "[0, 1]")
        trace = detector.trace(image)
        if detections is None:
            found = find_candidates(trace, score_threshold)
            detections = found[nms(found.boxes, found.scores, found.labels, distinct).index]
        detections, more = limit_objects(detections)
        self.maps = raster_maps(trace, detections, short_edge=RASTER).detach().cpu()
        self.detections, self._image = detections.to("cpu"), image.detach().cpu()
        if len(detections) < 2:
            first, second = -1, -1
        elif first is None or second is None:
            first, second = self._completed(first, second, iou_threshold)
        super().__init__(
            first=first,
            second=second,
            iou_threshold=iou_threshold,
            low=low,
            high=high,
            _about={
                "size": self.detections.image_size,
                "objects": describe_objects(self.detections),
                "roles": ROLES,
                "thresholds": {"iou_threshold": "T_iou", "low": "T_l", "high": "T_h"},
                "colours": COLOURS,
                "others": OTHERS,
                "sentence": say_no_pair(len(detections)) if len(detections) < 2 else more,
                "grid": describe_grid(Grid(0.5, 0.5, 1, 1), (self.maps.shape[-2], self.maps.shape[-1])),
                "palette": list_palette(),
                "opacity": OPACITY,
            },
            _picture=encode_png(resize(self._image, fit_size(self.detections.image_size))),
            _maps=encode_maps(min_max(self.maps)) if len(detections) > 1 else b"",
        )

    @property
    def decisions(self) -> Decisions | None:
        """What every rule decides about the two; ``None`` if there are fewer than two detections."""
        return decide(self.detections, self.maps, *self._pair()) if len(self.detections) > 1 else None

    def _pair(self) -> tuple[int, int, float, float, float]:
        return self.first, self.second, self.iou_threshold, self.low, self.high

    def _completed(self, first: int | None, second: int | None, iou_threshold: float) -> tuple[int, int]:
        """A pair of which one row may be given."""
        given, traits = second if first is None else first, self.traits()
        iou_threshold = traits["iou_threshold"].validate(self, iou_threshold)
        if given is not None:
            given = traits["first"].validate(self, given)
            check_row("detection", given, len(self.detections))
        pair = find_telling_pair(self.detections, self.maps, iou_threshold, given)
        return pair if second is None else pair[::-1]

    def check(self, choice: Mapping[str, Any]) -> None:
        rows = [choice[role] for role in ROLES]
        if len(self.detections) < 2:
            if rows != [-1, -1]:
                raise TraitError(f"{say_no_pair(len(self.detections))} First and second stay -1.")
        else:
            for row in rows:
                check_row("detection", row, len(self.detections))
            if rows[0] == rows[1]:
                raise TraitError(say_twice(rows[0]))
        if choice["low"] > choice["high"]:
            raise TraitError(f"low is {choice['low']} and high is {choice['high']}: low may not be over high.")

    def draw(self) -> dict[str, Any]:
        return {} if len(self.detections) < 2 else self._draw(self.first, self.second)

    def _draw(self, first: int, second: int) -> dict[str, Any]:
        decided = decide(self.detections, self.maps, first, second, self.iou_threshold, self.low, self.high)
        (_, rows, columns), _ = find_part(self.detections.boxes[[first, second]], self._image, AROUND)
        return {
            "_shown": {
                "part": [columns.start, rows.start, columns.stop, rows.stop],
                "numbers": decided.numbers,
                "decisions": [[one.rule, one.word, one.reason] for one in decided.by_rule],
            },
        }

    def standalone(self) -> Standalone:
        """Pairs at the present thresholds, of at most ``MOST_PAIRED`` detections."""
        count = min(len(self.detections), MOST_PAIRED)
        shown, sentence = limit_objects(self.detections, count)
        pair = self.first, self.second
        if max(pair) >= count:
            pair = find_telling_pair(shown, self.maps[:count], self.iou_threshold)
        told = f"T_iou {self.iou_threshold:g}, T_l {self.low:g}, T_h {self.high:g}. {sentence}".strip()
        about = {
            "objects": describe_objects(shown),
            "thresholds": {},
            "sentence": told if count > 1 else self._about["sentence"],
        }
        pairs = ({"first": first, "second": second} for first, second in permutations(range(count), 2))
        return self.freeze(
            "One object or two?",
            STATIC / "pairs.js",
            self._image,
            pairs,
            self._draw,
            first=pair[0],
            second=pair[1],
            _about=self._about | about,
            _maps=encode_maps(min_max(self.maps[:count])) if count > 1 else b"",
        )

    def draw_still(self) -> bytes:
        return to_png(show_pair(self._image, self.detections, self.maps, *self._pair()))

    def __repr__(self) -> str:
        pair = f"{self.first} and {self.second}, {self.decisions.numbers}" if self.decisions else "none"
        count = len(self.detections)
        return f"PairPicker({count} detection{'s' if count != 1 else ''}, pair: {pair})"


def say_no_pair(count: int) -> str:
    """Why there is no pair among fewer than two detections."""
    found = "only one object" if count else "nothing"
    return f"There is no pair: {found} was found. Lower the score threshold or take another picture."


def draw_close_ups(
    image: Tensor, found: Detections, maps: Tensor, first: int, second: int
) -> tuple[Detections, list[Tensor]]:
    """The two detections in the part of the picture around them, and that part under the map of each."""
    rows = [first, second]
    heat = resize(min_max(maps[rows].cpu()), found.image_size)
    part, pair, columns = crop(image.cpu(), found[rows], {"map": heat}, AROUND)
    size = fit_size(pair.image_size)
    small = resize(part, size)
    return pair, [blend(small, one) for one in resize(columns["map"], size)]
