"""What a reader may set in notebook 92."""

from odam_chapters.crowds.settings import IN_CROWDS
from odam_chapters.parameters import Count

PARAMETERS = {**IN_CROWDS, "TIMED": Count(1)}
