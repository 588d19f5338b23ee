"""One table: every family that ``wrap`` knows, with random weights, against the model's own inference and autograd."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec

import pytest
import torch
from torch import Tensor, nn
from wrapped import PICTURE, Case, Interrupted, failing, nudged, snapshot

from odam_lib import ODAM, Detections, explain, wrap
from odam_lib.detectors.base import Detector
from odam_lib.detectors.trace import TARGETS, Trace
from odam_lib.heatmaps import ATTRIBUTES, EDGES
from odam_lib.kernels.gradients import differentiate
from odam_lib.kernels.grid import resample

MODULES = [name for name in ("wrapped_torchvision", "wrapped_transformers", "wrapped_ultralytics") if find_spec(name)]
CASES: list[Case] = [case for name in MODULES for case in import_module(name).CASES]


@dataclass(frozen=True)
class Wrapped:
    case: Case
    model: nn.Module
    detector: Detector


@pytest.fixture(scope="module", params=CASES, ids=str)
def wrapped(request: pytest.FixtureRequest) -> Iterator[Wrapped]:
    """A family's model and detector, which all of its tests share: each leaves them as they were."""
    case = request.param
    model = case.build()
    yield Wrapped(case, model, wrap(model, case.categories, **case.options))


def some(trace: Trace, threshold: float, most: int = 4) -> Detections:
    """A few of what is found, from the best to the worst."""
    found = trace.detections(threshold)
    return found[torch.linspace(0, len(found) - 1, min(most, len(found))).long()]


def assert_same(found: Detections, own: dict[str, Tensor]) -> None:
    """Each of the model's own detections has its partner: the box to 0.1 px, the score to 1e-4, the same label."""
    assert len(found) == len(own["scores"])
    left = list(range(len(found)))
    for box, score, label in zip(own["boxes"], own["scores"].tolist(), own["labels"].tolist()):
        fitting = [row for row in left if found.labels[row] == label and abs(float(found.scores[row]) - score) < 1e-4]
        near = [row for row in fitting if (found.boxes[row] - box).abs().max() < 0.1]
        assert near, (box, score, label)
        left.remove(near[0])


def test_detections_are_the_models_own(wrapped: Wrapped) -> None:
    own = wrapped.case.own(wrapped.model, PICTURE)
    assert len(own["scores"]) >= 3 and own["scores"].std() > 1e-3
    assert_same(wrapped.detector.detect(PICTURE, wrapped.case.threshold), own)


def test_categories_and_strides_are_read(wrapped: Wrapped) -> None:
    case, detector = wrapped.case, wrapped.detector
    assert detector.categories[0] == "__background__" and len(set(detector.categories)) == len(detector.categories)
    assert wrap(wrapped.model, detector.categories, strides=case.strides, **case.options).categories == (
        detector.categories
    )
    with pytest.raises(ValueError, match=r"model's strides are .*, not \(7, 77\)"):
        wrap(wrapped.model, case.categories, strides=(7, 77), **case.options)
    with pytest.raises(ValueError, match=r"predicts \d+ classes, but \d+ names were given"):
        wrap(wrapped.model, detector.categories[:-1], **case.options)
    with pytest.raises(ValueError, match=r"predicts \d+ classes, but \d+ names were given"):
        wrap(wrapped.model, (*detector.categories, "one more"), **case.options)
    with pytest.raises(ValueError, match="Several classes are called 'a'"):
        wrap(wrapped.model, ["a"] * (len(detector.categories) - 1), **case.options)
    with pytest.raises(TypeError, match="categories is 'cat'"):
        wrap(wrapped.model, "cat", **case.options)


def test_every_layer_explains_every_attribute(wrapped: Wrapped) -> None:
    for number, layer in enumerate(wrapped.detector.layers):
        trace = wrapped.detector.trace(PICTURE, layer)
        maps = ODAM()(trace, some(trace, wrapped.case.threshold), ATTRIBUTES)
        assert maps.layer == layer and all(one.dtype == torch.float32 for one in maps.maps)
        assert all(torch.isfinite(one).all() for one in maps.maps)
        assert maps.to_image().shape == (len(maps), 5, *PICTURE.shape[-2:])
        if number == 0:
            assert (~maps.zero()).any(dim=0).all()  # the rectifier may remove single maps
        else:
            assert not maps.zero().all()


def test_maps_are_those_of_plain_autograd(wrapped: Wrapped) -> None:
    trace = wrapped.detector.trace(PICTURE)
    rows = some(trace, wrapped.case.threshold)
    maps = ODAM(smoothing=None)(trace, rows, TARGETS)
    for row, level in enumerate(trace.feature_level(rows).tolist()):
        for column, attribute in enumerate(TARGETS):
            target = trace.targets(attribute, rows[row])[0]
            levels = range(len(trace.features)) if trace.reads_all_levels else [level]
            expected = torch.zeros_like(maps.maps[row][column])
            for each in levels:
                features, grid = trace.features[each], trace.grids[each]
                (gradient,) = torch.autograd.grad(target, features, retain_graph=True)
                own = (gradient * features).sum(dim=1).relu().detach().float()
                size = (expected.shape[0], expected.shape[1])
                expected += own[0] if each == level else resample(own, grid, trace.grids[level], size)[0]
            torch.testing.assert_close(
                maps.maps[row][column], expected, rtol=1e-3, atol=1e-4 * float(expected.max()) + 1e-12
            )


def test_targets_are_the_numbers_of_the_detection(wrapped: Wrapped) -> None:
    trace = wrapped.detector.trace(PICTURE)
    rows = some(trace, wrapped.case.threshold)
    torch.testing.assert_close(trace.targets("class", rows).detach().float(), rows.scores, rtol=1e-4, atol=1e-5)
    left, top, right, bottom = (trace.targets(edge, rows).detach().float() for edge in EDGES)
    boxes = trace.boxes(trace.candidates[trace.row_of(rows)])
    boxes = trace.boxes(replace(rows, boxes=boxes))  # not clipped, and of each row's own label
    sides = torch.stack([left + right, top + bottom], dim=1)
    torch.testing.assert_close(sides, boxes[:, 2:] - boxes[:, :2], rtol=1e-4, atol=1e-2)


def test_a_step_along_an_edges_gradient_moves_that_edge_outwards(wrapped: Wrapped) -> None:
    """Finite differences on the boxes themselves: x1 and y1 get smaller, x2 and y2 larger."""
    detector, layer = wrapped.detector, wrapped.detector.layers[0]
    trace = detector.trace(PICTURE, layer)
    rows, moved = some(trace, wrapped.case.threshold, 3), 0
    rows = replace(rows, boxes=trace.candidates[trace.row_of(rows)].boxes)  # not clipped
    before = trace.boxes(rows)
    for row, level in enumerate(trace.feature_level(rows).tolist()):
        for column, edge in enumerate(EDGES):
            ((gradient,),) = differentiate(trace.targets(edge, rows[row]), [trace.features[level]])
            if not gradient.any():
                continue  # FCOS cuts distances at zero
            step = wrapped.case.step * trace.features[level].norm() * gradient / gradient.norm()
            module = wrapped.case.module and wrapped.case.module(detector, level)
            with torch.no_grad(), nudged(detector, layer, level, step, module):
                after = detector.trace(PICTURE, layer)
            there = after.candidates[after.row_of(rows[row])]
            found = after.boxes(replace(there, labels=rows.labels[[row]]))
            assert (found - before[row])[0, column] * (-1 if edge in ("x1", "y1") else 1) > 0, edge
            moved += 1
    assert moved >= 4


def test_levels_cover_the_picture(wrapped: Wrapped) -> None:
    for layer in wrapped.detector.layers:
        trace = wrapped.detector.trace(PICTURE, layer)
        if trace.regional:
            continue
        assert len(trace.features) == len(trace.grids)
        height, width = trace.input_size
        for features, grid in zip(trace.features, trace.grids):
            assert grid.x < width and grid.y < height and features.shape[0] == 1
            middle_x = grid.x + grid.dx * (features.shape[-1] - 1) / 2
            middle_y = grid.y + grid.dy * (features.shape[-2] - 1) / 2
            assert abs(middle_x - width / 2) <= grid.dx + 16 and abs(middle_y - height / 2) <= grid.dy + 16  # padding


def use(wrapped: Wrapped, detector: Detector | None = None) -> None:
    """All that a user does with a detector."""
    detector = detector or wrapped.detector
    for layer in detector.layers[:2]:
        explain(detector, PICTURE, some(detector.trace(PICTURE), wrapped.case.threshold, 2), layer=layer)
    detector.detect(PICTURE)
    detector.predict(PICTURE[None])


def test_explaining_leaves_the_model_as_it_was(wrapped: Wrapped) -> None:
    case = wrapped.case
    model = deepcopy(wrapped.model)
    for training in (False, True):
        model.train(training)
        next(model.children()).eval()  # a part that its owner froze
        before = snapshot(model)
        use(wrapped, wrap(model, case.categories, **case.options))
        after = snapshot(model)
        assert before.keys() == after.keys()
        assert [key for key in before if before[key] != after[key]] == []


def test_a_model_that_fails_is_left_as_it_was(wrapped: Wrapped) -> None:
    model = deepcopy(wrapped.model).train()
    detector = wrap(model, wrapped.case.categories, **wrapped.case.options)
    calls: list[None] = []
    handle = nn.modules.module.register_module_forward_hook(
        lambda module, *_: None if list(module.children()) else calls.append(None)
    )
    detector.trace(PICTURE)
    handle.remove()
    before = snapshot(model)
    for call in (1, len(calls) // 2, len(calls)):
        with failing(call), pytest.raises(Interrupted):
            detector.trace(PICTURE)
        with failing(call), pytest.raises(Interrupted):
            detector.predict(PICTURE[None])
        after = snapshot(model)
        assert before.keys() == after.keys()
        assert [key for key in before if before[key] != after[key]] == []


def test_a_model_in_training_mode_gives_the_maps_of_evaluation_and_trains_on(wrapped: Wrapped) -> None:
    case = wrapped.case
    untouched, model = deepcopy(wrapped.model).train(), deepcopy(wrapped.model).train()
    detector = wrap(model, case.categories, **case.options)
    trace = wrapped.detector.trace(PICTURE)
    expected = ODAM()(trace, some(trace, case.threshold, 2), ("class",))
    trace = detector.trace(PICTURE)
    maps = ODAM()(trace, some(trace, case.threshold, 2), ("class",))
    for one, other in zip(maps.maps, expected.maps):
        assert not one.requires_grad  # else it could not be drawn
        torch.testing.assert_close(one, other)
    losses = []
    for each in (untouched, model):
        loss = case.loss(each)
        loss.backward()
        losses.append(loss.detach())
    assert torch.isfinite(losses[0]) and torch.equal(*losses)
    others = dict(untouched.named_parameters())
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and others[name].grad is not None:
            assert torch.equal(parameter.grad, others[name].grad), name


def test_a_model_in_double_precision_is_explained_in_it(wrapped: Wrapped) -> None:
    case = wrapped.case
    if not case.doubles:
        pytest.skip("the model's own inference does not work in float64")
    model = deepcopy(wrapped.model).double()
    detector = wrap(model, case.categories, **case.options)
    before = snapshot(model)
    trace = detector.trace(PICTURE)
    rows = some(trace, case.threshold)
    maps = ODAM()(trace, rows, ATTRIBUTES)
    assert snapshot(model) == before and trace.features[0].dtype == torch.float64
    assert all(one.dtype == torch.float32 for one in maps.maps) and rows.boxes.dtype == torch.float32
    assert_same(detector.detect(PICTURE, case.threshold), case.own(model, PICTURE.double()))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_a_model_in_half_precision_is_explained_in_it(wrapped: Wrapped, dtype: torch.dtype) -> None:
    """In float16 at the default layer alone: processors are slow in it."""
    detector = wrap(deepcopy(wrapped.model).to(dtype), wrapped.case.categories, **wrapped.case.options)
    assert detector.predict(PICTURE[None])[0].boxes.isfinite().all()
    layers = (detector.layers[0], detector.layers[-1])
    for layer in layers if dtype == torch.bfloat16 else layers[:1]:
        trace = detector.trace(PICTURE, layer)
        maps = ODAM()(trace, trace.candidates[:2], ATTRIBUTES)
        assert trace.features[0].dtype == dtype
        assert all(one.dtype == torch.float32 and one.isfinite().all() for one in maps.maps)


@pytest.mark.parametrize(
    ("image", "error", "sentence"),
    [
        (torch.zeros(3, 64, 64, dtype=torch.uint8), TypeError, "uint8"),
        (torch.zeros(1, 64, 64), ValueError, r"\[1, 64, 64\]"),
        (torch.full((3, 64, 64), 255.0), ValueError, r"scale them to \[0, 1\]"),
    ],
)
def test_what_is_no_picture_is_refused(wrapped: Wrapped, image, error, sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        explain(wrapped.detector, image)
    with pytest.raises(ValueError, match="has no layer 'nowhere': choose among"):
        explain(wrapped.detector, PICTURE, layer="nowhere")
