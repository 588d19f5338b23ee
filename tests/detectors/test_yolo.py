"""YOLOv3-tiny: its weights, its decoding, its place on the picture, and what it finds on photographs."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from odam_lib import ODAM, load_detector, photo
from odam_lib.datasets.coco import Coco
from odam_lib.detectors.weights import read_card
from odam_lib.detectors.yolo import ANCHORS, GREY, LONG_SIDE, STRIDES, YOLODetector, YOLOv3Tiny
from odam_lib.files import data_root
from odam_lib.metrics.detection import measure_ap

ROOT = data_root().parent
COCO = ROOT.parent / "shared" / "data" / "coco-val100"
spec = importlib.util.spec_from_file_location("convert_yolo", ROOT / "tools" / "convert_yolo.py")
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)


@pytest.fixture(scope="module")
def yolo() -> YOLODetector:
    return load_detector("yolov3-tiny", "cpu")


def test_a_photograph_is_understood(yolo) -> None:
    found = yolo.detect(photo("person"), 0.5)
    assert sorted(found.names()) == ["dog", "horse", "person"]
    assert yolo.categories[1] == "person" and yolo.categories[18] == "dog"
    never = [label for label, name in enumerate(yolo.categories) if name in ("N/A", "__background__")]
    assert not yolo.trace(photo("person")).candidates.class_probs[:, never].any()


@pytest.mark.skipif(not COCO.is_dir(), reason="the 100 pictures of COCO are not beside this checkout")
def test_average_precision_is_that_of_the_card(yolo) -> None:
    reached = measure_ap(yolo, Coco(COCO), tool.SCORE_THRESHOLD)
    card = read_card("yolov3-tiny")
    assert reached["AP50"] == pytest.approx(card["AP50"], abs=0.002) and reached["AP50"] >= 0.29
    assert reached["AP"] == pytest.approx(card["AP"], abs=0.002)


def test_numbers_of_the_file_go_to_their_layers_in_order() -> None:
    """Of the first convolution bias, scale, mean, variance, kernel; of a last one bias and kernel."""
    model = YOLOv3Tiny(80)
    numbers = torch.arange(tool.NUMBERS, dtype=torch.float64).float() / tool.NUMBERS
    tool.fill(model, numbers)
    convolve, norm, _ = model.pyramid.stride16[0]
    for row, slot in enumerate((norm.bias, norm.weight, norm.running_mean, norm.running_var)):
        torch.testing.assert_close(slot.data, numbers[16 * row : 16 * row + 16])
    torch.testing.assert_close(convolve.weight.data.flatten(), numbers[64 : 64 + 432])
    last = model.heads["fine"][-1]
    torch.testing.assert_close(last.weight.data.flatten(), numbers[-255 * 256 :])
    torch.testing.assert_close(last.bias.data, numbers[-255 * 257 : -255 * 256])
    with pytest.raises(ValueError, match=r"takes 8858734 numbers, the file holds 8858733"):
        tool.fill(model, numbers[:-1])


def test_another_file_is_refused(tmp_path) -> None:
    other = tmp_path / "yolov3-tiny.weights"
    other.write_bytes(bytes(20 + 4 * 1000))
    with pytest.raises(ValueError, match="is not the authors' yolov3-tiny"):
        tool.read(other)


@pytest.mark.parametrize(("height", "width"), [(300, 500), (500, 300), (64, 64), (1000, 137)])
def test_pictures_keep_their_shape_and_are_padded_with_grey(yolo, height: int, width: int) -> None:
    batch, (rows, columns) = yolo._prepare(torch.ones(1, 3, height, width))
    assert max(rows, columns) == LONG_SIDE and abs(rows / columns - height / width) < 0.02 * height / width
    assert batch.shape[-2] % STRIDES[-1] == 0 and batch.shape[-1] % STRIDES[-1] == 0
    assert batch.shape[-2] - rows < STRIDES[-1] and batch.shape[-1] - columns < STRIDES[-1]
    assert (batch[..., :rows, :columns] > 1 - 1e-6).all()
    assert (batch[..., rows:, :] == GREY).all() and (batch[..., columns:] == GREY).all()


def test_decoding_by_hand(yolo) -> None:
    """One prediction of each level from the head's raw numbers, with nothing but the published formula."""
    image = photo("dog")
    trace = yolo.trace(image)
    scale = image.shape[-1] / trace.input_size[1], image.shape[-2] / trace.input_size[0]
    maps = yolo.model(yolo._prepare(image[None])[0])
    for level, (row, column, anchor) in enumerate([(7, 11, 2), (5, 3, 1)]):
        numbers = maps[level][0].unflatten(0, (3, 85))[anchor, :, row, column].double()
        width, height = ANCHORS[level][anchor]
        middle_x = (column + numbers[0].sigmoid()) * STRIDES[level] * scale[0]
        middle_y = (row + numbers[1].sigmoid()) * STRIDES[level] * scale[1]
        half_x, half_y = width * numbers[2].exp() / 2 * scale[0], height * numbers[3].exp() / 2 * scale[1]
        index = (row * maps[level].shape[-1] + column) * 3 + anchor
        found = trace.candidates[int(trace.first[level]) + index]
        assert (int(found.level), int(found.index)) == (level, index)
        box = torch.stack([middle_x - half_x, middle_y - half_y, middle_x + half_x, middle_y + half_y])
        torch.testing.assert_close(found.boxes[0].double(), box, rtol=1e-4, atol=1e-2)
        probability = numbers[4].sigmoid() * numbers[5:].sigmoid()
        assert float(found.scores) == pytest.approx(float(probability.max()), rel=1e-3)
        reference = torch.tensor([(column + 0.5) * scale[0], (row + 0.5) * scale[1]]).double() * STRIDES[level]
        for edge, sign, corner, middle in (("x1", -1, 0, 0), ("y1", -1, 1, 1), ("x2", 1, 2, 0), ("y2", 1, 3, 1)):
            distance = float(trace.targets(edge, found).detach())
            assert distance == pytest.approx(sign * float(box[corner] - reference[middle]), rel=1e-3, abs=1e-2)


def test_a_saturated_score_keeps_its_gradient(yolo) -> None:
    image = photo("person")
    trace = yolo.trace(image)
    sure = trace.detections(0.9)[:1]
    with torch.no_grad():
        trace.outputs[:, 4] += 20  # an objectness that rounds to one
    maps = ODAM()(trace, sure, ("class",))
    assert not maps.zero().any() and maps.maps[0].isfinite().all()


@pytest.mark.parametrize("size", [(480, 640), (640, 427), (333, 500)])
def test_maps_lie_where_their_cells_look(yolo, size: tuple[int, int]) -> None:
    """A cell that alone is lit peaks at the middle of the square of pixels that it predicts for."""
    image = torch.rand(3, *size, generator=torch.Generator().manual_seed(0))
    trace = yolo.trace(image)
    maps = ODAM()(trace, trace.candidates[[5, len(trace.candidates) - 5]], ("class",))
    for level, (row, column) in enumerate([(6, 9), (3, 5)]):
        lit = torch.zeros_like(trace.features[level][0, :1])
        lit[0, row, column] = 1
        picture = replace(maps[level], maps=(lit,)).to_image()[0, 0]
        peak = torch.nonzero(picture == picture.max()).double().mean(dim=0) + 0.5
        factor = max(size) / LONG_SIDE
        middle = torch.tensor([row + 0.5, column + 0.5]).double() * STRIDES[level] * factor
        assert (peak - middle).abs().max() <= 0.15 * STRIDES[level] * factor


def test_a_cell_depends_on_the_pixels_that_it_lies_on() -> None:
    """With equal kernels and means for maxima the gradient of a cell of stride 16 is centred where its grid says."""
    model = YOLOv3Tiny(80).eval()
    for number, module in enumerate(model.pyramid.stride16):
        if isinstance(module, nn.MaxPool2d):
            model.pyramid.stride16[number] = nn.AvgPool2d(2)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 0.01)
    picture = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0)).requires_grad_()
    level = model.pyramid.stride16(picture)
    (gradient,) = torch.autograd.grad(level[0, :, 8, 7].sum(), picture)
    weight: Tensor = gradient.abs().sum(dim=(0, 1)) / gradient.abs().sum()
    places = torch.arange(256) + 0.5
    assert float((weight.sum(dim=1) * places).sum()) == pytest.approx(8.5 * 16, abs=1.0)
    assert float((weight.sum(dim=0) * places).sum()) == pytest.approx(7.5 * 16, abs=1.0)


def test_the_detector_is_bundled_within_the_agreed_size() -> None:
    files = list((data_root() / "weights").glob("*.safetensors"))
    assert Path(data_root() / "weights" / "yolov3-tiny.safetensors") in files
    assert sum(path.stat().st_size for path in files) < 52_000_000
