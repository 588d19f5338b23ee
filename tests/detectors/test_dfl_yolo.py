"""Ultralytics' YOLO behind ``wrap``: what the table of families does not say."""

import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from wrapped import PICTURE, livened
from wrapped_ultralytics import CASES, SIDE, DetectionModel, in_picture, offline, placed, settled, theirs

from odam_lib import ODAM, Detections, wrap
from odam_lib.detectors.dfl_yolo import DflDetector, Letterbox
from odam_lib.detectors.trace import TARGETS, Trace
from odam_lib.explainers.suppression import by_boxes, suppress
from odam_lib.heatmaps import HeatMaps

BUILDERS = {case.name: case.build for case in CASES}


@pytest.fixture(scope="module", params=BUILDERS)
def detector(request: pytest.FixtureRequest) -> DflDetector:
    return wrap(BUILDERS[request.param]())


@pytest.fixture(scope="module")
def stand_in() -> DflDetector:
    return wrap(BUILDERS["yolo_stand_in"]())


def spread(trace: Trace) -> Detections:
    """Of every level the corners, the middles of two borders and a place inside."""
    chosen = []
    for level, sheet in enumerate(trace.features):
        height, width = sheet.shape[-2:]
        cells = [0, width - 1, width // 2, (height - 1) * width, height * width - 1, height // 2 * width + width // 2]
        first = int((trace.candidates.level < level).sum())
        chosen += [first + cell for cell in cells]
    return trace.candidates[chosen]


def test_windows_are_the_gradient_borders_included(detector: DflDetector) -> None:
    trace = detector.trace(PICTURE)
    assert trace.windows and trace.windows.exact
    rows, seen = spread(trace), 0
    for group in trace.windows.together(rows):
        windows = trace.windows.gradients(TARGETS, rows[group])
        reach = windows.values.shape[-1] // 2
        for number, row in enumerate(group.tolist()):
            for column, attribute in enumerate(TARGETS):
                target, sheet = trace.targets(attribute, rows[row])[0], trace.features[int(rows.level[row])]
                (whole,) = torch.autograd.grad(target, sheet, retain_graph=True)
                top, left = int(windows.top[number]) + reach, int(windows.left[number]) + reach
                around = pad(whole[0], (reach,) * 4)[:, top : top + 2 * reach + 1, left : left + 2 * reach + 1]
                found = windows.values[number, column]
                assert around.abs().sum() == pytest.approx(float(whole.abs().sum()), rel=1e-5)  # none lies outside
                torch.testing.assert_close(found, around, rtol=1e-4, atol=1e-4 * float(whole.abs().max()))
                seen += bool(whole.any())
    assert seen == len(rows) * len(TARGETS)


def test_windows_may_be_asked_for_with_the_model_in_training_mode(stand_in: DflDetector) -> None:
    model = deepcopy(stand_in.model)
    detector = wrap(model)
    trace = detector.trace(PICTURE)
    rows = trace.candidates[:3]
    expected = trace.windows.gradients(TARGETS, rows).values
    model.train()
    with torch.no_grad():
        assert torch.equal(trace.windows.gradients(TARGETS, rows).values, expected)
    assert all(module.training for module in model.modules())


def test_a_head_with_a_block_of_another_kind_has_no_windows_but_exact_maps(stand_in: DflDetector) -> None:
    model = deepcopy(stand_in.model)
    model.model[-1].cv3[1].insert(1, nn.AvgPool2d(3, 1, 1))
    trace = wrap(model).trace(PICTURE)
    assert not trace.windows
    maps = ODAM()(trace, trace.detections(0.3), ("class", "x1"))
    assert len(maps) and not maps.zero().all()
    with pytest.raises(ValueError, match="'neck' has no derivative on a window"):
        ODAM(derivative="window")(trace, trace.candidates[:1], ("class",))


SIZES = [(117, 155), (155, 117), (90, 301), (301, 90), (64, 64), (160, 160), (33, 35), (3, 500)]


@pytest.mark.parametrize("size", SIZES)
def test_a_cells_activation_is_shown_where_the_cell_looks(stand_in: DflDetector, size: tuple[int, int]) -> None:
    """What a cell of a stage sees, by the gradient to the picture through a network that blurs, is where its map is."""
    model = deepcopy(stand_in.model)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 0.1)
    detector = wrap(model)
    layer = "stage1"
    picture = torch.full((1, 3, *size), 0.5)
    box = detector.letterbox(size)
    trace = detector.trace(picture[0], layer)
    height, width = trace.features[0].shape[-2:]
    row, column = height // 2, width // 2
    image = picture.clone().requires_grad_()
    model.eval()
    sheet = model.model[:3](box.place(image))
    seen = torch.autograd.grad(sheet[0, :, row, column].sum(), image)[0].sum(dim=(0, 1))
    planted = torch.zeros(1, height, width)
    planted[0, row, column] = 1
    rows = trace.candidates[:1]
    maps = HeatMaps((planted,), (("",),), ("class",), rows, trace.grids, trace.input_size, layer, "planted")
    shown = maps.to_image()[0, 0]
    for axis, scale in ((0, box.scale[1]), (1, box.scale[0])):
        centres = [centre(values, axis) for values in (seen, shown)]
        assert abs(centres[0] - centres[1]) <= max(1.0, 0.6 * scale), (axis, centres)


def centre(values: Tensor, axis: int) -> float:
    """Where the weight of values ``[H, W]`` lies along an axis."""
    along = values.sum(dim=1 - axis)
    return float((along * (torch.arange(len(along)) + 0.5)).sum() / along.sum())


def test_a_letterbox_worked_out_by_hand() -> None:
    wide = Letterbox.of((100, 400), (640, 640), 32)  # 640 x 160 fits without filling
    assert (wide.inner, wide.input_size, wide.top, wide.left) == ((160, 640), (160, 640), 0, 0)
    odd = Letterbox.of((427, 640), (640, 640), 32)  # 427 rows: 21 to the next multiple, 10 of them above
    assert (odd.inner, odd.input_size, odd.top, odd.left) == ((427, 640), (448, 640), 10, 0)
    assert odd.to_image(torch.tensor([[5.0, 15.0]])).tolist() == [[5.0, 5.0]]
    tall = Letterbox.of((1280, 300), (640, 640), 32)
    assert (tall.inner, tall.input_size, tall.top, tall.left) == ((640, 150), (640, 160), 0, 5)
    assert tall.to_image(torch.tensor([[5.0, 1.0]])).tolist() == [[0.0, 2.0]]
    thin = Letterbox.of((1, 3000), (640, 640), 32)
    assert (thin.inner, thin.input_size) == ((1, 640), (32, 640))


def test_a_prediction_is_read_as_its_best_class_alone(stand_in: DflDetector) -> None:
    trace = stand_in.trace(PICTURE)
    found = trace.above(0.02)
    assert len({(int(level), int(index)) for level, index in zip(found.level, found.index)}) == len(found)
    assert len(Trace.above(trace, 0.02)) > len(found)
    assert (found.scores[:-1] >= found.scores[1:]).all() and found.scores[-1] > 0.02
    ours, rule = trace.detections(0.02), suppress(trace, 0.02, by_boxes(trace.nms))
    assert torch.equal(ours.scores, rule.scores[: trace.limits.after])


def test_pictures_are_predicted_in_one_batch_and_differentiably(detector: DflDetector) -> None:
    pictures = torch.stack([PICTURE, PICTURE.flip(-1)]).requires_grad_()
    both = detector.predict(pictures)
    for picture, predictions in zip(pictures.detach(), both):
        candidates = detector.trace(picture).candidates
        torch.testing.assert_close(predictions.boxes, candidates.boxes, rtol=1e-4, atol=1e-2)
        torch.testing.assert_close(predictions.class_probs, candidates.class_probs, rtol=1e-4, atol=1e-4)
    (gradient,) = torch.autograd.grad(both[1].class_probs.sum(), pictures)
    assert gradient[1].any() and not gradient[0].any()


def test_a_head_trained_to_say_each_object_once_is_not_suppressed(stand_in: DflDetector) -> None:
    """The one-to-one branches are read, and every class of a prediction is a detection of its own."""
    model = deepcopy(stand_in.model)
    head = model.model[-1]
    head.one2one_cv2, head.one2one_cv3, head.end2end = head.cv2, head.cv3, True
    head.cv2 = head.cv3 = None  # as after the package's fuse()
    trace, plain = wrap(model).trace(PICTURE), stand_in.trace(PICTURE)
    torch.testing.assert_close(trace.candidates.boxes, plain.candidates.boxes)
    found = trace.above(0.02)
    assert len(found) == int((plain.candidates.class_probs > 0.02).sum()) > len(plain.detections(0.02))
    assert torch.equal(trace.detections(0.02).scores, found.scores[: trace.limits.after])


def test_a_head_that_says_distances_themselves() -> None:
    """As YOLO26's. Where a distance is so negative that the box ends before it begins, the box is empty."""
    torch.manual_seed(0)
    model = settled(livened(DetectionModel(choices=1)))
    with torch.no_grad():
        expected = in_picture(model(placed(PICTURE))[0, :4].T)
    trace = wrap(model).trace(PICTURE)
    boxes, proper = trace.candidates.boxes, (expected[:, 2:] >= expected[:, :2]).all(dim=1)
    assert proper.any() and not proper.all()
    torch.testing.assert_close(boxes[proper], expected[proper], rtol=1e-4, atol=1e-2)
    assert (boxes[:, 2:] >= boxes[:, :2]).all() and len(trace.detections(0.1))


def model_with(change: Callable[[nn.Module], None]) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        model = DetectionModel()
        change(model)
        return model

    return build


def called(name: str, *parents: type) -> type:
    return theirs(type(name, parents or (nn.Module,), {}))


def with_head(name: str, derived: bool) -> Callable[[], nn.Module]:
    def change(model: nn.Module) -> None:
        model.model[-1].__class__ = called(name, *([type(model.model[-1])] if derived else []))

    return model_with(change)


def front(inner: object) -> nn.Module:
    outer = called("YOLO", called("Model"))()
    outer.model = inner
    return outer


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (with_head("OBB", True), "DetectionModel with the head OBB is not supported: those that can be wrapped"),
        (with_head("YOLOEDetect", True), "head YOLOEDetect is not supported"),
        (with_head("WorldDetect", True), "head WorldDetect is not supported"),
        (with_head("RTDETRDecoder", False), "head RTDETRDecoder is not supported"),
        (lambda: called("ClassificationModel", called("BaseModel"))(), "a ClassificationModel is not supported"),
        (lambda: front("yolov8n.onnx"), "exported to 'yolov8n.onnx', which has no gradients: load its .pt file"),
        (model_with(lambda model: setattr(model, "names", {0: "cat"})), "predicts 3 classes, but its own names are 1"),
        (
            model_with(lambda model: setattr(model.model[0], "conv", nn.Conv2d(1, 8, 3, 2, 1))),
            "takes pictures of 1 channels",
        ),
    ],
)
def test_what_is_not_supported_is_refused(build: Callable[[], nn.Module], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        wrap(build())


def test_heads_for_masks_and_poses_are_read_for_their_boxes(stand_in: DflDetector) -> None:
    model = deepcopy(stand_in.model)
    model.model[-1].__class__ = called("Segment", type(model.model[-1]))
    assert torch.equal(wrap(model).detect(PICTURE, 0.3).boxes, stand_in.detect(PICTURE, 0.3).boxes)


def test_the_object_in_front_of_a_network_is_wrapped_too(stand_in: DflDetector) -> None:
    detector = wrap(front(stand_in.model))
    assert detector.model is stand_in.model and detector.name == "YOLO"
    assert detector.categories == ("__background__", "cat", "dog", "bird")
    assert torch.equal(detector.detect(PICTURE, 0.3).boxes, stand_in.detect(PICTURE, 0.3).boxes)


def test_the_size_of_pictures_is_the_models_own(stand_in: DflDetector) -> None:
    assert stand_in.trace(PICTURE).input_size == (121, 160)
    model = deepcopy(stand_in.model)
    del model.args
    assert wrap(model).trace(PICTURE).input_size == (483, 640)
    model.args = {"imgsz": [96, 256]}
    assert wrap(model).trace(PICTURE).input_size == (96, 127)


def test_the_head_itself_is_never_run(stand_in: DflDetector) -> None:
    head = stand_in.model.model[-1]
    with torch.no_grad():
        stand_in.model(torch.zeros(1, 3, 32, 32))
    remembered = (head.shape, head.anchors)
    stand_in.detect(PICTURE)
    assert (head.shape, head.anchors) == remembered


def test_the_package_is_not_imported() -> None:
    code = (
        "import sys; sys.path.insert(0, 'tests/detectors'); from wrapped_ultralytics import DetectionModel; "
        "import odam_lib, torch; odam_lib.wrap(DetectionModel().eval()).detect(torch.rand(3, 64, 64)); "
        "assert 'ultralytics' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def published(settings: str) -> nn.Module:
    pytest.importorskip("ultralytics")
    offline()
    from ultralytics import YOLO

    torch.manual_seed(0)
    model = YOLO(settings)
    settled(model.model)
    model.model.args["imgsz"] = SIDE
    return model


def bytes_of(picture: Tensor) -> np.ndarray:
    """A picture as OpenCV reads it: ``[H, W, 3]``, blue first."""
    return (picture.flip(0).permute(1, 2, 0) * 255).round().byte().contiguous().numpy()


@pytest.mark.parametrize("settings", ["yolov8n.yaml", "yolo11n.yaml", "yolov8n-seg.yaml", "yolov8n-pose.yaml"])
def test_what_predict_finds_is_found(settings: str) -> None:
    """With a picture that needs filling but no resize, of which the package rounds the pixels to bytes."""
    model = published(settings)
    picture = (torch.rand(3, 117, SIDE, generator=torch.Generator().manual_seed(3)) * 255).round() / 255
    settled(model.model, wrap(model).letterbox((117, SIDE)).place(torch.stack([picture, picture.flip(-1)])))
    found = wrap(model).detect(picture, 0.1)
    (result,) = model.predict(bytes_of(picture), conf=0.1, imgsz=SIDE, max_det=1000, verbose=False)
    own = result.boxes
    assert len(own) == len(found) >= 3
    for box, score, label in zip(own.xyxy, own.conf, own.cls):
        near = (found.boxes - box).abs().amax(dim=1) < 0.1
        assert (near & (found.labels == label + 1) & ((found.scores - score).abs() < 1e-4)).any(), (box, score)


@pytest.mark.parametrize("size", SIZES)
def test_pictures_are_placed_as_the_package_places_them(size: tuple[int, int]) -> None:
    """Up to the rounding of the package's resize, which is one of bytes."""
    pytest.importorskip("ultralytics")
    offline()
    from ultralytics.data.augment import LetterBox

    picture = (torch.rand(3, *size, generator=torch.Generator().manual_seed(3)) * 255).round() / 255
    theirs = LetterBox((SIDE, SIDE), auto=True, stride=32)(image=bytes_of(picture))
    theirs = torch.from_numpy(theirs[..., ::-1].copy()).permute(2, 0, 1) / 255
    ours = Letterbox.of(size, (SIDE, SIDE), 32).place(picture[None])[0]
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= 1.01 / 255


@pytest.mark.parametrize("settings", ["yolov10n.yaml", "yolo26n.yaml"])
def test_one_to_one_heads_of_the_package(settings: str) -> None:
    model = published(settings).model
    model.model[-1].end2end = True
    with torch.no_grad():
        (rows,) = model.eval()(placed(PICTURE))[0]
    rows = rows[rows[:, 4] > 0.01]
    found = wrap(model).trace(PICTURE).above(0.01)
    assert len(found) >= len(rows) > 0
    boxes = in_picture(rows[:, :4])
    torch.testing.assert_close(found.scores[: len(rows)], rows[:, 4], rtol=1e-4, atol=1e-5)
    for box, score in zip(boxes, rows[:, 4]):
        near = (found.boxes - box).abs().amax(dim=1) < 0.1
        assert (near & ((found.scores - score).abs() < 1e-4)).any()


def test_a_fused_model_is_explained_too() -> None:
    model = published("yolov8n.yaml")
    before = wrap(model).trace(PICTURE)
    fused = wrap(deepcopy(model.model).fuse(verbose=False)).trace(PICTURE)
    assert fused.windows
    torch.testing.assert_close(fused.candidates.boxes, before.candidates.boxes, rtol=1e-3, atol=1e-2)
    rows = before.candidates[[5, 100, 400]]
    theirs = replace(rows, source=fused.candidates.source)
    for one, other in zip(ODAM()(fused, theirs, ("class", "x2")).maps, ODAM()(before, rows, ("class", "x2")).maps):
        torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-3 * float(other.max()) + 1e-9)


@pytest.mark.parametrize("settings", ["yolov8n-obb.yaml", "yolov8n-cls.yaml", "yolov8n-worldv2.yaml"])
def test_other_tasks_of_the_package_are_refused(settings: str) -> None:
    pytest.importorskip("ultralytics")
    offline()
    from ultralytics import YOLO

    with pytest.raises(ValueError, match="is not supported: those that can be wrapped"):
        wrap(YOLO(settings))
