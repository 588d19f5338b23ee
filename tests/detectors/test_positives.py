"""Heat maps inside training: of the detector's own assignment, equal to those of an explanation, differentiable."""

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor, nn

from odam_lib.detectors.base import Detector
from odam_lib.detectors.boxes import measure_paired_iou
from odam_lib.detectors.positives import Positives
from odam_lib.detectors.zoo import ARCHITECTURES
from odam_lib.explainers.odam import ODAM
from odam_lib.kernels.grid import Grid, sample_grid
from odam_lib.kernels.losses import odam_train_loss
from odam_lib.kernels.windows import Windows
from odam_lib.training.odam_train import OdamTrain, choose_at_most, drop_faint

CATEGORIES = ("__background__", "person", "dog")
SIZE = (32, 24)


def built(name: str, dtype: torch.dtype = torch.float32) -> Detector:
    """Random weights, in training mode but with norms that keep their statistics, so that a trace sees the same."""
    torch.manual_seed(0)
    detector = ARCHITECTURES[name](name, CATEGORIES)
    model = detector.model.to(dtype).train().requires_grad_(True)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    return detector


def batch(dtype: torch.dtype = torch.float32) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
    images = [torch.rand(3, 256, 256, dtype=dtype), torch.rand(3, 256, 200, dtype=dtype)]
    boxes = [[[20.0, 30, 90, 120], [40, 30, 120, 130], [150, 160, 240, 250]], [[10.0, 10, 150, 240]]]
    labels = [[1, 1, 2], [2]]
    targets = [{"boxes": torch.tensor(b, dtype=dtype), "labels": torch.tensor(c)} for b, c in zip(boxes, labels)]
    return images, targets


def assigned(detector: Detector, images: list[Tensor], targets: list[dict[str, Tensor]]) -> Positives:
    torch.manual_seed(1)
    return detector.compute_losses(images, targets)[1]


@pytest.mark.parametrize("attribute", ["logit", "class"])
@pytest.mark.parametrize("name", ["fcos", "fcos-groupnorm", "retinanet", "retinanet-pvt"])
def test_maps_of_dense_detectors_are_those_of_an_explanation(name: str, attribute: str) -> None:
    detector, (images, targets) = built(name), batch()
    positives = assigned(detector, images[:1], targets[:1])
    detector.model.eval().requires_grad_(False)
    trace = detector.trace(images[0])
    place = trace.first[positives.level] + positives.index
    detections = trace.candidates[place]
    detections = type(detections)(**{**vars(detections), "labels": positives.labels})
    expected = ODAM(smoothing=None, derivative="window")(trace, detections, [attribute]).to_image(SIZE)[:, 0]
    rows = torch.arange(len(positives))
    assert len(rows) > 10 and (expected.amax(dim=(1, 2)) > 0).sum() > 5
    torch.testing.assert_close(
        positives.maps(rows, SIZE, attribute=attribute).detach(),
        expected,
        rtol=1e-4,
        atol=1e-4 * float(expected.max()),
    )
    torch.testing.assert_close(positives.boxes, detections.boxes, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("name", ["fcos", "retinanet", "faster-rcnn"])
def test_losses_are_those_of_the_model_and_nothing_is_left_in_it(name: str) -> None:
    detector, (images, targets) = built(name), batch()
    torch.manual_seed(1)
    losses, _ = detector.compute_losses(images, targets)
    torch.manual_seed(1)
    assert losses == detector.model(images, targets)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in detector.model.modules())
    assert not any(
        {"compute_loss", "select_training_samples"} & vars(module).keys() for module in detector.model.modules()
    )


def test_maps_of_a_batch_are_those_of_its_pictures_alone() -> None:
    detector, (images, targets) = built("fcos"), batch()
    images[1] = images[1].new_ones(3, 256, 256)  # of one size: a padded border is part of GroupNorm's statistics
    both = assigned(detector, images, targets)
    alone = assigned(detector, images[:1], targets[:1])
    first = torch.nonzero(both.images == 0).flatten()
    maps = [both.maps(first, SIZE).detach(), alone.maps(torch.arange(len(alone)), SIZE).detach()]
    torch.testing.assert_close(*maps, rtol=1e-3, atol=1e-3 * float(maps[0].max()))
    assert both.images.tolist() == sorted(both.images.tolist()) and set(both.objects.tolist()) == {0, 1, 2, 3}


@pytest.mark.parametrize("attribute", ["logit", "class"])
def test_maps_of_proposals_are_plain_autograd(attribute: str) -> None:
    detector, (images, targets) = built("faster-rcnn"), batch()
    positives = assigned(detector, images, targets)
    assert len(positives) > 4
    rows = torch.arange(len(positives)).flip(0)
    maps = positives.maps(rows, SIZE, attribute=attribute).detach()
    for row, found in zip(rows.tolist(), maps):
        logits = positives.logits[positives.rows[row]]
        said = logits if attribute == "logit" else logits.softmax(dim=0)
        (gradient,) = torch.autograd.grad(said[positives.labels[row]], positives.pooled, retain_graph=True)
        place = int(positives.rows[row])
        signed = (gradient[place] * positives.pooled[place].detach()).sum(dim=0)
        grid = Grid.of_region(positives.proposals[row].tolist(), (7, 7))
        size = tuple(positives.input_sizes[positives.images[row]].tolist())
        expected = sample_grid(signed.relu()[None], grid, size, SIZE)[0]
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * float(maps.max()))


@pytest.mark.parametrize("name", ["fcos", "retinanet", "faster-rcnn"])
def test_positives_are_of_the_objects_they_name(name: str) -> None:
    detector, (images, targets) = built(name), batch()
    positives = assigned(detector, images, targets)
    boxes, labels = (torch.cat([target[key] for target in targets]) for key in ("boxes", "labels"))
    scale = positives.input_sizes[:, 0] / torch.tensor([image.shape[1] for image in images])
    truth = boxes[positives.objects] * scale[positives.images, None]
    assert torch.equal(positives.labels, labels[positives.objects])
    assert torch.equal(positives.images, torch.tensor([0, 0, 0, 1])[positives.objects])
    torch.testing.assert_close(positives.ious, measure_paired_iou(positives.boxes, truth), rtol=0, atol=1e-2)
    if name == "faster-rcnn":
        assert (measure_paired_iou(positives.proposals, truth) >= 0.5).all()


@pytest.mark.parametrize(
    ("name", "target", "kernel"),
    [
        ("retinanet", "logit", "head.classification_head.conv.0.0.weight"),
        ("faster-rcnn", "logit", "roi_heads.box_head.fc7.weight"),
        ("fcos", "class", "head.regression_head.conv.0.weight"),  # which centerness depends on
    ],
)
def test_second_order_is_the_derivative_by_finite_differences(name: str, target: str, kernel: str) -> None:
    """Of a kernel between features and target: it changes the maps through their weights alone."""
    detector, (images, targets) = built(name, torch.float64), batch(torch.float64)
    kernel = detector.model.get_parameter(kernel)
    term = {order: OdamTrain(order=order, negatives="all", cap=12, target=target) for order in ("first", "second")}

    def loss(order: str) -> Tensor:
        torch.manual_seed(3)
        return term[order](detector.compute_losses(images, targets)[1]).mean

    (gradient,) = torch.autograd.grad(loss("second"), kernel)
    direction = gradient / gradient.norm()
    values = []
    for step in (1e-6, -1e-6):
        kernel.data.add_(direction, alpha=step)
        values.append(loss("second").item())
        kernel.data.sub_(direction, alpha=step)
    assert (values[0] - values[1]) / 2e-6 == pytest.approx(float(gradient.norm()), rel=1e-3)
    assert torch.autograd.grad(loss("first"), kernel, allow_unused=True)[0] is None


@pytest.mark.parametrize("name", ["fcos", "retinanet", "faster-rcnn"])
def test_a_batch_of_background_alone_has_no_odam_loss(name: str) -> None:
    detector, (images, _) = built(name), batch()
    nothing = [{"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)} for _ in images]
    positives = assigned(detector, images, nothing)
    odam = OdamTrain()(positives)
    assert len(positives) == 0 and odam.pairs == 0 and odam.mean.item() == 0
    assert positives.divisor == (1 if name == "fcos" else 2)


def test_each_loss_has_a_weight_of_its_own() -> None:
    detector, (images, targets) = built("fcos"), batch()
    positives = assigned(detector, images, targets)

    def measure(**weights: float) -> list[float]:
        loss = OdamTrain(negatives="all", cap=100, **weights)(positives)
        return [loss.consistency.item(), loss.separation.item(), loss.pairs]

    agree, differ, pairs = measure()
    assert agree > 0 and differ > 0
    assert measure(separation=0.0) == [agree, 0, pairs] and measure(consistency=0.0) == [0, differ, pairs]
    assert measure(consistency=0.5, separation=2.0) == pytest.approx([agree / 2, 2 * differ, pairs])


def test_detr_keeps_no_positives() -> None:
    with pytest.raises(NotImplementedError, match="detr cannot be trained by Odam-Train"):
        ARCHITECTURES["detr"]("detr", CATEGORIES).compute_losses(*batch())


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.booleans())
def test_spreading_a_window_is_reading_the_whole_map(seed: int, bounded: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    height, width = torch.randint(1, 9, (2,), generator=generator).tolist()
    whole = torch.rand(height, width, generator=generator)
    x, y, dx, dy = (torch.rand(4, generator=generator) * torch.tensor([20.0, 20, 9, 9]) + 0.5).tolist()
    grid, input_size, size = Grid(x, y, dx, dy, bounded), (70, 50), (13, 17)
    padded = torch.nn.functional.pad(whole, (2, 1, 3, 2))
    windows = Windows(padded[None], torch.tensor([-3]), torch.tensor([-2]))
    found = windows.spread([grid], torch.tensor([[height, width]]), torch.tensor([input_size]), size)[0]
    torch.testing.assert_close(found, sample_grid(whole[None], grid, input_size, size)[0], rtol=1e-4, atol=1e-4)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 5), max_size=40), st.integers(1, 12))
def test_at_most_keeps_rows_of_every_image_up_to_the_cap(images: list[int], cap: int) -> None:
    images = torch.tensor(sorted(images), dtype=torch.int64)
    rows = choose_at_most(cap, images)
    assert rows.tolist() == sorted(set(rows.tolist()))
    assert torch.equal(images[rows].bincount(minlength=6), images.bincount(minlength=6).clamp(max=cap))


def test_a_faint_map_pulls_at_nothing() -> None:
    maps = torch.rand(4, 3, 3) + 0.1
    maps[2] *= 1e-30
    maps.requires_grad_()
    kept = drop_faint(maps)
    assert torch.equal(kept[[0, 1, 3]], maps[[0, 1, 3]]) and not kept[2].any()
    same = torch.zeros(4, dtype=torch.int64)
    boxes = torch.tensor([[0.0, 0, 1, 1]] * 4)
    odam_train_loss(kept, torch.tensor([0, 0, 1, 1]), same, torch.ones(4), boxes).mean.backward()
    assert maps.grad.isfinite().all() and not maps.grad[2].any() and maps.grad[3].abs().max() < 1e3
    assert len(drop_faint(maps[:0])) == 0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"negatives": "some"}, "negatives is 'some'"),
        ({"order": "third"}, "order is 'third'"),
        ({"bound": "none"}, "bound is 'none'"),
        ({"cap": 0}, "cap is 0"),
        ({"side": 0}, "side is 0"),
        ({"target": "box"}, "target is 'box'"),
        ({"separation": -1.0}, "separation is -1"),
    ],
)
def test_bad_options_are_refused(options: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        OdamTrain(**options)
