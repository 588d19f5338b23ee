"""FeatureNMS's embeddings: the margin loss, vectors of a detector's predictions, their training."""

import hashlib
import json
import math
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings as effort, strategies as st
from odam_chapters.crowds import embedding_training
from odam_chapters.crowds.embedding_training import (
    EmbeddingSettings,
    Seen,
    main,
    measure_shares,
    observe,
    train_embeddings,
)
from odam_chapters.crowds.embeddings import (
    EMBEDDED,
    SIDE,
    Embedder,
    EmbeddingHead,
    load_embedder,
    margin_loss,
    measure_distances,
    name_weights,
    pair_predictions,
    read_positive_cells,
    read_trace_cells,
)
from odam_chapters.crowds.rules import SCORE_THRESHOLD, find_candidates
from torch import Tensor
from torch.nn.functional import conv2d, normalize
from torch.utils.data import Dataset
from torchvision.ops import box_iou

from odam_lib import load_detector
from odam_lib.datasets.pictures import Target
from odam_lib.datasets.scenes import Scenes
from odam_lib.detectors.base import Detector
from odam_lib.detectors.faster_rcnn import FasterRCNNPositives
from odam_lib.detectors.positives import Positives
from odam_lib.detectors.trace import Trace
from odam_lib.detectors.weights import read_card
from odam_lib.files import data_root
from odam_lib.training.runs import CHECKPOINT, LOG

SMALL = EmbeddingSettings(number=4, size=128, epochs=3, batch_size=2, cap=20)


def at(*degrees: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """Unit vectors of the plane; two at an angle t have the distance 2 sin(t / 2)."""
    angles = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([angles.cos(), angles.sin()], dim=1).to(dtype)


def together(number: int) -> Tensor:
    """Boxes that all overlap."""
    return torch.tensor([[0.0, 0.0, 10.0, 10.0]]).repeat(number, 1) + torch.arange(number)[:, None]


def test_the_margin_loss_by_hand() -> None:
    """Distances: 1 at 60 degrees, sqrt 2 at 90, sqrt 3 at 120, 2 at 180; sqrt(2 - sqrt 3) at 30."""
    vectors = at(0, 60, 90, 180)
    objects, images = torch.tensor([0, 0, 1, 1]), torch.zeros(4, dtype=torch.int64)
    close = math.sqrt(2 - math.sqrt(3))
    # One object at 60 and at 90 degrees, two at 30; those at 90, 120 and 180 lie beyond the margin.
    costs = [0.2 + 1 - 1, 0.2 + math.sqrt(2) - 1, 0.2 + 1 - close]
    found = margin_loss(vectors, objects, images, together(4))
    assert found.item() == pytest.approx(sum(costs) / 3, rel=1e-5)
    # Now 90 and 120 degrees are too close for two objects as well; 180 is still far enough.
    costs = [0.5 + 1 - 1.4, 0.5 + math.sqrt(2) - 1.4, 1.9 - close, 1.9 - math.sqrt(2), 1.9 - math.sqrt(3)]
    wider = margin_loss(vectors, objects, images, together(4), beta=1.4, alpha=0.5)
    assert wider.item() == pytest.approx(sum(costs) / 5, rel=1e-5)


def test_only_overlapping_boxes_of_one_picture_are_told_apart() -> None:
    vectors, objects = at(0, 0, 0, 0), torch.tensor([0, 1, 2, 3])
    images = torch.tensor([0, 0, 1, 1])
    boxes = together(4)
    assert margin_loss(vectors, objects, images, boxes).item() == pytest.approx(1.2)
    assert len(pair_predictions(objects, images, boxes).same) == 2
    boxes[3] += 100
    pairs = pair_predictions(objects, images, boxes)
    assert (pairs.first.tolist(), pairs.second.tolist(), pairs.same.tolist()) == ([0], [1], [False])
    alike = pair_predictions(torch.tensor([0, 1, 2, 2]), images, boxes)
    assert (alike.second - alike.first).tolist() == [1, 1] and alike.same.tolist() == [False, True]


def test_the_margin_losss_derivative() -> None:
    torch.manual_seed(0)
    vectors = normalize(torch.randn(7, 5, dtype=torch.float64), dim=1).requires_grad_()
    objects, images = torch.tensor([0, 0, 0, 1, 1, 2, 3]), torch.tensor([0, 0, 0, 0, 0, 0, 1])
    assert torch.autograd.gradcheck(lambda each: margin_loss(each, objects, images, together(7)), vectors)
    twice = at(0, 0, 90, dtype=torch.float64).requires_grad_()
    margin_loss(twice, torch.tensor([0, 1, 0]), images[:3], together(3)).backward()
    assert twice.grad.isfinite().all() and twice.grad[2].norm() > 0


@effort(deadline=None, max_examples=30)
@given(st.integers(0, 10**6))
def test_the_margin_loss_does_not_depend_on_the_order(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    vectors = normalize(torch.randn(9, 4, generator=generator, dtype=torch.float64), dim=1)
    objects = torch.randint(0, 4, (9,), generator=generator)
    images, corners = objects // 2, torch.rand(9, 2, generator=generator) * 8
    boxes = torch.cat([corners, corners + 4], dim=1)
    order = torch.randperm(9, generator=generator)
    shuffled = margin_loss(vectors[order], objects[order], images[order], boxes[order])
    assert shuffled.item() == pytest.approx(margin_loss(vectors, objects, images, boxes).item(), abs=1e-12)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_without_a_pair_the_loss_is_nought_and_connected(number: int) -> None:
    vectors = at(0, 90)[:number].requires_grad_()
    boxes = together(2)[:number] + 100 * torch.arange(number)[:, None]
    loss = margin_loss(vectors, torch.arange(number), torch.zeros(number, dtype=torch.int64), boxes)
    loss.backward()
    assert loss.item() == 0 and vectors.grad is not None and not vectors.grad.any()


def test_predictions_of_one_object_are_only_drawn_together() -> None:
    vectors = at(0, 70, 140).requires_grad_()
    objects = images = torch.zeros(3, dtype=torch.int64)
    costs = [0.2 + 2 * math.sin(math.radians(half)) - 1 for half in (35, 35, 70)]
    loss = margin_loss(vectors, objects, images, together(3))
    assert loss.item() == pytest.approx(sum(costs) / 3, rel=1e-5)
    loss.backward()
    closer = vectors.detach() - 0.1 * vectors.grad
    assert torch.pdist(closer).sum() < torch.pdist(vectors.detach()).sum()


def test_one_of_everything_is_needed() -> None:
    with pytest.raises(ValueError, match="one object, image and box for each embedding"):
        margin_loss(at(0, 90), torch.tensor([0]), torch.tensor([0, 0]), together(2))


@pytest.fixture(scope="module", params=EMBEDDED)
def crowded(request: pytest.FixtureRequest) -> Detector:
    return load_detector(request.param, "cpu")


@pytest.fixture(scope="module")
def crowds() -> list[tuple[Tensor, Target]]:
    """Crowds that neither detectors nor embeddings were trained on."""
    scenes = Scenes("val", 8, "crowd")
    return [scenes[item] for item in range(8)]


@torch.no_grad()
def test_the_head_of_fcos_is_a_convolution_of_the_pyramid() -> None:
    """At every cell of every level, so that those on the border are among them."""
    trace = load_detector("fcos-crowd", "cpu").trace(Scenes("val", 1, "crowd", 96)[0][0][:, :64])
    torch.manual_seed(0)
    head = EmbeddingHead(trace.features[0].shape[1] * SIDE**2)
    found = Embedder("fcos-crowd", head)(trace, trace.candidates)
    first, _, second = head.layers
    kernels = first.weight.unflatten(1, (-1, SIDE, SIDE)), second.weight[..., None, None]
    levels = [
        conv2d(conv2d(level, kernels[0], first.bias, padding=1).relu(), kernels[1], second.bias)
        for level in trace.features
    ]
    assert len({level.shape for level in levels}) == 3 and levels[0].shape[-2] != levels[0].shape[-1]
    expected = torch.cat([level[0].flatten(1).T for level in levels])
    torch.testing.assert_close(found, normalize(expected, dim=1), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_head_of_faster_rcnn_reads_means_over_thirds_of_its_proposals(crowds: list) -> None:
    trace = load_detector("faster-rcnn-crowd", "cpu").trace(crowds[0][0])
    torch.manual_seed(0)
    rows = torch.randperm(len(trace.candidates))[:20]
    pooled = trace.pooled[trace.candidates[rows].index]
    parts = (slice(0, 3), slice(2, 5), slice(4, 7))  # of 7
    expected = torch.stack([pooled[:, :, y, x].mean(dim=(2, 3)) for y in parts for x in parts], dim=2)
    torch.testing.assert_close(read_trace_cells(trace, trace.candidates[rows]), expected.flatten(1))


@torch.no_grad()
def test_training_reads_the_cells_that_an_explanation_does(crowded: Detector, crowds: list) -> None:
    images, targets = [image for image, _ in crowds[:2]], [target for _, target in crowds[:2]]
    crowded.model.train().backbone.eval()
    _, positives = crowded.compute_losses(images, targets)
    crowded.model.eval()
    for number, image in enumerate(images):
        rows = torch.nonzero(positives.images == number).flatten()
        assert len(rows) > 5
        cells = read_positive_cells(positives, rows.flip(0))
        torch.testing.assert_close(cells, expected_cells(crowded, image, positives, rows.flip(0)), rtol=1e-4, atol=1e-4)


def expected_cells(detector: Detector, image: Tensor, positives: Positives, rows: Tensor) -> Tensor:
    trace = detector.trace(image)
    if not isinstance(positives, FasterRCNNPositives):
        return read_trace_cells(trace, trace.candidates[trace.first[positives.level[rows]] + positives.index[rows]])
    batch, _ = detector.model.transform([image])
    pool = detector.model.roi_heads.box_roi_pool
    pooled = pool(detector.model.backbone(batch.tensors), [positives.proposals[rows]], batch.image_sizes)
    everything = replace(trace, pooled=pooled)
    return read_trace_cells(everything, replace(trace.candidates[: len(rows)], index=torch.arange(len(rows))))


def test_a_trace_or_detections_of_something_else_are_refused(crowded: Detector, crowds: list) -> None:
    (image, _), (other, _) = crowds[:2]
    embed = load_embedder(crowded.name)
    trace = crowded.trace(image)
    with pytest.raises(ValueError, match=f"are for {crowded.name}, the trace is of fcos-scenes: load those"):
        foreign = load_detector("fcos-scenes", "cpu").trace(image)
        embed(foreign, foreign.candidates)
    deeper = crowded.trace(image, crowded.layers[1])
    with pytest.raises(ValueError, match=f"layer {crowded.layers[1]!r}: .* read at {crowded.layers[0]!r}"):
        embed(deeper, deeper.candidates)
    with pytest.raises(ValueError, match="explain detections with the detector and the image"):
        embed(trace, crowded.trace(other).candidates)
    with pytest.raises(ValueError, match="no embeddings for retinanet-scenes"):
        foreign = load_detector("retinanet-scenes", "cpu").trace(image)
        read_trace_cells(foreign, foreign.candidates)
    assert embed(trace, trace.candidates[:0]).shape == (0, 32)


def test_weights_that_do_not_fit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="no embeddings for fcos-crowd-odam: choose fcos-crowd or faster-rcnn-crowd"):
        load_embedder("fcos-crowd-odam")
    (tmp_path / "weights").mkdir()
    for name in ("fcos-crowd", name_weights("fcos-crowd")):
        for file in (data_root() / "weights").glob(f"{name}.*"):
            shutil.copy(file, tmp_path / "weights")
    monkeypatch.setenv("ODAM_DATA", str(tmp_path))
    assert load_embedder("fcos-crowd").detector == "fcos-crowd"
    detectors, own = (tmp_path / "weights" / f"{name}.json" for name in ("fcos-crowd", name_weights("fcos-crowd")))
    text = detectors.read_text(encoding="utf-8")
    detectors.write_text(text.replace(read_card("fcos-crowd")["sha256"], "0" * 64), encoding="utf-8")
    with pytest.raises(ValueError, match=r"embedding\.safetensors go with others of fcos-crowd than those here"):
        load_embedder("fcos-crowd")
    detectors.write_text(text, encoding="utf-8")
    own.with_suffix(".safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"embedding\.safetensors are damaged"):
        load_embedder("fcos-crowd")
    own.unlink()
    with pytest.raises(FileNotFoundError, match=r"fcos-crowd-embedding\.json is missing"):
        load_embedder("fcos-crowd")


def person_of_each(trace: Trace, truth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings, people and boxes of candidates that lie on a person with an IoU of at least 0.5."""
    found = find_candidates(trace, SCORE_THRESHOLD)
    ious, people = box_iou(found.boxes, truth).max(dim=1)
    sure = ious >= 0.5
    return load_embedder(trace.detector.name)(trace, found)[sure], people[sure], found.boxes[sure]


@torch.no_grad()
def test_embeddings_of_one_person_lie_closer_than_those_of_two(crowded: Detector, crowds: list) -> None:
    """By chance, in half of all comparisons; also among boxes of similar overlap, which alone would say little."""
    rows = []
    for image, target in crowds:
        vectors, people, boxes = person_of_each(crowded.trace(image), target["boxes"])
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(len(vectors)))
        pairs = pair_predictions(people, torch.zeros_like(people), boxes)
        ious = box_iou(boxes, boxes)[pairs.first, pairs.second]
        rows.append(torch.stack([pairs.same, ious, measure_distances(vectors, pairs)], dim=1))
    same, ious, apart = torch.cat(rows).unbind(dim=1)
    for low, high, least in ((0.3, 1.0, 0.85), (0.5, 0.7, 0.62)):
        some = (low < ious) & (ious < high)
        one, two = apart[some & (same == 1)], apart[some & (same == 0)]
        assert len(one) > 100 and len(two) > 100
        assert (one[:, None] < two).float().mean() > least


@pytest.mark.parametrize("name", EMBEDDED)
def test_every_card_fits_its_weights(name: str) -> None:
    path = data_root() / "weights" / f"{name_weights(name)}.safetensors"
    about = read_card(name_weights(name))
    assert about["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert about["parameters"] == sum(each.numel() for each in load_embedder(name).head.parameters())
    assert {"command", "seed", "data", "hours", "hardware", "measured_on"} <= about.keys()


def test_cards_tell_what_the_weights_reach(crowded: Detector, crowds: list) -> None:
    """Measured again on the first of the card's held-out scenes; a sample, hence the margin."""
    about = read_card(name_weights(crowded.name))
    reached = measure_shares(crowded, load_embedder(crowded.name).head, crowds, EmbeddingSettings.cap)
    for name, value in reached.items():
        assert abs(value - about[name]) < 0.12, (name, value, about[name])
    untrained = measure_shares(crowded, untrained_head(crowded), crowds[:2], EmbeddingSettings.cap)
    assert untrained["same"] + untrained["different"] < 1.6 < reached["same"] + reached["different"]


def untrained_head(detector: Detector) -> EmbeddingHead:
    torch.manual_seed(0)
    return EmbeddingHead(detector.model.backbone.out_channels * SIDE**2)


class Crowds(Dataset[tuple[Tensor, Target]]):
    """Few crowds; the reading breaks off at a chosen place, or a picture is spoiled once all were looked at."""

    scenes = None

    def __init__(self, breaks_at: int | None = None, spoiled: int | None = None) -> None:
        self.breaks_at, self.spoiled, self.reads = breaks_at, spoiled, 0
        if Crowds.scenes is None:
            drawn = Scenes("train", SMALL.number, "crowd", SMALL.size)
            Crowds.scenes = [drawn[item] for item in range(SMALL.number)]

    def __len__(self) -> int:
        return SMALL.number

    def __getitem__(self, item: int) -> tuple[Tensor, Target]:
        if self.reads == self.breaks_at:
            raise KeyboardInterrupt
        self.reads += 1
        image, target = Crowds.scenes[item]
        return (image * torch.nan if item == self.spoiled and self.reads > len(self) else image), target


def test_interrupted_and_started_again_it_ends_with_the_same_weights(crowded: Detector, tmp_path: Path) -> None:
    settings = replace(SMALL, detector=crowded.name)
    folders = {name: tmp_path / name for name in ("interrupted", "whole")}
    for folder in folders.values():
        folder.mkdir()
    with pytest.raises(KeyboardInterrupt):
        train_embeddings(
            settings, crowded, Crowds(breaks_at=11), folders["interrupted"], checkpoint_every=2, progress=False
        )
    assert torch.load(folders["interrupted"] / CHECKPOINT, weights_only=True)["step"] == 2
    resumed = train_embeddings(settings, crowded, Crowds(), folders["interrupted"], checkpoint_every=2, progress=False)
    whole = train_embeddings(settings, crowded, Crowds(), folders["whole"], progress=False)
    start = untrained_head(crowded).state_dict()
    for name, value in resumed.state_dict().items():
        assert torch.equal(value, whole.state_dict()[name]) and not torch.equal(value, start[name])
    assert len({(folder / LOG).read_text(encoding="utf-8") for folder in folders.values()}) == 1


def test_the_detector_stays_as_it_was(crowded: Detector, tmp_path: Path) -> None:
    """Its weights, the statistics of its norms, its mode, and what it finds."""
    before = {name: value.clone() for name, value in crowded.model.state_dict().items()}
    assert any("running_var" in name for name in before)
    image = Crowds()[0][0]
    found = crowded.detect(image)
    with pytest.raises(KeyboardInterrupt):
        train_embeddings(replace(SMALL, detector=crowded.name), crowded, Crowds(breaks_at=13), tmp_path, progress=False)
    for name, value in crowded.model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert not any(module.training or module._forward_hooks for module in crowded.model.modules())
    assert not any(parameter.requires_grad for parameter in crowded.model.parameters())
    assert torch.equal(crowded.detect(image).boxes, found.boxes)


def test_faster_rcnn_samples_afterwards_as_before(crowds: list) -> None:
    detector = load_detector("faster-rcnn-crowd", "cpu")
    before = dict(vars(detector.model.roi_heads.fg_bg_sampler))

    def interrupt(*_: object) -> None:
        assert vars(detector.model.roi_heads.fg_bg_sampler) != before
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        detector.model.rpn.register_forward_hook(interrupt)
        observe(detector, *zip(*crowds), 15)
    assert vars(detector.model.roi_heads.fg_bg_sampler) == before


@torch.no_grad()
def cost_of_each_pair(head: EmbeddingHead, seen: Seen) -> Tensor:
    """With beta 1 and alpha 0.2. Unlike the loss this counts pairs that cost nothing, which training makes more."""
    pairs = pair_predictions(seen.objects, seen.images, seen.boxes)
    beyond = measure_distances(head(seen.cells), pairs) - 1
    return (0.2 + torch.where(pairs.same, beyond, -beyond)).relu()


def test_training_lowers_the_loss(crowded: Detector, tmp_path: Path) -> None:
    settings = replace(SMALL, detector=crowded.name, epochs=10)
    trained = train_embeddings(settings, crowded, Crowds(), tmp_path, progress=False)
    torch.manual_seed(0)
    seen = observe(crowded, *zip(*Crowds.scenes), SMALL.cap)
    before, after = cost_of_each_pair(untrained_head(crowded), seen), cost_of_each_pair(trained, seen)
    assert len(before) > 100 and after.mean() < 0.7 * before.mean()


def test_positives_are_of_their_object_and_no_more_than_allowed(crowded: Detector, crowds: list) -> None:
    seen = observe(crowded, *zip(*crowds[:3]), 15)
    counts = seen.images.bincount()
    assert counts.max() == 15 and counts.min() > 10 and len(counts) == 3 and len(seen.cells) == counts.sum()
    truth = torch.cat([target["boxes"] for _, target in crowds[:3]])
    ious = box_iou(seen.boxes, truth)  # crowds of 256 pixels are seen as they are
    owners = torch.tensor([number for number in range(3) for _ in crowds[number][1]["boxes"]])
    ious = ious * (seen.images[:, None] == owners)
    assert (ious.max(dim=1).values >= 0.5).all() and torch.equal(ious.argmax(dim=1), seen.objects)


@pytest.mark.parametrize("cap", [20, 1])
def test_a_picture_that_is_no_number_stops_the_training(cap: int, tmp_path: Path) -> None:
    """Also where each picture gives one prediction, so that there is no pair and the loss itself stays 0."""
    with pytest.raises(FloatingPointError, match=f"the images were .*{Crowds()[1][1]['image_id']}"):
        train_embeddings(
            replace(SMALL, cap=cap), load_detector("fcos-crowd", "cpu"), Crowds(spoiled=1), tmp_path, progress=False
        )
    assert not (tmp_path / CHECKPOINT).exists()


def test_crowds_that_cannot_be_learnt_are_refused_before_the_first_step(tmp_path: Path) -> None:
    class Dogs(Crowds):
        def __getitem__(self, item: int) -> tuple[Tensor, Target]:
            image, target = super().__getitem__(item)
            return image, target | {"labels": target["labels"] + (item == 3)}

    detector = load_detector("fcos-crowd", "cpu")
    with pytest.raises(ValueError, match=f"Picture {Crowds()[3][1]['image_id']} .* an object of the label 2"):
        train_embeddings(SMALL, detector, Dogs(), tmp_path, progress=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"detector": "fcos-scenes"}, "detector is 'fcos-scenes': choose among fcos-crowd, "),
        ({"epochs": 0}, "epochs is 0"),
        ({"cap": -1}, "cap is -1"),
        ({"learning_rate": math.nan}, "learning_rate is nan"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1"),
        ({"number": 7}, "7 pictures do not fill a batch of 8"),
    ],
)
def test_bad_settings_are_refused(changes: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        EmbeddingSettings(**changes)


def test_what_the_settings_do_not_describe_is_refused(tmp_path: Path) -> None:
    detector = load_detector("fcos-crowd", "cpu")
    with pytest.raises(ValueError, match="detector is fcos-crowd, the settings say faster-rcnn-crowd"):
        train_embeddings(replace(SMALL, detector="faster-rcnn-crowd"), detector, Crowds(), tmp_path)
    with pytest.raises(ValueError, match="has 4 items, the settings say 8"):
        train_embeddings(replace(SMALL, number=8), detector, Crowds(), tmp_path)
    train_embeddings(replace(SMALL, epochs=1), detector, Crowds(), tmp_path, progress=False)
    with pytest.raises(ValueError, match=r"another run \(epochs 1 instead of 3\)"):
        train_embeddings(SMALL, detector, Crowds(), tmp_path, progress=False)


Command = Callable[..., dict]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run ``python -m odam_chapters.crowds.embedding_training`` in a folder and read the card that it leaves."""

    def call(folder: Path, *words: str) -> dict:
        monkeypatch.setattr(sys, "argv", ["embedding_training", "--output", str(folder), "--device", "cpu", *words])
        main()
        (found,) = folder.glob("*.json")
        return json.loads(found.read_text(encoding="utf-8"))

    return call


def test_the_card_tells_how_to_train_the_same_head(tmp_path: Path, command: Command) -> None:
    words = "--number 4 --size 128 --batch-size 2 --epochs 1 --seed 3"
    about = command(tmp_path / "first", *words.split(), "--held-out", "1")
    assert about["name"] == "fcos-crowd-embedding" and about["embeds"]["sha256"] == read_card("fcos-crowd")["sha256"]
    assert (tmp_path / "first" / "curves.png").is_file()
    program, _, module, *again = about["command"].split()
    assert (program, module) == ("python", "odam_chapters.crowds.embedding_training")
    assert command(tmp_path / "second", *again, "--held-out", "1")["sha256"] == about["sha256"]


@pytest.mark.parametrize("name", EMBEDDED)
def test_commands_of_the_bundled_cards_are_understood(
    name: str, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Understood(Exception):
        pass

    def stop(settings: EmbeddingSettings, *_: object) -> None:
        raise Understood(settings.detector)

    monkeypatch.setattr(embedding_training, "draw_once", stop)
    with pytest.raises(Understood, match=name):
        command(tmp_path, *read_card(name_weights(name))["command"].split()[3:])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--detector fcos-scenes", "detector is 'fcos-scenes'"),
        ("--batch-size 0", "batch_size is 0"),
        ("--held-out 0", "number of scenes is 0"),
        ("--size 0", "size"),
        ("--device gpu0", "device 'gpu0' is not usable"),
    ],
)
def test_a_bad_argument_is_told_before_any_work(
    words: str, sentence: str, tmp_path: Path, command: Command, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit):
        command(tmp_path, *words.split())
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "error: " in said and sentence in said and not list(tmp_path.iterdir())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_embeddings_are_read_where_the_detector_runs(crowds: list, tmp_path: Path) -> None:
    image = crowds[0][0]
    for name in EMBEDDED:
        embed, heads = load_embedder(name), []
        for device in ("cpu", "cuda", "cpu"):
            trace = load_detector(name, device).trace(image)
            heads.append(embed(trace, trace.above(0.3)))
            assert heads[-1].device.type == device
        assert torch.equal(heads[0], heads[2]) and abs(len(heads[0]) - len(heads[1])) <= 2
        (tmp_path / name).mkdir()
        trained = train_embeddings(
            replace(SMALL, detector=name), load_detector(name, "cuda"), Crowds(), tmp_path / name
        )
        assert next(trained.parameters()).device.type == "cuda"
        assert all(
            0 <= share <= 1 for share in measure_shares(load_detector(name, "cuda"), trained, Crowds(), 20).values()
        )
