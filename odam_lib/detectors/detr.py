"""DETR (Carion et al., 2020) as transformers implements it, behind the contract."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Self

import torch
from torch import Tensor, nn
from torchvision.models import resnet50
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import FrozenBatchNorm2d, box_convert

from odam_lib.detectors.backbones import WIDTHS, SmallResNetFPN
from odam_lib.detectors.base import check_elongation
from odam_lib.detectors.hooks import record_outputs
from odam_lib.detectors.queries import Attention, Place, QueryDetector, QueryTrace, Reading
from odam_lib.detectors.trace import Limits
from odam_lib.kernels.grid import Grid

PUBLISHED = "https://dl.fbaipublicfiles.com/detr/detr-r50-e632da11.pth"
"""DETR ResNet-50 as its authors publish it (42.0 AP on COCO val2017); its sha256 begins with what ends the name."""

IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
ENCODER = "encoder"
"""The layer after the encoder's self-attention, at which cells already know of each other."""


class DilatedResNet(nn.Module):
    """The small ResNet without its pyramid and with a dilated last stage: stride 16 (DETR-DC5).

    Its parameters are named and shaped as those of :class:`SmallResNetFPN`, and with the same weights its output at
    every second cell is that network's last stage. It is meant to be trained from such weights: as in DETR the
    statistics of the norms and the first layers (here the stem and the first stage) are kept.
    """

    def __init__(self) -> None:
        super().__init__()
        whole = SmallResNetFPN()
        self.stem, self.stages = whole.stem, whole.stages
        parts: Any = self.stages["stage3"]
        first, second = parts
        for convolution in (first.body[0], first.shortcut[0]):
            convolution.stride = (1, 1)
        for convolution in (first.body[3], second.body[0], second.body[3]):
            convolution.dilation = convolution.padding = (2, 2)

    def forward(self, images: Tensor) -> Tensor:
        """``Tensor[B, 3, H, W]`` to ``Tensor[B, 128, H / 16, W / 16]``."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.training):  # the first layers are not trained
            features = self.stages["stage1"](self.stem(images))
        return self.stages["stage3"](self.stages["stage2"](features))

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self


class DetrModel(nn.Module):
    """transformers' DETR, called like a torchvision detector.

    Logits have a column for every category and a last one for "no object", as the published COCO weights do; no target
    is ever of category 0, the background.

    Args:
        backbone: images to one feature map.
        channels: of that map.
        categories: how many, with the background.
        sizes: lengths in pixels: shorter side after the resize, unless the longer one were over the second.
        settings: of transformers' ``DetrConfig``.
    """

    def __init__(
        self, backbone: nn.Module, channels: int, categories: int, sizes: tuple[int, int], **settings: Any
    ) -> None:
        super().__init__()
        self.transform = GeneralizedRCNNTransform(*sizes, *IMAGENET)
        self.backbone = backbone
        self.detr = _build_transformers_detr(backbone, channels, num_labels=categories, **settings)

    def forward(self, images: list[Tensor], targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """The parts of DETR's loss, weighted, so that their sum is minimised.

        Args:
            images: ``Tensor[3, H, W]`` in [0, 1] each.
            targets: for each image ``boxes`` ``Tensor[N, 4]`` (x1, y1, x2, y2) in its pixels and ``labels``
                ``Tensor[N]``, int64, from 1; N may be 0.

        Returns:
            ``class``, ``box`` (L1) and ``giou`` of the last decoder layer, and ``auxiliary``, all those of the others.
        """
        batch, placed = self.transform(images, targets)
        labels = [
            {
                "class_labels": target["labels"],
                "boxes": box_convert(target["boxes"], "xyxy", "cxcywh") / target["boxes"].new_tensor(size[::-1] * 2),
            }
            for target, size in zip(placed, batch.image_sizes)
        ]
        losses = self.run(batch, labels=labels).loss_dict
        last = {"class": losses.pop("loss_ce"), "box": losses.pop("loss_bbox"), "giou": losses.pop("loss_giou")}
        return last | ({"auxiliary": torch.stack(list(losses.values())).sum()} if losses else {})

    def run(self, batch: ImageList, **arguments: Any) -> Any:
        """transformers' ``DetrObjectDetectionOutput`` of images that :attr:`transform` resized and padded."""
        mask = batch.tensors.new_zeros((len(batch.image_sizes), *batch.tensors.shape[-2:]), dtype=torch.int64)
        for row, (height, width) in zip(mask, batch.image_sizes):
            row[:height, :width] = 1
        return self.detr(pixel_values=batch.tensors, pixel_mask=mask, **arguments)


class _Backbone(nn.Module):
    """Any feature extractor in the place of transformers' own, which owns none of its parameters."""

    def __init__(self, extract: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.extract = extract

    def forward(self, images: Tensor, mask: Tensor) -> list[tuple[Tensor, Tensor]]:
        features = self.extract(images)
        # Nearest, as transformers does: a cell counts where the pixel that it is centred on is not padding.
        return [(features, nn.functional.interpolate(mask[None].float(), features.shape[-2:]).bool()[0])]


def _build_transformers_detr(backbone: nn.Module, channels: int, **settings: Any) -> Any:
    """``DetrForObjectDetection`` around a backbone of ours: all that is done to transformers' insides is done here."""
    try:
        from transformers import DetrConfig, DetrForObjectDetection, ResNetConfig  # an extra, and slow to import
    except ImportError as error:
        raise ImportError("DETR needs transformers: pip install 'odam_lib[detr]'.") from error
    make_stub: Any = ResNetConfig  # its typed fields leave out what every configuration takes
    make_config: Any = DetrConfig
    # transformers can only build its own backbones: a stub of one block gives the projection its width and is replaced.
    stub = make_stub(embedding_size=8, hidden_sizes=[channels], depths=[1], out_features=["stage1"])
    detr = DetrForObjectDetection(make_config(backbone_config=stub, attn_implementation="eager", **settings))
    detr.model.backbone = _Backbone(backbone.__call__)
    detr.loss_function = _compute_loss
    # transformers draws kernels of deviation 0.02; these are the initial weights that DETR was designed with.
    for part in (detr.model.encoder, detr.model.decoder):
        for parameter in part.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
    for layer in (detr.model.input_projection, detr.class_labels_classifier, *detr.bbox_predictor.layers):
        layer.reset_parameters()
    detr.model.query_position_embeddings.reset_parameters()
    return detr


def _compute_loss(
    logits: Tensor,
    labels: list[dict[str, Tensor]],
    device: torch.device,
    boxes: Tensor,
    config: Any,
    layers_logits: Tensor | None,
    layers_boxes: Tensor | None,
    **_: Any,
) -> tuple[Tensor, dict[str, Tensor], None]:
    """transformers' ``ForObjectDetectionLoss`` with weighted parts, and for batches without any object too."""
    from transformers.loss.loss_for_object_detection import HungarianMatcher, ImageLoss

    matcher: Callable = HungarianMatcher(config.class_cost, config.bbox_cost, config.giou_cost)
    if not any(len(target["boxes"]) for target in labels):
        nothing = torch.zeros(0, dtype=torch.int64)

        def matcher(outputs: Any, targets: list) -> list[tuple[Tensor, Tensor]]:
            return [(nothing, nothing)] * len(targets)

    criterion = ImageLoss(matcher, config.num_labels, config.eos_coefficient, ["labels", "boxes"]).to(device)
    outputs: dict[str, Any] = {"logits": logits, "pred_boxes": boxes}
    if layers_logits is not None and layers_boxes is not None:
        outputs["auxiliary_outputs"] = [
            {"logits": some, "pred_boxes": where} for some, where in zip(layers_logits[:-1], layers_boxes[:-1])
        ]
    weights = {"ce": 1, "bbox": config.bbox_loss_coefficient, "giou": config.giou_loss_coefficient}
    losses = {name: value * weights[name.split("_")[1]] for name, value in criterion(outputs, labels).items()}
    return torch.stack(list(losses.values())).sum(), losses, None


class DetrDetector(QueryDetector):
    """A DETR that can be explained.

    Args:
        name: the name it was loaded by.
        model: the network.
        categories: class names, index 0 is the background.
        places: where in the backbone it can be explained, the default first; the encoder's output comes after these.
    """

    limits = Limits(after=100)  # as many as COCO's average precision counts

    def __init__(self, name: str, model: DetrModel, categories: tuple[str, ...], places: Mapping[str, Place]) -> None:
        network = model.detr.model
        last, deepest = len(network.encoder.layers) - 1, next(iter(places.values())).grids
        encoder = Place(f"detr.model.encoder.layers.{last}", deepest, ("detr.model.input_projection",))
        super().__init__(name, model, categories, {**places, ENCODER: encoder}, Reading(first=0, exclusive=True))
        self.towers = (model.backbone, *network.encoder.layers, *network.decoder.layers)

    def check_size(self, image_size: tuple[int, int]) -> None:
        check_elongation(image_size, self.model.transform.min_size[-1], self.model.transform.max_size)

    def run(self, images: Tensor) -> tuple[Any, tuple[int, int]]:
        batch, _ = self.model.transform(list(images.to(self.device, self.dtype)))
        return self.model.run(batch), batch.image_sizes[0]

    def make_trace(self, image: Tensor, layer: str) -> QueryTrace:
        network = self.model.detr.model
        # What transformers itself records is lost in a process that did not build the model but was handed it.
        looking = (
            [layer.self_attn for layer in network.encoder.layers],
            [layer.encoder_attn for layer in network.decoder.layers],
            [layer.self_attn for layer in network.decoder.layers],
        )
        with ExitStack() as stack:
            projected = stack.enter_context(record_outputs(network.input_projection))
            seen = [[stack.enter_context(record_outputs(one)) for one in kind] for kind in looking]
            trace = super().make_trace(image, layer)
        encoder, cross, queries = (tuple(output[1].detach()[0] for (output,) in kind) for kind in seen)
        height, width = projected[0].shape[-2:]
        (grid,) = self._layers[ENCODER].grids
        return replace(trace, attention=Attention(encoder, cross, queries, (height, width), grid))


def build_small_detr(name: str, categories: tuple[str, ...]) -> DetrDetector:
    """An untrained DETR of about 2 M parameters for pictures of about 256 pixels: 25 queries, 16 x 16 cells."""
    backbone = DilatedResNet()
    model = DetrModel(
        backbone,
        WIDTHS[-1],
        len(categories),
        (256, 512),
        num_queries=25,
        d_model=128,
        encoder_layers=2,
        decoder_layers=3,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=256,
        decoder_ffn_dim=256,
        dropout=0.0,
        auxiliary_loss=True,
    )
    strides = {"stage3": 16, "stage2": 16, "stage1": 8}
    places = {stage: Place(f"backbone.stages.{stage}", (Grid.of_stride(stride),)) for stage, stride in strides.items()}
    return DetrDetector(name, model, categories, places)


def build_full_detr(name: str, categories: tuple[str, ...]) -> DetrDetector:
    """DETR ResNet-50 without weights: 100 queries, stride 32, as published for COCO's 91 category numbers.

    Without losses at the inner decoder layers: where they are on, transformers 5 hands the normalised output of a layer
    on to the next, and the published weights were not trained for that.
    """
    whole = resnet50(weights=None, norm_layer=FrozenBatchNorm2d)
    kept = OrderedDict((key, module) for key, module in whole.named_children() if key not in ("avgpool", "fc"))
    backbone = nn.Sequential(kept)
    model = DetrModel(backbone, 2048, len(categories), (800, 1333))
    places = {f"layer{n}": Place(f"backbone.layer{n}", (Grid.of_stride(2 ** (n + 1)),)) for n in (4, 3, 2, 1)}
    return DetrDetector(name, model, categories, places)


def convert_published(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The state of :func:`build_full_detr`'s model from what is at :data:`PUBLISHED`, read with ``torch.load``."""
    state: dict[str, Tensor] = {}
    for key, value in checkpoint["model"].items():
        renamed = _rename(key)
        if ".in_proj_" not in renamed:
            state[renamed] = value
            continue
        for part, rows in zip("qkv", value.chunk(3)):
            state[renamed.replace("in_proj_", f"{part}_proj.")] = rows
    return state


def _rename(key: str) -> str:
    for theirs, ours in (
        ("backbone.0.body.", "backbone."),
        ("input_proj.", "detr.model.input_projection."),
        ("query_embed.", "detr.model.query_position_embeddings."),
        ("class_embed.", "detr.class_labels_classifier."),
        ("bbox_embed.", "detr.bbox_predictor."),
        ("transformer.decoder.norm.", "detr.model.decoder.layernorm."),
        ("transformer.", "detr.model."),
        (".multihead_attn.", ".encoder_attn."),
        (".out_proj.", ".o_proj."),
        (".linear1.", ".mlp.fc1."),
        (".linear2.", ".mlp.fc2."),
    ):
        key = key.replace(theirs, ours)
    norms = ("self_attn", "encoder_attn", "final") if ".decoder.layers." in key else ("self_attn", "final")
    for number, norm in enumerate(norms, start=1):
        key = key.replace(f".norm{number}.", f".{norm}_layer_norm.")
    return key
