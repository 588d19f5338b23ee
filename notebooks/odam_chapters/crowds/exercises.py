"""Checks for the exercises of notebook 07."""

import itertools
import operator
from collections.abc import Callable, Mapping, Sequence

import torch

from odam_lib.kernels import are_duplicates


def check_pairs(answers: Sequence[bool | None], truth: Sequence[bool], rules: Mapping[str, Sequence[bool]]) -> str:
    """Check which pairs of boxes someone takes for one person, beside what rules say.

    Args:
        answers: ``True`` for one person, ``False`` for two, ``None`` where it was left open.
        truth: the right answers.
        rules: the answers of rules, by their names.
    """
    if len(answers) != len(truth) or any(answer is None for answer in answers):
        return f"open: answer with {len(truth)} values, True for one person, False for two."
    wrong = [str(place) for place, pair in enumerate(zip(answers, truth)) if bool(pair[0]) != pair[1]]
    grade = f"not quite: wrong about pair {', '.join(wrong)}" if wrong else "right: all of them"
    rivals = (f"{name} {sum(map(operator.eq, given, truth))}" for name, given in rules.items())
    return f"{grade}. Right of {len(truth)}: you {len(truth) - len(wrong)}, {', '.join(rivals)}."


def check_duplicate(function: Callable[[float, float, float, float, float], bool] | None) -> str:
    """Check the rule by which Algorithm 1 calls a candidate a duplicate of a better one.

    Args:
        function: (IoU, correlation, T_iou, T_l, T_h) -> whether it is one.
    """
    if function is None:
        return "open: write a function (iou, corr, t_iou, t_l, t_h) -> True for a duplicate."
    tried = itertools.product((0.0, 0.3, 0.7, 1.0), (0.05, 0.3, 0.5, 0.7, 0.95), ((0.5, 0.2, 0.8), (0.4, 0.6, 0.6)))
    for iou, corr, thresholds in tried:
        duplicate = bool(are_duplicates(torch.tensor(iou), torch.tensor(corr), *thresholds))
        if bool(function(iou, corr, *thresholds)) != duplicate:
            found = "a duplicate" if duplicate else "another object"
            return f"not quite: IoU {iou:g} and correlation {corr:g} with {thresholds} is {found}."
    return "right: boxes that overlap need little agreement to be one object, boxes that lie apart need much."
