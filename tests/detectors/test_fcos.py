"""FCOS behind the contract, against torchvision's own post-processing and against receptive fields."""

import pytest
import torch
from torch import Tensor

from odam_lib.datasets.scenes import CATEGORIES
from odam_lib.detectors.base import resolve_device
from odam_lib.detectors.of_torchvision import build_torchvision
from odam_lib.detectors.zoo import ARCHITECTURES
from odam_lib.heatmaps import EDGES
from odam_lib.kernels.nms import keep_all, soft_nms


@pytest.mark.parametrize("size", [(256, 256), (200, 331), (331, 200), (90, 41)])
def test_detections_are_torchvisions(detector, size: tuple[int, int]) -> None:
    from odam_lib.datasets.scenes import make_scene, render

    scene = torch.from_numpy(render(make_scene(7, "street", size)).image).permute(2, 0, 1) / 255
    detector.model.score_thresh = 0.3
    theirs = detector.model([scene])[0]
    ours = detector.detect(scene, score_threshold=0.3)
    assert len(ours) == len(theirs["boxes"]) and len(ours) > 0
    torch.testing.assert_close(ours.boxes, theirs["boxes"], rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(ours.scores, theirs["scores"], rtol=1e-4, atol=1e-5)
    assert ours.labels.tolist() == theirs["labels"].tolist()


def test_suppression_is_a_function_handed_in(detector, held_out) -> None:
    image = held_out[0][0]
    every, best = detector.detect(image, 0.3, nms=keep_all), detector.detect(image, 0.3)
    assert len(every) > 2 * len(best)
    assert set(best.scores.tolist()) <= set(every.scores.tolist())
    assert (every.scores > 0.3).all() and every.scores.tolist() == sorted(every.scores.tolist(), reverse=True)


def test_scores_that_soft_nms_lowers_reach_the_detections(detector, held_out) -> None:
    image = held_out[0][0]
    every, soft = detector.detect(image, 0.3, nms=keep_all), detector.detect(image, 0.3, nms=soft_nms)
    kept = soft_nms(every.boxes, every.scores, every.labels)
    assert torch.equal(soft.scores, kept.scores) and torch.equal(soft.boxes, every.boxes[kept.index])
    undecayed = soft.class_probs.gather(1, soft.labels[:, None])[:, 0]
    assert (soft.scores <= undecayed).all() and (soft.scores < 0.5 * undecayed).any()


def test_targets_are_the_numbers_of_the_detection(untrained) -> None:
    image = torch.rand(3, 120, 300)
    trace = untrained.trace(image)
    rows = trace.candidates[::53]
    torch.testing.assert_close(trace.targets("class", rows), rows.scores)
    distances = torch.stack([trace.targets(edge, rows) for edge in EDGES], dim=1)
    sides = rows.boxes[:, 2:] - rows.boxes[:, :2]
    torch.testing.assert_close(distances[:, :2] + distances[:, 2:], sides, rtol=1e-4, atol=1e-3)
    probabilities = torch.sigmoid(trace.targets("logit", rows))
    assert (probabilities >= rows.scores**2 - 1e-6).all()


def test_nothing_goes_back_into_a_tower_that_an_attribute_does_not_read(detector, held_out) -> None:
    """It would be zeros, at the cost of a tower."""
    trace = detector.trace(held_out[0][0])
    rows, reached = trace.detections(0.5), []
    for name in ("logits", "regression"):
        getattr(trace, name).register_hook(lambda _, name=name: reached.append(name))
    for attribute, read in ({"class": "logits", "logit": "logits"} | dict.fromkeys(EDGES, "regression")).items():
        torch.autograd.grad(trace.targets(attribute, rows).sum(), trace.features, retain_graph=True, allow_unused=True)
        assert reached == [read]
        reached.clear()


@pytest.mark.parametrize(("layer", "tolerance"), [("fpn", 0.8), ("stage1", 0.3), ("stage2", 0.3)])
def test_receptive_fields_are_centred_where_the_grid_says(detector, held_out, layer: str, tolerance: float) -> None:
    """The image's influence on sixteen cells, as a centre of mass, against the positions that draw the map.

    The pyramid's nearest-neighbour upsampling moves single cells by more, to one side and the other.
    """
    grids = detector.trace(held_out[0][0], layer).grids
    for level, grid in enumerate(grids[:2]):  # beyond, the picture is smaller than the receptive field and cuts it
        offsets = torch.cat([influence_offsets(detector, image, layer, level) for image, _ in held_out[:2]])
        off_y, off_x = (offsets.mean(dim=0) - torch.tensor([grid.y, grid.x])).tolist()
        assert abs(off_y) < tolerance * grid.dy and abs(off_x) < tolerance * grid.dx


def influence_offsets(detector, image: Tensor, layer: str, level: int) -> Tensor:
    """Centre of influence minus row (column) times stride, ``Tensor[16, 2]`` as (y, x) in pixels."""
    seen: list[Tensor] = []

    def keep(_, __, output) -> None:
        seen.extend([output] if isinstance(output, Tensor) else output.values())

    handle = detector.model.get_submodule(detector._layers[layer].module).register_forward_hook(keep)
    pixels = detector.model.transform([image])[0].tensors.clone().requires_grad_()
    detector.model.backbone(pixels)
    handle.remove()
    features, stride = seen[level][0], detector._layers[layer].strides[level]
    middle = features.shape[-1] // 2
    positions = torch.arange(pixels.shape[-1]) + 0.5
    offsets = []
    for row in range(middle - 2, middle + 2):
        for column in range(middle - 2, middle + 2):
            energy = features[:, row, column].square().sum()
            influence = torch.autograd.grad(energy, pixels, retain_graph=True)[0][0].abs().sum(dim=0)
            influence = influence / influence.sum()
            y, x = (influence.sum(dim=1) * positions).sum(), (influence.sum(dim=0) * positions).sum()
            offsets.append(torch.stack([y - row * stride, x - column * stride]))
    return torch.stack(offsets)


def test_full_size_model_has_its_levels_and_strides() -> None:
    detector = build_torchvision("fcos_resnet50_fpn", "full", ("__background__", "a", "b", "c", "d"))
    detector.model.transform.min_size = (224,)
    trace = detector.trace(torch.rand(3, 64, 80))
    height, width = trace.input_size
    assert detector.layers == ("fpn", "layer1", "layer2", "layer3", "layer4")
    assert [grid.dx for grid in trace.grids] == [8, 16, 32, 64, 128]
    for features, grid in zip(trace.features, trace.grids):
        assert grid.dx * features.shape[-1] >= width and grid.dy * features.shape[-2] >= height


def test_only_the_own_level_explains_a_detection(untrained) -> None:
    trace = untrained.trace(torch.rand(3, 128, 128))
    assert trace.feature_level(trace.candidates).tolist() == trace.candidates.level.tolist()
    coarse = untrained.trace(torch.rand(3, 128, 128), "stage2")
    assert set(coarse.feature_level(coarse.candidates).tolist()) == {0}


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (16, 400)])
def test_tiny_and_long_pictures_go_through(untrained, size: tuple[int, int]) -> None:
    found = untrained.detect(torch.rand(3, *size), score_threshold=0.0)
    assert len(found) > 0 and (found.boxes[:, 2] <= size[1]).all() and (found.boxes[:, 3] <= size[0]).all()


@pytest.mark.parametrize(
    ("image", "error", "sentence"),
    [
        (torch.zeros(3, 8, 8, dtype=torch.uint8), TypeError, "uint8"),
        ("picture.png", TypeError, "str"),
        (torch.zeros(1, 8, 8), ValueError, r"\[1, 8, 8\]"),
        (torch.zeros(3, 0, 8), ValueError, "at least one pixel"),
        (torch.full((3, 8, 8), 255.0), ValueError, r"scale them to \[0, 1\]"),
        (torch.full((3, 8, 8), float("nan")), ValueError, r"scale them to \[0, 1\]"),
        (torch.zeros(3, 1, 4000), ValueError, "elongated"),
    ],
)
def test_what_is_no_picture_is_refused(untrained, image, error, sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        untrained.detect(image)


def test_without_groupnorm_the_gradient_lies_in_the_window() -> None:
    image = torch.rand(3, 200, 256, generator=torch.Generator().manual_seed(2))
    for name, without in (("fcos", True), ("fcos-groupnorm", False)):
        torch.manual_seed(0)
        detector = ARCHITECTURES[name](name, CATEGORIES)
        detector.model.eval().requires_grad_(False)
        trace = detector.trace(image)
        assert trace.windows and trace.windows.exact == without
        rows = trace.candidates[torch.nonzero(trace.candidates.level == 0).flatten()[::150]]
        for attribute in ("class", "x1"):
            for row in range(len(rows)):
                window = trace.windows.gradients((attribute,), rows[row]).values.square().sum()
                target = trace.targets(attribute, rows[row])[0]
                (whole,) = torch.autograd.grad(target, trace.features[0], retain_graph=True)
                assert torch.isclose(whole.square().sum(), window, rtol=1e-4) == (without or not window)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_thresholds_outside_the_unit_interval_are_refused(untrained, threshold: float) -> None:
    with pytest.raises(ValueError, match="score threshold"):
        untrained.detect(torch.rand(3, 64, 64), threshold)


def test_unknown_devices_are_refused() -> None:
    assert resolve_device("cpu").type == "cpu"
    for device in ("tpu9", "cuda:99"):
        with pytest.raises(ValueError, match=f"device '{device}' is not usable here"):
            resolve_device(device)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.accelerator.is_available(), reason="no accelerator on this machine")
def test_the_accelerator_finds_and_explains_the_same(held_out, monkeypatch) -> None:
    from odam_lib import explain, load_detector

    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    image = held_out[0][0]
    here, there = (explain(load_detector("fcos-scenes", device), image) for device in ("cpu", "auto"))
    assert len(here) == len(there)
    for ours, theirs in zip(here.normalized().maps, there.normalized().maps):
        torch.testing.assert_close(ours, theirs.cpu(), rtol=1e-2, atol=1e-2)
