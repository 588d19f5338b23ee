"""Explaining is a question, not a change: the model stays as it is, and what the caller is within does not count."""

import io
import pickle
from collections import deque, namedtuple
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from threading import Barrier
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune
from wrapped import snapshot

from odam_lib import HeatMaps, explain, load_detector
from odam_lib.datasets.scenes import Scenes
from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector
from odam_lib.detectors.fcos import FCOSDetector
from odam_lib.detectors.retinanet import build_small_retinanet
from odam_lib.detectors.wrap import wrap
from odam_lib.explainers.drise import DRISE
from odam_lib.explainers.grad_cam import GradCAM
from odam_lib.explainers.odam import ODAM
from odam_lib.explainers.suppression import by_maps, suppress
from odam_lib.kernels.nms import keep_all

NAMES = ("fcos-scenes", "retinanet-scenes", "faster-rcnn-scenes", "detr-scenes", "yolov3-tiny")
METHODS = (ODAM(), ODAM(smoothing=None, derivative="exact"), GradCAM(), DRISE(masks=4, cells=4, batch=2))
THREADS = 8


@pytest.fixture(scope="module")
def scenes() -> list[Tensor]:
    return [scene for scene, _ in Scenes("val", 4)]


@pytest.fixture(scope="module", params=NAMES)
def detector(request: pytest.FixtureRequest) -> Detector:
    return load_detector(request.param, "cpu")


@pytest.fixture(scope="module")
def plain(detector: Detector, scenes: list[Tensor]) -> list[HeatMaps]:
    """What the methods find on the first scene, with nothing unusual around."""
    return [asked(detector, scenes[0], method) for method in METHODS]


def best(detector: Detector, image: Tensor) -> Detections:
    """Three candidates, the surest ones, so that every detector has some on every picture."""
    found = detector.trace(image).candidates
    return found[found.scores.argsort(descending=True)[:3]]


def asked(detector: Detector, image: Tensor, method: Any = METHODS[0]) -> HeatMaps:
    return explain(detector, image, best(detector, image), ("class", "x1"), method)


def same(ours: HeatMaps, theirs: HeatMaps, tolerance: float = 1e-4) -> bool:
    assert ours.detections.index.tolist() == theirs.detections.index.tolist()
    assert all(one.dtype == torch.float32 and not one.is_inference() for one in ours.maps)
    return all(
        torch.allclose(a, b, rtol=tolerance, atol=tolerance * float(b.abs().max()))
        for a, b in zip(ours.maps, theirs.maps)
    )


def test_eight_threads_find_what_one_finds(detector: Detector, plain: list[HeatMaps], scenes: list[Tensor]) -> None:
    """Also of a model in training, whose mode no pass may see."""
    detector.model.train()
    questions = [(image, method) for image in scenes[:2] for method in METHODS]
    expected = plain + [asked(detector, *question) for question in questions[len(plain) :]]
    start = Barrier(THREADS)
    turns = [[(first + step) % len(questions) for step in (0, 5)] for first in range(THREADS)]

    def answer(number: int) -> list[HeatMaps]:
        start.wait()
        return [asked(detector, *questions[place]) for place in turns[number]]

    with ThreadPoolExecutor(THREADS) as threads:
        answers = list(threads.map(answer, range(THREADS)))
    for turn, found in zip(turns, answers):
        assert all(map(same, found, [expected[place] for place in turn]))
    assert detector.model.training
    detector.model.eval()


@contextmanager
def double_by_default() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


CONTEXTS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "detect_anomaly": torch.autograd.detect_anomaly,
    "float64 by default": double_by_default,
}


@pytest.mark.filterwarnings("ignore:Anomaly Detection")
@pytest.mark.parametrize("context", CONTEXTS)
def test_maps_do_not_depend_on_what_the_caller_is_within(
    detector: Detector, plain: list[HeatMaps], scenes: list[Tensor], context: str
) -> None:
    image, methods, expected = scenes[0], METHODS[:3], plain[:3]
    trace = detector.trace(image)
    rule, target = by_maps(), trace.targets("x1", trace.candidates[:1])
    kept = suppress(trace, 0.05, rule) if trace.windows else trace.candidates
    with CONTEXTS[context]():
        within = [asked(detector, image.clone(), method) for method in methods]
        directly = methods[0](trace, expected[0].detections[torch.arange(3)], ("class", "x1"))
        again = suppress(trace, 0.05, rule) if trace.windows else trace.candidates
        assert trace.targets("x1", trace.candidates[:1]).requires_grad
        loaded = load_detector(detector.name, "cpu")
        made_here = asked(loaded, image.clone(), methods[0])
    assert all(map(same, [*within, directly, made_here], [*expected, expected[0], expected[0]]))
    assert torch.equal(again.index, kept.index) and target.requires_grad
    assert same(asked(loaded, image), expected[0])  # one that was loaded there works here


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16], ids=str)
def test_the_models_number_format_is_taken(scenes: list[Tensor], detector: Detector, dtype: torch.dtype) -> None:
    """In float16 at the default layer alone: processors are slow in it."""
    converted, image = pickle.loads(pickle.dumps(detector)), scenes[0]
    converted.model.to(dtype)
    source = converted.detect(image, 1.0).source
    for layer in detector.layers[: 1 if dtype == torch.float16 else 2]:
        expected = explain(detector, image, best(detector, image), ("class", "x1"), layer=layer)
        rows = replace(expected.detections, source=source)
        maps = explain(converted, image, rows, ("class", "x1"), layer=layer)
        assert same(maps, maps)
        assert all(parameter.dtype == dtype for parameter in converted.model.parameters())
        for ours, theirs in zip(maps.to_image(), expected.to_image()):
            cosine = nn.functional.cosine_similarity(ours.flatten(1), theirs.flatten(1))
            assert (cosine > (0.999 if dtype == torch.float64 else 0.8)).all()
    masked = explain(converted, image, rows, ("class",), DRISE(masks=1, cells=4))
    assert masked.maps[0].dtype == torch.float32


class Counting(nn.Module):
    """Writes to a buffer and to itself in every pass, whatever its mode."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.seen = inner, 0
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, *inputs: Any) -> Any:
        self.calls += 1
        self.seen += 1
        return self.inner(*inputs)


def test_a_model_in_training_is_as_it_was(scenes: list[Tensor]) -> None:
    detector = load_detector("retinanet-scenes", "cpu")
    plain = asked(detector, scenes[0])
    model = detector.model
    model.backbone.stem = Counting(model.backbone.stem)
    model.train().requires_grad_(True)
    model.backbone.stages["stage1"].eval()
    before, modes = snapshot(model), [module.training for module in model.modules()]
    same_rows = replace(plain.detections, source=detector.detect(scenes[0], 1.0).source)
    assert same(explain(detector, scenes[0], same_rows, ("class", "x1")), plain)
    asked(detector, scenes[0], DRISE(masks=2))
    with pytest.raises(RuntimeError, match="broken"):
        model.head.register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(RuntimeError("broken")))
        detector.detect(scenes[0])
    model.head._forward_pre_hooks.clear()
    assert snapshot(model) == before and [module.training for module in model.modules()] == modes
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    sum(
        model(scenes[:1], [{"boxes": torch.tensor([[8.0, 8, 90, 90]]), "labels": torch.tensor([1])}]).values()
    ).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def _nudge(model: nn.Module) -> None:
    with torch.no_grad():
        next(model.parameters()).mul_(1.001)


def _swap_rows(model: nn.Module) -> None:
    with torch.no_grad():
        parameter = next(model.parameters())
        parameter.copy_(parameter.flip(0))


CHANGES: dict[str, Callable[[nn.Module], None]] = {
    "in place": _nudge,
    "rows swapped": _swap_rows,
    "data": lambda model: next(model.parameters()).data.mul_(1.001),
    "other data": lambda model: setattr(next(model.parameters()), "data", next(model.parameters()).data + 1e-3),
    "load_state_dict": lambda model: model.load_state_dict(
        {k: v + v.std() for k, v in model.state_dict().items() if v.dim() > 1}, strict=False
    ),
    "statistics of a norm": lambda model: next(model.buffers()).add_(1e-2),
    "signs of statistics": lambda model: next(model.buffers()).neg_(),
    "signs of data": lambda model: next(model.parameters()).data.neg_(),
    "rows of data swapped": lambda model: next(model.parameters()).data.copy_(next(model.parameters()).data.flip(0)),
    "another resize": lambda model: setattr(model.transform, "min_size", (180,)),
    "half precision and back": lambda model: (model.half().float() and None) or model.bfloat16().float(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_detections_of_other_weights_are_refused(scenes: list[Tensor], change: str) -> None:
    detector, twin = load_detector("retinanet-scenes", "cpu"), load_detector("retinanet-scenes", "cpu")
    found = detector.detect(scenes[0], 0.1)
    assert twin.detect(scenes[0], 0.1).source == found.source
    explain(twin, scenes[0], found, ("class",))
    CHANGES[change](detector.model)
    with pytest.raises(
        ValueError, match=r"detections are of retinanet-scenes .weights .* the trace is of retinanet-scenes .weights"
    ):
        explain(detector, scenes[0], found)


def total(pickled: bytes, image: Tensor) -> float:
    """What another process makes of a detector; runs there."""
    torch.set_num_threads(1)
    return sum(float(one.sum()) for one in asked(pickle.loads(pickled), image).maps)


def test_a_used_detector_goes_to_another_process(scenes: list[Tensor]) -> None:
    with ProcessPoolExecutor(1, get_context("spawn")) as processes:
        for name in NAMES:
            detector = load_detector(name, "cpu")
            expected = sum(float(one.sum()) for one in asked(detector, scenes[0]).maps)
            torch.save(detector.model, io.BytesIO())
            there = processes.submit(total, pickle.dumps(detector), scenes[0]).result(120)
            assert there == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("where", ["first parameter", "last parameter", "all parameters", "buffer"])
def test_weights_that_are_not_finite_are_named(detector: Detector, scenes: list[Tensor], where: str) -> None:
    spoiled = pickle.loads(pickle.dumps(detector))
    parameters, buffers = (
        list(spoiled.model.parameters()),
        [b for b in spoiled.model.buffers() if b.is_floating_point()],
    )
    chosen = {
        "first parameter": parameters[:1],
        "last parameter": parameters[-1:],
        "all parameters": parameters,
        "buffer": buffers[:1],
    }
    for number, tensor in enumerate(chosen[where]):
        tensor.data.flatten()[-1] = torch.nan if number % 2 == 0 else torch.inf
    for ask in (
        spoiled.detect,
        spoiled.trace,
        lambda image: spoiled.predict(image[None]),
        lambda image: explain(spoiled, image),
    ):
        if chosen[where]:
            with pytest.raises(ValueError, match=r"weights are spoiled: .* holds numbers that are not finite"):
                ask(scenes[0])


def test_activations_that_overflow_are_said(scenes: list[Tensor]) -> None:
    detector = load_detector("retinanet-scenes", "cpu")
    with torch.no_grad():
        detector.model.head.classification_head.cls_logits.weight.mul_(1e6)
    detector.model.half()
    with pytest.raises(ValueError, match=r"not finite: in torch.float16 .*try model.float\(\)|are spoiled"):
        detector.detect(scenes[0])


def test_what_is_compiled_is_explained_as_it_was_written(scenes: list[Tensor]) -> None:
    detector = load_detector("fcos-scenes", "cpu")
    expected = asked(detector, scenes[0], METHODS[1])
    compiled = load_detector("fcos-scenes", "cpu")
    compiled.model.head = torch.compile(compiled.model.head)
    compiled.model.backbone.compile()
    whole = FCOSDetector("fcos-scenes", torch.compile(load_detector("fcos-scenes", "cpu").model), detector.categories)
    wrapped = wrap(torch.compile(load_detector("fcos-scenes", "cpu").model), detector.categories, name="fcos-scenes")
    for one in (compiled, whole, wrapped):
        rows = replace(expected.detections, source=one.detect(scenes[0], 1.0).source)
        assert same(explain(one, scenes[0], rows, ("class", "x1"), METHODS[1]), expected)


@pytest.mark.parametrize("nms", [None, keep_all])
def test_a_low_threshold_leaves_no_more_than_the_network_itself_would(
    detector: Detector, scenes: list[Tensor], nms: Any
) -> None:
    trace = detector.trace(scenes[0])
    assert 0 < len(detector.detect(scenes[0], 0.0, nms)) <= trace.limits.after <= 300


def test_the_limits_of_a_torchvision_model_are_its_own(scenes: list[Tensor]) -> None:
    model = build_small_retinanet("r", ("__background__", "a", "b")).model
    model.topk_candidates, model.detections_per_img = 7, 5
    trace = wrap(model).trace(scenes[0])
    counts = trace.above(0.0).level.bincount()
    assert counts.tolist() == [7, 7, 7] and len(trace.detections(0.0, keep_all)) == 5


class Writing(nn.Module):
    """Keeps what passes through in a container that it shares, and counts in every way that is no dict or list."""

    def __init__(self, inner: nn.Module, box: dict[str, Any]) -> None:
        super().__init__()
        self.inner, self.box = inner, box
        self.plain, self.array, self.queue = torch.zeros(1), np.zeros(1), deque([0])

    def forward(self, *inputs: Any) -> Any:
        self.plain += 1
        self.array += 1
        self.queue.append(1)
        self.box["seen"] = self.inner(*inputs)
        return self.box["seen"]


class Reading(nn.Module):
    """Goes on with what another module put into the container."""

    def __init__(self, inner: nn.Module, box: dict[str, Any]) -> None:
        super().__init__()
        self.inner, self.box = inner, box

    def forward(self, values: Tensor) -> Tensor:
        assert values is self.box["seen"]
        return self.inner(values)


class Holder:
    """Calls a module that it holds, without being one."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def __call__(self, *inputs: Any) -> Any:
        return self.module(*inputs)


class Calling(nn.Module):
    """A module that reaches another by something that is no module."""

    def __init__(self, way: Any) -> None:
        super().__init__()
        self.way = way

    def forward(self, *inputs: Any) -> Any:
        return self.way(*inputs)


Pair = namedtuple("Pair", "module other")
WAYS: dict[str, Callable[[nn.Module], Any]] = {
    "closure": lambda module: lambda *inputs: module(*inputs),
    "closure of its method": lambda module: (lambda method: lambda *inputs: method(*inputs))(module.forward),
    "partial": lambda module: partial(module),
    "object": Holder,
    "method of an object": lambda module: Holder(module).__call__,
    "namedtuple": lambda module: (lambda pair: lambda *inputs: pair(*inputs))(partial(Pair(module, 0).module)),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_module_that_is_reached_by_other_ways_is_asked_in_evaluation_mode(scenes: list[Tensor], way: str) -> None:
    detector = load_detector("retinanet-scenes", "cpu")
    plain, model = asked(detector, scenes[0]), detector.model
    stem = model.backbone.stem
    model.backbone.stem = Calling(WAYS[way](stem))
    model.train()
    stem.train()
    before = {name: value.clone() for name, value in stem.state_dict().items()}
    rows = replace(plain.detections, source=detector.detect(scenes[0], 1.0).source)
    assert same(explain(detector, scenes[0], rows, ("class", "x1")), plain)
    assert stem.training and all(torch.equal(value, before[name]) for name, value in stem.state_dict().items())


def test_what_a_pass_writes_the_user_does_not_find(scenes: list[Tensor]) -> None:
    detector, box = load_detector("retinanet-scenes", "cpu"), {}
    plain, model = asked(detector, scenes[0]), detector.model
    model.cycle = {"model": [model.backbone]}
    model.cycle["cycle"] = model.cycle
    model.backbone.stem = writing = Writing(model.backbone.stem, box)
    model.backbone.stages["stage1"] = Reading(model.backbone.stages["stage1"], box)
    rows = replace(plain.detections, source=detector.detect(scenes[0], 1.0).source)
    assert same(explain(detector, scenes[0], rows, ("class", "x1")), plain)
    assert not box and writing.plain.item() == writing.array.item() == 0 and len(writing.queue) == 1


def test_a_scripted_part_is_asked_as_a_copy(scenes: list[Tensor]) -> None:
    detector = load_detector("retinanet-scenes", "cpu")
    plain = asked(detector, scenes[0])
    detector.model.backbone.stem = torch.jit.script(detector.model.backbone.stem)
    detector.model.train()
    before = {name: value.clone() for name, value in detector.model.state_dict().items()}
    rows = replace(plain.detections, source=detector.detect(scenes[0], 1.0).source)
    assert same(explain(detector, scenes[0], rows, ("class", "x1")), plain)
    assert all(torch.equal(value, before[name]) for name, value in detector.model.state_dict().items())


class Low(nn.Conv2d):
    def forward(self, values: Tensor) -> Tensor:
        return 0.5 * super().forward(values)


class Leaky(nn.ReLU):
    def forward(self, values: Tensor) -> Tensor:
        return nn.functional.leaky_relu(values, 0.3)


def _patched(module: nn.Module) -> None:
    forward = module.forward
    module.forward = lambda values: 2 * forward(values)


ALTERED: dict[str, Callable[[nn.Module], Any]] = {
    "subclass of the convolution": lambda head: setattr(head.conv[0][0], "__class__", Low),
    "subclass of the gate": lambda head: setattr(head.conv[0][1], "__class__", Leaky),
    "hook on a convolution": lambda head: head.conv[0][0].register_forward_hook(lambda *seen: 0.5 * seen[-1]),
    "hook on the reader": lambda head: head.cls_logits.register_forward_hook(lambda *seen: 0.5 * seen[-1]),
    "another forward of the reader": lambda head: _patched(head.cls_logits),
    "weight norm": lambda head: nn.utils.parametrizations.weight_norm(head.conv[0][0]),
    "pruned": lambda head: prune.l1_unstructured(head.conv[0][0], "weight", 0.5),
}


@pytest.mark.parametrize("altered", ALTERED)
@pytest.mark.filterwarnings("ignore:.*weight_norm.*")
def test_maps_are_those_of_what_the_head_really_computes(scenes: list[Tensor], altered: str) -> None:
    detector = load_detector("retinanet-scenes", "cpu")
    ALTERED[altered](detector.model.head.classification_head)
    trace = detector.trace(scenes[0])
    rows = trace.candidates[trace.candidates.scores.argsort(descending=True)[:2]]
    for row, heat in zip(range(2), ODAM(smoothing=None)(trace, rows, ("logit",)).maps):
        features = trace.features[int(rows.level[row])]
        (gradient,) = torch.autograd.grad(trace.targets("logit", rows[row]).sum(), features, retain_graph=True)
        whole = (gradient * features.detach()).sum(dim=1).relu()
        torch.testing.assert_close(heat, whole, rtol=1e-4, atol=1e-5 * float(whole.max()))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_quantised_model_is_refused() -> None:
    quantised = torch.ao.quantization.quantize_dynamic(load_detector("faster-rcnn-scenes", "cpu").model, {nn.Linear})
    with pytest.raises(ValueError, match="is quantised, and integers pass no gradients: give it as it was before"):
        wrap(quantised)


def test_a_network_without_weights_is_told_so(scenes: list[Tensor]) -> None:
    detector = load_detector("fcos-scenes", "cpu")
    detector.model.to("meta")
    with pytest.raises(ValueError, match="on the device meta, where it has no weights: load them first"):
        detector.detect(scenes[0])


@pytest.mark.parametrize("name", NAMES)
def test_statistics_that_are_infinite_or_wrong_are_said(name: str, scenes: list[Tensor]) -> None:
    for value, sentence in ((torch.inf, "weights are spoiled"), (-1.0, "not finite: check how")):
        detector = load_detector(name, "cpu")
        variances = [one for key, one in detector.model.named_buffers() if key.endswith("running_var")]
        variances[0].fill_(value)
        with pytest.raises(ValueError, match=sentence):
            detector.detect(scenes[0])


def test_a_forward_pass_that_was_put_back_is_the_classs_own(scenes: list[Tensor]) -> None:
    detector = load_detector("fcos-scenes", "cpu")
    tower = detector.model.head.classification_head.conv
    tower.forward = tower.forward
    assert detector.trace(scenes[0]).windows
    tower.forward = lambda values: values
    assert not detector.trace(scenes[0]).windows
