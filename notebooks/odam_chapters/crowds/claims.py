"""What the paper's prose says about suppression in crowds (Sec. 4.3, App. A.4.2, A.4.3), and whether it holds here."""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from odam_chapters.crowds.estimates import estimate_differences
from odam_chapters.crowds.rules import CLASSICAL, FEATURE_NMS, ODAM_NMS, PAPERS_ODAM_NMS, SOFT
from odam_chapters.crowds.tables import FAMILIES, LESS_IS_BETTER, Found, write_difference
from odam_chapters.tables import write_text
from odam_lib.metrics.intervals import REPEATS, Estimate

PLAIN, TRAINED = 0, 1
"""The detector without Odam-Train and the one with it, in each pair of ``FAMILIES``."""
BETTER, WORSE, ALIKE = "better", "worse", "alike"
Side = tuple[int, str]
"""Which of the two detectors, and which rule."""


class Claim(NamedTuple):
    """That one side is better or worse than another by some numbers, or that they are alike.

    Attributes:
        place: where the paper says so.
        one, other: what is compared.
        how: ``BETTER``, ``WORSE`` or ``ALIKE``.
        metrics: names of numbers.
        families: architectures of which it is said.
    """

    place: str
    one: Side
    other: Side
    how: str
    metrics: tuple[str, ...]
    families: tuple[str, ...] = tuple(FAMILIES)


_OURS, _NMS, _FEATURE = (TRAINED, ODAM_NMS), (PLAIN, CLASSICAL), (PLAIN, FEATURE_NMS)
CLAIMS = (
    Claim("Sec. 4.3", _OURS, _NMS, BETTER, ("JI", "MR")),
    Claim("Sec. 4.3", _OURS, _FEATURE, BETTER, ("JI", "MR")),
    Claim("Sec. 4.3", _OURS, _NMS, BETTER, ("AP50",), ("faster-rcnn",)),
    Claim("Sec. 4.3", _OURS, _FEATURE, BETTER, ("AP50",), ("faster-rcnn",)),
    *(Claim("Sec. 4.3", _OURS, (PLAIN, soft), BETTER, ("AP50",), ("faster-rcnn",)) for soft in SOFT),
    Claim("Sec. 4.3", (PLAIN, next(iter(SOFT))), _NMS, WORSE, ("MR",)),
    Claim("Sec. 4.3", _FEATURE, _NMS, BETTER, ("AP50",), ("fcos",)),
    Claim("Sec. 4.3", _FEATURE, _NMS, ALIKE, ("JI", "MR"), ("fcos",)),
    Claim("Sec. 4.3", _FEATURE, _NMS, BETTER, ("recall crowd",), ("faster-rcnn",)),
    Claim("Sec. 4.3", _FEATURE, _NMS, WORSE, ("AP50", "JI", "MR"), ("faster-rcnn",)),
    Claim("A.4.2", (TRAINED, ODAM_NMS), (TRAINED, CLASSICAL), BETTER, ("recall crowd",)),
    Claim("A.4.3", (TRAINED, CLASSICAL), _NMS, ALIKE, ("AP50", "MR", "JI")),
    Claim("A.4.3", (TRAINED, PAPERS_ODAM_NMS), (PLAIN, PAPERS_ODAM_NMS), BETTER, ("AP50", "MR", "JI")),
)


class Verdict(NamedTuple):
    """What was measured of one claim and number: ``difference`` is what the first side has more, as a share."""

    family: str
    claim: Claim
    metric: str
    difference: Estimate

    @property
    def text(self) -> str:
        """Reproduced or contradicted where the whole interval says so, else that it cannot be told."""
        sign = -1 if self.metric in LESS_IS_BETTER else 1
        ends = sorted(sign * end for end in self.difference[1:])
        above, below = ends[0] > 0, ends[1] < 0
        if self.claim.how == ALIKE:
            return "contradicted" if above or below else "reproduced"
        agrees, against = (above, below) if self.claim.how == BETTER else (below, above)
        return "reproduced" if agrees else "contradicted" if against else "cannot tell"


def judge_claims(found: Found, repeats: int = REPEATS, seed: int = 0) -> list[Verdict]:
    """Every claim of ``CLAIMS`` about the detectors that there are results of.

    Args:
        found: matches by detector and rule, on the same pictures.
        repeats: number of draws of pictures.
        seed: random seed of the draws.
    """

    @cache
    def measure(one: tuple[str, str], other: tuple[str, str]) -> dict[str, Estimate]:
        return estimate_differences(found[one], found[other], repeats=repeats, seed=seed)

    sides = [
        (family, claim, *((FAMILIES[family][which], rule) for which, rule in (claim.one, claim.other)))
        for claim in CLAIMS
        for family in claim.families
    ]
    return [
        Verdict(family, claim, metric, measure(one, other)[metric])
        for family, claim, one, other in sides
        if one in found and other in found
        for metric in claim.metrics
    ]


def tabulate_verdicts(verdicts: Sequence[Verdict]) -> str:
    """A row for each: what the paper says, and the difference in points with its interval."""
    rows = [("said in", "of", "that", "by", "here, points", "verdict")]
    for one in verdicts:
        sides = [f"{rule}{' after Odam-Train' * which}" for which, rule in (one.claim.one, one.claim.other)]
        said = {ALIKE: f"{sides[0]} is like {sides[1]}"}.get(
            one.claim.how, f"{sides[0]} is {one.claim.how} than {sides[1]}"
        )
        rows.append((one.claim.place, one.family, said, one.metric, write_difference(one.difference), one.text))
    return write_text(rows, -10, -13, -72, -14, -24, -12)
