"""What a reader may set in notebook 90."""

from odam_chapters.costs.explaining import TARGET_STEPS
from odam_chapters.parameters import EVERYWHERE, Choice, Count, Counts, Names
from odam_lib.detectors.zoo import ZOO

PARAMETERS = {
    "DETECTOR": Choice(tuple(ZOO)),
    "SUMMARY": Names(tuple(ZOO)),
    "STEPS": Names(tuple(TARGET_STEPS)),
    "CROWDS": Count(1),
    "IMAGE_SIZE": Count(64, 10_000),
    "NUMBERS": Counts(1),
    "REPEATS": Count(1),
    "SAMPLE": Count(1),
    "SEED": Count(0, 999),
    **EVERYWHERE,
}
