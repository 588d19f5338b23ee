"""Feature extractors with a pyramid: a small ResNet, and the pyramid vision transformer."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock, LastLevelP6P7

WIDTHS = (48, 64, 96, 128)
STRIDES = (8, 16, 32)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around which the input is carried (He et al., 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, features: Tensor) -> Tensor:
        return (self.body(features) + self.shortcut(features)).relu()


class SmallResNetFPN(nn.Module):
    """A stem of stride 4, three residual stages of strides 8, 16, 32, and a feature pyramid of their outputs.

    Attributes:
        stages: the stages by name, ``stage1`` to ``stage3``.
        out_channels: channels of every pyramid level, as torchvision's detectors expect to read it.
    """

    def __init__(self, widths: tuple[int, int, int, int] = WIDTHS, out_channels: int = 64) -> None:
        super().__init__()
        stem, *stages = widths
        self.stem = nn.Sequential(
            nn.Conv2d(3, stem // 2, 3, 2, padding=1, bias=False),
            nn.BatchNorm2d(stem // 2),
            nn.ReLU(),
            nn.Conv2d(stem // 2, stem, 3, 2, padding=1, bias=False),
            nn.BatchNorm2d(stem),
            nn.ReLU(),
        )
        self.stages = nn.ModuleDict()
        for number, (inputs, outputs) in enumerate(zip(widths, stages), start=1):
            self.stages[f"stage{number}"] = nn.Sequential(
                ResidualBlock(inputs, outputs, 2), ResidualBlock(outputs, outputs, 1)
            )
        self.fpn = FeaturePyramidNetwork(list(stages), out_channels)
        self.out_channels = out_channels

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        """Pyramid levels, finest first: ``Tensor[B, 3, H, W]`` to ``Tensor[B, out_channels, H / s, W / s]`` each."""
        features, outputs = self.stem(images), OrderedDict()
        for name, stage in self.stages.items():
            features = outputs[name] = stage(features)
        return self.fpn(outputs)


class PVTFPN(nn.Module):
    """The pyramid vision transformer v2 (timm's ``pvt_v2_b0``) and a feature pyramid of its last three stages.

    Every stage opens with an overlapping patch embedding of odd kernel, so that cells lie where a ResNet's do.

    Args:
        widths: channels of the four stages; the B0 model's, or narrower ones.
        out_channels: channels of every pyramid level.
        extra: torchvision's block of levels coarser than the last stage, or none.

    Attributes:
        stages: the last three stages by name, ``stage2`` to ``stage4``, of strides 8, 16 and 32.
    """

    def __init__(self, widths: Sequence[int], out_channels: int, extra: ExtraFPNBlock | None = None) -> None:
        super().__init__()
        try:
            import timm
        except ImportError as error:
            raise ImportError("The PVT backbone needs timm: pip install 'odam_lib[pvt]'.") from error
        heads = tuple(max(1, width // 32) for width in widths)
        create: Any = timm.create_model  # its result's parts have no types
        self.body = create("pvt_v2_b0", pretrained=False, num_classes=0, embed_dims=tuple(widths), num_heads=heads)
        self.stages: dict[str, Any] = {f"stage{number + 1}": self.body.stages[number] for number in (1, 2, 3)}
        self.fpn = FeaturePyramidNetwork(list(widths[1:]), out_channels, extra)
        self.out_channels = out_channels

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        """Pyramid levels, finest first: ``Tensor[B, 3, H, W]`` to ``Tensor[B, out_channels, H / s, W / s]`` each."""
        features = self.body.stages[0](self.body.patch_embed(images))
        outputs = OrderedDict()
        for name, stage in self.stages.items():
            features = outputs[name] = stage(features)
        return self.fpn(outputs)


def make_small_pvt() -> PVTFPN:
    """A narrow pyramid vision transformer with the levels of :class:`SmallResNetFPN`."""
    return PVTFPN((24, 48, 96, 128), out_channels=64)


def make_full_pvt() -> PVTFPN:
    """PVT v2 B0 (Wang et al., 2022) with the levels of torchvision's one-stage detectors: strides 8 to 128."""
    return PVTFPN((32, 64, 160, 256), 256, LastLevelP6P7(256, 256))


def start_narrow(tower: nn.Module) -> None:
    """Kernels with which signals keep their size: torchvision's start fades away in a narrow head without norms."""
    for module in tower.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)


def drop_epsilon(model: nn.Module) -> None:
    """Divide by the norms' standard deviation alone, as torchvision does for some of its published weights."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            # Not 0, which PyTorch 2.11 refuses; this is lost in any variance.
            module.eps = torch.finfo(torch.float32).tiny
