"""Small feature extractors, trained from scratch on scenes."""

from collections import OrderedDict

from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork

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
