"""Detectors of transformers: what :func:`odam_lib.detectors.wrap.wrap` reads from them.

A family differs from the next in the processor of its pictures, in how its scores are read and in where it can be
explained; everything else is :mod:`odam_lib.detectors.queries`.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib import import_module
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn

from odam_lib.categories import BACKGROUND, choose_categories
from odam_lib.detectors.base import check_elongation
from odam_lib.detectors.hooks import find_path, is_named, record_outputs
from odam_lib.detectors.passes import make_twin
from odam_lib.detectors.queries import Place, QueryDetector, QueryTrace, Reading
from odam_lib.detectors.trace import Limits
from odam_lib.kernels.grid import Grid

NAMES = "transformers' DETR, Conditional DETR, Deformable DETR, RT-DETR (v1, v2), D-FINE, YOLOS"
NO_CLASS = ("n/a", "background", BACKGROUND)
"""What id 0 is called where a model counts a class that no object has: COCO's numbers start at 1."""
PROBE = 256
"""Side of the square picture on which a backbone is asked for its strides."""

Places = dict[str, Place]


@dataclass(frozen=True)
class Kind:
    """What cannot be read from a model of one family.

    Attributes:
        processor: class of its image processor.
        exclusive: see :class:`Reading`.
        places: where it can be explained, the default first.
    """

    processor: str
    exclusive: bool
    places: Callable[[nn.Module], Places]


class TransformersDetector(QueryDetector):
    """A model of transformers behind the contract.

    Args:
        name: of the detector.
        model: with a detection head.
        categories: class names, index 0 is the background.
        places: where it can be explained, the default first.
        reading: what its logits mean.
        processor: makes what the model takes from pictures, and detections from what it returns.

    Attributes:
        card: where a published model comes from; empty for one that was handed in.
    """

    def __init__(
        self,
        name: str,
        model: nn.Module,
        categories: tuple[str, ...],
        places: Places,
        reading: Reading,
        processor: Any,
    ) -> None:
        super().__init__(name, model, categories, places, reading)
        self.processor = processor
        self.card: dict[str, Any] = {}
        self.towers = ()
        own = signature(processor.post_process_object_detection).parameters
        self._most: int | None = own["top_k"].default if "top_k" in own else None
        self._takes_mask = "pixel_mask" in signature(model.forward).parameters

    def check_size(self, image_size: tuple[int, int]) -> None:
        size = self.processor.size
        if self.processor.do_resize and size.shortest_edge and size.longest_edge:
            check_elongation(image_size, size.shortest_edge, size.longest_edge)

    def run(self, images: Tensor) -> tuple[Any, tuple[int, int]]:
        # Grey levels, not [0, 1]: so the processor's own rescaling applies, whatever it is. In single precision, since
        # a resize in half precision would lose grey levels.
        pictures = list(images.to(self.device, torch.promote_types(self.dtype, torch.float32)) * 255)
        batch = self.processor(images=pictures, return_tensors="pt", input_data_format="channels_first")
        pixels, mask = batch["pixel_values"].to(self.dtype), batch.get("pixel_mask")
        masked = {"pixel_mask": mask} if mask is not None and self._takes_mask else {}
        outputs = self.model(pixel_values=pixels, return_dict=True, **masked)
        if mask is None:
            return outputs, (pixels.shape[-2], pixels.shape[-1])
        return outputs, (int(mask[0].any(dim=1).sum()), int(mask[0].any(dim=0).sum()))

    def make_trace(self, image: Tensor, layer: str) -> QueryTrace:
        trace = super().make_trace(image, layer)
        if self.reading.best_only:
            return trace
        # Its processor keeps the best of all classes of all queries, as many as there are queries unless it says more.
        return replace(trace, limits=Limits(before=self._most or len(trace.logits)))


def recognises(model: nn.Module) -> bool:
    """Whether it is a model of transformers, with or without a detection head."""
    return is_named(model, "transformers", "PreTrainedModel")


def wrap_model(
    model: Any, name: str, categories: tuple[str, ...] | None, processor: object | None = None
) -> TransformersDetector:
    """The detector of a model of transformers.

    Raises:
        TypeError: the model has no detection head that is known, or the processor is none of tensors.
        ValueError: the model contradicts what was told.
    """
    kind = _find_kind(model)
    names = [model.config.id2label[number] for number in range(model.config.num_labels)]
    first = 0 if names[0].lower() in NO_CLASS else 1
    own = names[1 - first :]
    categories = choose_categories(categories, len(own), own)
    places = kind.places(make_twin(model))
    reading = Reading(first, kind.exclusive, best_only=kind.exclusive)
    return TransformersDetector(name, model, categories, places, reading, _choose_processor(kind, processor))


def _find_kind(model: nn.Module) -> Kind:
    for name, kind in KINDS.items():
        if is_named(model, "transformers", name):
            return kind
    raise TypeError(
        f"{type(model).__name__} has no detection head that is known: load one of {', '.join(KINDS)}, for instance by "
        "AutoModelForObjectDetection."
    )


def _choose_processor(kind: Kind, told: object | None) -> Any:
    from transformers.image_processing_backends import TorchvisionBackend

    if told is None:
        return getattr(import_module("transformers"), kind.processor)()
    if not isinstance(told, TorchvisionBackend) or not hasattr(told, "post_process_object_detection"):
        raise TypeError(
            f"The processor is a {type(told).__name__}: give one of tensors that reads detections, such as "
            f"{kind.processor} or what AutoImageProcessor.from_pretrained(..., backend='torchvision') returns."
        )
    return told


def _place_detr(model: Any) -> Places:
    """DETR, Conditional DETR: the last stage of the backbone, the encoder's output, and the stages before the last."""
    network = model.model
    stages = _find_stages(network.backbone.model)
    strides, of_stages = _measure_strides(network.backbone, stages)
    last = _lay_grids(network.backbone, strides[-1:])
    places = {
        "backbone": Place("model.backbone", last),
        "encoder": Place(_find_last_layer(network), last, ("model.input_projection",)),
    }
    for number in range(len(stages) - 1, 0, -1):
        grids = _lay_grids(network.backbone, of_stages[number - 1 : number])
        places[f"stage{number}"] = Place(find_path(stages[number - 1], model), grids)
    return places


def _place_deformable(model: Any) -> Places:
    """Deformable DETR: the backbone's maps, and the encoder's output, which has coarser levels too."""
    network = model.model
    backbone, _ = _measure_strides(network.backbone)
    encoder = list(backbone)
    for projection in network.input_proj[len(backbone) :]:
        encoder.append(encoder[-1] * projection[0].stride[0])
    projections = tuple(f"model.input_proj.{level}" for level in range(len(encoder)))
    return {
        "backbone": Place("model.backbone", _lay_grids(network.backbone, backbone)),
        "encoder": Place(_find_last_layer(network), _lay_grids(network.backbone, encoder), projections),
    }


def _place_hybrid(model: Any) -> Places:
    """RT-DETR, D-FINE: the pyramid that the hybrid encoder returns, which queries read, and the backbone's maps."""
    network = model.model
    grids = _lay_grids(network.backbone, _measure_strides(network.backbone)[0])
    return {
        "encoder": Place("model.encoder", grids),
        "backbone": Place("model.backbone", grids),
    }


def _place_yolos(model: Any) -> Places:
    """YOLOS: the patch tokens that leave a block of the transformer, the middle one by default.

    The detection tokens read the patches in every block. What they read in blocks before the explained one is held
    fixed: the last blocks are left with little to explain, the first with patches that mean little by themselves. From
    the middle half of the readings follow, as many as in DETR, whose decoder is as deep as its encoder. What leaves the
    last block is read by nobody.
    """
    network = model.vit
    dy, dx = network.embeddings.patch_embeddings.projection.stride
    grid = Grid(dx / 2, dy / 2, dx, dy)
    blocks = range(len(network.encoder.layer) - 1, 0, -1)
    middle = max(1, len(network.encoder.layer) // 2)
    paths = {f"block{n}": f"vit.encoder.layer.{n - 1}" for n in sorted(blocks, key=lambda n: n != middle)}
    paths["embeddings"] = "vit.embeddings"
    patches = ("vit.embeddings.patch_embeddings.projection",)
    return {name: Place(path, (grid,), patches, skipped=1) for name, path in paths.items()}


def _find_last_layer(network: Any) -> str:
    """The path of the encoder's last layer."""
    return f"model.encoder.layers.{len(network.encoder.layers) - 1}"


def _find_stages(backbone: nn.Module) -> list[nn.Module]:
    """The stages of a backbone of transformers or timm that can be cut one by one; none where it has no such parts."""
    stages = getattr(getattr(backbone, "encoder", None), "stages", None)
    if stages is not None:
        return list(stages)
    return [module for name, module in backbone.named_children() if name.startswith("layer") and name[5:].isdigit()]


def _measure_strides(backbone: nn.Module, stages: Sequence[nn.Module] = ()) -> tuple[list[int], list[int]]:
    """The strides of a backbone's maps and of its stages, seen on an empty picture."""
    parameter = next(backbone.parameters())
    picture = parameter.new_zeros((1, 3, PROBE, PROBE))
    with ExitStack() as hooks:
        seen = [hooks.enter_context(record_outputs(stage)) for stage in stages]
        maps = backbone(picture, torch.ones_like(picture[:, 0]))
    return [PROBE // len(features[0, 0]) for features, _ in maps], [PROBE // len(one[0][0, 0]) for one in seen]


def _lay_grids(backbone: Any, strides: Sequence[int]) -> tuple[Grid, ...]:
    """Where the cells of a backbone's levels lie, the finest first.

    Convolutions of odd kernels keep the first cell on the first pixel. Patches that do not overlap (Swin, ConvNeXt)
    have it in the middle of their stride. HGNetV2's stem of even kernels, padded on one side, moves what its two
    branches see by 1 and by 2 pixels. In a ResNet-D, as RT-DETR has it, shortcuts average 2 x 2 cells while the
    convolutions beside them do not move: the middle of the two is (stride - 4) / 4 pixels further; coarser levels are
    laid where the finest is, which is at most 0.2 of their cells off, so that the cells of all levels nest.
    """
    parts = list(backbone.model.modules())
    first = next((part for part in parts if isinstance(part, nn.Conv2d)), None)
    if first is not None and first.kernel_size == first.stride != (1, 1):
        return tuple(Grid(stride / 2, stride / 2, stride, stride) for stride in strides)
    moved = 0.0
    if is_named(backbone.model, "transformers", "HGNetV2Backbone"):
        moved = 1.5
    elif any(isinstance(part, nn.AvgPool2d) and part.stride == 2 for part in parts):
        moved = (strides[0] - 4) / 4
    return tuple(Grid(0.5 + moved, 0.5 + moved, stride, stride) for stride in strides)


KINDS = {
    "DetrForObjectDetection": Kind("DetrImageProcessor", True, _place_detr),
    "ConditionalDetrForObjectDetection": Kind("ConditionalDetrImageProcessor", False, _place_detr),
    "DeformableDetrForObjectDetection": Kind("DeformableDetrImageProcessor", False, _place_deformable),
    "RTDetrForObjectDetection": Kind("RTDetrImageProcessor", False, _place_hybrid),
    "RTDetrV2ForObjectDetection": Kind("RTDetrImageProcessor", False, _place_hybrid),
    "DFineForObjectDetection": Kind("RTDetrImageProcessor", False, _place_hybrid),
    "YolosForObjectDetection": Kind("YolosImageProcessor", True, _place_yolos),
}
"""Heads of transformers by the name of their class."""
