"""What Odam-NMS costs: the kernel beside torchvision's suppression, and a detector's whole way to its detections."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

import torch
from torch import Tensor

from odam_chapters.crowds.rules import CLASSICAL
from odam_chapters.targets import rate
from odam_chapters.timing import measure_in_turn
from odam_lib.detectors.base import Detector
from odam_lib.explainers.suppression import Rule, suppress
from odam_lib.kernels.nms import nms, odam_nms

TARGET_PIPELINES = 1.3
"""How many times as long a pipeline with Odam-NMS may take as with NMS."""
TARGET_KERNEL = 0.060, 20
"""The kernel may take this many seconds, or this many times torchvision's ``nms``, whichever is more."""


@dataclass(frozen=True)
class Pipelines:
    """How long a detector takes from a picture to what is left of its candidates.

    Attributes:
        seconds: by rule, one number a picture: the median of its repeats.
        candidates: one number a picture.
    """

    seconds: Mapping[str, tuple[float, ...]]
    candidates: tuple[int, ...]

    def of(self, rule: str) -> float:
        """Seconds of a rule, the median over the pictures."""
        return median(self.seconds[rule])

    def ratio(self, rule: str) -> float:
        """How many times as long a picture takes as with NMS, the median over the pictures."""
        return median(mine / plain for mine, plain in zip(self.seconds[rule], self.seconds[CLASSICAL]))


@torch.no_grad()
def time_pipelines(
    detector: Detector, images: Sequence[Tensor], rules: Mapping[str, Rule], score_threshold: float, repeats: int
) -> Pipelines:
    """Measure detection with each rule on the same pictures: forward pass, maps where a rule needs them, suppression.

    Args:
        detector: what finds something.
        images: at least one ``Tensor[3, H, W]``.
        rules: by name; ``NMS`` among them.
        score_threshold: least score of the candidates, in [0, 1].
        repeats: how often each picture is measured with each rule, in turn.

    Raises:
        ValueError: no picture, no rule ``NMS``, a threshold outside [0, 1] or less than one repeat.
    """
    if not images or CLASSICAL not in rules:
        raise ValueError(f"There are {len(images)} pictures and rules {list(rules)}: give a picture, and {CLASSICAL}.")
    seconds: dict[str, list[float]] = {name: [] for name in rules}
    for image in images:
        ways = {name: partial(_detect, detector, image, score_threshold, rule) for name, rule in rules.items()}
        for name, each in measure_in_turn(ways, repeats, detector.device).items():
            seconds[name].append(median(each))
    counts = [len(detector.trace(image).above(score_threshold)) for image in images]
    return Pipelines({name: tuple(each) for name, each in seconds.items()}, tuple(counts))


def _detect(detector: Detector, image: Tensor, score_threshold: float, rule: Rule) -> object:
    return suppress(detector.trace(image), score_threshold, rule)


@dataclass(frozen=True)
class Kernels:
    """Seconds of each repeat of NMS and of Odam-NMS on the same candidates, whose maps are given."""

    nms: tuple[float, ...]
    odam_nms: tuple[float, ...]

    @property
    def limit(self) -> float:
        """Seconds that Odam-NMS may take, see ``TARGET_KERNEL``."""
        seconds, times = TARGET_KERNEL
        return max(seconds, times * median(self.nms))


def time_kernels(
    number: int = 1000,
    size: tuple[int, int] = (50, 67),
    repeats: int = 10,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Kernels:
    """Measure suppression alone on a crowd of boxes at random, each with a map that is bright inside its box.

    Args:
        number: candidates, ten for each of the people.
        size: (height, width) of the maps.
        repeats: how often each is measured, in turn.
        seed: random seed of the boxes and maps.
        device: where they lie.
    """
    generator = torch.Generator().manual_seed(seed)
    extent = torch.tensor(size).flip(0)
    people = torch.rand(-(-number // 10), 2, generator=generator) * extent
    centres = people.repeat(10, 1)[:number] + torch.randn(number, 2, generator=generator)
    sides = torch.tensor([6.0, 15.0]) * (1 + 0.1 * torch.randn(number, 2, generator=generator))
    boxes = torch.cat([centres - sides / 2, centres + sides / 2], dim=1)
    axes = [
        torch.exp(-(((torch.arange(length) - centres[:, [axis]]) / (sides[:, [axis]] / 3)) ** 2))
        for axis, length in enumerate(extent.tolist())
    ]
    maps = (axes[1][:, :, None] * axes[0][:, None, :] * torch.rand(number, *size, generator=generator)).to(device)
    candidates = (boxes.to(device), torch.rand(number, generator=generator).to(device), torch.ones(number).to(device))
    ways = {"nms": lambda: nms(*candidates), "odam_nms": lambda: odam_nms(*candidates, maps)}
    return Kernels(**measure_in_turn(ways, repeats, device))


def rate_pipelines(measured: Mapping[str, Pipelines], rule: str) -> str:
    """Each detector's pipeline with a rule against the target."""
    lines = []
    for name, one in measured.items():
        ratio = one.ratio(rule)
        text = (
            f"{ratio:.2f} times the pipeline with {CLASSICAL} "
            f"({1e3 * one.of(rule):.0f} and {1e3 * one.of(CLASSICAL):.0f} ms), target at most {TARGET_PIPELINES}"
        )
        lines.append(f"{name}: {median(one.candidates):.0f} candidates a picture")
        lines.append(f"  {rate(ratio <= TARGET_PIPELINES, text)}")
    return "\n".join(lines)


def rate_kernels(measured: Kernels) -> str:
    """The kernel against the target."""
    mine, plain = median(measured.odam_nms), median(measured.nms)
    text = f"{1e3 * mine:.0f} ms, {mine / plain:.0f} times {CLASSICAL}; target at most {1e3 * measured.limit:.0f} ms"
    return rate(mine <= measured.limit, text)
