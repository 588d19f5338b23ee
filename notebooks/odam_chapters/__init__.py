"""What serves the notebooks of the series and nobody else: a folder or module for each, and what several of them share.

A chapter offers all that its notebook takes from here, so that one line imports it.

========  =======================================================================================================
notebook  chapter
========  =======================================================================================================
00        :mod:`~odam_chapters.quickstart`
01        :mod:`~odam_chapters.attributes`
02        :mod:`~odam_chapters.detectors`: weights made random, part by part
03        :mod:`~odam_chapters.judging`: parts taken away, features followed, maps that leak
04        :mod:`~odam_chapters.errors`: a survey of mistakes, single cases, a browser of mistakes
05        :mod:`~odam_chapters.attention`: DETR's attention beside its maps, a picker of places
06        :mod:`~odam_chapters.odam_train`: a sweep of trainings, whether the maps of neighbours are apart
07        :mod:`~odam_chapters.crowds`: results, tables and cases of rules of suppression, a picker of pairs
09        :mod:`~odam_chapters.own`: a toy detector, other people's models
90        :mod:`~odam_chapters.costs`: of maps, of training steps, on an accelerator
91        :mod:`~odam_chapters.all_methods`: the rows of every comparison
92        :mod:`~odam_chapters.crowd_tables`: what of the chapter of crowds makes the whole tables
shared    :mod:`~odam_chapters.charts` of numbers, :mod:`~odam_chapters.pictures` of maps,
          :mod:`~odam_chapters.influence` of hidden pixels, :mod:`~odam_chapters.timing`; pictures drawn once are
          :mod:`~odam_chapters.framework` and :mod:`~odam_chapters.rivals`; what a reader sets is checked
          by :mod:`~odam_chapters.setup` and :mod:`~odam_chapters.parameters`, what a reader answers by
          :mod:`~odam_chapters.exercises`; web pages get formulas from :mod:`~odam_chapters.equations`
========  =======================================================================================================
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from odam_lib.lazy import load_lazily

STATIC = Path(__file__).parent / "static"
"""The widgets' front ends."""


def offer(chapter: str, names: Mapping[str, str]) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """The ``__all__``, ``__getattr__`` and ``__dir__`` of a chapter, which imports what it offers on first use.

    So a chapter's command line needs no widgets, and runs by ``python -m`` without a warning.

    Args:
        chapter: name of the chapter's package.
        names: names that it offers, separated by spaces, by the module of :mod:`odam_chapters` that has them.
    """
    homes = {name: module for module, each in names.items() for name in each.split()}
    return list(homes), *load_lazily(chapter, homes, "odam_chapters")
