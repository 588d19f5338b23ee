"""Weight randomisation from the output down (Adebayo et al., 2018): do maps depend on what a network has learnt?"""

from collections.abc import Iterator
from copy import deepcopy

import torch
from torch import nn

from odam_lib.detectors.base import Detector
from odam_lib.detectors.zoo import build_detector

OPENED = ("backbone", "body", "stages", "detr", "model", "pyramid", "heads")
"""Modules of these names are not one part of a network but hold several."""
PROPOSALS = "rpn"
"""The part of a two-stage detector that says where to look: it is no part of the cascade."""


def load_untrained(name: str, seed: int = 0) -> Detector:
    """:func:`build_detector` with the random weights that training would start from; the same for the same seed.

    Raises:
        ValueError: unknown name.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return build_detector(name)


def list_parts(model: nn.Module) -> tuple[str, ...]:
    """The parts of a network, by their paths, in the order in which they are registered: that of the forward pass.

    A part is a child of the network that has weights. Children named in ``OPENED`` are replaced by their own children,
    so that a backbone gives its stem, each of its stages and its pyramid; ``PROPOSALS`` is left out.
    """

    def below(module: nn.Module, path: str) -> Iterator[str]:
        for name, child in module.named_children():
            if not list(child.parameters()) or name == PROPOSALS:
                continue
            if name in OPENED and not list(child.parameters(recurse=False)):
                yield from below(child, f"{path}{name}.")
            else:
                yield f"{path}{name}"

    return tuple(below(model, ""))


def name_part(path: str) -> str:
    """A short name of a part: its own name, preceded by what it is a number of."""
    *above, name = path.split(".")
    return f"{above[-1]}.{name}" if name.isdigit() and above else name


def randomize_parts(detector: Detector, untrained: Detector) -> Iterator[tuple[str, Detector]]:
    """Copies of a detector of which more and more is untrained: first its last part, at the end all of it.

    A detection keeps its meaning in every copy, as the same level and index, since all candidates stay in place:
    locations, anchors and queries do by themselves; a two-stage detector goes on with its own trained proposals.

    Args:
        detector: whose copies to make; it is not changed.
        untrained: another detector of the same architecture.

    Yields:
        The path of the part that lost its training in this step (see :func:`list_parts`), and the copy.
    """
    done: list[str] = []
    for part in reversed(list_parts(detector.model)):
        done.append(part)
        copy = deepcopy(detector)
        for path in done:
            copy.model.get_submodule(path).load_state_dict(untrained.model.get_submodule(path).state_dict())
        if hasattr(copy.model, PROPOSALS):
            setattr(copy.model, PROPOSALS, _ProposalsOf(detector.model))
        copy.source = detector.source  # type: ignore[method-assign]  # its detections are theirs, see above
        yield part, copy


class _ProposalsOf(nn.Module):
    """The proposals that another network makes of the same images."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self._model = [model]  # in a list, so that its weights do not count as this network's

    def forward(self, images: object, _: object, targets: object = None) -> object:
        model = self._model[0]
        return getattr(model, PROPOSALS)(images, model.backbone(images.tensors), targets)
