"""Formulas become MathML that a browser draws, or are refused."""

import json
import re
from xml.etree import ElementTree

import pytest
from odam_chapters.equations import to_mathml

from odam_lib.files import data_root

FORMULAS = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+)\$", re.DOTALL)


def test_every_formula_of_the_series_is_known_and_well_formed() -> None:
    found = 0
    for path in (data_root().parent / "notebooks").glob("*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "markdown":
                for block, inline in FORMULAS.findall("".join(cell["source"])):
                    made = ElementTree.fromstring(to_mathml(block or inline, bool(block)))
                    assert made.get("display") == ("block" if block else "inline")
                    found += 1
    assert found > 50


def test_an_unknown_command_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"\\foo, which is not known"):
        to_mathml(r"x + \foo y")


@pytest.mark.parametrize(("formula", "gaps"), [(r"\log \cos(H)", 1), (r"\log x", 1), (r"\log(x)", 0)])
def test_a_function_stands_apart_from_its_argument_unless_it_is_in_brackets(formula: str, gaps: int) -> None:
    assert to_mathml(formula).count("<mspace") == gaps
