"""The toy detector's maps are those worked out by hand, and the checks of notebook 09 tell usual mistakes by name."""

from collections.abc import Callable

import pytest
import torch
from odam_chapters.own.data import open_pictures
from odam_chapters.own.exercises import check_cells, check_formula, check_silence
from odam_chapters.own.toy import BlobDetector, BlobNet, BlobTrace, draw_blobs, measure_distances
from odam_chapters.own.wrapped import compare_conditions, note_condition
from torch import Tensor

from odam_lib import ODAM, Detections, explain, wrap
from odam_lib.files import data_root
from odam_lib.heatmaps import EDGES


def test_the_toys_detections_and_maps_are_known_on_paper() -> None:
    detector, image = BlobDetector(BlobNet()), draw_blobs()
    found = detector.detect(image)
    assert found.names() == ["red", "blue"]
    assert found.boxes.tolist() == [[24, 32, 80, 72], [128, 48, 168, 104]]  # the blobs to the pixel
    assert found.scores.tolist() == pytest.approx([torch.tensor(2.0).sigmoid().item()] * 2)
    maps = explain(detector, image, found, EDGES, ODAM(smoothing=None)).maps
    # A cell is 8 x 8 pixels; the red blob's middle cell is row 6, column 6: three cells left of it, two above it.
    cells = {"x1": [(6, 3), (6, 4), (6, 5)], "y1": [(4, 6), (5, 6)], "x2": [(6, 7), (6, 8), (6, 9)]}
    for edge, expected in cells.items():
        heat = maps[0][EDGES.index(edge)]
        assert [tuple(place) for place in heat.nonzero().tolist()] == expected
        assert heat[heat > 0].tolist() == [8] * len(expected)  # each moves the edge by its own 8 pixels
    with pytest.raises(TypeError, match=r"BlobNet is of no known family.*README"):
        wrap(detector.model)


def coordinate(trace: BlobTrace, attribute: str, found: Detections) -> Tensor:
    trace.check(found, [attribute])
    return (
        trace.corners[found.index, EDGES.index(attribute)]
        if attribute in EDGES
        else measure_distances(trace, attribute, found)
    )


def negated(trace: BlobTrace, attribute: str, found: Detections) -> Tensor:
    return (
        -measure_distances(trace, attribute, found)
        if attribute in ("x1", "y1")
        else measure_distances(trace, attribute, found)
    )


def unchecked(trace: BlobTrace, attribute: str, found: Detections) -> Tensor:
    if attribute in EDGES:
        edge = EDGES.index(attribute)
        distance = (trace.corners - trace.cells.repeat(1, 2))[found.index, edge]
        return distance if edge >= 2 else -distance
    logit = trace.logits[found.index, found.labels]
    return logit if attribute == "logit" else logit.sigmoid()


def logit_for_class(trace: BlobTrace, attribute: str, found: Detections) -> Tensor:
    return measure_distances(trace, "logit" if attribute == "class" else attribute, found)


def largest(trace: BlobTrace, attribute: str, found: Detections) -> Tensor:
    if attribute in EDGES:
        return measure_distances(trace, attribute, found)
    logit = trace.logits[found.index].amax(dim=1)
    return logit if attribute == "logit" else logit.sigmoid()


def only_edges(trace: BlobTrace, attribute: str, found: Detections) -> Tensor:
    return (trace.corners - trace.cells.repeat(1, 2)).abs()[found.index, EDGES.index(attribute)]


@pytest.mark.parametrize(
    ("formula", "sentence"),
    [
        (None, "open: write a function"),
        (measure_distances, "right: the numbers grow"),
        (coordinate, "not quite: 'x1' is the coordinate of the left edge (x1), not a distance"),
        (negated, "not quite: 'x1' is the distance with the wrong sign"),
        (largest, "not quite: 'logit' is that of the largest class"),
        (unchecked, "detections of another picture should be refused"),
        (logit_for_class, "not quite: 'class' is 2.0, 2.0, it should be 0.9, 0.9"),
        (only_edges, "not quite: asked for 'logit' it stops with ValueError"),
        (lambda trace, attribute, found: measure_distances(trace, attribute, found).sum(), "no tensor of shape [2]"),
        (
            lambda trace, attribute, found: measure_distances(trace, attribute, found).detach(),
            "'logit' has no gradient",
        ),
        (lambda trace, attribute, found: measure_distances(trace, attribute, found) * 1.5, "'logit' is 3.0, 3.0"),
    ],
)
def test_the_numbers_to_explain(formula: Callable | None, sentence: str) -> None:
    assert sentence in " ".join(check_formula(formula).split())


def test_silence_is_not_the_same_as_being_right() -> None:
    detector, image = BlobDetector(BlobNet()), draw_blobs()
    found = detector.detect(image)
    right = {"boxes": found.boxes, "labels": found.labels}
    data = [(image, right), (image, right | {"labels": found.labels.flip(0)})]
    assert check_silence(0.5, detector, data, [0]).startswith("right: at 0.5 all 2 detections are right. The price: 0")
    assert (
        check_silence(0.5, detector, data, [0, 1]) == "not quite: at 0.5 it is right 2 times and still wrong 2 times."
    )
    assert "says nothing at all (4 objects missed)" in check_silence(1.0, detector, data, [0, 1])
    for absent in (None, 1.5, -0.1):
        assert check_silence(absent, detector, data, [0]).startswith("open: at which least score")


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        (None, "open: list the cells"),
        ([(6, 5), (6, 4), (6, 3)], "right: [(6, 3), (6, 4), (6, 5)], each worth 8 pixels"),
        ([(6, 3), (6, 4), (6, 5), (6, 6)], "not quite: the middle cell is where distances begin"),
        ([(6, 7), (6, 8), (6, 9)], "not quite: those move the right edge"),
        ([(row, column) for row in range(4, 9) for column in (3, 4, 5)], "not quite: the columns are right"),
        ([], "not quite: the distance is 8 times"),
    ],
)
def test_the_cells_of_a_map_are_worked_out_on_paper(cells: list | None, sentence: str) -> None:
    assert check_cells(cells).startswith(sentence)


def test_a_wrapped_models_condition_tells_what_changed() -> None:
    model = BlobNet()
    before = note_condition(model)
    assert all(compare_conditions(before, note_condition(model)).values())
    model.eval().requires_grad_(False)
    model.head.bias += 1
    model.backbone.register_forward_hook(lambda *given: None)
    assert not any(compare_conditions(before, note_condition(model)).values())


def test_own_pictures_are_no_more_than_there_are() -> None:
    annotations = str(data_root() / "photos" / "annotations.json")
    dataset, items = open_pictures("coco", 50, 0, annotations=annotations)
    assert sorted(items) == list(range(len(dataset))) and open_pictures("coco", 2, 0, "", annotations)[1] == items[:2]
