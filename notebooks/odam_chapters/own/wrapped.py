"""Whether a wrapped model is still the reader's: the same detections, and nothing changed by explaining."""

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from odam_lib.detections import Detections

Condition = dict[str, Any]


def note_condition(model: nn.Module) -> Condition:
    """What a training script would notice of a model: modes, what is trained, hooks, weights and buffers."""
    return {
        "modes": [module.training for module in model.modules()],
        "parameters to train": [parameter.requires_grad for parameter in model.parameters()],
        "hooks": sum(len(module._forward_hooks) for module in model.modules()),
        "weights and buffers": deepcopy(model.state_dict()),
    }


def compare_conditions(before: Condition, after: Condition) -> dict[str, bool]:
    """What of a model is as it was, weights and buffers to the last bit."""
    same = {name: before[name] == after[name] for name in ("modes", "parameters to train", "hooks")}
    weights, now = before["weights and buffers"], after["weights and buffers"]
    kept = weights.keys() == now.keys() and all(torch.equal(one, now[name]) for name, one in weights.items())
    return same | {"weights and buffers": kept}


def compare(found: Detections, boxes: Tensor, scores: Tensor, labels: Tensor) -> None:
    """Print whether detections are those of a model's own inference; both have the highest score first."""
    same = len(found) == len(boxes) and bool((found.labels == labels).all())
    print(f"{len(found)} detections, its own inference {len(boxes)}; the same classes: {same}")
    if same and len(found):
        print(f"boxes differ by less than 0.1 pixel: {bool((found.boxes - boxes).abs().max() < 0.1)}")
        print(f"scores differ by less than 0.0001: {bool((found.scores - scores).abs().max() < 1e-4)}")
