"""Notebook 01: exercises tell why an answer is wrong; cells, pixels and scales are measured as they are described."""

import math

import pytest
import torch
from odam_chapters.attributes.exercises import check_change, check_grad_cam, check_map, check_total, check_zero
from odam_chapters.attributes.measures import (
    compare,
    estimate,
    find_mask,
    hide_pixels,
    pick_pair,
    read_at_scale,
    read_without,
    remove_cells,
    share_inside,
)

from odam_lib import ODAM
from odam_lib.detectors.zoo import load_detector


@pytest.fixture(scope="module")
def read(detector, held_out):
    """A trace, its surest detection, and that one's gradient and activations."""
    trace = detector.trace(held_out[0][0])
    one = trace.detections(0.5)[0]
    features = trace.features[int(trace.feature_level(one)[0])]
    gradient = torch.autograd.grad(trace.targets("class", one)[0], features, retain_graph=True)[0]
    return trace, one, gradient, features.detach()


def test_a_map_is_right_wrong_or_open(read) -> None:
    trace, one, g, features = read
    product = g * features
    assert check_map(None, trace, one).startswith("open")
    assert check_map(product.sum(1)[0].relu(), trace, one).startswith("right: the same as explain")
    assert "up to a factor of 0.016" in check_map(product.mean(1)[0].relu(), trace, one)
    for answer, reason in {
        product.sum(1)[0]: "before the rectifier",
        product.relu().sum(1)[0]: "each channel was rectified by itself",
        g.sum(1)[0].relu(): "the gradient alone",
        features.sum(1)[0].relu(): "whatever was asked",
        (g.mean((2, 3), keepdim=True) * features).sum(1)[0].relu(): "that is Grad-CAM",
        product[0]: "64 channels",
        product.sum(): "one number for each cell",
    }.items():
        verdict = check_map(answer, trace, one)
        assert verdict.startswith("not quite") and reason in verdict


def test_grad_cam_is_right_wrong_or_open(read) -> None:
    trace, one, g, features = read
    weights = g.mean((2, 3), keepdim=True)
    assert check_grad_cam(None, trace, one).startswith("open")
    assert check_grad_cam((weights * features).sum(1)[0].relu(), trace, one).startswith("right: the same as Grad-CAM")
    assert "up to a factor" in check_grad_cam((g.sum((2, 3), keepdim=True) * features).sum(1)[0].relu(), trace, one)
    for answer, reason in {
        (g * features).sum(1)[0].relu(): "nothing is averaged",
        (g.mean(1, keepdim=True) * features).sum(1)[0].relu(): "over channels",
        (g * features.mean((2, 3), keepdim=True)).sum(1)[0].relu(): "the activations were averaged",
        (weights * features).sum(1)[0]: "rectifier is missing",
        weights: "one number for each cell",
    }.items():
        assert reason in check_grad_cam(answer, trace, one)


def test_a_map_sums_to_nothing_under_group_norm(detector, held_out) -> None:
    """Euler's theorem, by a finite difference: the sum of the map is the slope when all features are scaled."""
    image = held_out[0][0]
    both = {"plain": detector, "normed": load_detector("fcos-groupnorm-scenes", "cpu")}
    for name, each in both.items():
        trace = each.trace(image)
        one = trace.detections(0.4)[:1]
        total = float(ODAM(smoothing=None, rectify="none")(trace, one, ("logit",)).maps[0].sum())
        low, high = (read_at_scale(trace, one, "logit", scale) for scale in (0.99, 1.01))
        assert total == pytest.approx((high - low) / 0.02, abs=0.05)
        assert abs(total) < 0.02 if name == "normed" else total > 1
    assert check_total(None, both, image).startswith("open")
    assert check_total(lambda g, features: (g * features).sum(), both, image).startswith("right: plain +")
    for function, reason in {
        lambda g, features: (g * features).sum(1).relu().sum(): "ReLU left",
        lambda g, features: (g * features).abs().sum(): "keep the signs",
        lambda g, features: (g * features).mean(): "over all channels and cells",
    }.items():
        assert reason in check_total(function, both, image)


def test_a_change_is_predicted_from_the_map(read) -> None:
    trace, one, _, features = read
    logit = trace.targets("logit", one)[0]
    g = torch.autograd.grad(logit, trace.features[int(trace.feature_level(one)[0])], retain_graph=True)[0]
    influence = (g * features).sum(1)[0]
    cells = [divmod(int(place), influence.shape[1]) for place in influence.flatten().topk(2).indices]
    value, measured = float(influence.flatten().topk(2).values.sum()), read_without(trace, one, "logit", cells)
    assert check_change(None, trace, one, cells).startswith("open")
    assert check_change(-value, trace, one, cells).startswith("right")
    assert "the sign" in check_change(value, trace, one, cells)
    assert "measured change" in check_change(measured - float(logit), trace, one, cells)
    assert "cells add up" in check_change(-10 * value, trace, one, cells)


def test_a_map_of_zeros_is_found_and_measured(read) -> None:
    trace, one, _, _ = read
    maps = ODAM(smoothing=None, gradient="negative")(trace, one, ("x1", "y1", "x2", "y2"))
    assert check_zero(None, trace, one).startswith("open")
    for edge, zero in zip(("x1", "y1", "x2", "y2"), maps.zero()[0].tolist()):
        assert check_zero((0, edge), trace, one).startswith("right: every cell" if zero else "not quite: somewhere")


def test_the_pair_is_of_one_class_on_one_level(read, held_out) -> None:
    trace = read[0]
    found = trace.above(0.3)
    one, other = pick_pair(trace, found)
    assert int(one.labels) == int(other.labels) and int(one.level) == int(other.level)
    assert int(one.index) != int(other.index)
    with pytest.raises(ValueError, match="No two objects of one class"):
        pick_pair(trace, found[:1])


def test_shares_within_masks(read, held_out) -> None:
    trace, one, g, features = read
    heat, high, wide = (g * features).sum(1)[0].relu(), *one.image_size
    left = torch.zeros(2, high, wide, dtype=torch.bool)
    left[0, :, : wide // 2], left[1, : high // 2, : wide // 2] = True, True
    share = share_inside(trace, one, heat, left)
    assert find_mask(one, held_out[0][1]).shape[1:] == left.shape[1:]
    assert share == pytest.approx(1 - share_inside(trace, one, heat, ~left[:1]), abs=1e-5)


def test_moves_are_compared_in_pairs_by_scene() -> None:
    moves = torch.zeros(4, 9, 4)
    for edge in range(4):
        moves[:, 1 + edge, edge], moves[:, 1 + (edge + 2) % 4, edge] = -0.3, -0.1
    moves[:, 0], moves[3, 1, 0] = -0.2, math.nan
    found = compare(moves, torch.tensor([0, 0, 1, 2]))
    values = {name: each.value for name, each in found.items()}
    assert values == pytest.approx(
        {
            "its own map's": 30, "the class map's": 20, "the opposite edge's": 10, "random": 0,
            "own minus the class map's": 10, "own minus the opposite edge's": 20, "own minus random": 30,
        }, rel=1e-4,
    )  # fmt: skip
    assert all(each.low <= each.value + 1e-3 and each.high >= each.value - 1e-3 for each in found.values())
    assert estimate(torch.tensor([1.0, math.nan, 3.0]), torch.tensor([0, 1, 2])).value == 2


def test_cells_and_pixels_of_no_detection(detector, held_out) -> None:
    for moves, scene in (
        remove_cells(detector, [held_out[0][0]], 1.0, 3, 0),
        hide_pixels(detector, [held_out[0][0]], 1.0, 0.2, 0),
    ):
        assert moves.shape == (0, 9, 4) and scene.shape == (0,)


def test_without_its_own_cells_an_edge_moves_in(detector, held_out) -> None:
    moves, scene = remove_cells(detector, [held_out[0][0]], 0.5, 3, 0)
    found = compare(moves, scene)
    assert len(moves) == len(scene) and found["its own map's"].value > found["random"].value
