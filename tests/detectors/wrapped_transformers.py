"""transformers' families, as small configurations with random weights."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import clip_boxes_to_image
from wrapped import Case, livened

transformers = pytest.importorskip("transformers")

NAMES = ("cat", "dog", "bird", "cow", "car")
SMALL = {"shortest_edge": 96, "longest_edge": 160}
STAGES = ["stage1", "stage2", "stage3", "stage4"]
QUERIES = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "num_queries": 12,
    "num_labels": len(NAMES),
}
HYBRID = {
    "d_model": 32,
    "encoder_hidden_dim": 32,
    "encoder_ffn_dim": 32,
    "encoder_attention_heads": 2,
    "decoder_in_channels": [32, 32, 32],
    "decoder_layers": 2,
    "decoder_ffn_dim": 32,
    "decoder_attention_heads": 2,
    "num_queries": 12,
    "num_denoising": 4,
    "num_labels": len(NAMES),
}


def resnet(*levels: str) -> Any:
    return transformers.ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=list(levels),
    )


def resnet_d() -> Any:
    return transformers.RTDetrResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16, 24, 32], depths=[1] * 4, layer_type="basic", out_features=STAGES[1:]
    )


def hgnet() -> Any:
    return transformers.HGNetV2Config(
        stem_channels=[3, 8, 8],
        stage_in_channels=[8, 16, 32, 48],
        stage_mid_channels=[8, 8, 16, 16],
        stage_out_channels=[16, 32, 48, 64],
        stage_num_blocks=[1] * 4,
        stage_numb_of_layers=[1] * 4,
        hidden_sizes=[16, 32, 48, 64],
        depths=[1] * 4,
        embedding_size=8,
        out_features=STAGES[1:],
    )


def timm_resnet() -> Any:
    return transformers.TimmBackboneConfig(backbone="resnet18", out_indices=[1, 2, 3, 4], features_only=True)


def built(kind: str, backbone: Callable[[], Any] | None = None, **settings: Any) -> Callable[[], nn.Module]:
    """A model of one kind with numbers of a size at which boxes are sane and scores differ."""

    def build() -> nn.Module:
        torch.manual_seed(0)
        config = getattr(transformers, f"{kind}Config")(
            **({"backbone_config": backbone()} if backbone else {}), **settings
        )
        model = livened(getattr(transformers, f"{kind}ForObjectDetection")(config))
        for name, part in model.named_modules():
            if isinstance(part, nn.Linear) and "class" in name:
                nn.init.normal_(part.bias)
            if isinstance(part, nn.Embedding):
                nn.init.normal_(part.weight, std=3.0)
        for name, parameter in model.named_parameters():
            if name.endswith(("detection_tokens", "position_embeddings")):
                nn.init.normal_(parameter)
        return normed(model)

    return build


def normed(model: nn.Module) -> nn.Module:
    """Batch norms with the statistics of what passes through, so that signals do not fade."""
    norms = [part for part in model.modules() if isinstance(part, nn.BatchNorm2d)]
    for norm in norms:
        norm.train().momentum = 1.0
    with torch.no_grad():
        model(torch.rand(4, 3, 128, 160))
    for norm in norms:
        norm.eval().momentum = 0.1
    return model


def own(processor: Any) -> Callable[[nn.Module, Tensor], Mapping[str, Tensor]]:
    """The model's own inference, with boxes clipped and labels counted from 1."""

    def infer(model: Any, image: Tensor) -> Mapping[str, Tensor]:
        batch = processor(images=[image.float()], do_rescale=False, return_tensors="pt").to(model.dtype)
        if "Yolos" in type(model).__name__:
            batch.pop("pixel_mask")
        with torch.no_grad():
            outputs = model(**batch)
        size = (image.shape[-2], image.shape[-1])
        found = processor.post_process_object_detection(outputs, threshold=0.05, target_sizes=[size])[0]
        return {
            "boxes": clip_boxes_to_image(found["boxes"], size),
            "scores": found["scores"],
            "labels": found["labels"] + 1,
        }

    return infer


def loss(model: nn.Module) -> Tensor:
    torch.manual_seed(5)
    boxes = torch.tensor([[0.4, 0.5, 0.2, 0.3], [0.6, 0.5, 0.3, 0.4]])
    labels = [
        {"class_labels": torch.tensor([0, 2]), "boxes": boxes},
        {"class_labels": torch.tensor([1]), "boxes": boxes[:1]},
    ]
    return model(pixel_values=torch.rand(2, 3, 96, 128), labels=labels).loss


def case(
    name: str, kind: str, processor: Any, strides: tuple[int, ...], *model: Callable[[], Any], **settings: Any
) -> Case:
    return Case(
        name,
        built(kind, *model, **settings),
        own(processor),
        loss,
        strides,
        NAMES,
        options={"processor": processor},
        step=1e-5 if kind.startswith("RTDetr") else 1e-3,
    )


def keeping(kind: str) -> Any:
    return getattr(transformers, f"{kind}ImageProcessor")(size=SMALL)


SQUARE = transformers.RTDetrImageProcessor(size={"height": 128, "width": 160})

CASES = [
    case("detr", "Detr", keeping("Detr"), (32,), lambda: resnet(*STAGES), **QUERIES),
    case("detr_timm", "Detr", keeping("Detr"), (32,), timm_resnet, **QUERIES),
    case("conditional_detr", "ConditionalDetr", keeping("ConditionalDetr"), (32,), lambda: resnet(*STAGES), **QUERIES),
    case(
        "deformable_detr",
        "DeformableDetr",
        keeping("DeformableDetr"),
        (8, 16, 32),
        lambda: resnet(*STAGES[1:]),
        **QUERIES,
    ),
    case(
        "deformable_detr_two_stage",
        "DeformableDetr",
        keeping("DeformableDetr"),
        (8, 16, 32),
        lambda: resnet(*STAGES[1:]),
        two_stage=True,
        with_box_refine=True,
        two_stage_num_proposals=12,
        **QUERIES,
    ),
    case("rt_detr", "RTDetr", SQUARE, (8, 16, 32), resnet_d, encoder_in_channels=[16, 24, 32], **HYBRID),
    case("rt_detr_v2", "RTDetrV2", SQUARE, (8, 16, 32), resnet_d, encoder_in_channels=[16, 24, 32], **HYBRID),
    case("d_fine", "DFine", SQUARE, (8, 16, 32), hgnet, encoder_in_channels=[32, 48, 64], **HYBRID),
    case(
        "yolos",
        "Yolos",
        keeping("Yolos"),
        (16,),
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=[64, 96],
        patch_size=16,
        num_detection_tokens=12,
        num_labels=len(NAMES),
    ),
]
