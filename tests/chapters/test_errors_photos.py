"""Mistakes on photographs: what is hidden is what it says, and each story has its numbers."""

import pytest
import torch
from odam_chapters.errors.compared import measure_deviations
from odam_chapters.errors.photos import find_bad_edge, find_confusion, measure_covered, measure_hidden, select_ninths
from odam_chapters.errors.survey import judge, speak_of
from odam_chapters.influence import hide, measure_edge_moves, measure_scores_without, select_strongest

from odam_lib import ODAM, load_detector
from odam_lib.datasets.categories import Relabelled, relabel
from odam_lib.datasets.opening import open_dataset
from odam_lib.detectors.base import Detector
from odam_lib.kernels.regions import box_regions
from odam_lib.metrics.localization import energy_inside

DOG, TRUCK = 1, 2
"""The photograph, and the row of its truck in the annotations."""


@pytest.fixture(scope="module")
def detector() -> Detector:
    return load_detector("yolov3-tiny", "cpu")


@pytest.fixture(scope="module")
def photos(detector: Detector) -> Relabelled:
    return relabel(open_dataset("photos"), detector.categories)


@pytest.fixture(scope="module")
def seen(detector: Detector, photos: Relabelled) -> tuple:
    image, target = photos[DOG]
    return image, target, judge(detector, image, target, 0.25)


def test_a_truck_called_a_car_has_the_maps_of_both(seen: tuple) -> None:
    _, target, (trace, found, _) = seen
    one = find_confusion(*seen, 0)
    assert one is not None and one.names == ("car", "truck") and one.scores[0] > 0.7 > 0.3 > one.scores[1]
    other = speak_of(found[0], target["labels"][[TRUCK]])
    heat = ODAM()(trace, other, ("class",)).to_image()[0, 0]
    x1, y1, x2, y2 = found.boxes[0].round().int().tolist()
    torch.testing.assert_close(one.maps[1, y1 + 1 : y2 - 1, x1 + 1 : x2 - 1], heat[y1 + 1 : y2 - 1, x1 + 1 : x2 - 1])
    assert not one.maps[:, : y1 - 1].any() and not one.maps[:, :, x2 + 1 :].any()
    assert find_confusion(*seen, found.names().index("dog")) is None


def test_a_class_that_the_detector_does_not_know_is_no_confusion(seen: tuple) -> None:
    image, target, (trace, found, errors) = seen
    unknown = target | {"labels": torch.full_like(target["labels"], len(found.categories))}
    assert find_confusion(image, unknown, (trace, found, errors), 0) is None


def test_the_same_prediction_is_read_again(detector: Detector, seen: tuple) -> None:
    image, _, (_, found, _) = seen
    one = find_confusion(*seen, 0)
    nothing, middle = torch.zeros(image.shape[1:]).bool(), select_ninths(found.boxes[0], [1, 4], found.image_size)
    before, after = measure_scores_without(detector, image, found[0], torch.stack([nothing, middle]), one.labels)
    torch.testing.assert_close(before, one.scores, atol=1e-4, rtol=1e-4)
    candidates = detector.trace(hide(image, middle)).candidates
    same = (candidates.index == found.index[0]) & (candidates.level == found.level[0])
    torch.testing.assert_close(after, candidates.class_probs[same][0, list(one.labels)])
    assert after[1] > after[0]  # where cab and cap meet: the truck becomes a truck
    everything = ~nothing
    assert measure_scores_without(detector, image, found[0], everything[None], one.labels).max() < 0.05
    assert measure_scores_without(detector, image, found[0], everything[:0], one.labels).shape == (0, 2)


def test_ninths_part_a_box() -> None:
    box, size = torch.tensor([3.0, 0.0, 12.0, 6.0]), (8, 14)
    parts = torch.stack([select_ninths(box, [number], size) for number in range(9)])
    assert (parts.sum(dim=(1, 2)) == 6).all() and (parts.sum(dim=0) <= 1).all()
    assert torch.nonzero(parts[5])[:, 0].unique().tolist() == [2, 3]
    assert torch.nonzero(parts[5])[:, 1].unique().tolist() == [9, 10, 11]
    assert torch.equal(select_ninths(box, [0, 5], size), parts[0] | parts[5]) and not select_ninths(box, [], size).any()


def test_a_bad_edge_names_the_other_object_that_its_map_lies_on(photos: Relabelled, seen: tuple) -> None:
    _, target, (trace, found, errors) = seen
    row = found.names().index("dog")
    one = find_bad_edge(*seen, row, photos.categories, least=0.2)
    assert one is not None and one.edge == 2 and one.other == "bicycle" and one.off > 30
    true = target["boxes"][errors.objects[row]]
    assert one.off == pytest.approx(float(found.boxes[row, 2] - true[2]))
    assert one.deviation == pytest.approx(float(measure_deviations(found.boxes[[row]], true[None])[0, 2]))
    heat = ODAM()(trace, found[row], ("x2",)).to_image()[0, 0]
    bicycle = target["masks"][[photos.categories[label] for label in target["labels"]].index("bicycle")]
    assert one.shares[0] == pytest.approx(float(energy_inside(heat, bicycle)), abs=1e-4)
    assert not (one.mask & target["masks"][errors.objects[row]]).any()
    assert list(one.case.edges.values()) == ["x2", "y2"] and "on the bicycle" in next(iter(one.case.maps))
    assert find_bad_edge(*seen, row, photos.categories, least=0.5) is None
    assert find_bad_edge(*seen, 0, photos.categories, least=0.01) is None  # a wrong class is no bad edge


def test_another_object_of_the_class_is_called_so(detector: Detector, photos: Relabelled) -> None:
    image, target = photos[2]
    judged = judge(detector, image, target, 0.25)
    stories = [find_bad_edge(image, target, judged, row, photos.categories, 0.2) for row in range(len(judged[1]))]
    assert [one.other for one in stories if one] == ["other horse"]


def test_covers_are_the_maps_strongest_pixels_and_then_random_places(detector: Detector, seen: tuple) -> None:
    one = find_confusion(*seen, 0)
    scores = measure_covered(detector, one, 0.1, 2, torch.Generator().manual_seed(0))
    count = round(0.1 * int(box_regions(one.prediction.boxes, one.prediction.image_size).sum()))
    strongest = torch.stack([select_strongest(heat, count) for heat in one.maps])
    expected = measure_scores_without(detector, one.image, one.prediction, strongest, one.labels)
    assert scores.shape == (4, 2) and torch.allclose(scores[:2], expected)


def test_a_bad_edge_is_read_again_without_the_other_object(detector: Detector, photos: Relabelled, seen: tuple) -> None:
    one = find_bad_edge(*seen, seen[2][1].names().index("dog"), photos.categories, least=0.2)
    moved, elsewhere = measure_hidden(detector, one, 3, torch.Generator().manual_seed(0))
    x1, _, x2, _ = one.prediction.boxes[0]
    moves = measure_edge_moves(detector, one.image, one.prediction, one.mask[None])
    assert moved == pytest.approx(float((x2 - x1) * moves[0, one.edge]), rel=1e-4) and elsewhere.shape == (3,)
