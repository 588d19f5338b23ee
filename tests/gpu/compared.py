"""Two explanations of one picture, made on two devices or in two number formats."""

import torch
from torch import Tensor

from odam_lib import HeatMaps

DEVICE = "cuda"
BORDERLINE = 1e-3
"""A score this near the threshold may be found by one of the two alone."""


def partners(here: HeatMaps, there: HeatMaps, threshold: float, most: float = 0.5) -> list[tuple[int, int]]:
    """Rows of the same detection: equal label, the box within some pixels; every clear detection has one."""
    ours, theirs = here.detections.to("cpu"), there.detections.to("cpu")
    far = (ours.boxes[:, None] - theirs.boxes[None]).abs().amax(dim=2)
    far = torch.where(ours.labels[:, None] == theirs.labels, far, torch.inf)
    pairs = [(row, int(far[row].argmin())) for row in range(len(ours)) if len(theirs) and far[row].min() <= most]
    for one, met in ((ours, {row for row, _ in pairs}), (theirs, {row for _, row in pairs})):
        alone = [row for row in range(len(one)) if row not in met and one.scores[row] > threshold + BORDERLINE]
        assert not alone, (one[alone], one[alone].boxes, far)
    return pairs


def distances(here: HeatMaps, there: HeatMaps, threshold: float) -> Tensor:
    """|a - b| / |b| of each map of the same detection and attribute, 0 for two maps of zeros: ``Tensor[M]``."""
    found = []
    for row, other in partners(here, there, threshold):
        for one, reference in zip(there.maps[other].cpu(), here.maps[row].cpu()):
            assert one.dtype == torch.float32 and torch.isfinite(one).all()
            found.append((one - reference).norm() / reference.norm().clamp(min=1e-30))
    return torch.stack(found)


def cosines(here: HeatMaps, there: HeatMaps) -> Tensor:
    """The cosine of each pair of maps that are not zero, rows in the same order: ``Tensor[M]``."""
    pairs = [
        (one.cpu().flatten(), other.cpu().flatten())
        for ours, theirs in zip(here.maps, there.maps)
        for one, other in zip(ours, theirs)
        if one.any() and other.any()
    ]
    return torch.stack([torch.nn.functional.cosine_similarity(one, other, dim=0) for one, other in pairs])
