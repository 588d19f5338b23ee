"""The cell in which every notebook begins to work."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from odam_chapters.parameters import Rule
from odam_lib.files import from_root, output_folder


def check(parameters: Mapping[str, Rule], given: Mapping[str, Any]) -> None:
    """Apply the rules to values, in the order of the rules.

    Raises:
        TypeError, ValueError: a parameter is wrong; the sentence begins with its name.
    """
    for name, rule in parameters.items():
        rule(name, given[name], given)


def setup(parameters: Mapping[str, Rule], given: Mapping[str, Any]) -> Path:
    """Check what a reader set and make the folder of figures: ``output = setup(chapter.PARAMETERS, globals())``.

    Args:
        parameters: the rules by parameter, see :mod:`odam_chapters.parameters`; ``OUTPUT_DIR`` is among them.
        given: the values by parameter; other names are ignored.

    Returns:
        The folder that ``OUTPUT_DIR`` names.

    Raises:
        TypeError, ValueError: a parameter is wrong; the sentence begins with its name.
        PermissionError: the folder cannot be made or written.
    """
    check(parameters, given)
    return output_folder(from_root(given["OUTPUT_DIR"]))
