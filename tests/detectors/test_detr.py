"""DETR behind the contract, against transformers' own post-processing and loss and against PyTorch's own layers."""

import warnings

import pytest
import torch
from torch import Tensor, nn

from odam_lib.datasets.scenes import CATEGORIES
from odam_lib.detectors.backbones import SmallResNetFPN
from odam_lib.detectors.boxes import compute_softmax_score
from odam_lib.detectors.detr import DetrDetector, DilatedResNet, build_full_detr, build_small_detr, convert_published
from odam_lib.heatmaps import EDGES
from odam_lib.kernels.gradients import differentiate

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def untrained() -> DetrDetector:
    """Random weights with outputs that differ between places, and without background, as after training."""
    torch.manual_seed(0)
    built = build_small_detr("untrained", CATEGORIES)
    built.model.eval().requires_grad_(False)
    for module in built.model.backbone.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    built.model.detr.class_labels_classifier.bias[0] = -20
    return built


def objects(*boxes: tuple[int, int, int, int]) -> dict[str, Tensor]:
    """A target with boxes of classes 1, 2, ..."""
    return {"boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), "labels": torch.arange(1, len(boxes) + 1)}


@pytest.mark.parametrize("size", [(256, 256), (200, 331), (331, 200), (90, 41)])
def test_candidates_are_transformers_after_resize_and_padding(untrained, size: tuple[int, int]) -> None:
    image = torch.rand(3, *size)
    ours = untrained.trace(image).candidates
    outputs = untrained.model.run(untrained.model.transform([image])[0])
    theirs = transformers.DetrImageProcessor().post_process_object_detection(outputs, 0.0, [size])[0]
    torch.testing.assert_close(ours.boxes, theirs["boxes"], rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(ours.scores, theirs["scores"])
    assert ours.labels.tolist() == theirs["labels"].tolist()
    assert ours.index.tolist() == list(range(25)) and set(ours.level.tolist()) == {0}


def test_targets_are_the_numbers_of_the_detection(untrained) -> None:
    trace = untrained.trace(torch.rand(3, 120, 300))
    rows = trace.candidates
    torch.testing.assert_close(trace.targets("class", rows), rows.scores)
    distances = torch.stack([trace.targets(edge, rows) for edge in EDGES], dim=1)
    centres = (rows.boxes[:, :2] + rows.boxes[:, 2:]) / 2
    torch.testing.assert_close(torch.cat([centres - distances[:, :2], centres + distances[:, 2:]], dim=1), rows.boxes)
    assert (trace.targets("logit", rows) == trace.logits[:, 1:-1].max(dim=1).values).all()
    other = trace.above(0.0)  # each query under every class, not under its best one alone
    torch.testing.assert_close(trace.targets("class", other), other.scores)


@pytest.mark.parametrize("edge", EDGES)
def test_a_step_along_the_gradient_of_an_edge_moves_it_outwards(untrained, edge: str) -> None:
    image = torch.rand(3, 160, 256)
    trace = untrained.trace(image)
    row = trace.candidates[3]
    target = trace.targets(edge, row)
    (gradient,) = torch.autograd.grad(target, trace.features[0])
    step = gradient * (0.05 / gradient.square().sum())  # this many pixels, if all were linear
    stage = untrained.model.backbone.stages["stage3"]
    handle = stage.register_forward_hook(lambda _, __, output: output + step)
    moved = untrained.trace(image).candidates[3].boxes - row.boxes
    handle.remove()
    outwards = moved[0, EDGES.index(edge)] * (1 if edge in ("x2", "y2") else -1)
    assert outwards.item() == pytest.approx(0.05, rel=0.1)


def test_attention_is_of_the_same_pass_and_leaves_padding_out(untrained) -> None:
    attention = untrained.trace(torch.rand(3, 256, 300)).attention
    height, width = attention.size
    assert (height, width) == (16, 20) and attention.grid.dx == 16
    assert [len(kind) for kind in (attention.encoder, attention.cross, attention.queries)] == [2, 3, 3]
    assert attention.encoder[0].shape == (4, 320, 320)
    assert attention.cross[0].shape == (4, 25, 320)
    assert attention.queries[0].shape == (4, 25, 25)
    for weights in (*attention.encoder, *attention.cross, *attention.queries):
        assert not weights.requires_grad
        torch.testing.assert_close(weights.sum(dim=-1), torch.ones(weights.shape[:-1]))
    for weights in (*attention.encoder, *attention.cross):  # 300 pixels are 19 cells, the twentieth is padding
        by_column = weights.unflatten(-1, (height, width)).sum(dim=(0, 1, 2))
        assert by_column[19] == 0 and (by_column[:19] > 0).all()


def test_the_background_is_never_detected_and_nothing_is_suppressed(untrained) -> None:
    head = untrained.model.detr.class_labels_classifier
    bias = head.bias.clone()
    head.bias[0] = 20
    try:
        trace = untrained.trace(torch.rand(3, 128, 128))
    finally:
        head.bias.copy_(bias)
    assert (trace.candidates.class_probs[:, 0] == 0).all() and (trace.candidates.labels > 0).all()
    found = trace.detections(0.0)
    assert len(trace.above(0.0)) == 25 * (len(CATEGORIES) - 1) and 0 not in found.labels
    assert len(found) == trace.limits.after == 100
    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)


@pytest.mark.parametrize("margin", [2.0, 9.2, 20.0, 60.0])
def test_a_saturated_softmax_keeps_the_direction_of_its_gradient(margin: float) -> None:
    values = torch.tensor([[0.3, -0.2, margin, 0.1]])
    logits = values.clone().requires_grad_()
    found = compute_softmax_score(logits, torch.tensor([2]))
    torch.testing.assert_close(found, values.softmax(dim=1)[:, 2])
    (gradient,) = torch.autograd.grad(found.sum(), logits)
    precise = values[0].double()
    others = precise[[0, 1, 3]].softmax(dim=0)
    odds = precise[2] - precise[[0, 1, 3]].logsumexp(dim=0)
    size = odds.sigmoid() * (-odds).sigmoid()  # dp/dz = p (1 - p) (own - mean of the others)
    expected = size * torch.stack([-others[0], -others[1], others.new_tensor(1), -others[2]])
    torch.testing.assert_close(gradient[0].double(), expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize("layer", ["stage3", "stage2", "stage1", "encoder"])
def test_all_gradients_at_once_are_those_taken_one_by_one(untrained, layer: str) -> None:
    trace = untrained.trace(torch.rand(3, 96, 130), layer)
    rows, (features,) = trace.candidates[[0, 7, 24]], trace.features
    targets = torch.cat([trace.targets(attribute, rows) for attribute in ("class", "logit", *EDGES)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # PyTorch warns where it falls back to a loop
        (together,) = differentiate(targets, [features])
    alone = torch.cat([torch.autograd.grad(one, features, retain_graph=True)[0] for one in targets])
    assert together.shape == (18, *features.shape[1:]) and (alone.flatten(1).abs().amax(dim=1) > 0).all()
    errors = (together - alone).flatten(1).norm(dim=1) / alone.flatten(1).norm(dim=1)
    assert errors.max() < 1e-4


def test_losses_are_transformers_and_labels_are_relative_to_the_picture(untrained, monkeypatch) -> None:
    from transformers.loss.loss_for_object_detection import ForObjectDetectionLoss

    model, seen = untrained.model.train(), {}

    def both(logits, labels, device, boxes, config, *layers, **more):
        seen["labels"] = labels
        seen["theirs"], *_ = ForObjectDetectionLoss(logits, labels, device, boxes, config, *layers)
        return ours(logits, labels, device, boxes, config, *layers, **more)

    ours = model.detr.loss_function
    monkeypatch.setattr(model.detr, "_loss_function", both)
    images = [torch.rand(3, 100, 200), torch.rand(3, 128, 128), torch.rand(3, 64, 64)]
    two, one, none = objects((10, 20, 60, 100), (100, 0, 200, 50)), objects((0, 0, 64, 32)), objects()
    losses = model(images, [two, one, none])
    untrained.model.eval()
    torch.testing.assert_close(sum(losses.values()), seen["theirs"])
    assert set(losses) == {"class", "box", "giou", "auxiliary"}
    first = seen["labels"][0]
    torch.testing.assert_close(first["boxes"], torch.tensor([[0.175, 0.6, 0.25, 0.8], [0.75, 0.25, 0.5, 0.5]]))
    assert first["class_labels"].tolist() == [1, 2]


def test_pictures_without_objects_can_be_trained_on() -> None:
    torch.manual_seed(0)
    model = build_small_detr("trained", CATEGORIES).model.train().requires_grad_(True)
    losses = model([torch.rand(3, 96, 96)] * 2, [objects(), objects()])
    total = sum(losses.values())
    total.backward()
    assert torch.isfinite(total) and losses["class"] > 0 and losses["box"] == losses["giou"] == 0
    bias = model.detr.class_labels_classifier.bias.grad
    assert bias[-1] < 0 and (bias[:-1] > 0).all()  # towards "no object"
    kept = dict(model.backbone.stem.named_parameters())
    assert all(parameter.grad is None for parameter in kept.values())
    assert model.backbone.stages["stage3"][0].body[0].weight.grad.abs().sum() > 0


def test_training_learns_a_single_scene() -> None:
    torch.manual_seed(0)
    detector = build_small_detr("trained", CATEGORIES)
    model = detector.model.train().requires_grad_(True)
    image, truth = torch.zeros(3, 64, 64), objects((4, 8, 36, 40))
    image[0, 8:40, 4:36] = 1
    model.transform.min_size = (64,)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    for _ in range(40):
        optimizer.zero_grad()
        sum(model([image], [truth]).values()).backward()
        optimizer.step()
    model.eval().requires_grad_(False)
    candidates = detector.trace(image).candidates
    best = candidates[candidates.scores.argmax().item()]
    assert best.names() == [CATEGORIES[1]]
    assert (best.boxes - truth["boxes"]).abs().max() < 6


def test_the_dilated_backbone_computes_the_small_resnet_at_every_second_cell() -> None:
    torch.manual_seed(0)
    strided = SmallResNetFPN().eval()
    for module in strided.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    dilated = DilatedResNet()
    missing, unexpected = dilated.load_state_dict(strided.state_dict(), strict=False)
    assert not missing and all(name.startswith("fpn.") for name in unexpected)
    images = torch.rand(2, 3, 96, 128)
    expected = strided.stem(images)
    for stage in strided.stages.values():
        expected = stage(expected)
    found = dilated.train()(images)  # its norms keep their statistics in training too
    assert found.shape[-2:] == (6, 8)
    torch.testing.assert_close(found[..., ::2, ::2], expected, rtol=1e-4, atol=1e-4)


def test_full_size_model_has_its_strides_and_reads_the_published_names() -> None:
    torch.manual_seed(0)
    detector = build_full_detr("full", tuple(f"class {number}" for number in range(91)))
    detector.model.eval().transform.min_size = (64,)
    image = torch.rand(3, 64, 100)
    for layer, stride in [("layer4", 32), ("layer3", 16), ("layer2", 8), ("layer1", 4), ("encoder", 32)]:
        trace = detector.trace(image, layer)
        assert trace.features[0].shape[-2:] == (64 // stride, 128 // stride) and trace.grids[0].dx == stride
    assert detector.layers[0] == "layer4" and trace.logits.shape == (100, 92) and trace.attention.size == (2, 4)

    encoder, decoder = nn.TransformerEncoderLayer(256, 8, 2048, 0.0), nn.TransformerDecoderLayer(256, 8, 2048, 0.0)
    checkpoint = published_names(encoder.eval(), decoder.eval())
    detector.model.load_state_dict(convert_published({"model": checkpoint}))
    tokens, queries, model = torch.rand(6, 1, 256), torch.rand(3, 1, 256), detector.model.detr.model
    theirs = encoder(tokens)[:, 0], decoder(queries, tokens)[:, 0]
    ours = model.encoder.layers[5](tokens.transpose(0, 1), None)[0]
    torch.testing.assert_close(ours, theirs[0], rtol=1e-4, atol=1e-4)
    ours = model.decoder.layers[5](queries.transpose(0, 1), encoder_hidden_states=tokens.transpose(0, 1))[0]
    torch.testing.assert_close(ours, theirs[1], rtol=1e-4, atol=1e-4)


def published_names(encoder: nn.Module, decoder: nn.Module) -> dict[str, Tensor]:
    """A state as DETR's authors name it (their hubconf and models/detr.py), with the same layer six times."""
    from torchvision.models import resnet50
    from torchvision.ops import FrozenBatchNorm2d

    body = {key: value for key, value in resnet50(norm_layer=FrozenBatchNorm2d).state_dict().items() if key[:2] != "fc"}
    heads = {"0": (256, 256), "1": (256, 256), "2": (4, 256)}
    state = {f"backbone.0.body.{key}": value for key, value in body.items()}
    state |= {"input_proj.weight": torch.zeros(256, 2048, 1, 1), "input_proj.bias": torch.zeros(256)}
    state |= {"class_embed.weight": torch.zeros(92, 256), "class_embed.bias": torch.zeros(92)}
    state |= {f"bbox_embed.layers.{key}.weight": torch.zeros(shape) for key, shape in heads.items()}
    state |= {f"bbox_embed.layers.{key}.bias": torch.zeros(shape[0]) for key, shape in heads.items()}
    state |= {"query_embed.weight": torch.zeros(100, 256)}
    state |= {"transformer.decoder.norm.weight": torch.ones(256), "transformer.decoder.norm.bias": torch.zeros(256)}
    for layer in range(6):
        state |= {f"transformer.encoder.layers.{layer}.{key}": value for key, value in encoder.state_dict().items()}
        state |= {f"transformer.decoder.layers.{layer}.{key}": value for key, value in decoder.state_dict().items()}
    return state
