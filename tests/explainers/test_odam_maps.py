"""ODAM against plain autograd, against HiResCAM, against finite differences and against planted truth."""

from dataclasses import replace

import pytest
import torch
from pytorch_grad_cam import HiResCAM
from torch import Tensor, nn
from torchvision.ops import box_iou

from odam_lib import ODAM, explain
from odam_lib.detectors.fcos import FCOSDetector
from odam_lib.detectors.trace import TARGETS
from odam_lib.detectors.zoo import build_detector
from odam_lib.heatmaps import ATTRIBUTES, EDGES
from odam_lib.kernels.gradients import UnconnectedTargetError
from odam_lib.kernels.odam import min_max
from odam_lib.metrics.localization import energy_inside


@pytest.fixture(scope="module")
def image() -> Tensor:
    return torch.rand(3, 170, 230, generator=torch.Generator().manual_seed(2))


def some(trace, every: int = 97):
    return trace.candidates[torch.arange(0, len(trace.candidates), every)]


@pytest.mark.parametrize("layer", ["fpn", "stage1", "stage3"])
def test_without_smoothing_it_is_gradient_times_activation(untrained, image, layer: str) -> None:
    trace = untrained.trace(image, layer)
    chosen = some(trace, 211)
    maps = ODAM(smoothing=None)(trace, chosen, TARGETS)
    for row, level in enumerate(trace.feature_level(chosen).tolist()):
        features = trace.features[level]
        for column, attribute in enumerate(TARGETS):
            target = trace.targets(attribute, chosen[row])[0]
            (gradient,) = torch.autograd.grad(target, features, retain_graph=True)
            expected = (gradient * features).sum(dim=1)[0].relu()
            torch.testing.assert_close(maps.maps[row][column], expected, rtol=1e-4, atol=1e-6 * expected.max().item())


class OneLevel(nn.Module):
    """The head on one level as a model of its own, for packages that explain a module's output."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.explained, self.model = nn.Identity(), model

    def forward(self, features: Tensor) -> Tensor:
        out = self.model.head([self.explained(features)])
        final = FCOSDetector.score(out["cls_logits"][0], out["bbox_ctrness"][0][:, None])
        return torch.cat([final, out["bbox_regression"][0]], dim=1)[None]


def test_without_smoothing_it_equals_hirescam(untrained, image) -> None:
    trace = untrained.trace(image)
    chosen = some(trace, 301)
    maps = ODAM(smoothing=None)(trace, chosen, ATTRIBUTES)
    wrapped = OneLevel(untrained.model)
    classes = len(untrained.categories)
    compared = 0
    with HiResCAM(wrapped, [wrapped.explained]) as cam:
        for row in range(len(chosen)):
            index, label, level = (int(getattr(chosen, name)[row]) for name in ("index", "labels", "level"))
            for column, attribute in enumerate(ATTRIBUTES):
                output = label if attribute == "class" else classes + EDGES.index(attribute)
                features = trace.features[level].detach().clone().requires_grad_()
                theirs = cam(features, [lambda out, at=(index, output): out[at]])[0]
                ours = min_max(maps.maps[row][column])
                if ours.any():
                    torch.testing.assert_close(ours, torch.from_numpy(theirs), rtol=1e-4, atol=1e-4)
                    compared += 1
    assert compared >= 20


def test_gradient_and_rectifier_variants_of_figure_16(untrained, image) -> None:
    trace = untrained.trace(image)
    chosen = some(trace, 401)

    def maps(**settings: str) -> Tensor:
        return torch.cat([one.flatten() for one in ODAM(**settings)(trace, chosen, ("x2",)).maps])

    signed = maps(rectify="none")
    assert (signed < 0).any() and (signed > 0).any()
    torch.testing.assert_close(maps(), signed.relu())
    torch.testing.assert_close(maps(gradient="negative"), (-signed).relu())
    torch.testing.assert_close(maps(rectify="abs"), signed.abs())


def test_saturated_scores_still_have_a_map(untrained, image) -> None:
    """At 0.9999 and beyond a sigmoid's derivative rounds to zero; the map's shape must not suffer."""
    trace = untrained.trace(image)
    chosen = some(trace, 501)
    certain = replace(trace, logits=0.1 * trace.logits + 25, centerness=0.1 * trace.centerness + 25)
    assert (FCOSDetector.score(certain.logits, certain.centerness[:, None]) > 0.9999).all()
    maps = ODAM()(certain, chosen, ("class",))
    assert not maps.zero().any()
    assert all(torch.isfinite(one).all() and one.max() == 1 for one in maps.normalized().maps)


def test_the_number_of_maps_made_at_a_time_does_not_matter(untrained, image) -> None:
    trace = untrained.trace(image)
    at_once = ODAM()(trace, some(trace), ("class", "y1"))
    for ours, theirs in zip(ODAM(chunk=1)(trace, some(trace), ("class", "y1")).maps, at_once.maps):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5 * float(theirs.max()))


def test_order_and_company_of_detections_do_not_matter(untrained, image) -> None:
    chosen = some(untrained.trace(image))
    together = explain(untrained, image, chosen)
    alone = explain(untrained, image, chosen[[5, 2]])
    torch.testing.assert_close(alone.maps[0], together.maps[5], rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(alone.maps[1], together.maps[2], rtol=1e-4, atol=1e-7)


def test_zero_maps_say_why(untrained, image) -> None:
    trace = untrained.trace(image)
    dead = trace.candidates[trace.regression[:, 0] == 0][:1]  # an edge distance cut off by FCOS's own ReLU
    assert len(dead) == 1
    maps = ODAM()(trace, dead, ("class", "x1"))
    assert maps.reasons[0][0] == "" and "gradient is zero" in maps.reasons[0][1]
    assert maps.maps[0][1].sum() == 0


@pytest.mark.parametrize(
    "settings",
    [{"smoothing": "wide"}, {"smoothing": -1.0}, {"smoothing": True}, {"gradient": "up"}, {"rectify": "square"}],
)
def test_unknown_settings_are_refused(settings: dict) -> None:
    with pytest.raises(ValueError, match=rf"{next(iter(settings))} is .*: give"):
        ODAM(**settings)


def test_arguments_that_do_not_fit_are_refused(untrained, image) -> None:
    found = some(untrained.trace(image))
    with pytest.raises(ValueError, match="explain detections with the detector and the image"):
        explain(untrained, 1 - image, found)
    with pytest.raises(ValueError, match="Unknown attribute 'left'"):
        explain(untrained, image, found, attributes=("left",))
    with pytest.raises(ValueError, match="No attribute"):
        explain(untrained, image, found, attributes=())
    with pytest.raises(ValueError, match="no layer 'neck'"):
        explain(untrained, image, found, layer="neck")
    with pytest.raises(ValueError, match=r"score threshold is 1\.5"):
        explain(untrained, image, score_threshold=1.5)


def test_a_layer_that_the_detection_does_not_use_is_an_error(image) -> None:
    trace = build_detector("fcos-groupnorm-scenes").trace(image)  # whose gradient is asked of autograd, not of windows
    cut = replace(trace, features=tuple(level.detach().requires_grad_() for level in trace.features))
    with pytest.raises(UnconnectedTargetError, match=r"'class' .* does not depend on layer 'fpn', level 0"):
        ODAM()(cut, some(trace), ("class",))


def test_no_detection_gives_no_map(untrained, image) -> None:
    maps = explain(untrained, image, score_threshold=1.0)
    assert len(maps) == 0 and maps.to_image().shape == (0, 5, 170, 230)


def test_masking_what_an_edge_map_ranks_highest_moves_that_edge_inwards(detector, held_out) -> None:
    """Finite differences: the best 10 % of the cells are set to zero and the head is run again."""
    moved: dict[str, list[bool]] = {edge: [] for edge in EDGES}
    for image, _ in held_out:
        trace = detector.trace(image)
        found = trace.detections(0.5)
        maps = ODAM()(trace, found, EDGES)
        for row, level in enumerate(found.level.tolist()):
            for column, edge in enumerate(EDGES):
                ranks = maps.maps[row][column].flatten()
                kept = torch.ones_like(ranks)
                kept[ranks.topk(max(1, len(ranks) // 10)).indices] = 0
                pyramid = [one.detach() for one in trace.features]
                pyramid[level] = pyramid[level] * kept.reshape(pyramid[level].shape[-2:])
                masked = detector.model.head.regression_head([pyramid[level]])[0][0, int(found.index[row]), column]
                before = detector.model.head.regression_head([trace.features[level].detach()])[0]
                moved[edge].append(bool(masked < before[0, int(found.index[row]), column]))
    for edge, inwards in moved.items():
        assert len(inwards) >= 200
        share = sum(inwards) / len(inwards)
        assert share >= 0.95, f"{edge}: {share:.3f} of {len(inwards)}"


def test_class_maps_are_instance_specific(detector, held_out) -> None:
    """A class map has more energy in its own object's visible mask than in another's, unless that one covers it.

    Measured on 200 held-out scenes (``data/evaluation/leaks.csv.gz``): all of 483 maps where others cover under a fifth
    of the box, 77 % of 269 where they cover more; 96.2 % of 443 against objects of the same class. The bounds leave
    room for the smaller sample of this test.
    """
    little_covered, against_class = [], []
    for image, target in held_out:
        for own, heat in matched_maps(detector, image, target):
            masks, others = target["masks"], torch.arange(len(target["masks"])) != own
            x1, y1, x2, y2 = target["boxes"][own].int().tolist()
            energy = energy_inside(heat, masks)
            if others.any() and masks[others, y1:y2, x1:x2].any(dim=0).float().mean() < 0.2:
                little_covered.append(bool(energy[own] > energy[others].max()))
            if (alike := others & (target["labels"] == target["labels"][own])).any():
                against_class.append(bool(energy[own] > energy[alike].max()))
    assert len(little_covered) >= 100 and len(against_class) >= 100
    assert sum(little_covered) / len(little_covered) >= 0.98
    assert sum(against_class) / len(against_class) >= 0.93


def matched_maps(detector, image: Tensor, target: dict) -> list[tuple[int, Tensor]]:
    """Class maps at image size with the true object that each belongs to: same class, IoU of at least 0.5."""
    maps = explain(detector, image, attributes=("class",))
    overlap = box_iou(maps.detections.boxes, target["boxes"])
    overlap[maps.detections.labels[:, None] != target["labels"]] = 0
    heats = maps.to_image()[:, 0]
    return [(int(row.argmax()), heat) for row, heat in zip(overlap, heats) if row.max() >= 0.5]
