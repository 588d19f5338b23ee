"""What Odam-Train changes in a method's rows, and how they then stand against those of rivals (Tab. 1, 3a, 4)."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from odam_chapters.judging.tables import WORDS
from odam_chapters.statistics import relative_change
from odam_chapters.tables import write_text
from odam_lib.detectors.base import Detector
from odam_lib.evaluation.rows import Evaluation
from odam_lib.evaluation.verdicts import judge_paired
from odam_lib.metrics.crowds import CrowdMatches, CrowdPicture, match_crowds


def match_detections(detector: Detector, pictures: Iterable[tuple[Tensor, Mapping[str, Tensor]]]) -> CrowdMatches:
    """A detector's own detections of a score over 0.05, matched with the people of each picture.

    Args:
        detector: what finds people.
        pictures: items ``(image [3, H, W], target)`` with ``boxes`` of the people.
    """
    found = [(detector.detect(image, 0.05), target["boxes"]) for image, target in pictures]
    return match_crowds(
        [CrowdPicture(one.boxes.cpu(), one.scores.cpu(), truth, torch.zeros(0, 4)) for one, truth in found]
    )


def align_rows(before: Evaluation, after: Evaluation, method: str, metric: str) -> tuple[Tensor, Tensor, Tensor]:
    """A method's numbers of the objects that two detectors have in common, and the picture ``[n]`` of each.

    Args:
        before, after: of the same pictures.
        method: its name.
        metric: its name.

    Raises:
        ValueError: nothing was measured of this method by this metric.
    """
    first, second = (one.by_object(method, metric) for one in (before, after))
    common = [key for key in first if key in second]
    values = torch.tensor([[each[key] for key in common] for each in (first, second)], dtype=torch.float64)
    known = ~values.isnan().any(dim=0)
    return values[0, known], values[1, known], torch.tensor([image for image, _ in common])[known]


def tabulate_price(
    before: Evaluation, after: Evaluation, metrics: Sequence[str], rivals: Sequence[str], method: str = "ODAM"
) -> str:
    """A line for each metric: the relative change, and the verdict against each rival on the detector with Odam-Train.

    Args:
        before, after: rows of the detectors without and with Odam-Train, on the same pictures.
        metrics: their names.
        rivals: methods that explained the same detections.
        method: what they are compared with; its verdicts are one family, see
            :func:`~odam_lib.evaluation.verdicts.judge_paired`.

    Raises:
        ValueError: a method was measured on other objects, or not at all.
    """
    lines = [["", "n", f"{method} by Odam-Train", *(f"then, against {rival}" for rival in rivals)]]
    for metric in metrics:
        values = align_rows(before, after, method, metric)
        change, low, high = relative_change(*values)
        told = [WORDS[judge_paired(after, metric, method, rival, len(metrics) * len(rivals))] for rival in rivals]
        lines.append([metric, str(len(values[0])), f"{change:+.0%} ({low:+.0%} to {high:+.0%})", *told])
    return write_text(lines, -14, 5, 24, 26)
