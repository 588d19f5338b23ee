"""Ultralytics' family: a small network of our own that is built and named as theirs are, and theirs where installed."""

import os
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from types import SimpleNamespace

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad
from torchvision.ops import batched_nms
from wrapped import PICTURE, Case, livened

from odam_lib.detectors.base import Detector

INSTALLED = find_spec("ultralytics") is not None
SIDE = 160
STRIDES = (8, 16, 32)
THRESHOLD = 0.3


def theirs(kind: type) -> type:
    """Let a class of ours pass for one of the package: it is known by names alone."""
    kind.__module__ = "ultralytics.nn.tasks"
    return kind


@theirs
class Conv(nn.Module):
    def __init__(self, read: int, made: int, size: int = 3, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(read, made, size, stride, size // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(made)
        self.act = nn.SiLU(inplace=True)

    def forward(self, values: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(values)))


@theirs
class Concat(nn.Module):
    def forward(self, values: list[Tensor]) -> Tensor:
        return torch.cat(values, 1)


@theirs
class DFL(nn.Module):
    """The expectation of R distances 0, 1, ..., given the logits of each for each edge."""

    def __init__(self, choices: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(choices, 1, 1, bias=False).requires_grad_(False)
        with torch.no_grad():
            self.conv.weight.copy_(torch.arange(choices).reshape(1, -1, 1, 1))

    def forward(self, values: Tensor) -> Tensor:
        """``[B, 4 R, L]`` to ``[B, 4, L]``."""
        return self.conv(values.unflatten(1, (4, -1)).softmax(dim=2).transpose(1, 2))[:, 0]


def branch(read: int, width: int, made: int, depthwise: bool) -> nn.Sequential:
    last = nn.Conv2d(width, made, 1)
    if not depthwise:
        return nn.Sequential(Conv(read, width), Conv(width, width), last)
    parts = [nn.Sequential(Conv(k, k, 3, groups=k), Conv(k, width, 1)) for k in (read, width)]
    return nn.Sequential(*parts, last)


@theirs
class Detect(nn.Module):
    """A head that decodes by itself, in a way of its own, and that remembers the last picture's anchors."""

    shape = None

    def __init__(self, classes: int, widths: tuple[int, ...], depthwise: bool, choices: int) -> None:
        super().__init__()
        self.nc, self.nl, self.reg_max = classes, len(widths), choices
        self.stride = torch.tensor([8.0, 16.0, 32.0])
        self.dfl = DFL(choices) if choices > 1 else nn.Identity()
        self.cv2 = nn.ModuleList(branch(width, 16, 4 * choices, False) for width in widths)
        self.cv3 = nn.ModuleList(branch(width, 16, classes, depthwise) for width in widths)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """``[B, 4 + classes, L]``: corners in pixels of the input, and scores."""
        found = []
        for values, stride, to_class, to_box in zip(maps, self.stride.tolist(), self.cv3, self.cv2):
            height, width = values.shape[-2:]
            left, top, right, bottom = self.dfl(to_box(values).flatten(2)).unbind(dim=1)
            x = torch.arange(0.5, width, dtype=values.dtype).repeat(height)
            y = torch.arange(0.5, height, dtype=values.dtype).repeat_interleave(width)
            boxes = torch.stack([x - left, y - top, x + right, y + bottom], dim=1) * stride
            found.append(torch.cat([boxes, to_class(values).flatten(2).sigmoid()], dim=1))
            self.shape, self.anchors = values.shape, (x, y)
        return torch.cat(found, dim=2)


@theirs
class DetectionModel(nn.Module):
    """Strides 8, 16 and 32, up and down again as in YOLOv8; ``forward`` ignores what the modules say they read."""

    def __init__(self, classes: int = 3, depthwise: bool = False, choices: int = 8) -> None:
        super().__init__()
        reads = [-1, -1, -1, -1, -1, -1, [-1, 3], -1, -1, [-1, 2], -1, -1, [-1, 7], -1, -1, [-1, 4], -1, [10, 13, 16]]
        self.model = nn.Sequential(
            *(Conv(read, made, 3, 2) for read, made in ((3, 8), (8, 12), (12, 16), (16, 16), (16, 16))),
            *(nn.Upsample(scale_factor=2), Concat(), Conv(32, 16)),
            *(nn.Upsample(scale_factor=2), Concat(), Conv(32, 12)),
            *(Conv(12, 16, 3, 2), Concat(), Conv(32, 16)),
            *(Conv(16, 16, 3, 2), Concat(), Conv(32, 20)),
            Detect(classes, (12, 16, 20), depthwise, choices),
        )
        for number, (module, read) in enumerate(zip(self.model, reads)):
            module.f, module.i = read, number
        self.save = [2, 3, 4, 7, 10, 13, 16]
        self.yaml = {"backbone": [None] * 5, "head": [None] * 13}
        self.names = dict(enumerate(("cat", "dog", "bird")[:classes]))
        self.args = {"imgsz": SIDE - 5, "iou": 0.5}  # rounded up to whole strides

    def forward(self, images: Tensor) -> Tensor:
        m = self.model
        p3 = m[2](m[1](m[0](images)))
        p4 = m[3](p3)
        p5 = m[4](p4)
        n4 = m[7](torch.cat([m[5](p5), p4], dim=1))
        n3 = m[10](torch.cat([m[8](n4), p3], dim=1))
        n4_again = m[13](torch.cat([m[11](n3), n4], dim=1))
        n5 = m[16](torch.cat([m[14](n4_again), p5], dim=1))
        return m[17]([n3, n4_again, n5])


def built(depthwise: bool) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        torch.manual_seed(0)
        return settled(livened(DetectionModel(depthwise=depthwise)))

    return build


def settled(model: nn.Module, batch: Tensor | None = None) -> nn.Module:
    """Batch norms with the statistics of some input, so that scores and boxes differ from place to place."""
    batch = torch.cat([placed(PICTURE), placed(PICTURE).flip(3)]) if batch is None else batch
    head, norms = model.model[-1], [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        if head.reg_max > 1:
            head.dfl.conv.weight.copy_(torch.arange(head.reg_max).reshape(1, -1, 1, 1))  # it was livened too
        for name, branches in head.named_children():
            for one in branches if name.endswith("cv3") else ():
                one[-1].bias.fill_(-3)
                one[-1].weight *= 1.5
            for one in branches if name.endswith("cv2") else ():
                one[-1].weight *= 2 if head.reg_max > 1 else 0.5
        model.train()(batch)
    for norm in norms:
        norm.momentum = 0.03
    return model.eval()


def placed(image: Tensor) -> Tensor:
    """A picture of 117 x 155 in 128 x 160: 117 * 160 / 155 = 120.8 rows, of the 7 that are left 3 above."""
    assert image.shape[-2:] == (117, 155)
    return pad(interpolate(image[None], (121, 160), mode="bilinear"), (0, 0, 3, 4), value=114 / 255)


def in_picture(boxes: Tensor) -> Tensor:
    """Corners on that input in pixels of the picture, not clipped."""
    return (boxes - boxes.new_tensor([0, 3, 0, 3])) * boxes.new_tensor([155 / 160, 117 / 121] * 2)


def own(model: nn.Module, image: Tensor) -> dict[str, Tensor]:
    """What the stand-in says: of each cell the best class, suppressed per class at an IoU of 0.7."""
    with torch.no_grad():
        (found,) = model.eval()(placed(image))
    scores, labels = found[4:].max(dim=0)
    corners = found[:4].T[scores > THRESHOLD]
    scores, labels = scores[scores > THRESHOLD], labels[scores > THRESHOLD]
    kept = batched_nms(corners - corners.min().clamp(max=0), scores, labels, 0.7)
    boxes = in_picture(corners)[kept].clamp(min=0).minimum(corners.new_tensor([155, 117, 155, 117]))
    return {"boxes": boxes, "scores": scores[kept], "labels": labels[kept] + 1}


def loss(model: nn.Module) -> Tensor:
    model.train()
    return model(torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(2))).square().mean()


def level_module(detector: Detector, level: int) -> nn.Module:
    """The module whose output is a level of the neck."""
    *body, head = detector.model.model
    return body[head.f[level]]


CASES = [
    Case("yolo_stand_in", built(False), own, loss, STRIDES, threshold=THRESHOLD, module=level_module),
    Case("yolo_stand_in_depthwise", built(True), own, loss, STRIDES, threshold=THRESHOLD, module=level_module),
]


def offline() -> None:
    """The package must neither ask the network nor write where a user's settings are."""
    os.environ |= {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
    os.environ.setdefault("YOLO_CONFIG_DIR", tempfile.mkdtemp())


def published(settings: str) -> Callable[[], nn.Module]:
    """A network of the package with random weights, from one of its own settings."""

    def build() -> nn.Module:
        offline()
        from ultralytics.nn.tasks import DetectionModel

        torch.manual_seed(0)
        model = settled(livened(DetectionModel(settings, nc=3, verbose=False)))
        model.args = SimpleNamespace(imgsz=SIDE, box=7.5, cls=0.5, dfl=1.5, epochs=1)
        return model

    return build


def published_own(model: nn.Module, image: Tensor) -> dict[str, Tensor]:
    """What the package's own suppression leaves of the network's own decoded predictions."""
    from ultralytics.utils.nms import non_max_suppression

    with torch.no_grad():
        (found,) = non_max_suppression(model.eval()(placed(image)), THRESHOLD, 0.7, max_det=10000)
    boxes = in_picture(found[:, :4]).clamp(min=0).minimum(found.new_tensor([155, 117, 155, 117]))
    return {"boxes": boxes, "scores": found[:, 4], "labels": found[:, 5].long() + 1}


def published_loss(model: nn.Module) -> Tensor:
    model.train()
    batch = {
        "img": torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(2)),
        "cls": torch.tensor([[0.0], [2.0]]),
        "bboxes": torch.tensor([[0.4, 0.5, 0.3, 0.6], [0.6, 0.5, 0.5, 0.5]]),
        "batch_idx": torch.tensor([0.0, 1.0]),
    }
    return model(batch)[0].sum()


if INSTALLED:
    CASES += [
        Case(
            name,
            published(f"{name}.yaml"),
            published_own,
            published_loss,
            STRIDES,
            None,
            THRESHOLD,
            module=level_module,
        )
        for name in ("yolov8n", "yolo11n", "yolov5n")
    ]
