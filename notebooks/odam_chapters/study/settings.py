"""What a reader may set in notebook 08."""

from odam_chapters.parameters import EVERYWHERE, Count, Text

PARAMETERS = {
    "DETECTOR": Text(),
    "PHOTOS": Text(empty=True),
    "RIVAL": Text(empty=True),
    "QUESTIONS": Count(5, 200),
    "MASKS": Count(1),
    "PICTURES": Count(2, 1000),
    "PEOPLE": Count(2, 1000),
    "STUDIES": Count(10, 10000),
    "ANSWERS": Text(empty=True),
    "SEED": Count(0, 998),
    **EVERYWHERE,
}
