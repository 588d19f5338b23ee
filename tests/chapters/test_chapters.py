"""A chapter offers what its notebook imports."""

import pkgutil
import subprocess
import sys
from importlib import import_module

import pytest

CHAPTERS = (
    "quickstart",
    "attributes",
    "detectors",
    "judging",
    "errors",
    "attention",
    "odam_train",
    "crowds",
    "crowd_tables",
    "study",
    "own",
    "costs",
    "all_methods",
)


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_has_what_it_offers(name: str) -> None:
    chapter = import_module(f"odam_chapters.{name}")
    assert [one for one in chapter.__all__ if not hasattr(chapter, one)] == []


def test_a_module_of_a_chapter_is_its_own() -> None:
    crowds = import_module("odam_chapters.crowds")
    assert crowds.costs is import_module("odam_chapters.crowds.costs") is not import_module("odam_chapters.costs")


def test_a_command_line_of_a_chapter_loads_no_widget() -> None:
    code = "import sys, odam_chapters.crowds.results, odam_chapters.errors.survey; sys.exit('anywidget' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", CHAPTERS)
def test_no_module_takes_the_name_of_what_a_chapter_offers(name: str) -> None:
    """Once it is imported, the module would be found first."""
    chapter = import_module(f"odam_chapters.{name}")
    modules = {one.name for one in pkgutil.iter_modules(getattr(chapter, "__path__", []))}
    assert modules.isdisjoint(chapter.__all__)
