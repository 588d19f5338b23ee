"""What notebook 09 takes for a user's own models.

A network of no known family, small enough to be worked out by hand, with its detector behind the contract; and models
of transformers as they look when one has fine-tuned or built them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from odam_lib.datasets.scenes import CATEGORIES
from odam_lib.detections import Detections
from odam_lib.detectors import Detector, Trace, iou_nms
from odam_lib.detectors.hooks import detach_output
from odam_lib.heatmaps import EDGES
from odam_lib.kernels.grid import Grid

STRIDE = 8
"""Side of a cell in pixels."""
REACH = 3
"""How many cells the head sees to each side."""


class BlobNet(nn.Module):
    """Finds red and blue blobs of 7 x 5 or 5 x 7 cells on grey; its weights are written down, not trained.

    The backbone says how red and how blue a cell is. The head predicts at each cell the distances in pixels to the
    four edges, by counting coloured cells to each side, and a logit for each colour: 2 in the middle of a blob, below
    0 elsewhere.
    """

    def __init__(self) -> None:
        super().__init__()
        colours = nn.Conv2d(3, 2, 1)
        self.backbone = nn.Sequential(colours, nn.ReLU(), nn.AvgPool2d(STRIDE))
        self.head = nn.Conv2d(2, 6, 2 * REACH + 1, padding=REACH)
        with torch.no_grad():
            colours.weight.copy_(torch.tensor([[1.0, -1, 0], [0, -1, 1]])[..., None, None])
            colours.bias.zero_()
            self.head.weight.copy_(_head())
            self.head.bias.copy_(torch.tensor([STRIDE / 2] * 4 + [-54.0] * 2))

    def forward(self, images: Tensor) -> Tensor:
        """``Tensor[B, 3, H, W]`` in [0, 1] to ``Tensor[B, 6, H / 8, W / 8]``: x1, y1, x2, y2, red, blue."""
        return self.head(self.backbone(images))


def _head() -> Tensor:
    """Kernels ``[6, 2, 7, 7]``: both colours count to the left, top, right, bottom; for a logit only its own does."""
    weight, steps = torch.zeros(6, 2, 2 * REACH + 1, 2 * REACH + 1), torch.arange(1, REACH + 1)
    weight[0, :, REACH, REACH - steps] = weight[2, :, REACH, REACH + steps] = STRIDE
    weight[1, :, REACH - steps, REACH] = weight[3, :, REACH + steps, REACH] = STRIDE
    near = 1 - torch.arange(-REACH, REACH + 1).abs() / (REACH + 1)
    weight[4, 0] = weight[5, 1] = 4 * near[:, None] * near
    return weight


def draw_blobs() -> Tensor:
    """A picture for :class:`BlobNet`, ``Tensor[3, 128, 192]``: a red blob of 7 x 5 cells and a blue one of 5 x 7."""
    image = torch.full((3, 128, 192), 0.5)
    image[:, 32:72, 24:80] = torch.tensor([1.0, 0.0, 0.0])[:, None, None]
    image[:, 48:104, 128:168] = torch.tensor([0.0, 0.0, 1.0])[:, None, None]
    return image


@dataclass(frozen=True, eq=False)
class BlobTrace(Trace):
    """A forward pass of :class:`BlobNet`.

    Attributes:
        formula: what :meth:`targets` returns.
        cells: ``Tensor[L, 2]``, (x, y) of the centre of each cell in pixels, the reference points.
        corners: ``Tensor[L, 4]``, (x1, y1, x2, y2) in pixels, with their gradient.
        logits: ``Tensor[L, 3]``, of the background, which is never predicted, red and blue.
    """

    formula: "Formula"
    cells: Tensor
    corners: Tensor
    logits: Tensor

    def targets(self, attribute: str, detections: Detections) -> Tensor:
        return self.formula(self, attribute, detections)


Formula = Callable[[BlobTrace, str, Detections], Tensor]
"""(trace, attribute, N detections) -> ``Tensor[N]``, the numbers to explain."""


def measure_distances(trace: BlobTrace, attribute: str, detections: Detections) -> Tensor:
    """The numbers to explain, see :meth:`Trace.targets`: a larger one is a surer class, or an edge further out."""
    trace.check(detections, [attribute])
    if attribute in EDGES:
        edge = EDGES.index(attribute)
        outwards = (trace.corners - trace.cells.repeat(1, 2))[detections.index, edge]
        return outwards if edge >= 2 else -outwards
    logit = trace.logits[detections.index, detections.labels]
    return logit if attribute == "logit" else logit.sigmoid()


class BlobDetector(Detector):
    """:class:`BlobNet` behind the contract.

    Args:
        model: the network.
        formula: formula of the numbers to explain.
    """

    def __init__(self, model: BlobNet, formula: Formula = measure_distances) -> None:
        self.name, self.categories = "blobs", ("__background__", "red", "blue")
        self.layers, self.towers = ("backbone",), ()
        self.model, self.formula = model, formula

    def make_trace(self, image: Tensor, layer: str) -> BlobTrace:
        size = (image.shape[-2], image.shape[-1])
        with detach_output(self.model.backbone) as features:
            out = self.model(image[None])[0]
        rows, columns = torch.meshgrid(*(torch.arange(n, device=out.device) for n in out.shape[-2:]), indexing="ij")
        cells = torch.stack([columns, rows], dim=-1).reshape(-1, 2) * STRIDE + STRIDE / 2
        values = out.flatten(1).T
        corners = cells.repeat(1, 2) + values[:, :4] * values.new_tensor([-1, -1, 1, 1])
        logits = torch.cat([torch.full_like(values[:, :1], -torch.inf), values[:, 4:]], dim=1)
        probs = logits.detach().sigmoid()
        index, level = torch.arange(len(cells), device=out.device), torch.zeros_like(rows.flatten())
        found = Detections(
            corners.detach(), *probs.max(dim=1), probs, level, index, size, self.categories, self.source(image)
        )
        grids = (Grid(STRIDE / 2, STRIDE / 2, STRIDE, STRIDE),)
        return BlobTrace(
            self, image, layer, tuple(features), grids, size, found, iou_nms(0.5), self.formula, cells, corners, logits
        )


def load_fine_tuned_detr(device: str = "cpu") -> tuple[Any, Any]:
    """``detr-scenes`` as ``from_pretrained`` would return it: transformers' own DETR, and its image processor.

    Raises:
        ImportError: transformers is not installed.
    """
    from odam_lib.detectors.zoo import load_detector

    ours = load_detector("detr-scenes", device).model
    from transformers import DetrImageProcessor

    model: Any = ours.detr
    model.model.backbone.model = ours.backbone  # where transformers keeps it
    model.config.id2label = dict(enumerate(CATEGORIES))
    processor = DetrImageProcessor(size={"shortest_edge": 256, "longest_edge": 512})
    return model, processor


def build_random_rt_detr(seed: int = 0) -> Any:
    """A small RT-DETR of transformers with random weights, which was never taught anything."""
    from transformers import RTDetrConfig, RTDetrForObjectDetection, RTDetrResNetConfig

    torch.manual_seed(seed)
    backbone = RTDetrResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16, 24, 32],
        depths=[1] * 4,
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )
    config = RTDetrConfig(
        backbone_config=backbone,
        d_model=32,
        encoder_hidden_dim=32,
        encoder_ffn_dim=32,
        encoder_attention_heads=2,
        decoder_in_channels=[32, 32, 32],
        decoder_layers=2,
        decoder_ffn_dim=32,
        decoder_attention_heads=2,
        num_queries=12,
        num_denoising=4,
        id2label={0: "cat", 1: "dog"},
    )
    return RTDetrForObjectDetection(config).eval()
